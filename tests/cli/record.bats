#!/usr/bin/env bats
# mmreplay record: what lies on disk afterwards, what is said, what the exit code is.

setup() {
    load helpers
    cd "$BATS_TEST_TMPDIR" || return
}

@test "a recording is a valid trace of two files" {
    run_split record -o sorted.yaml --description 'sorts' --licence MIT -- sort /etc/passwd
    [ "$status" -eq 0 ]
    [[ "$errors" == "mmreplay: sorted.yaml: "*" events in "*" bytes per event, 0 lost" ]]
    [ "$output" = "$(sort /etc/passwd)" ]
    [ "$(echo *)" = "sorted.events.gz sorted.yaml stderr stdout" ]
    grep -q 'command: "\?sort /etc/passwd' sorted.yaml
    grep -q 'description: "\?sorts' sorted.yaml
    grep -q 'end: "\?exit 0' sorted.yaml
    run_split check sorted.yaml
    [ "$status" -eq 0 ]
}

@test "without -o the file is named for the program" {
    run_split record -- true
    [ "$status" -eq 0 ] || [[ "$errors" == *"made no allocation"* ]]
    run_split record -- sort /dev/null
    [ "$status" -eq 0 ]
    ls mmreplay-sort.*.yaml mmreplay-sort.*.events.gz
}

@test "a program that fails is recorded all the same, and the warning says how it ended" {
    run_split record -o failed.yaml -- sh -c 'exec sort /no/such/file'
    [ "$status" -eq 0 ]
    [[ "$errors" == *"warning: the program ended with exit 2"* ]]
    [[ "$errors" == *"replaced itself by exec 1 time; the trace is that of "*"/sort"* ]]
    grep -q 'end: "\?exit 2' failed.yaml
}

@test "a killed program leaves a valid trace" {
    run_split record -o killed.yaml -- bash -c 'for i in $(seq 1000); do x[i]=$i; done; kill -9 $$'
    [ "$status" -eq 0 ]
    grep -q 'end: "\?signal 9 (SIGKILL)' killed.yaml
    run_split check killed.yaml
    [ "$status" -eq 0 ]
}

@test "options of the command are the command's" {
    run_split record -o listed.yaml ls -d -- /
    [ "$status" -eq 0 ]
    [ "$output" = "/" ]
}

@test "what cannot be recorded is an error and leaves nothing behind" {
    run_split record -o x.yaml -- /no/such/program
    [ "$status" -eq 2 ]
    [ "$errors" = "mmreplay: /no/such/program: no such program" ]
    run_split record -o x.yaml -- env -i ls
    [ "$status" -eq 2 ]
    [[ "$errors" == "mmreplay: env replaced itself by "*"ls, which never loaded the recorder: does it run as another user or in a user namespace ("*" is its environment cleared, or its address space limited?" ]]
    [ "$(echo *)" = "stderr stdout" ]
}

@test "an output that cannot be written is told before the program runs" {
    run_split record -o /no/such/folder/x.yaml -- touch ran
    [ "$status" -eq 2 ]
    [ ! -e ran ]
    run_split record -o x.txt -- touch ran
    [ "$status" -eq 2 ]
    [ "$errors" = "mmreplay: x.txt: the output must be named NAME.yaml" ]
    [ ! -e ran ]
}

@test "an earlier trace of that name stands until the new one is whole" {
    run_split record -o twice.yaml -- sort /etc/passwd
    before=$(sha256sum twice.yaml twice.events.gz)
    run_split record -o twice.yaml -- env -i ls
    [ "$status" -eq 2 ]
    [ "$before" = "$(sha256sum twice.yaml twice.events.gz)" ]
}

@test "a closed stdout is no error when nothing is printed, and no file of ours takes its place" {
    run bash -c '"$MMREPLAY" record -o closed.yaml -- sort /dev/null >&-'
    [ "$status" -eq 0 ]
    run_split check closed.yaml
    [ "$status" -eq 0 ]
    run bash -c '"$MMREPLAY" check closed.yaml >&-'
    [ "$status" -eq 2 ]
    [[ "$output" == *"cannot write the output: Bad file descriptor"* ]]
}

@test "what is no trace is never replaced, and the program does not run in vain" {
    printf 'services:\n  db: {}\n' >compose.yaml
    run_split record -o compose.yaml -- touch ran
    [ "$status" -eq 2 ]
    [[ "$errors" == "mmreplay: compose.yaml: this exists and is not the description of a trace: it is not replaced;"* ]]
    grep -q services compose.yaml
    echo log >other.events.gz
    run_split record -o other.yaml -- touch ran
    [ "$status" -eq 2 ]
    [[ "$errors" == "mmreplay: other.events.gz: this exists and is not the events file of a trace"* ]]
    mkdir dir.yaml
    run_split record -o dir.yaml -- touch ran
    [ "$status" -eq 2 ]
    [[ "$errors" == "mmreplay: dir.yaml: this is a directory;"* ]]
    [ ! -e ran ]
}

