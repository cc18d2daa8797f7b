#!/usr/bin/env bats
# mmreplay record --follow: what lies on disk, and what info, check and replay make of the list.

setup() {
    load helpers
    cd "$BATS_TEST_TMPDIR" || return
}

# field KEY: its values in the list, one a line.
field() {
    sed -n "s/^    $1: //p" tree.yaml
}

@test "a pipeline leaves a trace for each program, and a list of them" {
    run_split record --follow -o tree.yaml -- sh -c 'sort /etc/passwd | head -2 | wc -l'
    [ "$status" -eq 0 ]
    [ "$output" = 2 ]
    [[ "$errors" == *"mmreplay: tree.yaml: "*" traces of "*" processes, "*" events in "* ]]
    grep -q '^mmreplay_processes: 1$' tree.yaml
    for program in 'sort /etc/passwd' 'head -2' 'wc -l'; do
        grep -q "command: \"\?$program" tree.yaml
    done
    for file in $(field file); do
        [ -s "$file" ]
        [ -s "${file%.yaml}.events.gz" ]
    done
    [ "$(field file | wc -l)" -ge 3 ]
    [ "$(field file | wc -l)" -eq "$(ls tree.*.yaml | wc -l)" ]
    run_split check tree.yaml
    [ "$status" -eq 0 ]
    [ "${#lines[@]}" -eq "$(field file | wc -l)" ]
    run_split info tree.yaml
    [ "$status" -eq 0 ]
    [[ "$output" == *"exit 0  sort /etc/passwd"* ]]
    run_split replay tree.yaml
    [ "$status" -eq 2 ]
    [[ "$errors" == *"tree.yaml: this lists the "*" traces of a process tree; give one of them: tree."* ]]
}

@test "without --follow children are counted, and the message names it" {
    run_split record -o alone.yaml -- sh -c '(sort /dev/null); (sort /dev/null); echo $(head -1 /dev/null)'
    [ "$status" -eq 0 ]
    [[ "$errors" == *"not recorded (--follow does that)"* ]]
    [ "$(ls *.yaml)" = alone.yaml ]
}

@test "CPython's worker processes are recorded, however they begin" {
    command -v python3 >/dev/null && python3 -c 'import multiprocessing' || skip "no python3"
    cat >work.py <<'END'
import json, multiprocessing, sys
def work(number):
    return len(json.dumps([{"n": number, "all": list(range(50))}] * 200))
if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1])
    kept = [str(i) for i in range(5000)]
    with multiprocessing.Pool(2) as pool:
        print(sum(pool.map(work, range(8))) > 0)
END
    for method in fork spawn; do
        rm -f tree.*
        run_split record --follow -o tree.yaml -- python3 work.py "$method"
        [ "$status" -eq 0 ]
        [ "$output" = True ]
        [[ "$errors" != *"made unseen"* ]]
        [ "$(field file | wc -l)" -ge 3 ]
        run_split check -q tree.yaml
        [ "$status" -eq 0 ]
        if [ "$method" = fork ]; then
            # as many as there are workers; a wrapper around python3 may fork, too
            [ "$(field inherited_blocks | awk '$1 > 5000' | wc -l)" -ge 2 ]
        fi
    done
}

@test "what cannot be recorded in the tree is in the list with the reason" {
    run_split record --follow -o tree.yaml -- sh -c 'env -i /bin/ls / >/dev/null; sort /dev/null'
    [ "$status" -eq 0 ]
    [[ "$(field reason)" == *"never loaded the recorder"* ]]
    [[ "$errors" == *"warning: process "*"never loaded the recorder"* ]]
}

@test "a list is replaced by a list, and nothing else by one" {
    echo 'services: {}' >tree.yaml
    run_split record --follow -o tree.yaml -- touch ran
    [ "$status" -eq 2 ]
    [ ! -e ran ]
    rm tree.yaml
    run_split record --follow -o tree.yaml -- sort /dev/null
    run_split record --follow -o tree.yaml -- sort /dev/null
    [ "$status" -eq 0 ]
}

