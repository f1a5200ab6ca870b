#!/usr/bin/env python3
"""One seed, one run: two processes of the simulator that are given the same seed must tell the same story, to the last line.
Usage: sim_twice.py --sim PATH --world NAME [--seed N] [--seeds N] [--steps N]"""
import argparse
import subprocess
import sys


def story(arguments, seed):
    words = [arguments.sim, str(seed), "--world", arguments.world, "--steps", str(arguments.steps), "--log"]
    run = subprocess.run(words, capture_output=True, text=True, check=False)
    # How fast this machine is belongs to no story.
    return [line for line in run.stdout.splitlines() if "in a second of the processor" not in line] + [run.stderr]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sim", required=True)
    parser.add_argument("--world", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=300)
    arguments = parser.parse_args()
    for seed in range(arguments.seed, arguments.seed + arguments.seeds):
        first, second = story(arguments, seed), story(arguments, seed)
        if first == second and len(first) > 3:
            print(f"seed {seed}: {len(first)} lines, twice the same: {first[-2]}")
            continue
        for number, (one, other) in enumerate(zip(first, second)):
            if one != other:
                print(f"seed {seed}, line {number + 1}:\n  {one}\n  {other}")
                break
        else:
            print(f"seed {seed}: {len(first)} and {len(second)} lines")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
