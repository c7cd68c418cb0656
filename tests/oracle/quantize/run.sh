#!/usr/bin/env bash
# Quantises a whole model as a user does, measures it, and compares what came out with Hugging Face's LlamaForCausalLM:
#
#   tests/oracle/quantize/run.sh [--shape llama-3-8b|toy] [--layers N] [--device cuda|cpu] [--tokens N] [--seed N]
#                                [--build DIR] [--no-compare] [--files DIR]
#
# 1. makes a random bf16 checkpoint (8B: 16 GB), 2. `incipit model add --quantize gptq` of it, with wall time by part and
# the most memory of host and device, 3. our logits with the packed model beside LlamaForCausalLM with the same weights
# dequantised: within 1.2 times bf16's own error against fp32. Without options: all of llama-3-8b on the GPU. With
# --layers 2 it takes a minute. Fails when a part fails, or when more was needed than 16 GB of host memory and 12 GB of
# the device. --files keeps checkpoint and model in DIR, where another run finds them and goes on with what is missing.
#
# Wants python3 with torch and transformers, 45 GB of GPU memory for 8B in fp32, and 32 GB of disk or memory for files
# ($TMPDIR, else /dev/shm if it has room). INCIPIT and ORACLE_MODEL name programs that were built elsewhere.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
shape=llama-3-8b layers=0 device=cuda tokens=320 seed=1 build=$root/build/release compares=yes keep=
while (($# > 0)); do
  case $1 in
    --shape) shape=$2 ;;
    --layers) layers=$2 ;;
    --device) device=$2 ;;
    --tokens) tokens=$2 ;;
    --seed) seed=$2 ;;
    --build) build=$2 ;;
    --files) keep=$2 ;;
    --no-compare)
      compares=no
      shift
      continue
      ;;
    *)
      sed -n '2,16s/^# \{0,1\}//p' "$0" >&2
      exit 2
      ;;
  esac
  shift 2
done

program=${INCIPIT:-} oracle=${ORACLE_MODEL:-}
if [[ -z $program || (-z $oracle && $compares == yes) ]]; then
  cmake --build "$build" --target incipit oracle_model >&2
  program=${program:-$build/incipit} oracle=${oracle:-$build/tests/oracle/model/oracle_model}
fi

in_memory=$(df --output=avail -k /dev/shm 2>/dev/null | tail -1) || true
if [[ -z ${TMPDIR:-} ]] && ((${in_memory:-0} > 32 << 20)); then
  export TMPDIR=/dev/shm
fi
if [[ -n $keep ]]; then
  mkdir -p "$keep"
  files=$(cd "$keep" && pwd)
else
  files=$(mktemp -d --suffix=.quantize)
  trap 'rm -rf "$files"' EXIT
fi
export XDG_DATA_HOME=$files/data XDG_CACHE_HOME=$files/cache

# cuBLAS and cuSOLVER as they come with PyTorch, behind whatever the loader knows.
libraries=$(python3 - <<'PYTHON'
import importlib.util, pathlib
spec = importlib.util.find_spec('nvidia')
roots = spec.submodule_search_locations if spec else []
folders = {str(file.parent) for root in roots for name in ('libcu*.so.*', 'libnv*.so.*')
           for file in pathlib.Path(root).glob('*/lib/' + name)}
print(':'.join(sorted(folders)))
PYTHON
)
if [[ -n $libraries ]]; then
  export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:-}${LD_LIBRARY_PATH:+:}$libraries
fi

began=$SECONDS
step() { printf '\n== %s (after %d s)\n' "$1" $((SECONDS - began)); }

step "checkpoint: $shape in $files"
df -h "$files" | tail -1
if [[ ! -e $files/source/config.json ]]; then  # which is written last
  rm -rf "$files/source"
  python3 -B "$here/make_checkpoint.py" "$files/source" --shape "$shape" --layers "$layers" --seed "$seed"
fi

step "incipit model add --quantize gptq --device $device"
mapfile -t texts < <(find "$root/engine" "$root/kernels" "$root/lsp" -path '*/node_modules' -prune -o \
  \( -name '*.cpp' -o -name '*.cu' -o -name '*.h' \) -print | sort)
if [[ ! -e $files/done.json ]]; then
  python3 -B "$here/watch.py" "$files/watched.json" "$program" model add "$files/source" --name quantised \
    --quantize gptq --device "$device" --json --calibration "${texts[@]}" >"$files/added.json" \
    2> >(awk '!/^packing/ || n++ % 15 == 0 { print; fflush() }' >&2) ||
    { cat "$files/added.json"; exit 1; }
  mv "$files/added.json" "$files/done.json"
fi
[[ -n $keep ]] || rm -rf "$files/source"
verdict=0
python3 -B "$here/summary.py" "$files/done.json" "$files/watched.json" || verdict=1

if [[ $compares == yes ]]; then
  step "our logits with the packed model"
  "$oracle" --model "$XDG_DATA_HOME/incipit/models/quantised" --device "$device" --tokens "$tokens" --seed "$seed" \
    --out "$files/plain"
  step "LlamaForCausalLM with the same weights"
  python3 -B "$here/../model/compare.py" "$files/plain" --device "$device" || verdict=1
fi
step "$([[ $verdict == 0 ]] && echo passed || echo FAILED)"
exit $verdict
