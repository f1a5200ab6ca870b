"""Values of 50 MB in a cluster of three: nobody is taken for dead because it is busy with one."""

import time

from cluster import Cluster, connected, wait_whole
from harness import run, wait_until

MB = 1_000_000
PARTITIONS = 8


def value_size(setup):
    """Sanitizers take several times as long for the same bytes."""
    with open(setup.binary, "rb") as file:
        program = file.read()
    is_sanitized = b"__asan_init" in program or b"__tsan_init" in program
    return 8 * MB if is_sanitized else 50 * MB


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
    return [(each["leader-address"].decode(), each["term"]) for each in told]


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


def check_large_values(setup, *settings):
    cluster = Cluster(setup, 3, "--partitions", PARTITIONS, *settings)
    wait_whole(cluster.nodes, 3)
    keys = a_key_of_each_partition(cluster.nodes[0])
    before = wait_settled(cluster.nodes[0], keys)
    size = value_size(setup)
    for index, node in enumerate(cluster.nodes):
        own = next(key for key, (leader, _) in zip(keys, before) if leader.endswith(":%d" % node.port))
        with connected(node) as here, connected(cluster.nodes[(index + 1) % 3]) as there:
            assert here.call("SET", own, b"a" * size) == "OK"
            assert there.call("SET", own, b"b" * size) == "OK"
            assert here.call("APPEND", own, "tail") == size + 4
            assert there.call("GET", own) == b"b" * size + b"tail"
            assert here.call("DEL", own) == 1
    assert leaders_and_terms(cluster.nodes[0], keys) == before


def test_large_values_depose_nobody(setup):
    check_large_values(setup)


def test_large_values_in_memory_depose_nobody(setup):
    check_large_values(setup, "--appendonly", "no")


if __name__ == "__main__":
    run(globals())
