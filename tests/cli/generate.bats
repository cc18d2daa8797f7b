#!/usr/bin/env bats
# mmreplay generate: what lies on disk, that the same command makes it again, what is refused.

setup() {
    load helpers
    cd "$BATS_TEST_TMPDIR" || return
}

@test "a generated trace is valid, and says how it was made" {
    for model in pair lifo fifo replace ramp; do
        run_split generate "$model" --live 100 --count 5000 -o "$model.yaml"
        [ "$status" -eq 0 ]
        [ -z "$output" ]
        [[ "$errors" == "mmreplay: $model.yaml: mmreplay generate $model --live 100 --count 5000 "*" --seed 1" ]]
        run_split check "$model.yaml"
        [ "$status" -eq 0 ]
        run_split info "$model.yaml"
        [[ "$output" == *"mmreplay generate $model --live 100"* ]]
        [[ "$output" == *"peak "*" in 100 blocks"* ]]
    done
}

@test "the command in the description makes the same two files again" {
    run_split generate ramp --live 300 --cycles 3 --keep 7 --order newest --sizes 16-1K --domain c --seed 42 -o a.yaml
    [ "$status" -eq 0 ]
    command=${errors#*a.yaml: mmreplay }
    mkdir again
    # shellcheck disable=SC2086 # a list of words
    run_split $command -o again/a.yaml
    [ "$status" -eq 0 ]
    cmp a.yaml again/a.yaml
    cmp a.events.gz again/a.events.gz
    run_split ${command% --seed 42} --seed 43 -o again/a.yaml
    run cmp -s a.events.gz again/a.events.gz
    [ "$status" -eq 1 ]
}

@test "the domain is the one asked for" {
    run_split generate pair --count 100 -o obj.yaml
    run_split info obj.yaml
    [[ "$output" == *"domain obj "*"100.0 %"* ]]
    run_split generate pair --count 100 --domain c -o c.yaml
    run_split info c.yaml
    [[ "$output" == *"domain c "*"100.0 %"* ]]
}

# refused TEXT ARG…: exit code 2, one line, no file.
refused() {
    local text=$1
    shift
    run_split generate "$@"
    [ "$status" -eq 2 ]
    [ "$errors" = "mmreplay: $text" ]
    [ "$(find . -name '*.yaml' -o -name '*.gz' -o -name '*.tmp' | wc -l)" -eq 0 ]
}

@test "nonsense is refused, with the way out" {
    refused "unknown model 'replce'; did you mean 'replace'?" replce -o x.yaml
    refused "unknown model 'whirlwind'; there are pair, lifo, fifo, replace and ramp" whirlwind -o x.yaml
    refused "generate: no output given; say where to with -o NAME.yaml" pair
    refused "x.json: the name of a trace to be written must end in .yaml" pair -o x.json
    refused "sizes are a size (64), a range (16-512) or 'python', not 'big'" pair --sizes big -o x.yaml
    refused "the range of sizes '9-8' ends before it begins" pair --sizes 9-8 -o x.yaml
    refused "a domain is obj, mem, raw or c, not 'gc'" pair --domain gc -o x.yaml
    refused "an order is random, newest or oldest, not 'up'" ramp --order up -o x.yaml
    refused "only ramp keeps blocks and chooses the order of its frees, not pair" pair --keep 5 -o x.yaml
    refused "keeping every block frees none; keep every 2nd or fewer" ramp --keep 1 -o x.yaml
    refused "pair has no cycles; say how many operations it shall have" pair --cycles 5 -o x.yaml
    refused "either a number of operations or of cycles, not both" ramp --cycles 5 --count 9 -o x.yaml
    refused "9 operations cannot make 10 live blocks; ask for more operations or fewer blocks" \
        replace --live 10 --count 9 -o x.yaml
    refused "at most 268435455 blocks can be live" replace --live 999999999999 -o x.yaml
    refused "generate: --seed wants a whole number, not '-1'" pair --seed -1 -o x.yaml
    refused "/no/such/dir/x.events.gz: cannot create a file beside it: No such file or directory" \
        pair -o /no/such/dir/x.yaml
}

@test "a full disk leaves nothing behind" {
    mkdir small
    mount -t tmpfs -o size=64k none small 2>/dev/null || skip "cannot mount a small file system here"
    run_split generate replace --live 100000 -o small/x.yaml
    left=$(find small -type f | wc -l)
    umount small
    [ "$status" -eq 2 ]
    [[ "$errors" == *"No space left on device" ]]
    [ "$left" -eq 0 ]
}
