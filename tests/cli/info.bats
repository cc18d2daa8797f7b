#!/usr/bin/env bats
# mmreplay info: its figures against the description's and against themselves, its page on and off terminals.

setup_file() {
    export TRACE_DIR=$BATS_FILE_TMPDIR
    "$MMREPLAY" generate ramp -n 4000 --live 500 --keep 9 --seed 7 -o "$TRACE_DIR/ramp.yaml" 2>/dev/null
    "$MMREPLAY" record -o "$TRACE_DIR/good.yaml" -- ls -la /usr/bin >/dev/null 2>&1
}

setup() {
    load helpers
    cd "$BATS_TEST_TMPDIR"
    cp "$TRACE_DIR"/*.yaml "$TRACE_DIR"/*.events.gz .
    unset COLUMNS
}

# json EXPRESSION FILE: true in Python, of the document d and its first trace's t, analysis a.
json() {
    python3 -c '
import json, sys
d = json.load(open(sys.argv[2])); t = d["traces"][0]; a = t["analysis"]; s = t["summary"]
assert eval(sys.argv[1]), sys.argv[1]' "$1" "$2"
}

# terminal COLUMNS TERM LOCALE ARG…: the command on a pseudo-terminal of that width.
terminal() {
    local columns=$1 term=$2 locale=$3
    shift 3
    output=$(env -u COLUMNS -u LC_CTYPE TERM="$term" LC_ALL="$locale" \
        script -qec "stty cols $columns; exec '$MMREPLAY' $*" /dev/null </dev/null | tr -d '\r')
}

is_page_without_bars() {
    grep -q "^lifetimes" <<<"$output"
    [[ "$output" != *█* ]]
}

widest() {
    python3 -c 'import sys; print(max(len(line) for line in sys.stdin.read().splitlines()))' <<<"$output"
}

@test "the full page has every section, the short form the description's counts" {
    run_split info "$SAMPLES/threads.yaml"
    [ "$status" -eq 0 ]
    [ -z "$errors" ]
    for section in operations "live memory" "request sizes (classes: log2)" "most frequent sizes; largest requests" \
        lifetimes threads; do
        grep -q "^$section" <<<"$output"
    done
    run_split info -s "$SAMPLES/threads.yaml"
    [ "$status" -eq 0 ]
    [[ "$output" != *$'\nlifetimes'* ]]
    grep -q "operations     1,290,746" <<<"$output"
}

@test "what was counted is what the descriptions of the bundled traces state, and every breakdown adds up" {
    run_split info --json all.json "$SAMPLES"/*.yaml
    [ "$status" -eq 0 ]
    run_split info --summary --json stated.json "$SAMPLES"/*.yaml
    [ "$status" -eq 0 ]
    python3 - <<'END'
import json
traces = json.load(open("all.json"))["traces"]
stated = json.load(open("stated.json"))["traces"]
assert len(traces) == len(stated) == 9
for t, other in zip(traces, stated):
    s, a = t["summary"], t["analysis"]
    assert other["analysis"] is None and other["summary"] == s and t["fault"] is None
    classes, life, threads = a["sizes"]["classes"], a["lifetimes"], a["threads"]["per_thread"]
    total = lambda key: sum(c[key] for c in classes)
    assert total("requests") == a["requests"]
    assert total("requested_bytes") == s["requested_bytes"]
    assert total("freed_blocks") == life["freed_blocks"] == s["kinds"]["free"] - s["free_null_count"]
    for where, blocks, size in (("live_at_peak", a["live"]["peak_bytes"]["blocks"], s["live_peak_bytes"]),
                                ("live_at_end", s["live_end_blocks"], s["live_end_bytes"])):
        for parts in (classes, a["domains"].values()):
            assert sum(p[where]["blocks"] for p in parts) == blocks
            assert sum(p[where]["bytes"] for p in parts) == size
    assert all(sum(c["lifetime_allocations_log2"]) == c["freed_blocks"] for c in classes)
    for clock in ("allocations", "requested_bytes"):
        assert sum(life[clock]["log2"]) == life[clock]["count"] == life["freed_blocks"]
        assert sum(life[clock]["log2_bytes"]) == life["freed_bytes"]
    assert life["time_ns"] is None and a["time"] is None
    assert life["freed_blocks"] + s["live_end_blocks"] == life["allocation_count"]
    assert sum(p["blocks"] for p in life["never_freed_by_birth_tenth"]) == s["live_end_blocks"]
    for kind, count in s["kinds"].items():
        assert sum(th[kind] for th in threads) == count
        assert kind.startswith("thread_") or sum(d[kind] for d in a["domains"].values()) == count
    assert sum(p["blocks"] for p in a["threads"]["pairs"]) == s["cross_thread_count"]
    assert sum(th["taken_over_count"] for th in threads) == s["cross_thread_count"]
    assert sum(a["reallocs"]["changes"].values()) + s["realloc_null_count"] == s["kinds"]["realloc"]
    assert max(a["live"]["curve"]["max_bytes"]) == s["live_peak_bytes"]
    assert a["live"]["curve"]["end_bytes"][-1] == s["live_end_bytes"]
    assert a["sizes"]["largest"][0]["bytes"] == a["sizes"]["max"] == s["largest_request_bytes"]
    python = t["name"].startswith("python")
    assert a["sizes"]["scheme"] == ("pymalloc" if python else "log2")
END
}

@test "a trace with times has lifetimes in time, rates and a timed curve" {
    run_split record --time=fine -o timed.yaml -- ls -la /usr/bin
    [ "$status" -eq 0 ]
    run_split info --json timed.json timed.yaml
    [ "$status" -eq 0 ]
    [[ "$output" == *"from the first event to the last"* ]]
    [[ "$output" == *"time below"* ]]
    json 'sum(a["lifetimes"]["time_ns"]["log2"]) == a["lifetimes"]["freed_blocks"] > 0' timed.json
    json '0 < a["lifetimes"]["time_ns"]["max"] <= a["time"]["last_ns"] - a["time"]["first_ns"]' timed.json
    json 'a["live"]["curve"]["end_time_ns"] == sorted(a["live"]["curve"]["end_time_ns"])' timed.json
    json 'a["time"]["first_ns"] <= a["live"]["peak_bytes"]["time_ns"] <= a["time"]["last_ns"]' timed.json
    json 'abs(a["time"]["operations_per_s"] * (a["time"]["last_ns"] - a["time"]["first_ns"]) / 1e9 - s["operations"]) < 1' timed.json
}

@test "inherited blocks are told, and how many of them were freed" {
    run_split record --start-after 3000 -o late.yaml -- ls -la /usr/bin
    [ "$status" -eq 0 ]
    run_split info --json late.json late.yaml
    [ "$status" -eq 0 ]
    [ "$(grep -c "^  inherited " <<<"$output")" -eq 2 ]
    json '0 < a["lifetimes"]["inherited_freed_blocks"] < t["capture"]["inherited_blocks"] <= a["lifetimes"]["allocation_count"]' late.json
}

@test "classes can be chosen, and an unknown scheme is refused" {
    run_split info --classes jemalloc --json - ramp.yaml
    [ "$status" -eq 0 ]
    json 'a["sizes"]["scheme"] == "jemalloc" and all(c["max_bytes"] in (8, 16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512) for c in a["sizes"]["classes"])' "$BATS_TEST_TMPDIR/stdout"
    run_split info --classes tcmalloc ramp.yaml
    [ "$status" -eq 2 ]
    [[ "$errors" == *"log2, pymalloc, pymalloc8, glibc or jemalloc, not 'tcmalloc'"* ]]
    run_split info --bars sometimes ramp.yaml
    [ "$status" -eq 2 ]
}

@test "a synthetic ramp shows what it was made to be" {
    run_split info --json ramp.json ramp.yaml
    [ "$status" -eq 0 ]
    [ -n "$output" ]
    json 's["live_peak_blocks"] == 500 == a["live"]["peak_blocks"]["blocks"]' ramp.json
    json 'a["reallocs"]["per_block"]["count"] == 0 and a["reallocs"]["per_block"]["p50"] is None' ramp.json
    json 'a["threads"]["pairs"] == [] and a["sizes"]["max"] <= 512 == 512' ramp.json
}

# empty_trace NAME: a valid trace without events, as NATIVE.md describes it.
empty_trace() {
    python3 - "$1" <<'END'
import hashlib, struct, sys, zlib
name = sys.argv[1]
def member(kind, at):
    raw = bytes.fromhex("1f8b08040000000000ff20004d521c00") + struct.pack("<BBHIQQ", 1, kind, 0, 54, 0, at)
    return raw + struct.pack("<I", zlib.crc32(raw)) + bytes.fromhex("0300") + bytes(8)
data = member(1, 0) + member(2, 0)
open(name + ".events.gz", "wb").write(data)
kinds = "".join(f"    {k}: 0\n" for k in "malloc calloc aligned_alloc realloc free thread_start thread_end".split())
rest = "".join(f"  {k}: 0\n" for k in ("operations free_null realloc_null cross_thread requested_bytes "
    "largest_request_bytes live_peak_bytes live_peak_blocks live_end_bytes live_end_blocks").split())
open(name + ".yaml", "w").write(f"""mmreplay: 1
name: {name}
events:
  codec: mmreplay-events-1
  file: {name}.events.gz
  bytes: {len(data)}
  sha256: {hashlib.sha256(data).hexdigest()}
  count: 0
  threads: 0
summary:
  kinds:
{kinds}{rest}""")
END
}

@test "an empty trace is described without a division by zero" {
    empty_trace none
    run_split check none.yaml
    [ "$status" -eq 0 ]
    run_split info none.yaml
    [ "$status" -eq 0 ]
    [ -z "$errors" ]
    [[ "$output" == *"no operations"* ]]
    run_split info -s none.yaml
    [ "$status" -eq 0 ]
    run_split info --json none.json none.yaml
    [ "$status" -eq 0 ]
    json 'a["requests"] == 0 and a["sizes"]["p50"] is None and a["live"]["curve"]["max_bytes"] == []' none.json
}

@test "of a damaged trace the whole part is told, the damage on stderr, and the exit code is 2" {
    cp "$SAMPLES"/git.yaml "$SAMPLES"/git.events.gz .
    truncate -s 150000 git.events.gz
    run_split info --json cut.json git.yaml good.yaml
    [ "$status" -eq 2 ]
    [[ "$errors" == *"git.events.gz: byte 150000: the events file is cut here"* ]]
    grep -q "damaged        the events could be read only in part" <<<"$output"
    grep -q "^good" <<<"$output"
    json '0 < s["events"] < 523332 and "cut here" in t["fault"] and sum(c["requests"] for c in a["sizes"]["classes"]) == a["requests"]' cut.json
    json 'len(d["traces"]) == 2 and d["traces"][1]["fault"] is None' cut.json
    run_split info -s git.yaml
    [ "$status" -eq 0 ]
    [ -z "$errors" ]
}

@test "one bad trace among several is told and the others are shown" {
    run_split info nothere.yaml ramp.yaml
    [ "$status" -eq 2 ]
    [[ "$errors" == "mmreplay: nothere.yaml: cannot open"* ]]
    [[ "${lines[0]}" == ramp ]]
}

@test "a result never takes the place of a trace" {
    run_split info --json ramp.yaml ramp.yaml
    [ "$status" -eq 2 ]
    [[ "$errors" == *"is an input of this very command"* ]]
    run_split info --json ramp.events.gz ramp.yaml
    [ "$status" -eq 2 ]
    run_split info --json /no/such/folder/x.json ramp.yaml
    [ "$status" -eq 2 ]
    [[ "$errors" == *"/no/such/folder/x.json: cannot write the result"* ]]
    run_split check ramp.yaml
    [ "$status" -eq 0 ]
}

@test "bars are drawn on UTF-8 terminals only, and never wider than the page" {
    command -v script >/dev/null || skip "no script(1)"
    for columns in 60 80 100 200; do
        terminal $columns xterm C.UTF-8 info good.yaml
        grep -q "█" <<<"$output"
        [ "$(widest)" -le $columns ]
    done
    terminal 80 dumb C.UTF-8 info good.yaml
    is_page_without_bars
    terminal 80 xterm C info good.yaml
    is_page_without_bars
    run_split info good.yaml
    is_page_without_bars
    run_split info --bars always good.yaml
    grep -q "█" <<<"$output"
    terminal 80 xterm C.UTF-8 info --bars never good.yaml
    is_page_without_bars
}