@test "what is no program is told for what it is" {
    run_split record -- /etc/passwd
    [ "$status" -eq 2 ]
    [[ "$errors" == "mmreplay: /etc/passwd: it is not executable"* ]]
    run_split record -- /tmp
    [ "$errors" = "mmreplay: /tmp: this is a directory, not a program" ]
    run_split record -- ''
    [ "$errors" = "mmreplay: '': the program's name is empty" ]
    echo 'exit 0' >plain
    PATH=$PWD:$PATH run_split record -- plain
    [[ "$errors" == "mmreplay: plain: it is not executable"* ]]
    run_split record -- no-such-program-here
    [ "$errors" = "mmreplay: no-such-program-here: no such program in PATH" ]
}

@test "a program that cannot run, or not be recorded, is told why before it runs" {
    printf '#!/no/such/interpreter -x\n' >missing
    printf '#!/bin/sh\r\necho hi\r\n' >windows
    head -c 30 "$MMREPLAY" >cut
    cp "$MMREPLAY" narrow
    printf '\001' | dd of=narrow bs=1 seek=4 conv=notrunc status=none # ELFCLASS32
    cp "$MMREPLAY" object
    printf '\001' | dd of=object bs=1 seek=16 conv=notrunc status=none # ET_REL
    chmod +x missing windows cut
    expect() {
        run_split record -o x.yaml -- "$1"
        [ "$status" -eq 2 ]
        [[ "$errors" == "mmreplay: $1: $2"* ]]
    }
    expect ./missing "its interpreter, /no/such/interpreter: no such program"
    expect ./windows "its first line ends in a carriage return"
    expect ./cut "it begins like a program and is cut short"
    expect ./narrow "a program for another kind of machine (or 32-bit)"
    expect ./object "an object file or a core, not a program"
    expect "ls -l" "no such program in PATH (a command line in quotes?"
    [ ! -e x.yaml ]
}

@test "what a linker made of a program decides whether it can be recorded" {
    command -v cc >/dev/null || skip "no C compiler"
    cat >program.c <<'END'
#include <stdlib.h>
#ifdef GO
__attribute__((section(".go.buildinfo"), used)) static const char build_info[] = "go";
#endif
int main(void) {
    char *volatile block = malloc(77);
    free(block);
    return 0;
}
END
    : >ld-musl-test.so.1
    chmod +x ld-musl-test.so.1
    cc -o musl program.c -Wl,--dynamic-linker="$PWD/ld-musl-test.so.1"
    cc -o homeless program.c -Wl,--dynamic-linker=/no/ld.so
    cc -o go program.c -DGO
    cc -o bound program.c -Wl,-z,now
    run_split record -o x.yaml -- ./musl
    if ldd --version 2>&1 | grep -qi glibc; then
        [[ "$status $errors" == "2 mmreplay: ./musl: linked to musl, and this recorder to the GNU C library"* ]]
    fi
    run_split record -o x.yaml -- ./homeless
    [[ "$status $errors" == "2 mmreplay: ./homeless: its dynamic linker /no/ld.so is not here"* ]]
    run_split record -o go.yaml -- ./go
    [[ "$status $errors" == "0 mmreplay: warning: a Go program: "* ]]
    for bind in "" 1; do
        LD_BIND_NOW=$bind run_split record -o bound.yaml -- ./bound
        [ "$status" -eq 0 ]
        grep -q 'largest_request_bytes: 77' bound.yaml
    done
    if cc -static -o static program.c 2>/dev/null && cc -static -DGO -o static-go program.c; then
        run_split record -o x.yaml -- ./static
        [[ "$status $errors" == "2 mmreplay: ./static: statically linked: "* ]]
        run_split record -o x.yaml -- ./static-go
        [[ "$status $errors" == "2 mmreplay: ./static-go: a Go program: it is statically linked"* ]]
    fi
    [ ! -e x.yaml ]
}

