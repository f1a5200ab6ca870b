"""A large partition is given to a node that joins: in pieces, beside what else the nodes do."""

import threading
import time

from cluster import Cluster, cluster_info, connected, wait_whole
from harness import free_port, run, wait_until

KEYS = 60_000
VALUE = b"x" * 200
LARGE = b"y" * (12 << 20)
PAUSE_S_MAX = 1.5   # a machine that is busy with other tests stands still now and then


def fill(node):
    """About 24 MiB, all in one partition: many small values, and one that is larger than many pieces."""
    with connected(node) as client:
        for first in range(0, KEYS, 1000):
            client.call("MSET", *[word for number in range(first, first + 1000) for word in (b"{one}:%d" % number, VALUE)])
        client.call("SET", "{one}:large", LARGE)


def join(cluster):
    cluster.ports.append(free_port())
    cluster.nodes.append(None)
    cluster.start(2)


class Probe(threading.Thread):
    """Asks a node for a PONG again and again, and keeps the longest time that it took."""

    def __init__(self, node):
        super().__init__()
        self.node, self.longest, self.ends = node, 0.0, False
        self.start()

    def run(self):
        with connected(self.node) as client:
            while not self.ends:
                begin = time.monotonic()
                client.call("PING")
                self.longest = max(self.longest, time.monotonic() - begin)
                time.sleep(0.001)

    def stop(self):
        self.ends = True
        self.join()
        return self.longest


def holds_all(node):
    with connected(node) as client:
        client.call("READONLY")
        client.call("CLIENT", "QUORUM", "R", "local")
        assert client.call("STRLEN", "{one}:large") == len(LARGE)
        for number in range(0, KEYS, 997):
            assert client.call("GET", "{one}:%d" % number) == VALUE, number


def test_a_node_that_joins_is_given_a_large_partition_and_starts_with_it(setup):
    cluster = Cluster(setup, 2)
    wait_whole(cluster.nodes, 2)
    fill(cluster.nodes[0])
    probes = [Probe(node) for node in cluster.nodes]
    join(cluster)
    probes.append(Probe(cluster.nodes[2]))
    wait_whole(cluster.nodes, 3, seconds=60)
    pauses = [probe.stop() for probe in probes]
    assert max(pauses) < PAUSE_S_MAX, pauses
    assert "snapshot up to" in cluster.nodes[2].log()
    holds_all(cluster.nodes[2])
    # What it was given is in its log.
    cluster.kill(2)
    cluster.start(2)
    wait_whole(cluster.nodes, 3, seconds=60)
    holds_all(cluster.nodes[2])


def test_a_process_that_ends_while_it_is_given_states_begins_again(setup):
    cluster = Cluster(setup, 2)
    wait_whole(cluster.nodes, 2)
    fill(cluster.nodes[0])
    join(cluster)
    for moment_ms in (50, 150, 400):
        time.sleep(moment_ms / 1000)
        cluster.kill(2)
        cluster.start(2)
    wait_whole(cluster.nodes, 3, seconds=60)
    holds_all(cluster.nodes[2])
    assert wait_until(lambda: cluster_info(cluster.nodes[2])["cluster_state"] == "ok", "the third node")


if __name__ == "__main__":
    run(globals())
