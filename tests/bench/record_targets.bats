#!/usr/bin/env bats
# record_targets.py: what it makes of results whose ratios are known.

setup() {
    cd "$BATS_TEST_TMPDIR" || return
}

# result RATIO BYTES MEMORY: a script recorded at that ratio, so many bytes for a hundred events, MiB of the recorder.
result() {
    python3 - "$@" >result.json <<'PY'
import json
import sys

ratio, size, memory = float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
program = {"name": "script", "seconds": {"plain": [2.0] * 5, "recorded": [2.0 * ratio] * 5}, "event_count": 100,
           "bytes": size, "memory_peak_bytes": memory << 20,
           "others": {"heaptrack": {"ratio": 8.0, "is_short": False}, "ltrace": {"absent": "not installed"}}}
context = {"started": "2026-01-01T00:00:00Z", "mmreplay": "mmreplay 0", "cpu": "any", "cpu_count": 2, "kernel": "6",
           "rounds": 5, "load_average": 0.1}
json.dump({"context": context, "programs": [program]}, sys.stdout)
PY
}

@test "targets that are met are ok, and --check is content" {
    result 1.25 50 100
    run python3 "$RECORD_TARGETS" --check result.json
    [ "$status" -eq 0 ]
    [[ "$output" == *"1.25 [1.25, 1.25]"*"<= 1.35  ok"*"8.0"*"absent"* ]]
    [[ "$output" == *"0.500 <= 0.75  ok"*"100 MiB <= 256 MiB  ok"* ]]
    [[ "$output" == *"ltrace: not installed"* ]]
    [[ "$output" == *"3 targets met, 0 missed"* ]]
}

@test "each missed target is named, and fails with --check only" {
    result 1.5 80 300
    run python3 "$RECORD_TARGETS" result.json
    [ "$status" -eq 0 ]
    [[ "$output" == *"<= 1.35  MISS"*"<= 0.75  MISS"*"<= 256 MiB  MISS"* ]]
    run python3 "$RECORD_TARGETS" --check result.json
    [ "$status" -eq 1 ]
}