@test "what an exec replaces at once does not hide who was started" {
    run_split record --follow -o tree.yaml -- sh -c 'exec sort /dev/null'
    [ "$status" -eq 0 ]
    [ "$(field came)" = start ]
    [ "$(field command)" = "sort /dev/null" ]
}

@test "--start-after begins all traces at once, and says of those before that they had ended" {
    run_split record --follow --start-after 300ms -o tree.yaml -- sh -c '(sort /dev/null); sleep 1; (sort /etc/passwd >/dev/null); :'
    [ "$status" -eq 0 ]
    grep -q 'end: recording began after 300 ms (--start-after); exit 0' tree.yaml
    [ "$(grep -c 'end: recording began' tree.yaml)" -le 2 ]
    grep -q 'reason: it ended before the time that --start-after gives' tree.yaml
    run_split check -q tree.yaml
    [ "$status" -eq 0 ]
    run_split record --follow --start-after 1m -o tree.yaml -- sort /dev/null
    [ "$status" -eq 2 ]
    [[ "$errors" == *"no process left a trace; tree.yaml tells why"* ]]
    run_split record --follow --start-after 1x -o other.yaml -- sort /dev/null
    [ "$status" -eq 2 ]
    [ ! -e other.yaml ]
}

@test "info shows the list, and gives it as JSON" {
    command -v jq >/dev/null || skip "no jq"
    run_split record --follow -o tree.yaml -- sh -c '(sort /etc/passwd >/dev/null); env -i /bin/ls / >/dev/null; :'
    run_split info tree.yaml
    [ "$status" -eq 0 ]
    [[ "${lines[0]}" == "tree: a process tree, "*" traces in a list of "* ]]
    trace=$(jq -r '.trees[0].processes[] | select(.command == "sort /etc/passwd").file' <<<"$("$MMREPLAY" info --json - tree.yaml)")
    [ -s "$trace" ]
    grep -q "  $trace  *exit 0  *sort /etc/passwd\$" <<<"$output"
    "$MMREPLAY" info --json all.json tree.yaml "$trace" >both
    grep -q "^tree: " both
    [ "$(jq '.traces | length' all.json)" -eq 1 ]
    [ "$(jq '.trees[0].processes | length' all.json)" -eq "$(field pid | wc -l)" ]
    [ "$(jq '[.trees[0].processes[].events] | add' all.json)" -eq "$(field events | awk '{n += $1} END {print n}')" ]
    jq -e '.trees[0].processes[] | select(.file == null).reason | contains("never loaded")' all.json
    run_split info --json tree.yaml tree.yaml
    [ "$status" -eq 2 ]
    grep -q mmreplay_processes tree.yaml
}

@test "a damaged list is told with its line" {
    run_split record --follow -o tree.yaml -- sort /dev/null
    sed -i 's/began_us: .*/began_us: 12abc/' tree.yaml
    run_split info tree.yaml
    [ "$status" -eq 2 ]
    [[ "$errors" == *"tree.yaml:"*"\"began_us\" must be a whole number"* ]]
    sed -i 's/began_us: .*/began_us: 12/; s/came:/went:/' tree.yaml
    run_split info tree.yaml
    [ "$status" -eq 2 ]
    [[ "$errors" == *"unknown key \"went\""* ]]
    sed -i 's/went:/came:/; s|file: .*|file: ../x.yaml|' tree.yaml
    run_split info tree.yaml
    [[ "$errors" == *"must be a plain file name"* ]]
}

@test "SIGINT ends the recording of all, and they run on" {
    cat >wait.sh <<'END'
(sort /etc/passwd >/dev/null; echo begun; sleep 1; echo child) &
wait
echo parent
END
    "$MMREPLAY" record --follow -o tree.yaml -- sh wait.sh >out 2>err &
    recorder=$!
    for _ in $(seq 100); do
        grep -q begun out && break
        sleep 0.05
    done
    kill -INT "$recorder"
    wait "$recorder"
    [ "$(cat out)" = "$(printf 'begun\nchild\nparent')" ]
    grep -q 'end: .*recording ended by SIGINT; it ran on' tree.yaml
    run_split check -q tree.yaml
    [ "$status" -eq 0 ]
}
