#!/usr/bin/env bash
# Builds and runs every test. `make test` and CI call exactly this.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh
for preset in release dev; do
  cmake --preset "$preset" >/dev/null
  cmake --build --preset "$preset"
  ctest --preset "$preset"
done
