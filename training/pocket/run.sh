#!/bin/bash
# Trains on one GPU: verbs start | wait | fetch N | status.
#
#   start    begins in the background and waits; at most PK_LIMIT seconds a call, then call `wait` until it says done
#   fetch N  brings the N-th group of result files to $OUT; assemble.py joins them
#
# PK_WORK work folder, OUT results, PK_LEFT_S seconds until everything must be done (or PK_DEADLINE, seconds since 1970),
# PK_TRAIN_S seconds of training, PK_CORPUS folder of the archives made by gather.py, PK_7Z the unpacker.
W=${PK_WORK:-/tmp/pocket-work}
OUT=${OUT:-/tmp/pocket-out}
LIMIT=${PK_LIMIT:-560}
HERE=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$OUT"

fetch() {
  [ -e "$W/parts/calls.txt" ] || { echo "no parts yet"; return 1; }
  for f in $(sed -n "$1p" "$W/parts/calls.txt"); do
    cp "$W/parts/$f" "$OUT/" && echo "fetch $1: $f $(stat -c %s "$OUT/$f") bytes"
  done
  echo "calls: $(wc -l < "$W/parts/calls.txt") fetches in all"
}

watch() {  # prints what is new in the log until the end or the limit
  local t0=$SECONDS off size
  off=$(cat "$W/offset" 2>/dev/null || echo 0)
  while :; do
    size=$(stat -c %s "$W/pipeline.log" 2>/dev/null || echo 0)
    if [ "$size" -gt "$off" ]; then
      tail -c +$((off + 1)) "$W/pipeline.log" | head -c $((size - off))
      off=$size
      echo "$off" > "$W/offset"
    fi
    [ -e "$W/done" ] && { echo "== done after $(($(date +%s) - $(cat "$W/started"))) s"; return 0; }
    [ -e "$W/failed" ] && { echo "== FAILED: $(cat "$W/failed")"; return 1; }
    [ $((SECONDS - t0)) -ge "$LIMIT" ] && {
      echo "== still running, $(($(date +%s) - $(cat "$W/started"))) s since the start; call wait next, at once"
      return 2
    }
    sleep 1
  done
}

finish() {
  tail -c 900000 "$W/pipeline.log" > "$OUT/pipeline.log" 2>/dev/null
  if [ -e "$W/done" ]; then fetch 1; sed -n '/RESULT/,$p' "$W/pipeline.log" | sed 's/^exp| //'; fi
}

case ${1:-} in
  start)
    if [ -e "$W/started" ]; then echo "already started here, waiting on"; else
      mkdir -p "$W/code"
      cp -r "$HERE"/. "$W/code/" || exit 1
      model=$HERE/../../engine/models/pocket
      if [ -d "$model" ]; then mkdir -p "$W/code/tokenizer" && cp "$model"/*token*.json "$W/code/tokenizer/"; fi
      date +%s > "$W/started"
      [ -n "$PK_LEFT_S" ] && export PK_DEADLINE=$(($(date +%s) + PK_LEFT_S))
      nvidia-smi -L 2>/dev/null; nproc; free -g | sed -n 2p; df -h /tmp | tail -1; g++ --version 2>/dev/null | head -1
      cd "$W/code" && setsid nohup bash pipeline.sh < /dev/null > "$W/pipeline.out" 2>&1 &
      sleep 1
    fi
    watch; rc=$?; finish; [ $rc = 1 ] && exit 1; exit 0 ;;
  wait | fetch | status)
    [ -e "$W/started" ] || { echo "BARE MACHINE: nothing was started here (no $W/started)"; exit 3; }
    if [ -d "${PK_OLD:-}" ] && [ ! -e "$W/compare" ]; then cp -r "$PK_OLD" "$W/compare"; fi
    case $1 in
      wait) watch; rc=$?; finish; [ $rc = 1 ] && exit 1; exit 0 ;;
      fetch) fetch "${2:-1}" ;;
      status) tail -25 "$W/pipeline.log" ;;
    esac ;;
  *) echo "usage: run.sh start|wait|fetch N|status"; exit 2 ;;
esac
