#!/usr/bin/env bash
# Builds and runs every test, phase by phase; stops at the first phase that fails, with its output. `make test` and CI
# call exactly this. Logs of each phase stay in build/test-logs. Asks nothing, needs no network once set up. The tests of
# one build run beside the next build, so that no core is idle.
#
#   scripts/test.sh             everything
#   scripts/test.sh PHASE...    some of: setup release workbench dev fuzz tsan
set -uo pipefail
cd "$(dirname "$0")/.." || exit

readonly all_phases=(setup release workbench dev fuzz tsan)
readonly wanted=("${@:-${all_phases[@]}}")
readonly logs=build/test-logs
n_jobs=$(nproc)
readonly n_jobs
mkdir -p "$logs"

names=()    # of the phases run so far
seconds=()
results=()
n_passed=0
n_failed=0

report() {
  printf '\n%-28s %8s  %s\n' phase seconds result
  local i
  for i in "${!names[@]}"; do printf '%-28s %8s  %s\n' "${names[$i]}" "${seconds[$i]}" "${results[$i]}"; done
  printf '%-28s %8s\n\n' all "$SECONDS"
  echo "total: $n_passed passed, $n_failed failed"
}

# record NAME START RESULT: a row of the table.
record() {
  names+=("$1")
  seconds+=("$((SECONDS - $2))")
  results+=("$3")
}

fail() {
  [ "$n_failed" -gt 0 ] || n_failed=1
  local pid
  for pid in "${beside_pids[@]}"; do
    kill -STOP "$pid" 2>/dev/null  # it would start its tests when what it waits for ends
    pkill -TERM -P "$pid" 2>/dev/null
    kill -KILL "$pid" 2>/dev/null
  done
  report
  exit 1
}

# quiet NAME COMMAND...: output goes to a log; its end is shown when the command fails.
quiet() {
  local name=$1 start=$SECONDS log
  log="$logs/${1// /-}.log"
  shift
  printf '== %s\n' "$name"
  if "$@" >"$log" 2>&1 </dev/null; then
    record "$name" "$start" ok
  else
    grep -n -m 5 -E 'FAILED:|error:|Error ' "$log"
    tail -n 80 "$log"
    record "$name" "$start" "FAILED, see $log"
    fail
  fi
}

# count_tests LOG: "PASSED FAILED" of a ctest log: the tests inside a gtest program count one each, any other case is one.
count_tests() {
  awk '
    /^\[  PASSED  \] [0-9]+ test/ { passed += $4; inside = 1 }
    /^ *[0-9]+ FAILED TEST/ { failed += $1; inside = 1 }
    /^Test Passed\.$/ { if (!inside) ++passed; inside = 0 }
    /^Test Failed\.$|^Test timed out|^Unable to find executable|^Child aborted|^Exception:/ { if (!inside) ++failed; inside = 0 }
    END { print passed + 0, failed + 0 }' "$1"
}

# run_ctest LOG PRESET CTEST-ARGUMENTS...: what ctest says also goes to LOG, the output of all tests to LOG.all.
run_ctest() {
  local log=$1 preset=$2 code
  shift 2
  # Programs under test keep packed weights in the build tree, not in the user's home, and see no models of the user's.
  XDG_CACHE_HOME=$PWD/build/test-cache XDG_DATA_HOME=$PWD/build/test-data "${run_prefix[@]}" \
    ctest --test-dir "build/$preset" --output-on-failure \
    --no-tests=error "$@" 2>&1 </dev/null | tee "$log"
  code=${PIPESTATUS[0]}
  cp "build/$preset/Testing/Temporary/LastTest.log" "$log.all"
  return "$code"
}

# count NAME START LOG CODE: the row of tests that have run.
count() {
  local passed failed
  read -r passed failed < <(count_tests "$3.all")
  n_passed=$((n_passed + passed))
  if [ "$4" -ne 0 ]; then
    n_failed=$((n_failed + (failed > 0 ? failed : 1)))
    record "$1" "$2" "FAILED ($passed passed, $failed failed), see $3"
    fail
  fi
  record "$1" "$2" "$passed passed"
}

# tests NAME PRESET CTEST-ARGUMENTS...: shows one line a ctest case, and the output of those that fail.
tests() {
  local name=$1 start=$SECONDS log
  log="$logs/${1// /-}.log"
  shift
  printf '== %s\n' "$name"
  run_ctest "$log" "$@"
  count "$name" "$start" "$log" $?
}

