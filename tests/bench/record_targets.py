#!/usr/bin/env python3
"""What recording costs beside its targets, from the results of record_runs.py.

usage: record_targets.py [--check] RESULT.json

Ratios are medians of the ratios within rounds (recorded by plain wall time, whole commands), with a percentile bootstrap
interval (10,000 resamples, seeded). Exits 1 with --check when a target is missed.
"""

import argparse
import json
import random
import statistics
import sys

RESAMPLES = 10000
WHAT = {"script": "CPython: json, ast, re", "cc1": "gcc's cc1, a C file", "storm": "4 threads, full speed",
        "storm-1M": "4 threads, 1 M events/s each"}
RATIO_TARGETS = {"script": 1.35, "cc1": 1.25, "storm": 3.0, "storm-1M": 1.2}
BYTES_TARGETS = {"script": 0.75}
MEMORY_TARGET_BYTES = 256 << 20


class Tally:
    def __init__(self):
        self.met = self.missed = 0

    def verdict(self, value, limit, text, interval=None):
        """"<= LIMIT  ok", or MISS; '?' behind it when the interval reaches over the target."""
        if limit is None:
            return ""
        met = value <= limit
        self.met += met
        self.missed += not met
        doubt = interval and interval[0] <= limit < interval[1]
        return f"<= {text}  {'ok' if met else 'MISS'}{' ?' if doubt else ''}"


def paired_ratio(seconds):
    ratios = [recorded / plain for plain, recorded in zip(seconds["plain"], seconds["recorded"])]
    source = random.Random(1)
    medians = sorted(statistics.median(source.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES))
    return statistics.median(ratios), (medians[RESAMPLES // 40], medians[-1 - RESAMPLES // 40])


def other_text(row):
    if "absent" in row:
        return "absent"
    return f"{row['ratio']:.1f}{' *' if row['is_short'] else ''}"


def times_table(programs, tally):
    print("\nwall time, recorded by unrecorded")
    print(f"  {'':30}{'plain':>8}{'recorded':>10}{'ratio':>7} {'95 %':15} {'target':16}{'heaptrack':>10}{'ltrace':>10}")
    for program in programs:
        ratio, interval = paired_ratio(program["seconds"])
        limit = RATIO_TARGETS.get(program["name"])
        verdict = tally.verdict(ratio, limit, f"{limit:.2f}" if limit else "", interval)
        plain, recorded = (statistics.median(program["seconds"][key]) for key in ("plain", "recorded"))
        print(f"  {WHAT.get(program['name'], program['name']):30}{plain:6.2f} s{recorded:8.2f} s{ratio:7.2f} "
              f"{f'[{interval[0]:.2f}, {interval[1]:.2f}]':15} {verdict:16}"
              f"{other_text(program['others']['heaptrack']):>10}{other_text(program['others']['ltrace']):>10}")
    if any(row.get("is_short") for program in programs for row in program["others"].values()):
        print("  * on a short form of the program, beside that unrecorded: the whole would take minutes")
    print("  heaptrack and ltrace see malloc alone: CPython runs with PYTHONMALLOC=malloc under them, one run each")
    for name in ("heaptrack", "ltrace"):
        reasons = {program["others"][name]["absent"] for program in programs if "absent" in program["others"][name]}
        for reason in sorted(reasons):
            print(f"  {name}: {reason}")


def sizes_table(programs, tally):
    print("\nthe trace, and the most memory that the recorder had resident (rings that were used included)")
    print(f"  {'':30}{'events':>12}{'events/s':>14}{'bytes/event':>13} {'target':14}{'memory':>10} target")
    for program in programs:
        per_event = program["bytes"] / program["event_count"]
        limit = BYTES_TARGETS.get(program["name"])
        size = tally.verdict(per_event, limit, f"{limit:.2f}" if limit else "")
        memory = tally.verdict(program["memory_peak_bytes"], MEMORY_TARGET_BYTES, f"{MEMORY_TARGET_BYTES >> 20} MiB")
        rate = program["event_count"] / statistics.median(program["seconds"]["recorded"])
        print(f"  {WHAT.get(program['name'], program['name']):30}{program['event_count']:12,}{rate:14,.0f}{per_event:13.3f} "
              f"{size:14}{program['memory_peak_bytes'] / (1 << 20):6.0f} MiB {memory}")


def header(context):
    print(f"{context['started']}  {context['cpu']}, {context['cpu_count']} cpus, {context['kernel']}")
    print(f"{context['mmreplay']}, {context['rounds']} rounds, load average {context['load_average']:.1f} at the start")
    if context["load_average"] > context["cpu_count"] / 2:
        print("  the machine is not quiet: ratios of interleaved runs stand it better than figures, but not well")
    print("targets: ok, MISS, or '?' behind them when the interval reaches over the target")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    parser.add_argument("result")
    arguments = parser.parse_args()
    with open(arguments.result, encoding="utf-8") as file:
        result = json.load(file)
    tally = Tally()
    header(result["context"])
    times_table(result["programs"], tally)
    sizes_table(result["programs"], tally)
    print(f"\n{tally.met} targets met, {tally.missed} missed")
    return 1 if arguments.check and tally.missed else 0


if __name__ == "__main__":
    sys.exit(main())
