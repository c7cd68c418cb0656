#!/bin/bash
# Runs in the background on the training machine: preparation beside compilation, training, export. All it says goes to
# $W/pipeline.log; $W/done or $W/failed says how it ended.
set -o pipefail
cd "$(dirname "$0")" || exit 1
W=${PK_WORK:-/tmp/pocket-work}
PY=${PK_PYTHON:-python3}
export PYTHONUNBUFFERED=1 TOKENIZERS_PARALLELISM=false PYTHONHASHSEED=0 PK_WORK=$W
L=$W/pipeline.log
say() { echo "$(date +%T) $*" >> "$L"; }
tag() { sed -u "s/^/$1| /" >> "$L"; }
fail() { say "FAILED: $*"; echo "$*" > "$W/failed"; exit 1; }
rm -f "$W/failed" "$W/done" "$W/prepared"

( for i in 1 2 3; do
    compile=1; [ $i = 3 ] && compile=0
    PK_COMPILE=${PK_COMPILE:-$compile} $PY train.py 2>&1 | tag train && exit 0
    [ -e "$W/failed" ] && exit 1
    say "training ended early, try $i"
  done; exit 1 ) &
TRAINING=$!
$PY prepare.py 2>&1 | tag prep || fail "prepare"
wait $TRAINING || say "training did not end well; the last checkpoint is exported"
[ -e "$W/ckpt/final.pt" ] || [ -e "$W/ckpt/last.pt" ] || fail "no checkpoint"
$PY export.py 2>&1 | tag exp || say "export did not end well"
[ -e "$W/parts/calls.txt" ] || fail "export"
touch "$W/done"
say "ALL DONE"
