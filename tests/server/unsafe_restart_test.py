"""All nodes lose power or end at once, and some never come back: those that are left are enough by number, and may have forgotten."""

import os
import shutil

from cluster import Cluster, check, cluster_info, connected, wait_whole, write
from harness import run, wait_until
from unsafe_recovery_test import KEYS, error_of, id_of, pairs, recover, write_everywhere


def lose_power(setup, cluster, lost, *left):
    """All end at once, as if the power had gone: those that come back cannot know what their disks have missed."""
    cluster.kill(*range(len(cluster.nodes)))
    shutil.rmtree(os.path.join(setup.folder, "node%d" % (lost + 1)))
    for index in left:
        os.remove(os.path.join(setup.folder, "node%d" % (index + 1), "node.mark"))
    for index in left:
        cluster.start(index)


def join(setup, cluster, left):
    """An empty node joins the one that is left."""
    return setup.server("--join", "127.0.0.1:%d" % cluster.ports[left], *cluster.settings, directory=os.path.join(setup.folder, "fresh"))


def one_of_three_never_comes_back(setup, lost):
    """The other two are enough by number, and may have forgotten what they acknowledged."""
    cluster = Cluster(setup, 3, "--appendfsync", "no")
    wait_whole(cluster.nodes, 3)
    write_everywhere(cluster.nodes[0], KEYS, "before", 2)
    gone = id_of(cluster.nodes[lost])
    left = [index for index in range(3) if index != lost]
    lose_power(setup, cluster, lost, *left)
    first, second = (cluster.nodes[index] for index in left)
    wait_until(lambda: cluster_info(first)["cluster_leaderless_partitions"] == "128", "nobody to lead anything")
    recover(cluster, left[0], gone)
    wait_whole([first, second], 2, 60)
    for node in (first, second):
        check(node, KEYS, "before")
    write(second, KEYS, "after")
    check(first, KEYS, "after")
    told = []
    for node in (first, second):
        with connected(node) as client:
            told += [record["partition"] for record in map(pairs, client.call("QUORUM", "LOST")) if record["kind"] == b"unsafe-recovery"]
    assert sorted(told) == list(range(128)), told
    assert "what was acknowledged beyond that is lost" in first.log() + second.log()
    nodes = [first, second, join(setup, cluster, left[0])]
    wait_whole(nodes, 3, 60)
    check(nodes[2], KEYS, "after")
    # All three count: any of them may go.
    cluster.kill(left[1])
    write(nodes[2], KEYS, "three")
    check(first, KEYS, "three")


def test_all_lost_power_and_the_first_of_three_never_comes_back(setup):
    one_of_three_never_comes_back(setup, 0)


def test_all_lost_power_and_the_last_of_three_never_comes_back(setup):
    one_of_three_never_comes_back(setup, 2)


def test_all_nodes_without_logs_ended_and_one_of_three_never_comes_back(setup):
    """Nothing is left of what they held, and that is not to be begun with unless an operator says so."""
    cluster = Cluster(setup, 3, "--appendonly", "no", "--partitions", "16")
    wait_whole(cluster.nodes, 3)
    write(cluster.nodes[0], KEYS, "before")
    gone = id_of(cluster.nodes[2])
    cluster.kill(0, 1, 2)
    shutil.rmtree(os.path.join(setup.folder, "node3"))
    left = [cluster.start(index) for index in (0, 1)]
    with connected(left[0]) as client:
        def is_told():
            refusal = error_of(client, "QUORUM", "UNSAFE-RECOVER", gone)
            again = ("LOADING", "is heard of", "neither named nor heard of", "has not answered")
            assert refusal is not None and any(text in refusal for text in (*again, "nobody who is left has a copy of 16 partitions")), refusal
            return "nobody who is left" in refusal
        wait_until(is_told, "the refusal")
        wait_until(lambda: cluster_info(left[0])["cluster_known_nodes"] == "3", "all three to be members still")
    recover(cluster, 0, "EMPTY", gone)
    wait_whole(left, 2, 60)
    with connected(left[1]) as client:
        assert [client.call("GET", key) for key in KEYS] == [None] * len(KEYS)
    write(left[1], KEYS, "after")
    nodes = [*left, join(setup, cluster, 0)]
    wait_whole(nodes, 3, 60)
    check(nodes[2], KEYS, "after")
    cluster.kill(1)
    write(nodes[2], KEYS, "three")
    check(left[0], KEYS, "three")


if __name__ == "__main__":
    run(globals())
