#!/usr/bin/env python3
"""Runs programs as they are and recorded, interleaved, and writes what it took: JSON for record_targets.py.

usage: record_runs.py ROUNDS FOLDER MMREPLAY STORM SCRIPT PYTHON SOURCE

FOLDER takes the traces; SOURCE is a preprocessed C file for gcc's cc1. The other recorders run once: they take long.
"""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time

OTHERS_ROUNDS = 1
MALLOC_FAMILY = "malloc+calloc+realloc+free+posix_memalign+aligned_alloc+memalign"


def seconds_of(command, environment=None):
    """Wall time of a command; fails loudly when the command does."""
    start = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment, check=False)
    taken = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}: {done.stderr.decode(errors='replace')[-400:]}")
    return taken


def rounds_interleaved(commands, rounds):
    """Seconds by name, one of each command a round, in turn forwards and backwards."""
    samples = {name: [] for name in commands}
    for number in range(rounds):
        for name in list(commands)[:: -1 if number % 2 else 1]:
            samples[name].append(seconds_of(commands[name]))
    return samples


def memory_peak_bytes(command):
    """The most that the recorder itself had resident, rings that it touched included: its own VmHWM, looked at often."""
    peak = 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            try:
                with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
                    found = re.search(r"VmHWM:\s+(\d+) kB", status.read())
                peak = max(peak, int(found.group(1)) * 1024) if found else peak
            except OSError:
                pass
            time.sleep(0.002)
    return peak


def trace_of(mmreplay, path):
    """Events and bytes of a trace."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    count = int(re.search(r"^  count: (\d+)", text, re.M).group(1))
    size = int(re.search(r"^  bytes: (\d+)", text, re.M).group(1))
    seconds_of([mmreplay, "check", path])
    return {"event_count": count, "bytes": size}


def other_ratio(make_command, program, short):
    """Another recorder on `program`, or on its short form; why, where it is not to be had. They look at malloc alone: for
    the same events of CPython its own allocator has to be off, which is their price."""
    what = short or program
    environment = {**os.environ, "PYTHONMALLOC": "malloc"}
    try:
        base = min(seconds_of(what) for _ in range(3))
        taken = min(seconds_of(make_command(what), environment) for _ in range(OTHERS_ROUNDS))
        return {"ratio": taken / base, "is_short": bool(short)}
    except (RuntimeError, OSError) as error:
        return {"absent": str(error).splitlines()[0][:160]}


def others_of(program, short, folder):
    heaptrack, ltrace = shutil.which("heaptrack"), shutil.which("ltrace")
    rows = {}
    rows["heaptrack"] = (other_ratio(lambda what: [heaptrack, "-o", os.path.join(folder, "heaptrack"), *what], program,
                                     None) if heaptrack else {"absent": "not installed"})
    rows["ltrace"] = (other_ratio(lambda what: [ltrace, "-f", "-e", MALLOC_FAMILY, "-o", "/dev/null", *what], program,
                                  short) if ltrace else {"absent": "not installed"})
    return rows


def measure(name, program, short, mmreplay, folder, rounds):
    trace = os.path.join(folder, f"record-{name}.yaml")
    recorded = [mmreplay, "record", "-o", trace, "--", *program]
    print(f"record_runs: {name}", file=sys.stderr, flush=True)
    seconds_of(program)
    samples = rounds_interleaved({"plain": program, "recorded": recorded}, rounds)
    result = {"name": name, "seconds": samples, "memory_peak_bytes": memory_peak_bytes(recorded)}
    result.update(trace_of(mmreplay, trace))
    result["others"] = others_of(program, short, folder)
    return result


def context(mmreplay, rounds):
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        cpu = re.search(r"model name\s*: (.*)", file.read())
    version = subprocess.run([mmreplay, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    return {"started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "mmreplay": version,
            "cpu": cpu.group(1) if cpu else platform.machine(), "cpu_count": len(os.sched_getaffinity(0)),
            "kernel": platform.release(), "rounds": rounds, "load_average": os.getloadavg()[0]}


def main():
    if len(sys.argv) != 8:
        sys.exit(__doc__)
    rounds, folder, mmreplay, storm, script, python, source = int(sys.argv[1]), *sys.argv[2:]
    cc1 = subprocess.run(["gcc", "-print-prog-name=cc1"], capture_output=True, text=True, check=True).stdout.strip()
    compile_it = [cc1, "-quiet", "-fpreprocessed", "-O2", "-g", source, "-o", "/dev/null"]
    # Name, program, and a short form of it for what is a hundred times slower.
    programs = [("script", [python, script], [python, script, "1"]),
                ("cc1", compile_it, None),
                ("storm", [storm, "4", "4000000"], [storm, "4", "20000"]),
                ("storm-1M", [storm, "4", "1000000", "1e6"], [storm, "4", "20000", "1e6"])]
    result = {"context": context(mmreplay, rounds)}
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        result["programs"] = [measure(*program, mmreplay, scratch, rounds) for program in programs]
    json.dump(result, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
