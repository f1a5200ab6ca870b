"""WAITAOF counts what other nodes have synced, whatever appendfsync says."""

import signal
import time

from cluster import Cluster, answer, connected, wait_whole
from harness import run, wait_until

KEYS = ["key:%d" % number for number in range(40)]


def set_all(client):
    for key in KEYS:
        wait_until(lambda key=key: answer(client, "SET", key, "value") == "OK", "SET %s" % key)


def test_everysec(setup):
    cluster = Cluster(setup, 3)
    wait_whole(cluster.nodes, 3)
    for node in cluster.nodes:
        with connected(node) as client:
            set_all(client)
            begin = time.monotonic()
            assert client.call("WAITAOF", 1, 2, 10000) == [1, 2]
            assert time.monotonic() - begin < 5
            # Nobody has a third one; whoever was asked has no more to say than the time allows.
            wait_until(lambda client=client: client.call("WAITAOF", 0, 3, 200) == [1, 2], "two others to have synced it")
    # Who takes nothing syncs nothing.
    cluster.nodes[2].signal(signal.SIGSTOP)
    with connected(cluster.nodes[0]) as client:
        set_all(client)
        assert client.call("WAITAOF", 1, 2, 3000) == [1, 1]
        cluster.nodes[2].signal(signal.SIGCONT)
        assert client.call("WAITAOF", 1, 2, 10000) == [1, 2]


def test_always(setup):
    cluster = Cluster(setup, 3, "--appendfsync", "always")
    wait_whole(cluster.nodes, 3)
    with connected(cluster.nodes[1]) as client:
        set_all(client)
        assert client.call("WAITAOF", 1, 2, 10000) == [1, 2]


def test_without_a_log_nothing_is_synced(setup):
    cluster = Cluster(setup, 3, "--appendonly", "no")
    wait_whole(cluster.nodes, 3)
    with connected(cluster.nodes[1]) as client:
        set_all(client)
        assert client.call("WAITAOF", 0, 1, 1500) == [0, 0]


if __name__ == "__main__":
    run(globals())
