#!/usr/bin/env python3
"""Records traced_stress again and again and holds every trace against what the program says it did.

usage: stress_record.py MMREPLAY PROGRAMS-FOLDER RUNS [SEED]
Each run has the next seed; that decides allocator, ring, signals, forks, --follow, --time, exec, the way it ends, and
all that the program draws. A run that fails is told with its seed and keeps its folder. Exit code 0: none did.
"""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

mmreplay, programs, runs = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), int(sys.argv[3])
first_seed = int(sys.argv[4]) if len(sys.argv) > 4 else int(os.environ.get("MMREPLAY_TEST_SEED", "1"))
verify = os.path.join(programs, "stress_verify")
PATIENCE = 300  # seconds: a hang is a failure


class Fault(Exception):
    pass


def run(*argv):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                          timeout=PATIENCE, check=False)
    return done.returncode, done.stdout


def settings(seed):
    """What the seed decides: (record's options, program, its flags)."""
    options = ["--ring", ["4K", "64K", "1M"][seed // 2 % 3]]
    options += ["--follow"] if seed // 3 % 2 else []
    options += [["--time=fine"], [], [], ["--time"]][seed // 5 % 4]
    flags = ["sf", "f", "sfe", "fe", "sfx"][seed % 5]
    return options, ["traced_stress", "traced_stress_reuse"][seed % 2], flags


def images_of(report):
    """(pid, image, role) of all that have told what they did."""
    with open(report) as file:
        return [(int(m[1]), int(m[2]), m[3]) for m in re.finditer(r"^stress (\d+) (\d+) (\w+) ", file.read(), re.M)]


def number_of(key, text):
    found = re.search(rf"^  {key}: (\d+)", text, re.M)
    return int(found[1]) if found else 0


def trace_check(trace):
    """All that happened is in the trace, and nothing that the child of a fork has inherited is in doubt."""
    code, text = run(mmreplay, "check", trace)
    if code:
        raise Fault(text)
    with open(trace) as file:
        text = file.read()
    for key in ("lost", "inherited_uncertain"):
        if number_of(key, text):
            raise Fault(f"{trace}: {key}: {number_of(key, text)}")


def trace_verify(trace, pid, image):
    code, text = run(verify, trace, "report", str(pid), str(image))
    if code:
        raise Fault(text)
    return [int(n) for n in re.search(r"(\d+) operations, (\d+) blocks", text).groups()]


def traces_match(is_followed):
    """Pairs each image that told of itself with its trace. Images of fewer than 1,000 operations leave none when an exec
    replaces them; those do not tell."""
    images = images_of("report")
    if not is_followed:
        pid = next(pid for pid, image, role in images if role == "image" and image == 1)
        return [("t.yaml", *max((p, i) for p, i, _ in images if p == pid))]
    pairs = []
    for pid in sorted({pid for pid, _, _ in images}):
        own = sorted(image for p, image, _ in images if p == pid)
        pairs += [(f"t.{pid}.yaml" if n == 0 else f"t.{pid}-{n + 1}.yaml", pid, image) for n, image in enumerate(own)]
    return pairs


def falsified_report_must_differ(trace, pid, image):
    with open("report") as file:
        text = file.read()
    with open("false", "w") as file:
        file.write(re.sub(r"(\n\d+ 0 \d+ \d+ \d+ \d+ )(\d+)", lambda m: m[1] + str(int(m[2]) + 1), text))
    if run(verify, trace, "false", str(pid), str(image))[0] != 1:
        raise Fault("the verification accepts a report that is false")


def stress(seed):
    options, program, flags = settings(seed)
    argv = [mmreplay, "record", "-o", "t.yaml", *options, "--", os.path.join(programs, program), str(seed), "24", "2500",
            "report", flags]
    code, text = run(*argv)
    if code:
        raise Fault(text)
    if "--follow" not in options and re.search("made unseen|freed unseen|events? lost|cut short", text):
        raise Fault(text)
    pairs = traces_match("--follow" in options)
    totals = [0, 0]
    for trace, pid, image in pairs:
        trace_check(trace)
        totals = [a + b for a, b in zip(totals, trace_verify(trace, pid, image))]
    falsified_report_must_differ(*pairs[0])
    for trace in glob.glob("t.[0-9]*.yaml"):  # those of images that did not tell, too
        trace_check(trace)
    return len(pairs), *totals


failed, traces, operations, handed = 0, 0, 0, 0
for seed in range(first_seed, first_seed + runs):
    folder = tempfile.mkdtemp(prefix="mmreplay-stress-")
    os.chdir(folder)
    try:
        counts = stress(seed)
        traces, operations, handed = (a + b for a, b in zip((traces, operations, handed), counts))
    except (Fault, subprocess.TimeoutExpired, OSError, ValueError, StopIteration, AttributeError) as fault:
        failed += 1
        print(f"seed {seed} ({' '.join(settings(seed)[0])}, {settings(seed)[1]} {settings(seed)[2]}): "
              f"{type(fault).__name__}: {fault}\n  kept in {folder}", flush=True)
        continue
    finally:
        os.chdir("/")
    shutil.rmtree(folder)
print(f"{runs} runs from seed {first_seed}: {failed} failed; {traces} traces agree, {operations:,} operations, "
      f"{handed:,} of them on another thread's block")
sys.exit(1 if failed else 0)
