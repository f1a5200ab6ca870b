"""Logs of members that are damaged where they were synced: the node comes back by itself, as another one, or says why it does not."""

import os

from cluster import Cluster, check, connected, wait_whole, write
from harness import run, wait_until

KEYS = ["key:%d" % number for number in range(300)]
# Most of what a log holds: in front of it, where the founder's log has no other members yet, damage is refused.
KEPT = "kept" * 1000
SYNCED = ("--appendfsync", "always", "--log-repair", "rejoin")


def id_of(node):
    with connected(node) as client:
        return client.call("CLUSTER", "MYID").decode()


def nodes_of(node):
    with connected(node) as client:
        return client.call("CLUSTER", "NODES").decode()


def pairs(reply):
    return {name.decode(): value for name, value in zip(reply[::2], reply[1::2])}


def members_of(node):
    with connected(node) as client:
        return [pairs(each)["id"].decode() for each in pairs(client.call("QUORUM", "STATUS"))["nodes"]]


def newest(directory, suffix):
    return os.path.join(directory, sorted(name for name in os.listdir(directory) if name.endswith(suffix))[-1])


def damage(directory, part=0.6, suffix=".log"):
    """Overwrites some bytes at so much of what was written."""
    path = newest(directory, suffix)
    with open(path, "r+b") as file:
        size = len(file.read().rstrip(b"\0"))
        file.seek(int(size * part))
        was = file.read(4)
        file.seek(int(size * part))
        file.write(bytes(byte ^ 0x55 for byte in was))
    return path


def set_aside(directory):
    return sorted(name for name in os.listdir(directory) if name.endswith(".damaged"))


def comes_back(cluster, index, former):
    """All is as it was, and the former node is gone."""
    node = cluster.start(index)
    for each in cluster.nodes:
        wait_until(lambda each=each: former not in nodes_of(each), "port %d to know that it is gone" % each.port, 30)
    wait_whole(cluster.nodes, 3, 60)
    now = id_of(node)
    assert now != former and "joins in its place" in node.log(), node.log()[-3000:]
    for each in cluster.nodes:
        check(each, KEYS, KEPT)
        assert now in nodes_of(each) and former not in nodes_of(each), nodes_of(each)
        assert sorted(members_of(each)) == sorted(id_of(other) for other in cluster.nodes)
    names = set_aside(node.directory)
    assert any(name.startswith("node.identity.") for name in names) and any(name.startswith("shard0-") for name in names), names
    return now


def test_a_member_whose_log_is_damaged_comes_back_as_another_one(setup):
    cluster = Cluster(setup, 3, *SYNCED)
    wait_whole(cluster.nodes, 3, 60)
    write(cluster.nodes[0], KEYS, KEPT)
    for index in (1, 0):
        former = id_of(cluster.nodes[index])
        cluster.kill(index)
        damage(cluster.nodes[index].directory)
        now = comes_back(cluster, index, former)
        # An ordinary member from here on.
        cluster.kill(index)
        cluster.start(index)
        wait_whole(cluster.nodes, 3, 60)
        assert id_of(cluster.nodes[index]) == now
        assert "node.rejoin" not in os.listdir(cluster.nodes[index].directory)
        write(cluster.nodes[index], KEYS[:10], KEPT)


def test_a_damaged_snapshot_is_no_end_either(setup):
    cluster = Cluster(setup, 3, *SYNCED)
    wait_whole(cluster.nodes, 3, 60)
    write(cluster.nodes[0], KEYS, KEPT)
    with connected(cluster.nodes[2]) as client:
        client.call("BGREWRITEAOF")
    directory = cluster.nodes[2].directory
    wait_until(lambda: any(name.endswith(".snapshot") for name in os.listdir(directory)), "the snapshot", 30)
    wait_until(lambda: sum(name.endswith(".log") for name in os.listdir(directory)) == 1, "the log before it to be dropped", 30)
    former = id_of(cluster.nodes[2])
    cluster.kill(2)
    damage(directory, 0.95, ".snapshot")
    comes_back(cluster, 2, former)


def test_a_start_that_is_refused_changes_nothing_and_says_what_can_be_done(setup):
    cluster = Cluster(setup, 3, *SYNCED)
    wait_whole(cluster.nodes, 3, 60)
    write(cluster.nodes[0], KEYS, KEPT)
    former = id_of(cluster.nodes[2])
    cluster.kill(2)
    directory = cluster.nodes[2].directory
    path = damage(directory)
    with open(path, "rb") as file:
        damaged = file.read()
    for repair, reason in (("refuse", "--log-repair rejoin"), ("cut", "forgets votes")):
        node = cluster.start(2, "--log-repair", repair, wait=False)
        assert node.wait_end() == 1
        assert reason in node.log() and "not starting" in node.log(), node.log()[-3000:]
        with open(path, "rb") as file:
            assert file.read() == damaged
        assert set_aside(directory) == []
    comes_back(cluster, 2, former)


def test_of_two_members_none_retires(setup):
    cluster = Cluster(setup, 2, *SYNCED)
    wait_whole(cluster.nodes, 2, 60)
    write(cluster.nodes[0], KEYS, KEPT)
    cluster.kill(1)
    damage(cluster.nodes[1].directory, 0.9)
    node = cluster.start(1, wait=False)
    assert node.wait_end() == 1
    assert "QUORUM UNSAFE-RECOVER" in node.log(), node.log()[-3000:]
    assert set_aside(cluster.nodes[1].directory) == []


if __name__ == "__main__":
    run(globals())
