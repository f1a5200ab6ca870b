"""node-dead-after: what a node held that is silent for so long is made elsewhere, and it gets its share again when it is back."""

import signal

from cluster import Cluster, answer, check, cluster_info, connected, wait_whole, write
from handover_test import KEYS as COUNTERS, Writer, sum_of
from harness import run, wait_until

KEYS = ["key:%d" % number for number in range(300)]     # more than there are partitions
PARTITIONS = 128
COPIES = 3
DEAD_AFTER = ("--node-dead-after", "1500")


def pairs(reply):
    """A flat list of names and values as a dictionary."""
    return {name.decode(): value for name, value in zip(reply[::2], reply[1::2])}


def id_of(node):
    with connected(node) as client:
        return client.call("CLUSTER", "MYID")


def told_of(node, name):
    """What QUORUM STATUS at `node` says of the node with this name."""
    with connected(node) as client:
        nodes = [pairs(each) for each in pairs(client.call("QUORUM", "STATUS"))["nodes"]]
    return next(each for each in nodes if each["id"] == name)


def holders(node, keys):
    """Who has a copy of the partition of each key."""
    with connected(node) as client:
        return {key: {pairs(each)["node"] for each in pairs(client.call("QUORUM", "EXPLAIN", key))["replicas"]} for key in keys}


def wait_without(nodes, name, count):
    """Until `name` is dead, holds nothing, and all partitions have their copies elsewhere."""
    for node in nodes:
        wait_until(lambda node=node: told_of(node, name)["state"] == b"dead", "port %d to take it for dead" % node.port, 30)
        wait_until(lambda node=node: told_of(node, name)["copies"] == 0, "its copies to be elsewhere", 60)
    wait_whole(nodes, count, 60)
    for copies in holders(nodes[0], KEYS).values():
        assert len(copies) == COPIES and name not in copies, copies


def wait_share(nodes, name, count):
    """Until it has about its share of the copies, and nothing is on its way."""
    share = PARTITIONS * COPIES // count
    for node in nodes:
        wait_until(lambda node=node: told_of(node, name)["state"] == b"active", "port %d to hear of it" % node.port, 30)
        wait_until(lambda node=node: share <= told_of(node, name)["copies"] <= share + 1, "it to have its share", 60)
    wait_whole(nodes, count, 60)


def test_what_a_killed_node_held_is_made_elsewhere_and_it_gets_its_share_back(setup):
    cluster = Cluster(setup, 5, *DEAD_AFTER)
    wait_whole(cluster.nodes, 5, 60)
    write(cluster.nodes[0], KEYS, "before")
    lost = id_of(cluster.nodes[3])
    cluster.kill(3)
    others = [node for index, node in enumerate(cluster.nodes) if index != 3]
    wait_without(others, lost, 5)
    write(others[1], KEYS, "without it")
    # One more may go: each partition has all its copies on nodes that live.
    cluster.kill(4)
    for node in others[:3]:
        check(node, KEYS, "without it")
    cluster.start(4)
    back = cluster.start(3)
    wait_share(cluster.nodes, lost, 5)
    for node in (back, *others):
        check(node, KEYS, "without it")
    write(back, KEYS, "after")
    for node in cluster.nodes:
        check(node, KEYS, "after")


def test_a_node_that_stands_still_for_longer_comes_back_and_nothing_is_lost(setup):
    cluster = Cluster(setup, 4, *DEAD_AFTER)
    wait_whole(cluster.nodes, 4, 60)
    stopped = cluster.nodes[1]
    name = id_of(stopped)
    others = [cluster.nodes[index] for index in (0, 2, 3)]
    writers = [Writer(node) for node in others]
    for writer in writers:
        writer.start()
    stopped.signal(signal.SIGSTOP)
    wait_without(others, name, 4)
    stopped.signal(signal.SIGCONT)
    wait_share(cluster.nodes, name, 4)
    for writer in writers:
        writer.wait_answers(writer.answers + len(COUNTERS))
        writer.stop()
    assert [writer.error for writer in writers] == [None] * 3, [writer.error for writer in writers]
    assert not any(writer.was_closed for writer in writers)
    acknowledged = sum(writer.answers for writer in writers)
    for node in cluster.nodes:
        with connected(node) as client:
            assert sum_of(client) == acknowledged, (sum_of(client), acknowledged)


def test_of_three_nodes_a_dead_one_keeps_its_place(setup):
    cluster = Cluster(setup, 3)
    wait_whole(cluster.nodes, 3)
    name = id_of(cluster.nodes[2])
    with connected(cluster.nodes[1]) as client:
        assert client.config("node-dead-after") == "600000"
        assert client.call("CONFIG", "SET", "node-dead-after", "1000") == "OK"
    with connected(cluster.nodes[0]) as client:
        wait_until(lambda: client.config("node-dead-after") == "1000", "the setting to be everywhere")
        assert "argument must be 0 or at least 1000" in client.error("CONFIG", "SET", "node-dead-after", "999")
    cluster.kill(2)
    for node in cluster.nodes[:2]:
        wait_until(lambda node=node: told_of(node, name)["state"] == b"dead", "port %d to take it for dead" % node.port, 30)
    write(cluster.nodes[0], KEYS, "two of three")
    assert all(name in copies and len(copies) == COPIES for copies in holders(cluster.nodes[0], KEYS).values())
    # Nobody became the only voter of anything: the other one alone acknowledges nothing.
    cluster.kill(1)
    with connected(cluster.nodes[0]) as client:
        client.call("CONFIG", "SET", "request-timeout-ms", "500")
        assert all(answer(client, "SET", key, "one of three") is None for key in KEYS[:3])
    cluster.start(1)
    back = cluster.start(2)
    wait_until(lambda: told_of(back, name)["state"] == b"active", "it to be heard")
    wait_whole(cluster.nodes, 3)
    check(back, KEYS[3:], "two of three")
    assert cluster_info(back)["cluster_state"] == "ok"


if __name__ == "__main__":
    run(globals())
