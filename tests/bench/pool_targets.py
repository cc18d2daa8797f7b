#!/usr/bin/env python3
"""The pool's figures beside their targets, from the results of `mmreplay replay --json`.

usage: pool_targets.py [--check] RESULT.json

Ratios are medians of the ratios within rounds, with a percentile bootstrap interval (10,000 resamples, seeded), as
mmreplay's own. Exits 1 with --check when a target is missed or could not be judged, otherwise 0.
"""

import argparse
import json
import math
import random
import statistics
import sys

FAITHFUL = "pool:3.11"
REAL = "cpython:3.11"
FAST = "pool:fast"
PEERS = ["system", "jemalloc", "mimalloc", "tcmalloc", REAL]

RESAMPLES = 10000
PYTHON, PATTERN, NATIVE = "CPython traces", "patterns", "C traces"


class Target:
    """A bound from above on a figure."""

    def __init__(self, limit):
        self.limit = limit

    def verdict(self, tally, value, interval=None):
        if not value > 0:  # a net time below 0, or the mean over one: noise was larger than what it covered
            tally.unjudged += 1
            return f"<= {self.limit:.2f}  noise"
        met = value <= self.limit
        tally.judged(met)
        doubt = interval and interval[0] <= self.limit < interval[1]
        return f"<= {self.limit:.2f}  {'ok' if met else 'MISS'}{' ?' if doubt else ''}"


class Tally:
    def __init__(self):
        self.met = self.missed = self.unjudged = 0

    def judged(self, met):
        self.met += met
        self.missed += not met

    def absent(self, what):
        self.unjudged += 1
        print(f"  not judged: {what}")


def comparable(traces, tally, names):
    """The traces on which all of `names` were measured; tells what is missing, once where it is missing everywhere."""
    rest = []
    for name in names:
        if not any(name in rows_of(trace) for trace in traces):
            tally.absent(f"{name} was not measured")
            return rest
    for trace in traces:
        missing = [name for name in names if name not in rows_of(trace)]
        if missing:
            tally.absent(f"{trace['name']}: {' and '.join(missing)} failed; see the replay's text")
        else:
            rest.append(trace)
    return rest


def kind_of(trace):
    if (trace["interpreter"] or "").startswith("CPython"):
        return PYTHON
    return PATTERN if (trace["program"] or "").startswith("mmreplay generate ") else NATIVE


def rows_of(trace):
    """The allocators of a trace that were measured, by name."""
    return {row["name"]: row for row in trace["allocators"] if row["status"] == "done" and samples_of(row)}


def samples_of(row):
    return (row["metrics"].get("ns_per_op") or {}).get("samples") or []


def ns_of(row):
    return row["metrics"]["ns_per_op"]["median"]


def exact(row, name):
    return (row["metrics"].get(name) or {}).get("value")


