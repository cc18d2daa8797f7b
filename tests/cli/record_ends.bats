#!/usr/bin/env bats
# How a recording ends before its program does: asked for, bounded, or because something gave way.

setup() {
    load helpers
    cd "$BATS_TEST_TMPDIR" || return
    command -v python3 >/dev/null || skip "no python3"
}

# at_terminal SCENARIO: of record_terminal.py
at_terminal() {
    run python3 "$BATS_TEST_DIRNAME/record_terminal.py" "$MMREPLAY" "$1"
    echo "$output"
    [ "$status" -eq 0 ]
    run_split check t.yaml
    [ "$status" -eq 0 ]
}

@test "at a terminal the first ^C ends the recording, not the program" {
    at_terminal first_interrupt_ends_the_recording_not_the_program
}

@test "at a terminal the second ^C ends the program, and the recorder dies by it" {
    at_terminal second_interrupt_ends_the_program
}

@test "at a terminal the third ^C lets the recorder go, whatever the program does" {
    at_terminal third_interrupt_lets_the_recorder_go
}

@test "a program that reads the terminal gets it" {
    at_terminal a_program_that_reads_the_terminal_gets_it
}

@test "the ^C of an interactive program is its own" {
    at_terminal interrupts_of_an_interactive_program_are_its_own
}

@test "^Z stops recorder and program, bg and fg take both up again" {
    at_terminal stopping_stops_both_and_both_go_on
}

@test "kill -INT from a script ends the recording, of a background job, too" {
    cat >script <<'END'
"$MMREPLAY" record -o asked.yaml -- bash -c 'echo begun; for i in {1..40}; do sleep 0.05; done; echo through' >out 2>told &
while ! grep -q begun out; do sleep 0.01; done
kill -INT $!
wait $!
END
    run sh script # sh starts a background job with SIGINT ignored
    [ "$status" -eq 0 ]
    grep -q through out
    grep -q 'asked.yaml: .* events in' told
    grep -q 'end: "\?recording ended by SIGINT; the program ran on' asked.yaml
    run_split check asked.yaml
    [ "$status" -eq 0 ]
}

@test "--max-events ends the recording with exactly that event, and the program runs on" {
    run_split record -o bounded.yaml --max-events 2k -- bash -c 'for i in {1..3000}; do x[i]=$i; done; echo through'
    [ "$status" -eq 0 ]
    [ "$output" = through ]
    grep -q 'end: "\?recording ended after 2,000 events, as asked (--max-events)' bounded.yaml
    grep -q '  count: 2000$' bounded.yaml
    run_split check bounded.yaml
    [ "$status" -eq 0 ]
}

@test "--duration ends the recording, and the program runs on" {
    run_split record -o timed.yaml --duration 200ms -- \
        bash -c 'for i in {1..20}; do x[i]=$i; sleep 0.05; done; echo through'
    [ "$status" -eq 0 ]
    [ "$output" = through ]
    grep -q 'recording ended after 200 ms, as asked (--duration); the program ran on' timed.yaml
    run_split check timed.yaml
    [ "$status" -eq 0 ]
}

@test "a bound that is none, or no number, is refused" {
    for bound in "--max-events 0" "--max-events x" "--max-events 1e30" "--duration 0s" "--duration 5"; do
        # shellcheck disable=SC2086 # two words
        run_split record $bound -- touch ran
        [ "$status" -eq 2 ]
    done
    [ ! -e ran ]
}

# write_busy FILE: a Python program that takes one number, N, and makes and frees blocks of random sizes N times
write_busy() {
    cat >"$1" <<'END'
import random, sys
random.seed(1)
keep = [None] * 20000
for i in range(int(sys.argv[1])):
    keep[random.randrange(20000)] = bytearray(random.randrange(3000))
print("through")
END
}

