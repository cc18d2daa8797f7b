#!/usr/bin/env bats
# Where a recorded CPython's arenas lay: in the description, in replays, in comparisons.
# What the statistics then are, python_stats.py compares.

setup_file() {
    cd "$BATS_FILE_TMPDIR" || return 1
    python=$(python3 -c 'import sys; print(sys.executable)' 2>/dev/null) || return 0
    env -u PYTHONMALLOC -u PYTHONDEVMODE "$MMREPLAY" record -o python.yaml -- "$python" -c '
kept = [[str(i), [i]] for i in range(40000)]
del kept[::2]
' 2>record.log
}

setup() {
    load helpers
    cd "$BATS_FILE_TMPDIR" || return 1
    [ -e python.yaml ] || skip "no python3 that can be recorded: $(cat record.log 2>/dev/null)"
    version=$(sed -n 's/^  interpreter: CPython \(3\.[0-9]*\).*/\1/p' python.yaml)
}

@test "a recording of a CPython tells where its arenas lay" {
    grep -A3 '^  arenas:' python.yaml >arenas
    grep -q '^    bytes: [1-9]' arenas
    grep -q '^    count: [1-9]' arenas
    grep -q '^    places: ' arenas
    run_split check python.yaml
    [ "$status" -eq 0 ]
    count=$(sed -n 's/^    count: //p' arenas)
    run_split info python.yaml
    [[ "$output" =~ " arenas         $count of "[0-9.]*" "[KM]"iB obtained by CPython" ]]
    [ "$("$MMREPLAY" info --json - python.yaml | jq '.traces[0].capture.arenas.count')" -eq "$count" ]
}

@test "a recording of a C program tells of none" {
    "$MMREPLAY" record -o c.yaml -- ls / >/dev/null
    run grep -q 'arenas:' c.yaml
    [ "$status" -eq 1 ]
}

@test "the report says whether a pool's arenas lay where they were recorded" {
    run_split replay -n 1 --memory-rounds 1 -a "pool:$version" --json result.json python.yaml
    [ "$status" -eq 0 ]
    [[ "$(tr -s ' \n' ' ' <<<"$output")" == *", where those of the recorded CPython $version."*" lay: "* ]]
    [ "$(jq -r '.traces[0].allocators[0].settings.arena_places' result.json)" = recorded ]
    run_split replay -n 1 --memory-rounds 1 -a "pool:$version,residues=0" --json result.json python.yaml
    [ "$status" -eq 0 ]
    [[ "$(tr -s ' \n' ' ' <<<"$output")" == *", not where those of the recorded CPython $version."*" lay: "* ]]
    [ "$(jq -r '.traces[0].allocators[0].settings.arena_places' result.json)" = own ]
    run_split replay -n 1 --memory-rounds 1 -a "pool:$version,keep=3,residues=trace" --json result.json python.yaml
    [ "$status" -eq 0 ]
    [[ "$(tr -s ' \n' ' ' <<<"$output")" == *", each as far into a pool as those of the recorded CPython $version."* ]]
    [ "$(jq -r '.traces[0].allocators[0].settings.arena_places' result.json)" = recorded_residues ]
}

@test "a pool of another shape never takes recorded places unasked" {
    run_split replay -n 1 --memory-rounds 1 -a pool:classic python.yaml
    [ "$status" -eq 0 ]
    [[ "$(tr -s ' \n' ' ' <<<"$output")" == *", not where those of the recorded CPython $version."* ]]
}

@test "the statistics text says of itself where the arenas lay" {
    run_split replay -n 1 --memory-rounds 0 -a "pool:$version,pool:classic" --pool-stats=stats.txt python.yaml
    [ "$status" -eq 0 ]
    [ "$(grep -c '^# python on .*, arenas where they were recorded$' stats.txt)" -eq 1 ]
    grep -q "^# python on pool:$version, after operation .*, arenas where they were recorded\$" stats.txt
}

@test "the real allocator agrees on the recorded residues, too" {
    "$MMREPLAY" allocators | grep -q "^cpython:$version *ready" || skip "no libpython$version here"
    run_split check --against "cpython:$version" --stats-every 5000 python.yaml
    [ "$status" -eq 0 ]
    [[ "$output" == *"agrees with CPython $version"* ]]
}

@test "residues that a trace does not have, or that make no sense, are refused" {
    run_split replay -n 1 -a "pool:$version,residues=trace" "$SAMPLES/git.yaml"
    [ "$status" -eq 2 ]
    [[ "$errors" == *"residues=trace, but the trace does not tell where its program's arenas lay"* ]]
    sed '/^    places:/,/^[a-z]/{/^      /d}; s/^    places:.*/    places: "1M -1M 1M"/' python.yaml >bad.yaml
    run_split check bad.yaml
    [ "$status" -eq 1 ]
    [[ "$errors" == *"bad.yaml: arena places: '1M' is not a step such as -1M or +12K*3"* ]]
    run_split replay -n 1 -a pool bad.yaml
    [ "$status" -eq 2 ]
}
