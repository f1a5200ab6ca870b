"""Disks that are not what they seem: a copy beside its original, a copy instead of it, an old state put back, a stranger's."""

import os
import shutil

from cluster import Cluster, check, connected, wait_whole, write
from harness import ReplyError, Skip, run, wait_until

KEYS = ["key:%d" % number for number in range(200)]


def needs_marks(cluster):
    if not os.path.exists(os.path.join(cluster.nodes[0].directory, "node.mark")):
        raise Skip("this version leaves no mark in a directory that says whose it is")


def joined(cluster, setup, directory):
    """A process on the directory, told where the cluster is."""
    return setup.server("--join", "127.0.0.1:%d" % cluster.ports[0], directory=directory, wait=False)


def is_refused(server):
    assert server.wait_end() == 1, server.log()[-2000:]
    assert "copy" in server.log(), server.log()[-2000:]
    assert "CRASHED" not in server.log(), server.log()[-2000:]


def test_a_copy_is_refused_beside_its_original(setup):
    cluster = Cluster(setup, 3)
    wait_whole(cluster.nodes, 3)
    needs_marks(cluster)
    write(cluster.nodes[0], KEYS, "before")
    copy = os.path.join(setup.folder, "copy")
    cluster.nodes[2].stop()
    shutil.copytree(cluster.nodes[2].directory, copy)
    cluster.start(2)
    write(cluster.nodes[0], KEYS, "after")
    is_refused(joined(cluster, setup, copy))
    wait_whole(cluster.nodes, 3)
    for node in cluster.nodes:
        check(node, KEYS, "after")


def test_a_copy_is_refused_instead_of_its_original(setup):
    """It may be older than what the original acknowledged last."""
    cluster = Cluster(setup, 3)
    wait_whole(cluster.nodes, 3)
    needs_marks(cluster)
    write(cluster.nodes[0], KEYS, "before")
    copy = os.path.join(setup.folder, "copy")
    cluster.nodes[2].stop()
    shutil.copytree(cluster.nodes[2].directory, copy)
    cluster.start(2)
    write(cluster.nodes[0], KEYS, "after")
    cluster.nodes[2].stop()
    is_refused(joined(cluster, setup, copy))
    cluster.start(2)
    for node in cluster.nodes:
        check(node, KEYS, "after")


def test_a_copy_of_a_running_node_is_refused(setup):
    """Two processes with one id at the same time."""
    cluster = Cluster(setup, 3)
    wait_whole(cluster.nodes, 3)
    needs_marks(cluster)
    write(cluster.nodes[0], KEYS, "before")
    copy = os.path.join(setup.folder, "copy")
    shutil.copytree(cluster.nodes[2].directory, copy)
    is_refused(joined(cluster, setup, copy))
    write(cluster.nodes[2], KEYS, "after")
    for node in cluster.nodes:
        check(node, KEYS, "after")


def test_data_of_its_own_is_not_thrown_away_by_joining(setup):
    cluster = Cluster(setup, 2)
    own = os.path.join(setup.folder, "own")
    alone = setup.server(directory=own)
    with alone.client() as client:
        client.call("SET", "mine", "1")
    alone.stop()
    server = joined(cluster, setup, own)
    assert server.wait_end() == 1, server.log()[-2000:]
    assert "holds data of its own, which joining would replace" in server.log(), server.log()[-2000:]
    again = setup.server(directory=own)
    with again.client() as client:
        assert client.call("GET", "mine") == b"1"


def test_a_node_of_another_cluster_is_not_let_in(setup):
    """Its --join is only a hint where to look for its own cluster: it stays with that, and the two never mix."""
    one, other = Cluster(setup, 2), Cluster(Part(setup, "other"), 2)
    write(one.nodes[0], KEYS, "one")
    write(other.nodes[0], KEYS, "other")
    for node in other.nodes:
        node.stop()     # both: who hears its own cluster first does not look any further
    stray = setup.server("--join", "127.0.0.1:%d" % one.ports[0], directory=other.nodes[1].directory, port=other.ports[1])
    wait_until(lambda: "refused: another cluster" in stray.log() or "refused: another cluster" in one.nodes[0].log(), "the refusal")
    other.start(0)
    check(stray, KEYS, "other")
    check(one.nodes[1], KEYS, "one")
    wait_whole(one.nodes, 2)
    wait_whole([other.nodes[0], stray], 2)


def test_a_second_cluster_is_not_joined_by_meet(setup):
    one, other = Cluster(setup, 2), Cluster(Part(setup, "other"), 2)
    with connected(other.nodes[0]) as client:
        try:
            client.call("CLUSTER", "MEET", "127.0.0.1", one.ports[0])
            raise AssertionError("a member of one cluster has met another")
        except ReplyError:
            pass
    wait_whole(one.nodes, 2)
    wait_whole(other.nodes, 2)


class Part:
    """The same setup with a folder of its own for the nodes' directories."""

    def __init__(self, setup, name):
        self.setup, self.folder = setup, os.path.join(setup.folder, name)
        os.mkdir(self.folder)

    def server(self, *args, **options):
        return self.setup.server(*args, **options)


if __name__ == "__main__":
    run(globals())
