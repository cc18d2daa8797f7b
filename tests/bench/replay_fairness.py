#!/usr/bin/env python3
"""The replay's figures held against a loop written by hand (hand_loop.c): same pattern, same sizes, both interleaved.

usage: replay_fairness.py MMREPLAY HAND_LOOP ROUNDS NAME:LIVE:TRACE.yaml…
"""

import json
import os
import statistics
import subprocess
import sys


def replay_once(mmreplay, path, cpu):
    """Net and gross ns per operation of one round on the system's malloc, and the number of operations."""
    out = subprocess.run([mmreplay, "replay", "-n", "1", "-a", "system", "--memory-rounds", "0", "--cpu", str(cpu),
                          "--json", "-", path], check=True, capture_output=True, text=True).stdout
    trace = json.loads(out)["traces"][0]
    metrics = next(row for row in trace["allocators"] if row["name"] == "system")["metrics"]
    return metrics["ns_per_op"]["median"], metrics["ns_per_op_raw"]["median"], trace["operations"]


def hand_once(hand_loop, live, operations, cpu):
    """The same of the loop written by hand."""
    out = subprocess.run([hand_loop, live, str(operations)], check=True, capture_output=True, text=True,
                         preexec_fn=lambda: os.sched_setaffinity(0, {cpu})).stdout
    gross, empty = map(float, out.split())
    return gross - empty, gross


def main():
    mmreplay, hand_loop, rounds, *patterns = sys.argv[1:]
    cpu = max(os.sched_getaffinity(0))
    print(f"ns per operation on the system's malloc, medians of {rounds} interleaved rounds\n"
          f"  {'':14}{'replay, net':>12}{'by hand, net':>14}{'ratio':>7}{'difference':>12}{'replay, gross':>15}"
          f"{'by hand, gross':>16}")
    for pattern in patterns:
        name, live, path = pattern.split(":", 2)
        pairs = []
        for _ in range(int(rounds)):
            *replayed, operations = replay_once(mmreplay, path, cpu)
            pairs.append((*replayed, *hand_once(hand_loop, live, operations, cpu)))
        net, gross, hand_net, hand_gross = (statistics.median(column) for column in zip(*pairs))
        ratio = statistics.median(row[0] / row[2] for row in pairs)
        print(f"  {name:14}{net:12.2f}{hand_net:14.2f}{ratio:7.2f}{net - hand_net:12.2f}{gross:15.2f}{hand_gross:16.2f}")


if __name__ == "__main__":
    main()
