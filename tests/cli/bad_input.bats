#!/usr/bin/env bats
# Bad input: one line naming file and place, exit code 2 (check: 1 when the answer is "no"), nothing left behind.

setup_file() {
    export TRACE_DIR=$BATS_FILE_TMPDIR
    "$MMREPLAY" record -o "$TRACE_DIR/good.yaml" -- ls -la /usr/bin >/dev/null 2>&1
}

setup() {
    load helpers
    cd "$BATS_TEST_TMPDIR"
    cp "$TRACE_DIR"/good.* .
}

# refused TEXT ARG…: exit code 2, nothing on stdout, exactly one line on stderr, which contains TEXT.
refused() {
    local text=$1
    shift
    run_split "$@"
    [ "$status" -eq 2 ]
    [ -z "$output" ]
    [ "$(wc -l <"$BATS_TEST_TMPDIR/stderr")" -eq 1 ]
    [[ "$errors" == mmreplay:* ]]
    [[ "$errors" == *"$text"* ]]
}

@test "the good trace is good" {
    run_split check good.yaml
    [ "$status" -eq 0 ]
    [[ "$output" == "good.yaml: valid: "* ]]
}

@test "a missing file" {
    refused "mmreplay: nothere.yaml: cannot open: No such file or directory" replay nothere.yaml
    refused "mmreplay: nothere.yaml: cannot open: No such file or directory" check nothere.yaml
    refused "mmreplay: nothere.yaml: cannot open: No such file or directory" info nothere.yaml
}

@test "an empty description" {
    : >empty.yaml
    refused "mmreplay: empty.yaml: the file is empty" replay empty.yaml
}

@test "a directory" {
    mkdir folder.yaml
    refused "mmreplay: folder.yaml: " replay folder.yaml
}

@test "a pipe, a device and an empty name are told at once" {
    mkfifo pipe.yaml
    for command in info check replay; do
        refused "mmreplay: pipe.yaml: cannot open: this is a pipe" "$command" pipe.yaml
        refused "mmreplay: cannot open: its name is empty ('')" "$command" ''
    done
    refused "mmreplay: /dev/zero: cannot open: this is a device" info /dev/zero
    rm good.events.gz
    mkfifo good.events.gz
    refused "mmreplay: good.events.gz: cannot open the events file: this is a pipe" replay good.yaml
}

@test "a file of no known format names the known ones" {
    echo hello >hello.txt
    refused "mmreplay: hello.txt: not a trace of a known format; known: native" replay hello.txt
}

@test "a missing events file is named" {
    rm good.events.gz
    refused "mmreplay: good.events.gz: cannot open the events file" replay good.yaml
}

@test "an empty events file" {
    : >good.events.gz
    refused "mmreplay: good.events.gz: the events file is empty" replay good.yaml
}

@test "a cut events file says where it is cut" {
    size=$(stat -c %s good.events.gz)
    truncate -s $((size / 2)) good.events.gz
    refused "mmreplay: good.events.gz: byte $((size / 2)): the events file is cut here" replay good.yaml
}

@test "a wrong checksum" {
    sed -i 's/^  sha256: .*/  sha256: "0000000000000000000000000000000000000000000000000000000000000000"/' good.yaml
    refused "sha256" replay good.yaml
    run_split check good.yaml
    [ "$status" -eq 1 ]
}

@test "a changed byte is found" {
    size=$(stat -c %s good.events.gz)
    printf '\xff' | dd of=good.events.gz bs=1 seek=$((size / 2)) conv=notrunc status=none
    refused "mmreplay: good.events.gz: " replay good.yaml
}

@test "bad YAML is placed by line and column" {
    printf 'mmreplay: 1\n  bad: [\n' >bad.yaml
    refused "mmreplay: bad.yaml:2:6: " replay bad.yaml
}

@test "an unknown key is placed by line and column" {
    sed -i 's/^  threads:/  treads:/' good.yaml
    line=$(grep -n treads good.yaml | cut -d: -f1)
    refused "mmreplay: good.yaml:$line:3: unknown key \"treads\"" replay good.yaml
}

