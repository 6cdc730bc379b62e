#!/usr/bin/env bash
# Every test: format, lints, Rust tests, lab tests, scenarios on the real switches. Ends with the totals.
# It is run by `make test`, inside a lab session: the variables SKLIC_LAB_* and SKLIC_TEST_DATABASE_URL are set.
# A step that fails does not keep the next from running, so that one run shows all that is wrong.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

: "${SKLIC_TEST_DATABASE_URL:?run this by: make test}"
log_dir=$SKLIC_LAB_DIR/log
passed=0 failed=0
summary=()

# step TITLE COMMAND...: runs it and shows its output; the output is kept in $output, its status returned.
step() {
    local title=$1 started=$SECONDS status=0
    shift
    output=$log_dir/test-${title//[^a-z]/-}.log
    printf '\n==> %s\n' "$title"
    "$@" 2>&1 | tee "$output" || status=$?
    if [ "$status" = 0 ]; then
        summary+=("$(printf 'ok      %-28s %4d s' "$title" $((SECONDS - started)))")
    else
        summary+=("$(printf 'FAILED  %-28s %4d s  (%s)' "$title" $((SECONDS - started)) "$output")")
    fi
    return "$status"
}

# A step that is one test by itself.
check() {
    if step "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}

# Adds the numbers before a word in the lines of a runner's closing words: count 'regex of the lines' word.
count() {
    # What passed at the second try is among those that passed, and told by more words.
    sed 's/\x1b\[[0-9;]*m//g' "$output" | grep -E "$1" | grep -oE "[0-9]+ $2( \(|[,;]|\$)" | awk '{n += $1} END {print n + 0}'
}

# A step of many tests: suite TITLE 'regex of its closing lines' COMMAND...
suite() {
    local title=$1 closing=$2 status=0 good bad
    shift 2
    step "$title" "$@" || status=$?
    good=$(count "$closing" passed)
    bad=$(count "$closing" failed)
    # A runner that fails without naming a test, or that ran none, is a failure too.
    if [ "$status" != 0 ] && [ "$bad" = 0 ]; then bad=1; fi
    if [ "$status" = 0 ] && [ "$good" = 0 ] && [ "$bad" = 0 ] && [ "$title" != "documentation tests" ]; then
        printf '%s ran no test\n' "$title"
        bad=1
    fi
    passed=$((passed + good))
    failed=$((failed + bad))
    summary[-1]+="  $good passed, $bad failed"
}

totals() {
    # Only when it was interrupted do they still run.
    [ -z "${lints:-}" ] || kill "$lints" 2>/dev/null || true
    printf '\n==> totals\n'
    printf '%s\n' "${summary[@]}"
    printf '\n%d passed, %d failed\n' "$passed" "$failed"
}
trap totals EXIT

# The console first: the binary carries its files.
check "console" make --no-print-directory web
check "console types" npm --prefix web run --silent check
suite "console logic" '^ *Tests ' npm --prefix web run --silent test
check "format" cargo fmt --all --check
check "shell scripts" shellcheck -x vagrant/provision/*.sh tests/*.sh tests/deb/*.sh packaging/deb/build.sh packaging/deb/*/p* dialplan/prompts/*.sh .ci/run
check "build" cargo build --locked --bins
check "build of the tests" cargo test --locked --no-run --lib --bins --tests
# The lints beside the Rust tests, which wait much and measure no sound; in a folder of their own, for a build locks its.
lints_output=$log_dir/lints-beside.log
nice -n 19 cargo clippy --locked --all-targets --target-dir "${CARGO_TARGET_DIR:-target}/lints" -- -D warnings >"$lints_output" 2>&1 &
lints=$!
nextest=
if cargo nextest --version >/dev/null 2>&1; then
    nextest=yes
    suite "rust tests" '^ *Summary ' cargo nextest run --locked --no-fail-fast --retries 1 --test-threads 6 -E 'not binary(pbx)'
else
    suite "rust tests" '^test result:' cargo test --locked --no-fail-fast --lib --bins --tests
fi
lints_status=0
wait "$lints" || lints_status=$?
lints=
lints_passed() { cat "$lints_output" && return "$lints_status"; }
check "lints" lints_passed
[ -z "$nextest" ] || suite "switch adapters" '^Adapters: ' bash tests/adapters.sh
suite "documentation tests" '^test result:' cargo test --locked --doc
check "fault auditor" node --test tests/faults/audit.test.mjs
check "lab" bash tests/lab-verbs.sh
check "vagrant" bash tests/vagrant.sh
check "packages" bash tests/deb/packages.sh "${CARGO_TARGET_DIR:-target}/debug/sklic"
suite "browser" '^[0-9]+ passed, [0-9]+ failed' node tests/browser/run.mjs
suite "scenarios" '^[0-9]+ passed, [0-9]+ failed' "${CARGO_TARGET_DIR:-target}/debug/sklic-qa" run all --jobs 4
if [ -x "${SKLIC_FREESWITCH:-/usr/local/freeswitch}/bin/freeswitch" ]; then
    suite "scenarios on FreeSWITCH" '^[0-9]+ passed, [0-9]+ failed' "${CARGO_TARGET_DIR:-target}/debug/sklic-qa" --pbx freeswitch run all --jobs 4
else
    summary+=("SKIPPED scenarios on FreeSWITCH: none is installed in ${SKLIC_FREESWITCH:-/usr/local/freeswitch}; recorded dialogues stood in for it")
fi

[ "$failed" = 0 ]
