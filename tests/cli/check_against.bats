#!/usr/bin/env bats
# mmreplay check --against, replay --pool-stats and --at: the pool beside a real CPython.
# Needs a libpython: Debian's libpython3.11, or directories in MMREPLAY_LIBPYTHON_DIRS.

setup() {
    load helpers
    trace=$SAMPLES/python-batch.yaml
    cd "$BATS_TEST_TMPDIR"
}

# The newest libpython found, as cpython:3.N.
python_found() {
    "$MMREPLAY" allocators | sed -n 's/^\(cpython:3[^ ]*\) *ready.*/\1/p' | tail -1
}

@test "every libpython agrees on a whole Python trace, from arenas with mixed residues" {
    local found=0 python
    for python in $("$MMREPLAY" allocators | sed -n 's/^\(cpython:3[^ ]*\) *ready.*/\1/p'); do
        found=1
        run_split check --against "$python" --residues 0,4K,12K --stats-every 50000 "$trace"
        [ "$status" -eq 0 ]
        [[ "$output" == *"agrees with CPython ${python#cpython:}"* ]]
    done
    [ $found -eq 1 ] || skip "no libpython here"
}

@test "the newest libpython agrees on every kind of trace, and -q says nothing" {
    python=$(python_found)
    [ -n "$python" ] || skip "no libpython here"
    run_split check -q --against "$python" "$SAMPLES"/{python-service,python-graph,git,threads}.yaml
    [ "$status" -eq 0 ]
    [ -z "$output" ]
}

@test "agreement is one line with its counts" {
    python=$(python_found)
    [ -n "$python" ] || skip "no libpython here"
    run_split check --against "$python" "$trace"
    [ "${#lines[@]}" -eq 1 ]
    [[ "$output" =~ " operations and "[0-9,]+" frees of what they left alive, every address in "[0-9]+" arenas, "[0-9,]+" statistics texts; "[0-9,]+" raw-domain operations ignored"$ ]]
}

@test "a pool with another rule differs, and the first operation is told with both states" {
    python=$(python_found)
    [ -n "$python" ] || skip "no libpython here"
    run_split check --against "$python" --pool "${python#cpython:},reentry=back" "$trace"
    [ "$status" -eq 1 ]
    [[ "${lines[0]}" =~ "differs from CPython ${python#cpython:}".*", at operation "[0-9,]+", malloc of "[0-9]+" bytes in domain obj: the block lies elsewhere"$ ]]
    [[ "${lines[1]}" =~ ^"  pool: arena "[0-9]+" + 0x" ]]
    [[ "${lines[2]}" =~ ^"  real: arena "[0-9]+" + 0x" ]]
}

@test "a pool that returns another arena differs in its statistics at that very free" {
    python=$(python_found)
    [ -n "$python" ] || skip "no libpython here"
    run_split check --against "$python" --pool "${python#cpython:},keep=0" "$trace"
    [ "$status" -eq 1 ]
    [[ "${lines[0]}" =~ ", at operation "[0-9,]+", a free in domain obj: the statistics differ"$ ]]
    [[ "$output" == *"  pool: # arenas reclaimed                 =                    1"* ]]
    [[ "$output" == *"  real: # arenas reclaimed                 =                    0"* ]]
    operation=$(sed -n '1s/.*at operation \([0-9,]*\),.*/\1/p' <<<"$output")
    run_split check --against "$python" --pool "${python#cpython:},keep=0" --stats-every 30001 "$trace"
    [[ "${lines[0]}" == *"at operation $operation, "* ]]
}

# refused TEXT ARG…: exit code 2, nothing on stdout, exactly one line on stderr, which contains TEXT.
refused() {
    local text=$1
    shift
    run_split "$@"
    [ "$status" -eq 2 ]
    [ -z "$output" ]
    [ "$(wc -l <"$BATS_TEST_TMPDIR/stderr")" -eq 1 ]
    [[ "$errors" == mmreplay:*"$text"* ]]
}

@test "what cannot be held against is refused in one line" {
    zlib=$(ldd "$MMREPLAY" | sed -n 's/.*libz.* => \([^ ]*\).*/\1/p')
    refused "libpython3.38.so.1.0 is not installed; on Debian and Ubuntu: apt-get install libpython3.38" check --against cpython:3.38 "$trace"
    refused "3.7 is the oldest" check --against cpython:3.6 "$trace"
    refused "free-threaded builds have mimalloc" check --against cpython:3.13t "$trace"
    refused "a version is given as 3.11" check --against cpython:3.11.2 "$trace"
    refused "give a version such as cpython:3.11" check --against cpython:eleven "$trace"
    refused "/no/such.so: cannot open the libpython" check --against cpython:/no/such.so "$trace"
    refused "not a file" check --against cpython:/tmp "$trace"
    refused "not a libpython: it defines no Py_GetVersion" check --against "cpython:$zlib" "$trace"
    refused "--against wants cpython:3.11" check --against system "$trace"
    refused "cannot open the libpython" replay -a cpython:/no/such.so "$trace"
    refused "not a libpython: it defines no Py_GetVersion" replay -n 1 -a "cpython:$zlib" "$trace"
}