@test "a full disk ends the recording, not the program; what fitted is a whole trace" {
    [ "$(id -u)" -eq 0 ] || skip "needs root to mount a small file system"
    mkdir full
    mount -t tmpfs -o size=300k tmpfs full 2>/dev/null || skip "cannot mount here"
    write_busy busy.py
    code=0
    "$MMREPLAY" record -o full/full.yaml -- python3 busy.py 1500000 >out 2>told || code=$?
    cp full/* . 2>/dev/null || true
    ls full >left
    umount full
    [ "$code" -eq 2 ]
    grep -q through out
    grep -q 'full.events.gz: cannot write: No space left on device' told
    grep -q 'full.yaml: kept: .* events from before that' told
    [ "$(cat left)" = "full.events.gz
full.yaml" ]
    grep -q 'recording ended early: cannot write: No space left on device' full.yaml
    run_split check full.yaml
    [ "$status" -eq 0 ]
}

@test "a limit on file sizes reached under way leaves a whole trace, too" {
    write_busy busy.py
    run bash -c 'ulimit -f 1500; exec "$MMREPLAY" record --ring 4K -o limited.yaml --program-version "my own" -- python3 busy.py 1000000'
    echo "$output"
    [ "$status" -eq 2 ]
    [[ "$output" == *"limited.events.gz: cannot write: File too large"* ]]
    [[ "$output" == *"limited.yaml: kept: "* ]]
    [[ "$output" == *through* ]]
    grep -q '^  version: my own$' limited.yaml
    run_split check limited.yaml
    [ "$status" -eq 0 ]
}

@test "files removed under way end the recording with that reason, and the program runs on" {
    mkdir gone
    cat >remove.py <<'END'
import shutil, time
keep = []
shutil.rmtree("gone")
end = time.time() + 3
while time.time() < end:
    keep.append(bytearray(100))
    time.sleep(0.01)
print("through")
END
    run_split record -o gone/x.yaml -- python3 remove.py
    [ "$status" -eq 2 ]
    [ "$output" = through ]
    [[ "$errors" == *"gone/x.events.gz: the file under way beside it has been removed meanwhile"* ]]
    [ ! -e gone ]
}

@test "a recording whose name was taken meanwhile stays under another, and what took it stays, too" {
    run_split record -o taken.yaml --description 'was late' -- sh -c 'mkdir taken.yaml; :'
    [ "$status" -eq 2 ]
    [ "$(grep -c 'taken.yaml: this is a directory' <<<"$errors")" -eq 1 ]
    [[ "$errors" == *"what was recorded is in taken.yaml."*".tmp; mmreplay check --repair"* ]]
    [ ! -e taken.events.gz ]
    run_split check --repair -o mended.yaml taken.yaml.*.tmp
    [ "$status" -eq 0 ]
    grep -q 'description: was late' mended.yaml
    grep -q 'end: "\?exit 0; the trace could not be finished: this is a directory' mended.yaml
    run_split check mended.yaml
    [ "$status" -eq 0 ]
}

@test "an output that is taken when the program replaces itself is told, and the program runs on" {
    run_split record -o taken.yaml -- sh -c 'mkdir taken.yaml; exec sort /etc/passwd'
    [ "$status" -eq 2 ]
    [ "$output" = "$(sort /etc/passwd)" ]
    [ "$errors" = "mmreplay: taken.yaml: this is a directory; choose another name for the trace" ]
    [ "$(echo taken*)" = taken.yaml ]
}

# A program with one allocation in a while; "ready" is there when some were made.
write_quiet() {
    cat >"$1" <<'END'
import sys, time
keep = []
for i in range(int(sys.argv[1])):
    keep.append(bytearray(777777))
    time.sleep(0.1)
    if i == 30:
        open("ready", "w").close()
print("through", flush=True)
END
}

@test "a killed recorder leaves what check --repair mends, and a quiet program's events, too" {
    write_quiet quiet.py
    "$MMREPLAY" record -o killed.yaml --description 'was killed' -- python3 quiet.py 36 >out 2>told &
    recorder=$!
    while [ ! -e ready ]; do sleep 0.05; done
    kill -9 "$recorder"
    wait "$recorder" || true
    run_split check killed.yaml
    [ "$status" -eq 2 ]
    [[ "$errors" == *"what an unfinished recording of that name left: killed.yaml.$recorder-0.tmp; "* ]]
    run_split check --repair -o mended.yaml killed.yaml.*.tmp
    [ "$status" -eq 0 ]
    [[ "$output" == "mended.yaml: written: "*" events kept"* ]]
    grep -q 'description: was killed' mended.yaml
    grep -q 'end: "\?not known: the recorder did not live to tell' mended.yaml
    grep -q 'command: "\?.*python3.* quiet.py 36' mended.yaml
    grep -q '  largest_request_bytes: 777[78]..$' mended.yaml # of a block that was made long after the start
    run_split check mended.yaml
    [ "$status" -eq 0 ]
    for i in {1..200}; do
        if grep -q through out; then break; fi
        sleep 0.05
    done
    grep -q through out # the program was not held up
}

# A Python program that obtains arenas for longer than the recorder waits between saying what it knows. "ready" has its
# pid when it is through.
write_growing() {
    cat >"$1" <<'END'
import os, time
keep = []
end = time.time() + 3
while time.time() < end:
    keep.append([str(i) * 3 for i in range(3000)])
    time.sleep(0.05)
with open("begun", "w") as file:
    print(os.getpid(), file=file)
os.rename("begun", "ready")
time.sleep(30)
END
}

# record_growing FOLDER [--follow]: into FOLDER/grown.yaml, until the program is through; then kills both
record_growing() {
    mkdir "$1"
    cd "$1"
    "$MMREPLAY" record ${2:+"$2"} -o grown.yaml -- "$python" ../growing.py &
    while [ ! -e ready ]; do sleep 0.05; done
    kill -9 $! "$(cat ready)"
}

@test "a killed recorder leaves where the arenas lay and which interpreter it was" {
    python=$(python3 -c 'import sys; print(sys.executable)')
    run_split record -o whole.yaml -- "$python" -c pass
    version=$(sed -n 's/^  interpreter: CPython \(3\.[0-9]*\).*/\1/p' whole.yaml)
    [ -n "$version" ] || skip "no python3 that can be recorded"
    write_growing growing.py
    (record_growing plain) 2>told 3>&- &
    (record_growing tree --follow) 2>told 3>&- &
    wait
    for trace in plain tree; do
        run_split check --repair -o mended.yaml $trace/grown*.yaml.*.tmp
        [ "$status" -eq 0 ]
        grep -q "^  interpreter: CPython $version" mended.yaml
        count=$(sed -n '/^  arenas:/,/places/s/^    count: //p' mended.yaml)
        [ "$count" -ge 3 ] # what was there at the last look
        grep -q 'end: "\?not known: the recorder did not live to tell' mended.yaml
        run_split replay -n 1 --memory-rounds 1 -a "pool:$version" mended.yaml
        [ "$status" -eq 0 ]
        [[ "$(tr -s ' \n' ' ' <<<"$output")" == *", where those of the recorded CPython $version"*" lay"* ]]
        rm mended.*
    done
}