# tests_beside NAME PRESET CTEST-ARGUMENTS...: the same, beside what follows and after those that are beside it already,
# until join_tests shows them all.
beside_names=()
beside_starts=()
beside_logs=()
beside_pids=()
tests_beside() {
  local log="$logs/${1// /-}.log" before="${beside_pids[*]: -1}"
  beside_names+=("$1")
  beside_starts+=("$SECONDS")
  beside_logs+=("$log")
  shift
  {
    [ -z "$before" ] || tail --pid="$before" -f /dev/null
    run_ctest "$log" "$@"
  } >/dev/null &
  beside_pids+=("$!")
}

join_tests() {
  local i code
  for i in "${!beside_pids[@]}"; do
    printf '== %s\n' "${beside_names[$i]}"
    wait "${beside_pids[$i]}"
    code=$?
    cat "${beside_logs[$i]}"
    unset "beside_pids[$i]"
    count "${beside_names[$i]}" "${beside_starts[$i]}" "${beside_logs[$i]}" "$code"
  done
  beside_names=()
  beside_starts=()
  beside_logs=()
  beside_pids=()
}

# Tests go first: some wait for an editor or fuzz against the clock.
build() {
  local preset=$1
  shift
  cmake --preset "$preset" && nice cmake --build --preset "$preset" -j "$n_jobs" "$@"
}

phase_setup() {
  quiet setup scripts/setup.sh extension
  setup_beside training
  if [[ " ${wanted[*]} " == *' workbench '* ]]; then setup_beside vscode; fi
}

# setup_beside WHAT: what not every machine can have comes beside the release build: PyTorch for the tests of the training
# program, VS Code's workbench and its browser. The tests that want it are skipped, and the report says so, where it can't be had.
declare -A setup_pids=()
declare -A setup_starts=()
last_setup=
setup_beside() {
  local before=$last_setup
  setup_starts[$1]=$SECONDS
  {
    [ -z "$before" ] || tail --pid="$before" -f /dev/null  # apt-get lets no other in
    exec scripts/setup.sh "$1"
  } >"$logs/setup-$1.log" 2>&1 </dev/null &
  setup_pids[$1]=$!
  last_setup=$!
}

# join_setup WHAT: fails where it was set up and is not there.
join_setup() {
  local pid=${setup_pids[$1]:-}
  [ -n "$pid" ] || return 0
  unset "setup_pids[$1]"
  if wait "$pid"; then
    record "setup of $1, beside" "${setup_starts[$1]}" ok
  else
    record "setup of $1, beside" "${setup_starts[$1]}" "not there, its tests are skipped: see $logs/setup-$1.log"
    return 1
  fi
}

# What users get, built in fewer and larger files and for fewer GPUs: everything is built, and the tests run whose result
# could depend on the optimiser, or that no sanitizer watches.
phase_release() {
  quiet 'release build' build test
  join_setup training
  tests_beside 'release tests' test -j "$n_jobs" -LE '^(e2e|fuzz|workbench)$'
  tests_beside 'release end to end' test -L '^e2e$'
}

# The packed extension in VS Code's workbench in a browser, beside the next build, which gives way.
phase_workbench() {
  if [[ " ${wanted[*]} " != *' setup '* ]]; then quiet 'setup of vscode' scripts/setup.sh vscode; fi
  if [[ " ${wanted[*]} " != *' release '* ]]; then quiet 'release build' build test; fi
  if join_setup vscode; then tests_beside 'VS Code' test -L '^workbench$'; fi
}

# Memory errors and undefined behaviour: every unit test.
phase_dev() {
  quiet 'dev build (ASan, UBSan)' build dev --target incipit_unit_tests
  join_tests
  tests_beside 'dev tests (ASan, UBSan)' dev -j "$n_jobs" -L '^unit$'
}

# Fuzz targets are programs of the dev build.
phase_fuzz() {
  quiet 'fuzz build' build dev --target incipit_fuzz_targets
  tests_beside 'fuzz, up to 30 s a target' dev -j "$n_jobs" -L '^fuzz$'
}

# Data races, in the tests where several threads meet.
phase_tsan() {
  quiet 'tsan build' build tsan --target incipit_thread_tests
  # ThreadSanitizer can't place its shadow memory when the kernel randomises addresses widely.
  if setarch "$(uname -m)" -R true 2>/dev/null; then run_prefix=(setarch "$(uname -m)" -R); fi
  tests 'tsan tests' tsan -j "$n_jobs" -L '^threads$'
  run_prefix=(env)
}

run_prefix=(env)
for phase in "${wanted[@]}"; do
  if ! declare -F "phase_$phase" >/dev/null; then
    echo "scripts/test.sh: unknown phase $phase, want some of: ${all_phases[*]}" >&2
    exit 64
  fi
done
for phase in "${wanted[@]}"; do "phase_$phase"; done
for what in "${!setup_pids[@]}"; do join_setup "$what"; done
join_tests
report