def paired_ratio(row, base):
    """Median and interval of the ratios within rounds."""
    ratios = [a / b for a, b in zip(samples_of(row), samples_of(base)) if b > 0]
    source = random.Random(1)
    medians = sorted(statistics.median(source.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES))
    return statistics.median(ratios), (medians[RESAMPLES // 40], medians[-1 - RESAMPLES // 40])


def geometric_mean(values):
    if min(values) <= 0:  # the null allocator took longer than the allocator: noise, and no mean can mend it
        return math.nan
    return math.exp(statistics.fmean(math.log(value) for value in values))


def interval_text(interval):
    return f"[{interval[0]:.2f}, {interval[1]:.2f}]"


def count_text(row, name):
    value = exact(row, name)
    return "n/a" if value is None else str(value)


def faithful_table(traces, tally):
    """The faithful pool against the allocator that it imitates."""
    print(f"\n{FAITHFUL} against {REAL}, net ns per operation, both giving arenas back")
    print(f"  {'':16}{FAITHFUL:>10}{REAL:>14}  {'ratio':>5} {'95 %':16} {'arenas returned':17} target")
    ratios = []
    for trace in comparable(traces, tally, [FAITHFUL, REAL]):
        rows = rows_of(trace)
        ours, real = rows[FAITHFUL], rows[REAL]
        ratio, interval = paired_ratio(ours, real)
        kind = kind_of(trace)
        if kind == PYTHON:
            ratios.append(ratio)
        returned = f"{count_text(ours, 'arenas_returned_count')} / {count_text(real, 'arenas_returned_count')}"
        verdict = Target(1.10).verdict(tally, ratio, interval) if kind != NATIVE else "none (C trace)"
        print(f"  {trace['name']:16}{ns_of(ours):10.2f}{ns_of(real):14.2f}  {ratio:5.2f} {interval_text(interval):16} "
              f"{returned:17} {verdict}")
    if ratios:
        mean = geometric_mean(ratios)
        print(f"  {'geometric mean, ' + PYTHON:42}{mean:5.2f} {'':34} {Target(0.90).verdict(tally, mean)}")


def best_peer(rows):
    return min((rows[name] for name in PEERS if name in rows), key=ns_of)


def fast_times(traces, tally):
    """The fast pool against the best of the others, trace by trace."""
    absent = [name for name in PEERS if not any(name in rows_of(trace) for trace in traces)]
    print(f"\n{FAST} against the best of {', '.join(name for name in PEERS if name not in absent)}, net ns per operation")
    print(f"  {'':16}{FAST:>10}{'best':>8}  {'which':13}{'ratio':>5} {'95 %':16} target")
    for name in absent:
        tally.absent(f"{name}, one of the others, was not measured")
    ratios = []
    for trace in comparable(traces, tally, [FAST, "system"]):
        rows = rows_of(trace)
        best = best_peer(rows)
        ratio, interval = paired_ratio(rows[FAST], best)
        verdict = f"none ({kind_of(trace).rstrip('s')})"
        if kind_of(trace) == PYTHON:
            ratios.append(ratio)
            verdict = Target(0.95).verdict(tally, ratio, interval)
        print(f"  {trace['name']:16}{ns_of(rows[FAST]):10.2f}{ns_of(best):8.2f}  {best['name']:13}{ratio:5.2f} "
              f"{interval_text(interval):16} {verdict}")
    if ratios:
        mean = geometric_mean(ratios)
        print(f"  {'geometric mean, ' + PYTHON:47}{mean:5.2f} {'':16} {Target(0.80).verdict(tally, mean)}")
    print("  The pool has no lock, and what is above its threshold goes to the C library's malloc: a general malloc could\n"
          "  not save all that it saves on C traces and patterns, and it saves nothing on their large blocks.")


def fast_memory(traces, tally):
    """What the fast pool pays in memory, beside the faithful one."""
    print(f"\n{FAST} beside {FAITHFUL}: arena_frag_avg_ratio (at most 5 % above), arena_return_ratio (at most 5 points "
          "below)")
    print(f"  {'':16}{'frag. fast':>10}{'faithful':>10}{'ratio':>7} {'target':15}{'return fast':>12}{'faithful':>10}"
          f"{'points':>8} target")
    for trace in comparable(traces, tally, [FAST, FAITHFUL]):
        rows = rows_of(trace)
        judged = kind_of(trace) == PYTHON
        print(f"  {trace['name']:16}{memory_text(rows, judged, tally)}")
        if judged and None in (exact(rows[FAST], "arena_frag_avg_ratio"), exact(rows[FAST], "arena_return_ratio")):
            tally.absent(f"{trace['name']}: {FAST} tells nothing of its arenas")


def memory_text(rows, judged, tally):
    frag = [exact(rows[name], "arena_frag_avg_ratio") for name in (FAST, FAITHFUL)]
    back = [exact(rows[name], "arena_return_ratio") for name in (FAST, FAITHFUL)]
    text = f"{'n/a':>10}{'n/a':>10}{'':23}"
    if None not in frag:
        ratio = frag[0] / frag[1]
        verdict = Target(1.05).verdict(tally, ratio) if judged else "none"
        text = f"{frag[0]:10.3f}{frag[1]:10.3f}{ratio:7.3f} {verdict:15}"
    if None in back:
        return text + f"{'n/a':>12}{'n/a':>10}"
    points = 100 * (back[1] - back[0])
    verdict = "none"
    if judged:
        tally.judged(points <= 5)
        verdict = f"<= 5  {'ok' if points <= 5 else 'MISS'}"
    return text + f"{100 * back[0]:10.1f} %{100 * back[1]:8.1f} %{points:8.1f} {verdict}"


def all_times(traces):
    """Everything that was measured, so that no figure above stands alone."""
    names = list(dict.fromkeys(row["name"] for trace in traces for row in trace["allocators"] if row["name"] != "null"))
    print("\nnet ns per operation, medians (the null allocator's in the last column, subtracted)")
    print(f"  {'':16}" + "".join(f"{name:>14}" for name in names) + f"{'null':>8}")
    for trace in traces:
        rows = rows_of(trace)
        cells = [f"{ns_of(rows[name]):14.2f}" if name in rows else f"{'n/a':>14}" for name in names]
        null = next((row["metrics"]["null_ns_per_op"]["median"] for row in rows.values()), None)
        print(f"  {trace['name']:16}" + "".join(cells) + (f"{null:8.2f}" if null is not None else ""))


def header(result):
    context = result["context"]
    rounds = context["options"]["rounds"]
    machine = " (virtual machine)" if context["virtual_machine"] else ""
    print(f"{context['started']}  {context['cpu']}, {context['cpu_count']} cpus{machine}, {context['kernel']}, "
          f"{context['libc']}, {context['compiler']}")
    print(f"mmreplay {result['mmreplay']['version']}, {rounds} rounds, load average {context['load_average']:.1f} at "
          "the start")
    if context["load_average"] > context["cpu_count"] / 2:
        print("  the machine is not quiet: ratios of interleaved runs stand it better than figures, but not well")
    print("targets: ok, MISS, or '?' behind them when the interval reaches over the target")
    if rounds < 6:
        print(f"  {rounds} rounds are for a look; intervals of fewer than six are too narrow")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed or not judged")
    parser.add_argument("result")
    arguments = parser.parse_args()
    with open(arguments.result, encoding="utf-8") as file:
        result = json.load(file)
    traces = sorted(result["traces"], key=lambda trace: [PYTHON, PATTERN, NATIVE].index(kind_of(trace)))
    tally = Tally()
    header(result)
    faithful_table(traces, tally)
    fast_times(traces, tally)
    fast_memory(traces, tally)
    all_times(traces)
    print(f"\n{tally.met} targets met, {tally.missed} missed, {tally.unjudged} not judged")
    return 1 if arguments.check and (tally.missed or tally.unjudged) else 0


if __name__ == "__main__":
    sys.exit(main())