@test "a program that cannot start is told with how it ended" {
    command -v cc >/dev/null || skip "no C compiler"
    echo 'int nothing(void) { return 0; }' >gone.c
    echo 'int nothing(void); int main(void) { return nothing(); }' >needs.c
    cc -shared -fPIC -o libgone.so gone.c
    cc -o needs needs.c libgone.so
    rm libgone.so
    run_split record -o x.yaml -- ./needs
    [ "$status" -eq 2 ]
    [[ "$errors" == *"mmreplay: ./needs never loaded the recorder and ended with exit 127: could it start at all"* ]]
    [ ! -e x.yaml ]
}

@test "a program that gets rights by its file is refused to whoever has less" {
    [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null || skip "needs root and setpriv"
    chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" "$(dirname "$BATS_TEST_TMPDIR")" . # nobody has to get here
    mkdir -m 777 out
    cp "$(command -v sort)" suid
    cp suid capable
    chmod 4755 suid
    as_nobody() {
        run setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
    }
    as_nobody test -x "$MMREPLAY" || skip "nobody may not run $MMREPLAY"
    as_nobody "$MMREPLAY" record -o out/x.yaml -- ./suid /dev/null
    [[ "$status $output" == "2 mmreplay: ./suid: setuid or setgid: "* ]]
    as_nobody --no-new-privs "$MMREPLAY" record -o out/suid.yaml -- ./suid /dev/null
    [ "$status" -eq 0 ] # the bit has no effect there
    command -v setcap >/dev/null && setcap cap_net_raw+ep capable 2>/dev/null || skip "setcap is missing, or cannot do it here"
    as_nobody "$MMREPLAY" record -o out/x.yaml -- ./capable /dev/null
    [[ "$status $output" == "2 mmreplay: ./capable: it has file capabilities: "* ]]
    run_split record -o capable.yaml -- ./capable /dev/null
    [ "$status" -eq 0 ] # root has them anyhow
    [ ! -e out/x.yaml ]
}

@test "a ring that is no power of two from 4K to 1G is refused by name" {
    for size in 5K 0 1K 2G 1T; do
        run_split record --ring "$size" -- touch ran
        [ "$status" -eq 2 ]
        [[ "$errors" == "mmreplay: record: --ring wants a power of two from 4K to 1G, not "* ]]
    done
    [ ! -e ran ]
    run_split record -o ring.yaml --ring 4K -- sort /dev/null
    [ "$status" -eq 0 ]
}

@test "a limit on file sizes is an error and leaves nothing behind; the program keeps the signal's default" {
    run bash -c 'ulimit -f 4; "$MMREPLAY" record -o limited.yaml -- sort /etc/passwd >/dev/null'
    [ "$status" -eq 2 ]
    [[ "$output" == "mmreplay: "*"File too large" ]]
    [ "$(find . -name 'limited*' | wc -l)" -eq 0 ]
    run_split record -o default.yaml -- grep SigIgn /proc/self/status
    [ "$status" -eq 0 ]
    ignored=$((16#${output##*[[:space:]]}))
    [ $((ignored >> 24 & 1)) -eq 0 ] # SIGXFSZ is 25
}

@test "a recorder that is told to end passes it on, finishes the trace, says so and dies by the signal" {
    command -v python3 >/dev/null || skip "no python3"
    for signal in INT TERM; do
        code=0
        python3 - "$signal" <<'END' || code=$?
import os, signal, subprocess, sys, time
child = subprocess.Popen([os.environ["MMREPLAY"], "record", "-o", "waits.yaml", "--", "bash", "-c",
                          "trap 'exit 3' INT TERM; echo begun; while :; do sleep 0.05; done"],
                         stdout=open("begun", "w"), stderr=open("told", "w"), start_new_session=True,
                         preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
while not os.path.getsize("begun"):
    time.sleep(0.01)
number = getattr(signal, "SIG" + sys.argv[1])
child.send_signal(number)
if number == signal.SIGINT:  # the first one only ends the recording
    while "runs on" not in open("told").read():
        time.sleep(0.01)
    child.send_signal(number)
sys.exit(0 if child.wait() == -number else 1)
END
        [ "$code" -eq 0 ]
        [ "$signal" = INT ] || grep -q "the program ended with exit 3" told
        grep -q "waits.yaml: .* events in" told
        run_split check waits.yaml
        [ "$status" -eq 0 ]
        rm waits.yaml waits.events.gz
    done
}

@test "a program that runs as another user is told as the likely cause" {
    command -v setpriv >/dev/null && [ "$(id -u)" -eq 0 ] || skip "needs setpriv and root"
    run_split record -o x.yaml -- setpriv --reuid 65534 --regid 65534 --clear-groups sort /dev/null
    [ "$status" -eq 2 ] || skip "such a one may open it here"
    [[ "$errors" == *"does it run as another user"* ]]
}
