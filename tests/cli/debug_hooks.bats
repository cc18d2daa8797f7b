load helpers

setup() {
    [ -x /usr/bin/python3 ] || skip "no python3 to record"
    cd "$BATS_TEST_TMPDIR"
    printf '%s\n' 'kept = [str(i) * (i % 50) for i in range(20000)]' >work.py
    env -u PYTHONMALLOC -u PYTHONDEVMODE "$MMREPLAY" record -o work.yaml -- /usr/bin/python3 work.py
}

@test "replay --debug-hooks gives every pool a hooked row, and no other allocator" {
    run_split replay work.yaml -n 2 -a pool,system --debug-hooks
    [ "$status" -eq 0 ]
    [ "$(grep -c '^pool+debug ' <<<"$output")" -ge 1 ]
    [[ "$output" != *"system+debug"* ]]
    [[ "$output" == *"debug hooks add 24 bytes"* ]]
    run_split replay work.yaml -n 2 -a pool --debug-hooks --json -
    [[ "$output" == *'"debug_hooks": true'* && "$output" == *'"debug_hooks": false'* ]]
}

@test "replay --debug-hooks without a pool says what lacks" {
    run_split replay work.yaml -n 2 -a system --debug-hooks
    [ "$status" -eq 2 ]
    [[ "$errors" == *"debug hooks lie around CPython's domains"*"add 'pool'"* ]]
}