@test "options of --against are checked" {
    python=$(python_found)
    [ -n "$python" ] || skip "no libpython here"
    refused "multiples of the page size" check --against "$python" --residues 0,100 "$trace"
    refused "multiples of the page size" check --against "$python" --residues 4K,x "$trace"
    refused "an arena residue is larger than an arena" check --against "$python" --residues 1G "$trace"
    refused "nosuch" check --against "$python" --pool nosuch "$trace"
}

@test "an invalid trace is not held against anything" {
    python=$(python_found)
    [ -n "$python" ] || skip "no libpython here"
    cp "$SAMPLES/git.yaml" "$SAMPLES/git.events.gz" .
    sed -i 's/^  sha256: .*/  sha256: "0000000000000000000000000000000000000000000000000000000000000000"/' git.yaml
    run_split check --against "$python" git.yaml
    [ "$status" -eq 1 ]
    [ -z "$output" ]
    [[ "$errors" == *sha256* ]]
}

@test "libpythons are looked for where the variable says" {
    mkdir nothing
    MMREPLAY_LIBPYTHON_DIRS=$BATS_TEST_TMPDIR/nothing:$BATS_TEST_TMPDIR
    export MMREPLAY_LIBPYTHON_DIRS
    echo "no library" >libpython3.37.so.1.0
    run_split allocators
    [ "$status" -eq 0 ]
    [[ "$output" == *"cpython:3.37  unusable  cannot load the libpython: "* ]]
}

@test "--pool-stats prints the text of every pool behind the table" {
    run_split replay -n 1 -a pool:3.11,system,pool:3.9 --pool-stats "$trace"
    [ "$status" -eq 0 ]
    [ "$(grep -c '^# python-batch on pool:' <<<"$output")" -eq 2 ]
    [ "$(grep -c '^Small block threshold = 512, in 32 size classes.$' <<<"$output")" -eq 2 ]
    [[ "$output" == *"subtracted"*"# python-batch on pool:3.11, after operation "* ]]
}

@test "an allocator with arenas and no such text is told and passed over" {
    run_split replay -n 1 -a pool:fast,pool:3.11 --pool-stats "$SAMPLES/git.yaml"
    [ "$status" -eq 0 ]
    [[ "$errors" == *"allocator 'pool:fast' has no statistics text"* ]]
    [ "$(grep -c '^# git on ' <<<"$output")" -eq 1 ]
}

@test "--at takes the texts in the middle, and --pool-stats=FILE puts them into a file" {
    run_split replay -n 1 -a pool:3.11 --pool-stats=texts.txt --at 100000,1000,0 "$trace"
    [ "$status" -eq 0 ]
    [[ "$output" != *"Small block threshold"* ]]
    [ "$(grep '^# python-batch on' texts.txt | cut -d, -f2- | cut -d' ' -f1-4)" = " after operation 0
 after operation 1,000
 after operation 100,000" ]
    run_split replay -n 1 -a pool:3.11 --at 1000 "$trace"
    [[ "$output" == *"after operation 1,000 of "* ]]
}

@test "the pool's text is CPython's, byte for byte" {
    python=$(python_found)
    [ -n "$python" ] || skip "no libpython here"
    run_split replay -n 1 -a "pool:${python#cpython:},$python+aligned" --pool-stats=texts.txt --at 5000,1500000 "$trace"
    [ "$status" -eq 0 ]
    csplit -s -z -f text texts.txt '/^# python-batch on/' '{*}'
    # text00 is the blank line before the first; where the arenas lie is the kernel's affair, and so is their map
    for pair in "1 3" "2 4"; do
        set -- $pair
        sed '1d; /^arena map counts/,$d' "text0$1" >pool
        sed '1d; /^arena map counts/,$d' "text0$2" >real
        [ "$(wc -l <pool)" -gt 20 ]
        diff pool real
    done
}

@test "what --at and --pool-stats cannot do is refused" {
    refused "--at wants operation numbers, not '12x'" replay -n 1 --at 12x "$trace"
    refused "--at wants operation numbers" replay -n 1 --at "" "$trace"
    refused "--at takes at most 16" replay -n 1 --at 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17 "$trace"
    refused "--json - leaves no room on stdout" replay -n 1 --pool-stats --json - "$trace"
    refused "/no/such/dir/x: cannot write the statistics" replay -n 1 --pool-stats=/no/such/dir/x "$trace"
    run_split replay -n 1 -a pool --at 99999999999 "$trace"
    [ "$status" -eq 2 ]
    [[ "$errors" == *"there is no operation 99,999,999,999: the trace has 2,832,223" ]]
    run_split replay -n 1 -a pool --json result.json --pool-stats=/dev/full "$trace"
    [ "$status" -eq 2 ]
    [[ "$errors" == *"cannot write the statistics"* ]]
}

@test "a cpython allocator is a row with its arenas, its path and its version" {
    python=$(python_found)
    [ -n "$python" ] || skip "no libpython here"
    run_split replay -n 1 -a "pool,$python,own=$python+aligned" --json result.json "$trace"
    [ "$status" -eq 0 ]
    [[ "$output" == *"$python: arenas of "* ]]
    [[ "$output" == *"own: arenas of "* ]]
    grep -q '"version": "CPython 3\.' result.json
    grep -q '"arenas_aligned": true' result.json
}
