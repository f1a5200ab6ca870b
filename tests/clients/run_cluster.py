#!/usr/bin/env python3
"""Stock clients that know the cluster, while leaders move and a node is killed: no acknowledged write may be lost.

  tests/clients/run_cluster.py --server PATH [--only python|ioredis|redis|benchmark] [--cache DIR]

After the leaders have moved, less than 5 % of the requests may be forwarded: the clients follow MOVED.
Exit status: 0 all that ran passed, 1 a failure, 77 nothing failed and something was skipped.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "server"))
from cluster import Cluster, cluster_info, wait_whole  # noqa: E402
from harness import Setup, wait_until  # noqa: E402
from run import PYTHON, ROOT, SKIPPED, have_npm, have_python  # noqa: E402

FORWARDED_PART_MAX = 0.05
MOVED_WITHIN_S = 5


def requests(cluster):
    """(forwarded, all) of clients, as all nodes count them together."""
    forwarded = processed = 0
    for node in cluster.nodes:
        with node.client() as client:
            stats = client.info("stats")
            forwarded += int(stats["requests_forwarded"])
            processed += int(stats["total_commands_processed"])
    return forwarded, processed


def check_load(cluster, argv):
    """What the clients say at the end; raises when anything is wrong."""
    load = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        ready = load.stdout.readline()
        assert ready == "ready\n", ready + load.stdout.read()
        with cluster.nodes[1].client() as client:
            assert client.call("CLUSTER", "FAILOVER") == "OK"
        time.sleep(MOVED_WITHIN_S)          # the bound that is claimed, not a wait for something
        before = requests(cluster)
        time.sleep(2)
        after = requests(cluster)
        part = (after[0] - before[0]) / max(1, after[1] - before[1])
        assert part < FORWARDED_PART_MAX, "%.1f %% of the requests are forwarded" % (100 * part)
        cluster.kill(2)
        time.sleep(2)
        cluster.start(2)
        wait_whole(cluster.nodes, 3, 60)
        assert load.poll() is None, load.stdout.read()
        said = load.communicate("end\n", timeout=60)[0]
        assert load.returncode == 0, said
        return "%s; %.2f %% forwarded after the leaders had moved" % (said.strip(), 100 * part)
    finally:
        if load.poll() is None:
            load.kill()
            load.communicate()


def check_benchmark(cluster):
    done = subprocess.run(["redis-benchmark", "--cluster", "-p", str(cluster.ports[0]), "-q", "-n", "5000", "-t", "set,get,incr,lpush"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
    rates = [line.split("\r")[-1].strip() for line in done.stdout.split("\n") if "requests per second" in line]
    assert done.returncode == 0 and len(rates) == 4, done.stdout[-1000:]
    done = subprocess.run(["redis-cli", "--cluster", "check", "127.0.0.1:%d" % cluster.ports[0]],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
    assert done.returncode == 0 and "All 16384 slots covered" in done.stdout, done.stdout[-1000:]
    return "; ".join(rates)


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--server", default=os.path.join(ROOT, "build/bin/quorate-server"))
    ap.add_argument("--only", choices=("python", "ioredis", "redis", "benchmark"))
    ap.add_argument("--cache", default=os.environ.get("QUORATE_CLIENTS_CACHE", os.path.join(ROOT, ".quorate", "clients")))
    args = ap.parse_args()
    cache = os.path.abspath(args.cache)
    npm = have_npm(cache) if args.only in (None, "ioredis", "redis") else None
    checks = {
        "benchmark": (bool(shutil.which("redis-benchmark")) or "no redis-benchmark", check_benchmark),
        "python": (have_python() if args.only in (None, "python") else None,
                   lambda cluster: check_load(cluster, [PYTHON, os.path.join(HERE, "cluster_python.py"), str(cluster.ports[0])])),
        "ioredis": (npm, lambda cluster: check_load(
            cluster, ["node", os.path.join(HERE, "cluster_ioredis.js"), str(cluster.ports[0]), cache])),
        "redis": (npm, lambda cluster: check_load(
            cluster, ["node", os.path.join(HERE, "cluster_redis.js"), str(cluster.ports[0]), cache])),
    }
    failed = skipped = 0
    for name, (able, check) in checks.items():
        if args.only not in (None, name):
            continue
        if able is not True:
            print("%s: skipped: %s" % (name, able))
            skipped += 1
            continue
        setup = Setup(argparse.Namespace(server=os.path.abspath(args.server), faulty_server=None))
        try:
            cluster = Cluster(setup, 3, "--partitions", 32)
            wait_whole(cluster.nodes, 3, 60)
            # redis-benchmark knows of no node that led nothing when it began.
            wait_until(lambda cluster=cluster: all(cluster_info(node)["cluster_size"] == "3" for node in cluster.nodes), "all to lead")
            print("%s: passed: %s" % (name, check(cluster)), flush=True)
        except Exception as problem:    # any failure of one client must not hide the others
            failed += 1
            print("%s: FAILED\n%s" % (name, problem), flush=True)
        finally:
            setup.clean_up()
    return 1 if failed else SKIPPED if skipped else 0


if __name__ == "__main__":
    sys.exit(main())
