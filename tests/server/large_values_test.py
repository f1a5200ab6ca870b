"""Values of 50 MB in a cluster of three: nobody is taken for dead because it is busy with one."""

import os
import time

from cluster import Cluster, connected, wait_whole
from harness import ReplyError, Skip, run, wait_until

MB = 1_000_000
PARTITIONS = 8
ATTEMPTS = 3
OTHERS_MAX = 0.3    # of a processor
TURN_MS_MAX = 250   # who is silent for so long is suspected


def is_sanitized(setup):
    with open(setup.binary, "rb") as file:
        program = file.read()
    return b"__asan_init" in program or b"__tsan_init" in program


def value_size(setup):
    """Sanitizers take several times as long for the same bytes."""
    return 8 * MB if is_sanitized(setup) else 50 * MB


def explain(client, key):
    told = client.call("QUORUM", "EXPLAIN", key)
    return {name.decode(): value for name, value in zip(told[::2], told[1::2])}


def a_key_of_each_partition(node):
    keys = {}
    with connected(node) as client:
        for number in range(1000):
            key = "key:%d" % number
            keys.setdefault(explain(client, key)["partition"], key)
            if len(keys) == PARTITIONS:
                return list(keys.values())
    raise AssertionError("keys of %d partitions only" % len(keys))


def leaders_and_terms(node, keys):
    with connected(node) as client:
        told = [explain(client, key) for key in keys]
    return [((each["leader-address"] or b"nobody").decode(), each["term"]) for each in told]


def wait_settled(node, keys):
    """Until each node leads something, and for a second nobody else."""
    seen, since = None, time.monotonic()

    def settled():
        nonlocal seen, since
        now = leaders_and_terms(node, keys)
        if now != seen:
            seen, since = now, time.monotonic()
        return len({leader for leader, _ in now}) == 3 and time.monotonic() - since > 1
    wait_until(settled, "leaders to be where they stay")
    return seen


def use_large_values(cluster, keys, leaders, size):
    """At the leader and through another node, of each node."""
    for index, node in enumerate(cluster.nodes):
        own = next(key for key, (leader, _) in zip(keys, leaders) if leader.endswith(":%d" % node.port))
        with connected(node) as here, connected(cluster.nodes[(index + 1) % 3]) as there:
            assert here.call("SET", own, b"a" * size) == "OK"
            assert there.call("SET", own, b"b" * size) == "OK"
            assert here.call("APPEND", own, "tail") == size + 4
            assert there.call("GET", own) == b"b" * size + b"tail"
            assert here.call("DEL", own) == 1


def nobody_is_deposed(cluster, keys, size):
    before = wait_settled(cluster.nodes[0], keys)
    try:
        use_large_values(cluster, keys, before, size)
    except ReplyError:
        return False    # whoever was asked leads no longer
    return leaders_and_terms(cluster.nodes[0], keys) == before


def seconds_of_others(cluster):
    """Of the processors, that went to anything but this test and its servers."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _, _, irq, softirq = (int(word) for word in file.readline().split()[1:8])
    ticks = user + nice + system + irq + softirq
    for node in cluster.nodes:
        with open("/proc/%d/stat" % node.process.pid, encoding="ascii") as file:
            words = file.read().rpartition(")")[2].split()
        ticks -= int(words[11]) + int(words[12])
    own = os.times()
    return ticks / os.sysconf("SC_CLK_TCK") - own.user - own.system


def longest_turn_ms(node):
    """Of the processor's time, so that it does not depend on what else the machine does."""
    with connected(node) as client:
        return int(client.info("stats")["eventloop_turn_cpu_usec_max"]) / 1000


def check_large_values(setup, *settings):
    cluster = Cluster(setup, 3, "--partitions", PARTITIONS, *settings)
    wait_whole(cluster.nodes, 3)
    keys = a_key_of_each_partition(cluster.nodes[0])
    is_kept, was_disturbed = False, True
    for _ in range(ATTEMPTS):
        began, others = time.monotonic(), seconds_of_others(cluster)
        is_kept = nobody_is_deposed(cluster, keys, value_size(setup))
        is_busy = seconds_of_others(cluster) - others > OTHERS_MAX * (time.monotonic() - began)
        was_disturbed = was_disturbed and is_busy
        if is_kept:
            break
    turns = [longest_turn_ms(node) for node in cluster.nodes]
    assert is_sanitized(setup) or max(turns) < TURN_MS_MAX, turns
    # Servers that wait for their turn as long as for their work depose each other as well.
    if not is_kept and was_disturbed:
        raise Skip("the machine is busy with other work")
    assert is_kept


def test_large_values_depose_nobody(setup):
    check_large_values(setup)


def test_large_values_in_memory_depose_nobody(setup):
    check_large_values(setup, "--appendonly", "no")


if __name__ == "__main__":
    run(globals())