@test "a number with junk is placed by line and column" {
    sed -i 's/^  count: .*/  count: 12abc/' good.yaml
    line=$(grep -n 12abc good.yaml | cut -d: -f1)
    refused "mmreplay: good.yaml:$line:10: " replay good.yaml
}

@test "an unknown version is a clear error" {
    sed -i 's/^mmreplay: 1/mmreplay: 2/' good.yaml
    refused "mmreplay: good.yaml:1:11: a description of version 2; this build reads version 1" replay good.yaml
}

@test "a bad trace among good ones stops before anything is measured" {
    refused "nothere.yaml" replay good.yaml nothere.yaml
}

@test "an allocator library that does not exist" {
    refused "/no/such.so: cannot open the allocator library" replay good.yaml -a mine=/no/such.so
}

@test "a library that has no malloc" {
    library=$(ldconfig -p | sed -n 's/.*=> //p' | grep -m1 '/libz\.so\.1$') || skip "no libz here"
    refused "malloc" replay good.yaml -a "mine=$library"
}

@test "an unknown allocator names the nearest" {
    refused "unknown allocator 'jemaloc'; did you mean 'jemalloc'?" replay good.yaml -a pool,jemaloc
}

@test "a recording that cannot be written leaves nothing behind" {
    refused "/no/such/dir" record -o /no/such/dir/x.yaml -- true
    run_split record -o x.yaml -- nosuchprogram
    [ "$status" -eq 2 ]
    [ ! -e x.yaml ]
    [ ! -e x.events.gz ]
    [ "$(find . -name 'x.*' | wc -l)" -eq 0 ]
}

@test "a result that cannot be written is told, not hidden" {
    run_split replay good.yaml -n 1 -a system --json /no/such/dir/out.json
    [ "$status" -eq 2 ]
    [[ "$errors" == *"/no/such/dir/out.json"* ]]
}

@test "control characters of a trace's texts and of file names do not reach the terminal" {
    run_split record -o esc.yaml --name $'n\033[31mame' --description $'two\nlines' -- sort /dev/null
    run_split info esc.yaml
    [ "$status" -eq 0 ]
    [[ "${lines[0]}" == "n?[31mame" ]]
    [[ "$output" == *"two lines"* ]]
    [[ "$output" != *$'\033'* ]]
    refused $'mmreplay: no?[2Jsuch file: cannot open' info $'no\033[2Jsuch\nfile'
}

@test "check --repair makes a valid trace of a cut one and says what was lost" {
    cp "$SAMPLES"/git.yaml cut.yaml
    sed -i 's/^  file: .*/  file: cut.events.gz/' cut.yaml
    head -c $(($(stat -c %s "$SAMPLES"/git.events.gz) * 2 / 3)) "$SAMPLES"/git.events.gz >cut.events.gz
    run_split check cut.yaml
    [[ "$errors" == *"1 whole members before it (262,144 events) can be salvaged by 'mmreplay check --repair'"* ]]
    run_split check --repair -o mended.yaml cut.yaml
    [ "$status" -eq 0 ]
    [ "${lines[0]}" = "mended.yaml: written: 262,144 of 523,333 events kept" ]
    [ "${lines[1]}" = "  lost: 261,189 events" ]
    [[ "${lines[2]}" == "  the events: cut.events.gz: byte "*": the events file is cut here"* ]]
    grep -q 'lost: 261189' mended.yaml
    run_split check mended.yaml
    [ "$status" -eq 0 ]
    rm cut.yaml
    run_split check --repair -o alone.yaml cut.events.gz
    [ "$status" -eq 0 ]
    run_split check -q alone.yaml
    [ "$status" -eq 0 ]
}

@test "check --repair refuses what it cannot do, with exit code 2" {
    refused "check: --repair needs -o OUT.yaml" check --repair good.yaml
    refused "check: -o is for --repair" check -o x.yaml good.yaml
    refused "check: --repair mends one trace" check --repair -o x.yaml good.yaml good.yaml
    refused "choose another name" check --repair -o good.yaml good.yaml
    : >good.events.gz
    refused "good.events.gz: the events file is empty" check --repair -o x.yaml good.yaml
    refused "nothere.yaml: cannot open" check --repair -o x.yaml nothere.yaml
    [ ! -e x.yaml ]
    [ ! -e x.events.gz ]
}
