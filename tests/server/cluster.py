"""Several server processes that are one store, on this machine or each in a network namespace of its own."""

import os
import signal

from harness import ReplyError, free_port, wait_until
from network import end_with_parent


class Cluster:
    """Nodes on free ports; the second and later ones join the first.  `network`: where each is a machine of its own."""

    def __init__(self, setup, count, *settings, network=None):
        self.setup, self.settings, self.network = setup, settings, network
        self.nodes, self.ports = [], []
        self.grow(count)

    def grow(self, count):
        """Starts more nodes, until there are so many."""
        first = len(self.nodes)
        for index in range(first, count):
            self.ports.append(free_port())
            self.nodes.append(None)
            self.start(index)
        for node in self.nodes[max(first, 1):]:
            wait_until(lambda node=node: "-> member of a cluster of" in node.log(), "port %d to be let in" % node.port)

    def host(self, index):
        return self.network.address(index) if self.network else "127.0.0.1"

    def start(self, index, *more, wait=True):
        """Starts the node, or starts it again on its data."""
        words = ["--join", "%s:%d" % (self.host(0), self.ports[0])] if index > 0 else []
        prefix = ()
        if self.network:
            words += ["--bind", self.host(index), "--protected-mode", "no"]
            prefix = self.network.prefix(index)
        directory = os.path.join(self.setup.folder, "node%d" % (index + 1))
        self.nodes[index] = self.setup.server(
            *words, *self.settings, *more, directory=directory, port=self.ports[index], host=self.host(index), prefix=prefix,
            preexec=end_with_parent, wait=wait)
        return self.nodes[index]

    def kill(self, *indexes):
        """SIGKILL to all of them at once."""
        for index in indexes:
            self.nodes[index].signal(signal.SIGKILL)
        for index in indexes:
            self.nodes[index].wait_end()


def answer(client, *words):
    """The reply, or None for an error: the cluster is looking for leaders, and the command may be sent again."""
    try:
        return client.call(*words)
    except ReplyError:
        return None


def connected(node):
    """A client, as soon as the node listens."""
    def connect():
        try:
            return node.client()
        except ConnectionError:
            return None
    return wait_until(connect, "port %d to listen" % node.port)


def cluster_info(node):
    """The fields of CLUSTER INFO."""
    with connected(node) as client:
        lines = client.call("CLUSTER", "INFO").decode().split("\r\n")
    return dict(line.split(":", 1) for line in lines if ":" in line)


def status_text(node):
    with connected(node) as client:
        return repr(answer(client, "QUORUM", "STATUS"))


def wait_whole(nodes, count, seconds=20):
    """Until each of the nodes knows `count` nodes, a leader of every partition and as many copies as there shall be."""
    for node in nodes:
        def whole(node=node):
            info = cluster_info(node)
            return (info["cluster_state"] == "ok" and int(info["cluster_known_nodes"]) == count and
                    info["cluster_under_replicated_partitions"] == "0" and info["cluster_leaderless_partitions"] == "0")


        def lacks(node=node):
            seen = "".join("\nport %d: %s\n%s" % (each.port, cluster_info(each), status_text(each)) for each in nodes)
            return "port %d to see %d nodes and all copies:%s" % (node.port, count, seen)
        wait_until(whole, lacks, seconds)


def write(node, keys, value):
    with connected(node) as client:
        for key in keys:
            wait_until(lambda key=key: answer(client, "SET", key, value) == "OK", "SET %s at port %d" % (key, node.port))


def check(node, keys, value):
    with connected(node) as client:
        for key in keys:
            got = wait_until(lambda key=key: answer(client, "GET", key), "GET %s at port %d" % (key, node.port))
            assert got == value.encode(), "%s at port %d: %r" % (key, node.port, got)
