#!/usr/bin/env bats
# pool_targets.py: what it makes of results whose ratios are known.

setup() {
    cd "$BATS_TEST_TMPDIR" || return
}

# result FAITHFUL REAL FAST SYSTEM RETURN: a result of one CPython trace and one pattern with these ns per operation, and
# this arena return of the fast pool (the faithful one's is 50 %); "-" leaves an allocator out.
result() {
    python3 - "$@" >result.json <<'PY'
import json
import sys

def row(name, ns, returned):
    return {"name": name, "status": "done", "metrics": {
        "ns_per_op": {"median": ns, "samples": [ns, ns, ns]}, "null_ns_per_op": {"median": 2.0},
        "arenas_returned_count": {"value": 4}, "arena_frag_avg_ratio": {"value": 1.2},
        "arena_return_ratio": {"value": returned}}}

names = ["pool:3.11", "cpython:3.11", "pool:fast", "system"]
rows = [row(name, float(ns), float(sys.argv[5]) if name == "pool:fast" else 0.5)
        for name, ns in zip(names, sys.argv[1:]) if ns != "-"]
rows += [row(name, 20, None) for name in ("jemalloc", "mimalloc", "tcmalloc")]
traces = [{"name": "web", "interpreter": "CPython 3.11.2", "program": "python3 web.py", "allocators": rows},
          {"name": "pair", "interpreter": None, "program": "mmreplay generate pair --seed 1", "allocators": rows}]
context = {"started": "2026-01-01T00:00:00Z", "cpu": "any", "cpu_count": 2, "virtual_machine": False, "kernel": "Linux",
           "libc": "glibc", "compiler": "gcc", "load_average": 0.1, "options": {"rounds": 9}}
json.dump({"mmreplay": {"version": "0"}, "context": context, "traces": traces}, sys.stdout)
PY
}

@test "targets that are met are ok, and --check is content" {
    result 9 10.2 8 12 0.5 # 0.88 of the real one; 0.78 of the best, which is the real one
    run python3 "$POOL_TARGETS" --check result.json
    [ "$status" -eq 0 ]
    [[ "$output" == *"0.88 [0.88, 0.88]"*"<= 1.10  ok"* ]]
    [[ "$output" == *"cpython:3.11"*"0.78 [0.78, 0.78]"*"<= 0.95  ok"* ]]
    [[ "$output" != *"  MISS"* ]]
}

@test "a missed target is named, and fails with --check only" {
    result 12 10 8 12 0.5
    run python3 "$POOL_TARGETS" result.json
    [ "$status" -eq 0 ]
    [[ "$output" == *"1.20 [1.20, 1.20]"*"<= 1.10  MISS"* ]]
    [[ "$output" == *"geometric mean, CPython traces"*"1.20"*"<= 0.90  MISS"* ]]
    run python3 "$POOL_TARGETS" --check result.json
    [ "$status" -eq 1 ]
}

@test "memory that is not returned is a miss" {
    result 9 10.2 7 12 0.44
    run python3 "$POOL_TARGETS" --check result.json
    [ "$status" -eq 1 ]
    [[ "$output" == *"<= 5  MISS"* ]]
}

@test "an allocator that is not there is told, once, and is no success" {
    result 9 - 8 12 0.5
    run python3 "$POOL_TARGETS" --check result.json
    [ "$status" -eq 1 ]
    [ "$(grep -c 'not judged: cpython:3.11 was not measured' <<<"$output")" -eq 1 ]
    result 9 10 - 12 0.5
    run python3 "$POOL_TARGETS" --check result.json
    [ "$status" -eq 1 ]
    [[ "$output" == *"not judged: pool:fast was not measured"* ]]
}

@test "a net time that noise made negative gives no mean, and is no success" {
    result -1 10 8 12 0.5
    run python3 "$POOL_TARGETS" --check result.json
    [ "$status" -eq 1 ]
    [ "$(grep -c '<= 1.10  noise' <<<"$output")" -eq 2 ]
    [[ "$output" == *"nan"*"<= 0.90  noise"* ]]
}
