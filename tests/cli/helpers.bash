# run_split ARG…: runs the command; $status, stdout in $output and $lines, stderr in $errors.
run_split() {
    local stdout=$BATS_TEST_TMPDIR/stdout stderr=$BATS_TEST_TMPDIR/stderr
    status=0
    "$MMREPLAY" "$@" >"$stdout" 2>"$stderr" || status=$?
    output=$(cat "$stdout")
    errors=$(cat "$stderr")
    mapfile -t lines <"$stdout"
}

# What the last command printed, where a test failed: an intermittent failure is told by its words only.
teardown() {
    [ -n "$BATS_TEST_COMPLETED" ] || [ ! -e "$BATS_TEST_TMPDIR/stdout" ] && return 0
    echo "exit code $status; stdout:"
    cat "$BATS_TEST_TMPDIR/stdout"
    echo "stderr:"
    cat "$BATS_TEST_TMPDIR/stderr"
}
