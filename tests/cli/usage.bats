#!/usr/bin/env bats
# The frame every command shares: help, version, unknown words, options.

setup() {
    load helpers
}

@test "without arguments the overview goes to stderr and the exit code is 2" {
    run_split
    [ "$status" -eq 2 ]
    [ -z "$output" ]
    [[ "$errors" == "usage: mmreplay COMMAND"* ]]
}

@test "--help goes to stdout and lists every command" {
    run_split --help
    [ "$status" -eq 0 ]
    [ -z "$errors" ]
    for command in record replay info check generate allocators; do
        [[ "$output" == *"  $command "* ]]
    done
}

@test "every command has help with examples first" {
    for command in record replay info check generate allocators; do
        run_split "$command" --help
        [ "$status" -eq 0 ]
        [[ "${lines[0]}" == "usage: mmreplay $command"* ]]
        [[ "${lines[2]}" == "examples:"* ]] || [[ "${lines[1]}" == "examples:"* ]]
        run_split help "$command"
        [ "$status" -eq 0 ]
    done
}

@test "--version names the version and what it was built with" {
    run_split --version
    [ "$status" -eq 0 ]
    [[ "${lines[0]}" =~ ^mmreplay\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
    [[ "$output" == *"zlib"* ]]
}

@test "an unknown command names the nearest one" {
    run_split repaly x.yaml
    [ "$status" -eq 2 ]
    [ "$errors" = "mmreplay: unknown command 'repaly'; did you mean 'replay'?" ]
}

@test "a word near no command points to the help" {
    run_split frobnicate
    [ "$status" -eq 2 ]
    [ "$errors" = "mmreplay: unknown command 'frobnicate'; see 'mmreplay --help'" ]
}

@test "an unknown option names the nearest one" {
    run_split check --quite x.yaml
    [ "$status" -eq 2 ]
    [ "$errors" = "mmreplay: check: unknown option '--quite'; did you mean '--quiet'?" ]
}

@test "a missing operand says what is expected" {
    run_split check
    [ "$status" -eq 2 ]
    [ "$errors" = "mmreplay: check: nothing given where TRACE… is expected; see 'mmreplay check --help'" ]
}

@test "a flag refuses a value" {
    run_split check --quiet=yes x.yaml
    [ "$status" -eq 2 ]
    [ "$errors" = "mmreplay: check: --quiet takes no value" ]
}

@test "an option without its value says so" {
    run_split replay x.yaml --rounds
    [ "$status" -eq 2 ]
    [[ "$errors" == "mmreplay: replay: --rounds needs N; see"* ]]
}

@test "a number with junk is refused" {
    for junk in 12abc 1e6 -5 '' 0x10 99999999999999999999; do
        run_split replay x.yaml --rounds="$junk"
        [ "$status" -eq 2 ]
        [ "$errors" = "mmreplay: replay: --rounds wants a whole number, not '$junk'" ]
    done
}

@test "help on a terminal stays within it" {
    command -v script >/dev/null || skip "no script(1)"
    run env -u COLUMNS script -qec "stty cols 72; '$MMREPLAY' check --help" /dev/null
    [ "$status" -eq 0 ]
    [ "${#lines[@]}" -gt 20 ]
    for line in "${lines[@]}"; do
        line=${line%$'\r'}
        [[ "$line" == *"mmreplay check "* ]] || [ "${#line}" -le 74 ] # examples are lines to copy
    done
}

@test "help where COLUMNS says so stays within it" {
    COLUMNS=70 run_split check --help
    [ "$status" -eq 0 ]
    while IFS= read -r line; do
        [ "${#line}" -le 72 ]
    done <<<"$output"
}

@test "a full disk is told, not hidden" {
    [ -w /dev/full ] || skip "no /dev/full here"
    run bash -c '"$MMREPLAY" --help >/dev/full'
    [ "$status" -eq 2 ]
    [[ "$output" == "mmreplay: cannot write the output: No space left on device" ]]
}

@test "an output that cannot be written is told once" {
    [ -w /dev/full ] || skip "no /dev/full here"
    for command in "info --json -" info "info --summary"; do
        # shellcheck disable=SC2016,SC2086 # for the inner shell; words
        run bash -c '"$MMREPLAY" $1 "$SAMPLES/git.yaml" >/dev/full' sh "$command"
        [ "$status" -eq 2 ]
        [ "${#lines[@]}" -eq 1 ]
        [[ "$output" == "mmreplay: cannot write the output"* ]]
        [[ "$output" != *"Input/output error"* ]]
    done
}

@test "the help of every command has its texts in one column" {
    for command in replay record info check generate allocators; do
        run_split "$command" --help
        [ "$status" -eq 0 ]
        sed -n 's/…/./g; /^options:$/,$p' <<<"$output" | grep -E '^ {2,6}-[^ ].*[^ ] {2,}[^ ]' >"$BATS_TEST_TMPDIR/options"
        [ "$(grep -cvE '^.{26}  [^ ]' "$BATS_TEST_TMPDIR/options")" -eq 0 ]
    done
}

@test "COLUMNS=0 is as good as no COLUMNS, and the help lists no exit code that no command gives" {
    run_split --help
    [ "$status" -eq 0 ]
    plain=$output
    [[ "$plain" != *"3 inconclusive"* ]]
    COLUMNS=0 run_split --help
    [ "$output" = "$plain" ]
}
