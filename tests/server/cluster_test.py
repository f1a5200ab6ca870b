"""A cluster of real processes: founding, joining, and coming back after kill -9."""

import signal

from cluster import Cluster, check, connected, wait_whole, write
from harness import encode, run, wait_until

KEYS = ["key:%d" % number for number in range(200)]     # more than there are partitions


def test_what_is_written_at_one_node_is_read_at_all(setup):
    cluster = Cluster(setup, 3)
    for index, node in enumerate(cluster.nodes):
        write(node, KEYS, "value %d" % index)
        for other in cluster.nodes:
            check(other, KEYS, "value %d" % index)


def test_a_killed_node_comes_back_and_nothing_is_lost(setup):
    cluster = Cluster(setup, 3)
    for index in (2, 0):
        write(cluster.nodes[1], KEYS, "before %d" % index)
        cluster.kill(index)
        cluster.start(index)
        for node in cluster.nodes:
            check(node, KEYS, "before %d" % index)
        write(cluster.nodes[index], KEYS, "after %d" % index)
        for node in cluster.nodes:
            check(node, KEYS, "after %d" % index)


def test_a_node_may_end_as_soon_as_the_cluster_says_that_all_copies_are_there(setup):
    cluster = Cluster(setup, 3)
    wait_whole(cluster.nodes, 3)
    with cluster.nodes[2].client() as client:
        for key in KEYS:
            assert client.call("SET", key, "value") == "OK"
        cluster.kill(0)
        for key in KEYS:                    # not tried again: whoever looks for a leader holds the command
            assert client.call("GET", key) == b"value"
            assert client.call("SET", key, "more") == "OK"


def test_all_nodes_are_killed_at_once_and_nothing_is_lost(setup):
    cluster = Cluster(setup, 3)
    write(cluster.nodes[0], KEYS, "value")
    for index in range(3):
        cluster.nodes[index].signal(signal.SIGKILL)
    for index in range(3):
        cluster.nodes[index].wait_end()
        cluster.start(index)
    for node in cluster.nodes:
        check(node, KEYS, "value")


def settled(node):
    """All partitions have their copies and leaders, as this node knows it."""
    with connected(node) as client:
        lines = client.call("CLUSTER", "INFO").decode().split("\r\n")
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    return facts["cluster_leaderless_partitions"] == "0" and facts["cluster_under_replicated_partitions"] == "0"


class Counters:
    """Counts and appends through one node, many at a time; every answer must be the right one."""

    def __init__(self, client):
        self.client, self.round = client, 0

    def ask(self):
        self.round += 1
        words = []
        for number in range(100):
            words.append(encode("INCR", "counter:%d" % number))
            words.append(encode("RPUSH", "list:%d" % number, "%d:%d" % (number, self.round)))
            words.append(encode("MULTI") + encode("INCR", "{t%d}a" % number) + encode("DECR", "{t%d}b" % number) + encode("EXEC"))
        self.client.socket.sendall(b"".join(words))

    def check_answers(self):
        for number in range(100):
            expected = (self.round, self.round, "OK", "QUEUED", "QUEUED", [self.round, -self.round])
            got = tuple(self.client.read() for _ in expected)
            assert got == expected, "round %d, counter %d: %r" % (self.round, number, got)

    def count(self):
        self.ask()
        self.check_answers()

    def check_at(self, node):
        with connected(node) as client:
            for number in range(100):
                assert client.call("GET", "counter:%d" % number) == b"%d" % self.round
                elements = [b"%d:%d" % (number, each + 1) for each in range(self.round)]
                assert client.call("LRANGE", "list:%d" % number, 0, -1) == elements


def test_who_writes_through_a_node_that_lives_sees_no_leader_die(setup):
    cluster = Cluster(setup, 3)
    wait_until(lambda: settled(cluster.nodes[2]), "the partitions to have their copies")
    with cluster.nodes[2].client() as client:
        counters = Counters(client)
        for index in (0, 1):
            for _ in range(5):
                counters.count()
            counters.ask()
            cluster.kill(index)
            counters.check_answers()
            counters.count()
            cluster.start(index)
            for _ in range(5):
                counters.count()
            wait_until(lambda: settled(cluster.nodes[2]), "the partitions to have their copies again")
        for node in cluster.nodes:
            counters.check_at(node)


def test_the_nodes_end_in_order(setup):
    cluster = Cluster(setup, 3)
    write(cluster.nodes[2], KEYS, "value")
    for node in cluster.nodes:
        assert node.stop() == 0, node.log()


if __name__ == "__main__":
    run(globals())