@test "the events file of a killed recorder is enough" {
    write_quiet quiet.py
    "$MMREPLAY" record -o killed.yaml -- python3 quiet.py 35 2>told &
    recorder=$!
    while [ ! -e ready ]; do sleep 0.05; done
    kill -9 "$recorder"
    wait "$recorder" || true
    run_split check --repair -o mended.yaml killed.events.gz.*.tmp
    [ "$status" -eq 0 ]
    run_split check mended.yaml
    [ "$status" -eq 0 ]
}

@test "a recorder that stands still is waited for, and nothing is lost" {
    write_busy busy.py
    python3 - <<'END'
import os, signal, subprocess, sys, time
recorder = subprocess.Popen([os.environ["MMREPLAY"], "record", "--ring", "4K", "-o", "stood.yaml", "--", "python3", "busy.py",
                             "300000"], stdout=open("out", "w"), stderr=open("told", "w"))
time.sleep(0.3)
recorder.send_signal(signal.SIGSTOP)
time.sleep(0.5)
recorder.send_signal(signal.SIGCONT)
sys.exit(recorder.wait())
END
    grep -q through out
    grep -q ' 0 lost' told
    run_split check stood.yaml
    [ "$status" -eq 0 ]
}

@test "a recorder without memory says so; the program is not started or runs to its end" {
    if nm "$MMREPLAY" 2>/dev/null | grep -q '__[at]san_init'; then skip "a sanitizer's own memory does not fit"; fi
    write_busy busy.py
    for kilobytes in 60000 330000 340000 345000 350000 400000; do
        run python3 - "$kilobytes" <<'END'
import os, resource, subprocess, sys
def limit():
    resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]) * 1024, resource.RLIM_INFINITY))
done = subprocess.run([os.environ["MMREPLAY"], "record", "-o", "starved.yaml", "--", "bash", "-c",
                       "ulimit -S -v unlimited; echo begun; exec python3 busy.py 200000"], stdout=subprocess.PIPE,
                      stderr=subprocess.PIPE, text=True, preexec_fn=limit)
print(done.stdout + done.stderr)
sys.exit(0 if done.returncode == 0 or done.returncode == 2 and "begun" not in done.stdout or "through" in done.stdout else 1)
END
        echo "$kilobytes: $output"
        [ "$status" -eq 0 ]
        if [ -e starved.yaml ]; then
            run_split check starved.yaml
            [ "$status" -eq 0 ]
        fi
        rm -f starved.*
    done
}

@test "--start-after begins with what is alive, by a count of events or by time" {
    write_busy busy.py
    for after in 200k 150ms; do
        run_split record -o late.yaml --start-after "$after" --max-events 100k -- python3 busy.py 1000000
        [ "$status" -eq 0 ]
        [ "$output" = through ]
        grep -q 'recording began after ' late.yaml
        # how far a busy machine lets the program come in 150 ms is not said
        [ "$after" = 150ms ] || grep -Eq '  inherited_blocks: [1-9][0-9]{3}' late.yaml
        grep -q '  count: 100000$' late.yaml
        run_split check late.yaml
        [ "$status" -eq 0 ]
    done
    run_split record -o early.yaml --start-after 1m -- sort /dev/null
    [ "$status" -eq 2 ]
    [[ "$errors" == "mmreplay: nothing was recorded: the program ended before the time that --start-after gives" ]]
    for after in 0 0s 5x 5mm ''; do
        run_split record --start-after "$after" -- touch ran
        [ "$status" -eq 2 ]
    done
    [ ! -e ran ]
}
