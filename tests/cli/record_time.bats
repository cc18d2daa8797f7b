#!/usr/bin/env bats
# mmreplay record --time: what is in the description, what check says of times.

setup() {
    load helpers
    cd "$BATS_TEST_TMPDIR" || return
}

number() { sed -n "s/^ *$1: //p" "$2"; }

@test "without --time there is nothing of time in a trace" {
    run_split record -o plain.yaml -- sort /etc/passwd
    [ "$status" -eq 0 ]
    [ -z "$(grep 'clock:\|timed:\|time_' plain.yaml)" ]
    [ "$(head -c 20 plain.events.gz | tail -c 2 | od -An -tx1 | tr -d ' ')" = 0000 ]
}

@test "--time alone is coarse, and every event has its time" {
    run_split record --time -o coarse.yaml -- sort /etc/passwd
    [ "$status" -eq 0 ]
    grep -q '^  clock: CLOCK_MONOTONIC_COARSE$' coarse.yaml
    [ "$(number clock_resolution_ns coarse.yaml)" -ge 100000 ]
    [ "$(number timed coarse.yaml)" -eq "$(number count coarse.yaml)" ]
    [ "$(head -c 20 coarse.events.gz | tail -c 2 | od -An -tx1 | tr -d ' ')" = 0100 ]
    run_split check coarse.yaml
    [ "$status" -eq 0 ]
}

@test "--time=fine tells moments apart, and gunzip still unpacks the events" {
    run_split record --time=fine -o fine.yaml -- sh -c 'sleep 0.03; exec sort /etc/passwd'
    [ "$status" -eq 0 ]
    grep -q '^  clock: CLOCK_MONOTONIC$' fine.yaml
    [ "$(number time_first_ns fine.yaml)" -ge 30000000 ]
    [ "$(number time_last_ns fine.yaml)" -gt "$(number time_first_ns fine.yaml)" ]
    gunzip -t fine.events.gz
    run_split check fine.yaml
    [ "$status" -eq 0 ]
}

@test "another word is an error" {
    run_split record --time=precise -o x.yaml -- touch ran
    [ "$status" -eq 2 ]
    [ "$errors" = "mmreplay: record: --time is coarse or fine, not precise" ]
    [ ! -e ran ]
}

@test "a description that lies about times is no valid trace" {
    run_split record --time=fine -o lie.yaml -- sort /etc/passwd
    sed -i 's/^  time_last_ns: .*/  time_last_ns: 5/' lie.yaml
    run_split check lie.yaml
    [ "$status" -eq 1 ]
    [[ "$errors" == *"the summary contradicts the events' times"* ]]
    sed -i '/time_last_ns\|time_first_ns\|timed:/d' lie.yaml
    run_split check lie.yaml
    [ "$status" -eq 1 ]
}

@test "repair keeps the times" {
    run_split record --time=fine -o whole.yaml -- sort /etc/passwd
    cp whole.events.gz copy.events.gz
    sed 's/^  file: .*/  file: copy.events.gz/' whole.yaml >copy.yaml
    run_split check --repair -o mended.yaml copy.yaml
    [ "$status" -eq 0 ]
    for key in timed time_first_ns time_last_ns clock clock_resolution_ns; do
        [ "$(number $key mended.yaml)" = "$(number $key whole.yaml)" ]
    done
    run_split check mended.yaml
    [ "$status" -eq 0 ]
}

@test "replay takes a trace with times like any other" {
    run_split record --time=fine -o fine.yaml -- sort /etc/passwd
    run_split replay fine.yaml -a system -n 1
    [ "$status" -eq 0 ]
}

@test "the traces of a process tree count from the same beginning" {
    run_split record --follow --time=fine -o tree.yaml -- sh -c 'sort /etc/passwd >/dev/null; sleep 0.04; sort /etc/group >/dev/null; true'
    [ "$status" -eq 0 ]
    early=$(grep -l 'command: .*sort /etc/passwd$' tree.*.yaml)
    late=$(grep -l 'command: .*sort /etc/group$' tree.*.yaml)
    [ "$(number time_first_ns "$late")" -ge $(($(number time_last_ns "$early") + 39000000)) ]
}
