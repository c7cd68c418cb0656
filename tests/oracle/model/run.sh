#!/usr/bin/env bash
# Our logits against Hugging Face's LlamaForCausalLM, at the full shape of a model, with random weights:
#
#   tests/oracle/model/run.sh [--shape NAME] [--device cuda|cpu] [--tokens N] [--layers N] [--seed N]
#                             [--build DIR | --program FILE]
#
# Without options: llama-3-8b on the GPU, 2,000 tokens, the release build. Wants python3 with torch and transformers,
# 45 GB of GPU memory for 8B in fp32 and 13 GB of disk or memory for files ($TMPDIR, else /dev/shm if it has room).
# --program is an oracle_model that was built elsewhere.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
shape=llama-3-8b device=cuda build=$here/../../../build/release program=
options=()
while (($# > 0)); do
  case $1 in
    --shape) shape=$2 ;;
    --device) device=$2 ;;
    --build) build=$2 ;;
    --program) program=$2 ;;
    --tokens | --layers | --seed) options+=("$1" "$2") ;;
    *)
      sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
      exit 2
      ;;
  esac
  shift 2
done

if [[ -z $program ]]; then
  program=$build/tests/oracle/model/oracle_model
  cmake --build "$build" --target oracle_model >&2
fi

if [[ -z ${TMPDIR:-} ]] && (($(df --output=avail -k /dev/shm 2>/dev/null | tail -1) > 14 << 20)); then
  export TMPDIR=/dev/shm
fi
files=$(mktemp -d --suffix=.oracle_model)
trap 'rm -rf "$files"' EXIT
"$program" --shape "$shape" --device "$device" --out "$files" "${options[@]}"
python3 "$here/compare.py" "$files" --device "$device"
