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
