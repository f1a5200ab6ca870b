"""A cluster of real processes: founding, joining, and coming back after kill -9."""

import os
import signal

from harness import ReplyError, free_port, run, wait_until


class Cluster:
    """Nodes on free ports; the second and later ones join the first."""

    def __init__(self, setup, count):
        self.setup, self.nodes, self.ports = setup, [], []
        for index in range(count):
            self.ports.append(free_port())
            self.nodes.append(None)
            self.start(index)
        for node in self.nodes[1:]:
            wait_until(lambda node=node: "-> member of a cluster of" in node.log(), "port %d to be let in" % node.port)

    def start(self, index):
        directory = os.path.join(self.setup.folder, "node%d" % (index + 1))
        join = () if index == 0 else ("--join", "127.0.0.1:%d" % self.ports[0])
        self.nodes[index] = self.setup.server(*join, directory=directory, port=self.ports[index])

    def kill(self, index):
        self.nodes[index].signal(signal.SIGKILL)
        self.nodes[index].wait_end()


def answer(client, *words):
    """The reply, or None for an error: the cluster is looking for leaders, and the command may be sent again."""
    try:
        return client.call(*words)
    except ReplyError:
        return None


def connected(node):
    """A client, as soon as the node listens: one that was started again has the log of its life before."""
    def connect():
        try:
            return node.client()
        except ConnectionError:
            return None
    return wait_until(connect, "port %d to listen" % node.port)


def write(node, keys, value):
    with connected(node) as client:
        for key in keys:
            wait_until(lambda key=key: answer(client, "SET", key, value) == "OK", "SET %s at port %d" % (key, node.port))


def check(node, keys, value):
    with connected(node) as client:
        for key in keys:
            got = wait_until(lambda key=key: answer(client, "GET", key), "GET %s at port %d" % (key, node.port))
            assert got == value.encode(), "%s at port %d: %r" % (key, node.port, got)


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


def test_the_nodes_end_in_order(setup):
    cluster = Cluster(setup, 3)
    write(cluster.nodes[2], KEYS, "value")
    for node in cluster.nodes:
        assert node.stop() == 0, node.log()


def test_joining_needs_a_log(setup):
    code, output = setup.run("--port", str(free_port()), "--dir", setup.folder, "--join", "127.0.0.1:1", "--appendonly", "no")
    assert code == 1 and "a node of a cluster needs its log" in output, (code, output)


if __name__ == "__main__":
    run(globals())
