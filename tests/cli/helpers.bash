# run_split ARG…: runs the command; $status, stdout in $output and $lines, stderr in $errors.
run_split() {
    local stdout=$BATS_TEST_TMPDIR/stdout stderr=$BATS_TEST_TMPDIR/stderr
    status=0
    "$MMREPLAY" "$@" >"$stdout" 2>"$stderr" || status=$?
    output=$(cat "$stdout")
    errors=$(cat "$stderr")
    mapfile -t lines <"$stdout"
}
