load helpers

setup() {
    [ -x /usr/bin/python3 ] || skip "no python3 to record"
    cd "$BATS_TEST_TMPDIR"
    cat >work.py <<'PY'
kept = [str(i) * (i % 50) for i in range(20000)]
kept = [s + s for s in kept[::2]]
PY
    env -u PYTHONMALLOC -u PYTHONDEVMODE "$MMREPLAY" record -o work.yaml -- /usr/bin/python3 work.py
}

@test "replay prints a row per allocator and the pool's split" {
    run_split replay work.yaml -n 3
    [ "$status" -eq 0 ]
    [[ "$output" == *"pool "* && "$output" == *"system "* && "$output" == *"subtracted"* ]]
    [[ "$output" == *"= arenas x arena size"* ]]
}

@test "replay --json - writes JSON and nothing else" {
    run_split replay work.yaml -n 2 -a system --json -
    [ "$status" -eq 0 ]
    [[ "${lines[0]}" == "{" ]]
    [[ "$output" == *'"schema": 1'* ]]
    [[ "$output" != *"ns per operation"* ]]
}

@test "replay --json FILE leaves the whole file, and none after an error" {
    run_split replay work.yaml -n 2 -a system --json result.json
    [ "$status" -eq 0 ]
    [ -s result.json ]
    run_split replay work.yaml missing.yaml -n 2 -a system --json second.json
    [ "$status" -eq 2 ]
    [ ! -e second.json ]
    [ ! -e second.json.partial ]
}

@test "replay respects COLUMNS" {
    COLUMNS=70 run_split replay work.yaml -n 2 -a pool,system
    [ "$status" -eq 0 ]
    [ "$(printf '%s\n' "${lines[@]}" | wc -L)" -le 70 ]
}

@test "replay names a library that is missing or has no malloc" {
    run_split replay work.yaml -a mine=/no/such/lib.so
    [ "$status" -eq 2 ]
    [ "$errors" = "mmreplay: /no/such/lib.so: cannot open the allocator library: No such file or directory" ]
    run_split replay work.yaml -a sytem
    [ "$status" -eq 2 ]
    [ "$errors" = "mmreplay: unknown allocator 'sytem'; did you mean 'system'?" ]
    library=$(ldd "$MMREPLAY" | sed -n 's/.*libz.* => \([^ ]*\).*/\1/p')
    run_split replay work.yaml -a "mine=$library"
    [ "$status" -eq 2 ]
    [[ "$errors" == *"defines no malloc"* ]]
    [ "$(printf '%s\n' "$errors" | wc -l)" -eq 1 ]
}

# worker_await PID: until the command has a worker that replays.
worker_await() {
    for _ in $(seq 100); do
        [ -n "$(cat "/proc/$1/task/$1/children" 2>/dev/null)" ] && break
        sleep 0.05
    done
    sleep 0.5
}

@test "replay ends by the signal that interrupted it, with what it has" {
    "$MMREPLAY" replay work.yaml -n 5000 >out.txt 2>err.txt &
    pid=$!
    worker_await $pid
    kill -TERM $pid
    status=0
    wait $pid || status=$?
    [ "$status" -eq 143 ]
    grep -q "subtracted" out.txt
    grep -q "interrupted" err.txt
}

@test "a result that cannot be written is told by an interrupted replay, too" {
    mkdir out
    "$MMREPLAY" replay work.yaml -n 5000 --json out/result.json >out.txt 2>err.txt &
    pid=$!
    worker_await $pid
    rm -r out
    kill -TERM $pid
    status=0
    wait $pid || status=$?
    [ "$status" -eq 143 ]
    grep -q "out/result.json: cannot write the result: No such file or directory" err.txt
    grep -q "interrupted" err.txt
}

@test "allocators lists what is here and what to install for the rest" {
    run_split allocators
    [ "$status" -eq 0 ]
    [[ "$output" == *"system        ready     glibc "* ]]
    [[ "$output" == *"pool          ready"* ]]
}

@test "several traces end with a summary, a row a trace" {
    run_split replay work.yaml work.yaml -n 1 -a system,null
    [ "$status" -eq 0 ]
    [ "$(grep -c '^work  ' <<<"$output")" -eq 2 ]
    [[ "$output" == *"geometric mean"* ]]
    run_split replay work.yaml -n 1 -a system,null
    [[ "$output" != *"geometric mean"* ]]
}

@test "a damaged trace is told, the others are replayed and written" {
    cp work.events.gz bad.events.gz
    sed 's/work\.events\.gz/bad.events.gz/' work.yaml >bad.yaml
    size=$(stat -c %s bad.events.gz)
    truncate -s $((size / 2)) bad.events.gz
    run_split replay work.yaml bad.yaml work.yaml -n 1 -a system,null --json result.json
    [ "$status" -eq 2 ]
    [ "$(grep -c '^work  ' <<<"$output")" -eq 2 ]
    [[ "$output" == *"geometric mean"* ]]
    [[ "$errors" == *"bad.events.gz"* && "$errors" == *"1 of 3 traces"* ]]
    [ "$(python3 -c 'import json; print(len(json.load(open("result.json"))["traces"]))')" -eq 2 ]
    run_split replay bad.yaml -n 1 -a system --json none.json
    [ "$status" -eq 2 ]
    [ ! -e none.json ]
    [ ! -e none.json.partial ]
}

@test "replay does not write its result over its input or a directory" {
    ln work.yaml link.yaml
    sum=$(cat work.yaml work.events.gz | sha256sum)
    for target in work.yaml link.yaml work.events.gz .; do
        run_split replay work.yaml -n 1 -a system --json "$target"
        [ "$status" -eq 2 ]
        [ -z "$output" ]
        [[ "$errors" == *"another file for the result"* || "$errors" == *"is a directory"* ]]
        run_split replay work.yaml -n 1 -a pool "--pool-stats=work.events.gz"
        [ "$status" -eq 2 ]
    done
    [ "$(cat work.yaml work.events.gz | sha256sum)" = "$sum" ]
}
