#!/usr/bin/env bash
# Packs a folder; nothing is uploaded.
set -euo pipefail
IFS=$'\n\t'

usage() { echo "usage: ${0##*/} [-n] DIR" >&2; exit 64; }

dry_run=false
while getopts ':nh' option; do
  case "$option" in
    n) dry_run=true ;;
    h|\?) usage ;;
  esac
done
shift $((OPTIND - 1))
[[ $# -eq 1 && -d ${1:-} ]] || usage

files=()
while IFS= read -r -d '' file; do files+=("$file"); done < <(find "$1" -type f -print0 | sort -z)
printf '%s\n' "${files[@]/#/- }" | awk '{ sum += length($0) } END { print sum " bytes\t" NR }'
if ! $dry_run; then
  tar -C "$1" -czf "out-$(date +%F).tar.gz" . 2>/dev/null || { echo "can't pack" >&2; exit 1; }
fi
cat <<EOF | sed -e 's/^  *//' > "$1/.manifest"
    ${#files[@]} files, `hostname`
EOF
