#!/usr/bin/env python3
"""The pool's statistics on a recorded Python program against those that the interpreter itself printed while it was
recorded: before every new arena (PYTHONMALLOCSTATS), where the script asked for them, and, up to 3.11, at its end. All
texts together must be equal, byte for byte.

    python_stats.py MMREPLAY ARENA_POINTS STATS_MARK.so [PYTHON [COUNT]]

PYTHON is a path; or a version, 3.N: bin/python3.N beside its libpython in a directory of MMREPLAY_LIBPYTHON_DIRS; by
default the Python that runs this. Each script is recorded COUNT times (1). Exit code 77: no such Python here."""
import os
import subprocess
import sys
import tempfile

MARK_BYTES = 7654321
AT_ONCE = 16  # operations that --at takes
HERE = os.path.dirname(os.path.abspath(__file__))
SCRIPTS = ["churn.py", "threads.py", "killed.py"]


def skip(why):
    print("skipped: " + why)
    sys.exit(77)


def python_find(version):
    if not version or "/" in version:
        return version or sys.executable
    for directory in os.environ.get("MMREPLAY_LIBPYTHON_DIRS", "").split(":"):
        python = os.path.join(os.path.dirname(directory), "bin", "python" + version)
        if directory and os.path.exists(os.path.join(directory, "libpython%s.so.1.0" % version)) and os.path.exists(python):
            return os.path.realpath(python)
    skip("no python%s beside a libpython in MMREPLAY_LIBPYTHON_DIRS" % version)


def version_of(python):
    text = subprocess.run([python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], stdout=subprocess.PIPE,
                          check=True).stdout
    return text.decode().strip()


def record(tools, python, script, folder):
    """@return the trace, and what the interpreter printed."""
    trace = os.path.join(folder, "trace.yaml")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    environment["PYTHONMALLOCSTATS"] = "1"
    run = subprocess.run([tools["mmreplay"], "record", "-o", trace, "--", python, os.path.join(HERE, "python", script),
                          tools["mark"], str(MARK_BYTES)], stderr=subprocess.PIPE, env=environment)
    lines = run.stderr.split(b"\n")
    own = [line for line in lines if line.startswith(b"mmreplay:")]
    if run.returncode or not own:
        sys.exit("%s: recording failed (%d):\n%s" % (script, run.returncode, b"\n".join(lines[-5:]).decode()))
    return trace, b"\n".join(line for line in lines if line not in own)


def points_find(tools, trace, version):
    """The operations after which the interpreter printed: a list of (operation, what)."""
    run = subprocess.run([tools["points"], trace, version, str(MARK_BYTES)], stdout=subprocess.PIPE, check=True)
    points = [(int(line.split()[1]), line.split()[0].decode()) for line in run.stdout.splitlines()]
    return points


def operation_count(trace):
    with open(trace, encoding="utf-8") as file:
        return next(int(line.split()[1]) for line in file if line.strip().startswith("operations:"))


def replayed_texts(tools, trace, version, operations, folder):
    """The pool's texts after these operations, by operation."""
    texts = {}
    out = os.path.join(folder, "stats.txt")
    wanted = sorted(set(operations))
    for i in range(0, len(wanted), AT_ONCE):
        part = wanted[i:i + AT_ONCE]
        subprocess.run([tools["mmreplay"], "replay", "-n", "1", "--memory-rounds", "0", "-a", "pool:" + version,
                        "--pool-stats=" + out, "--at", ",".join(map(str, part)), trace], stdout=subprocess.PIPE, check=True)
        with open(out, "rb") as file:
            found = file.read().split(b"\n# trace on ")[1:]
        assert len(found) == len(part), (len(found), len(part))
        for operation, text in zip(part, found):
            texts[operation] = text.split(b"\n", 1)[1]
    return texts


def difference_tell(script, printed, points, texts):
    at = 0
    for number, (operation, what) in enumerate(points):
        text = texts[operation]
        if printed[at:at + len(text)] != text:
            real = printed[at:].split(b"\nSmall block", 1)[0].decode().split("\n")
            print("%s: text %d of %d (%s, operation %d) differs:" % (script, number + 1, len(points), what, operation))
            for line in text.decode().split("\n"):
                if line not in real:
                    print("  pool: " + line)
            for line in real:
                if line not in text.decode().split("\n"):
                    print("  real: " + line)
            return
        at += len(text)
    print("%s: the interpreter printed more than is accounted for: %r" % (script, printed[at:at + 200]))


def compare(tools, python, version, script):
    with tempfile.TemporaryDirectory() as folder:
        trace, printed = record(tools, python, script, folder)
        points = points_find(tools, trace, version)
        if int(version.split(".")[1]) <= 11 and script != "killed.py":
            points.append((operation_count(trace), "end"))
        texts = replayed_texts(tools, trace, version, [operation for operation, _ in points], folder)
        if b"".join(texts[operation] for operation, _ in points) != printed:
            difference_tell(script, printed, points, texts)
            return False
        counts = {what: sum(1 for _, w in points if w == what) for what in ("arena", "mark", "end")}
        assert counts["arena"] > 5 and counts["mark"] > 1, counts
        print("%s on Python %s: %d operations and %d statistics texts (%d before new arenas, %d asked for, %d at the end): "
              "equal" % (script, version, operation_count(trace), len(points), counts["arena"], counts["mark"],
                         counts["end"]))
        return True


def main():
    tools = dict(zip(("mmreplay", "points", "mark"), sys.argv[1:4]))
    python = python_find(sys.argv[4] if len(sys.argv) > 4 else None)
    version = version_of(python)
    if int(version.split(".")[1]) < 8:
        skip("Python %s; 3.8 is the oldest that is recorded here" % version)
    rounds = int(sys.argv[5]) if len(sys.argv) > 5 else 1
    ok = all([compare(tools, python, version, script) for _ in range(rounds) for script in SCRIPTS])
    sys.exit(0 if ok else 1)


main()
