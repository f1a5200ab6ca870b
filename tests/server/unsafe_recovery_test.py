"""Nodes that are lost for good and took a quorum with them: CLUSTER UNSAFE-RECOVER at a node that is left."""

import os
import shutil
import signal

from cluster import Cluster, answer, check, cluster_info, connected, wait_whole, write
from harness import ReplyError, run, wait_until

KEYS = ["key:%d" % number for number in range(200)]     # more than there are partitions


def id_of(node):
    with connected(node) as client:
        return client.call("CLUSTER", "MYID").decode()


def error_of(client, *words):
    try:
        client.call(*words)
    except ReplyError as error:
        return str(error)
    return None


def pairs(reply):
    """A flat list of names and values as a dictionary."""
    return {name.decode(): value for name, value in zip(reply[::2], reply[1::2])}


def slots_of(node, name):
    """How many slots the node with this name leads, as another one knows."""
    with connected(node) as client:
        return sum(entry[1] - entry[0] + 1 for entry in client.call("CLUSTER", "SLOTS") if entry[2][2].decode() == name)


def wait_at_rest(nodes, copies):
    """Until no node knows of another copy than these: nothing moves, and what has left its partition is gone."""
    def at_rest(node):
        with connected(node) as client:
            return sum(pairs(each)["copies"] for each in pairs(client.call("QUORUM", "STATUS"))["nodes"]) == copies
    for node in nodes:
        wait_until(lambda node=node: at_rest(node), "port %d to see %d copies" % (node.port, copies), 60)


def write_everywhere(node, keys, value, others):
    """Acknowledged by a quorum, and then, since nobody lost the rest meanwhile, by the others too."""
    with connected(node) as client:
        for key in keys:
            wait_until(lambda key=key: answer(client, "SET", key, value) == "OK", "SET %s" % key)
        wait_until(lambda: answer(client, "WAIT", others, 1000) == others, "WAIT %d" % others)


def lose(setup, cluster, *indexes):
    """They are killed at once, and their disks are gone."""
    cluster.kill(*indexes)
    for index in indexes:
        shutil.rmtree(os.path.join(setup.folder, "node%d" % (index + 1)))


def recover(cluster, index, *words):
    """Asks until the others' silence is seen, and those who are left have had the time that they need."""
    with connected(cluster.nodes[index]) as client:
        def is_done():
            refusal = error_of(client, "CLUSTER", "UNSAFE-RECOVER", *words)
            again = ("LOADING", "is heard of", "neither named nor heard of", "has not answered", "have not elected a leader in time", "UNCERTAIN")
            assert refusal is None or any(text in refusal for text in again), refusal
            return refusal is None
        wait_until(is_done, "CLUSTER UNSAFE-RECOVER")


def replace(setup, cluster, left, count):
    """Empty nodes join the one that is left."""
    fresh = [setup.server("--join", "127.0.0.1:%d" % cluster.ports[left], directory=os.path.join(setup.folder, "fresh%d" % number))
             for number in range(count)]
    nodes = [cluster.nodes[left], *fresh]
    wait_whole(nodes, count + 1, 60)
    return nodes


def test_two_of_three_nodes_are_lost_for_good(setup):
    cluster = Cluster(setup, 3)
    wait_whole(cluster.nodes, 3)
    write_everywhere(cluster.nodes[0], KEYS, "before", 2)
    lost = [id_of(cluster.nodes[index]) for index in (0, 1)]
    lose(setup, cluster, 0, 1)
    left = cluster.nodes[2]
    recover(cluster, 2, *lost)
    wait_whole([left], 1)
    check(left, KEYS, "before")
    write(left, KEYS, "alone")
    with connected(left) as client:
        records = [pairs(record) for record in client.call("QUORUM", "LOST")]
        assert sum(record["kind"] == b"unsafe-recovery" for record in records) == 128, records
        assert client.info("quorum")["quorum_unsafe_recoveries"] == "128"
    assert "what was acknowledged beyond that is lost" in left.log()
    # It holds over a restart, also that it was said.
    cluster.kill(2)
    left = cluster.start(2)
    check(left, KEYS, "alone")
    with connected(left) as client:
        assert client.info("quorum")["quorum_unsafe_recoveries"] == "128"
    nodes = replace(setup, cluster, 2, 2)
    for node in nodes:
        check(node, KEYS, "alone")
    # All three count: any of them may go.
    cluster.kill(2)
    write(nodes[1], KEYS, "after")
    cluster.start(2)
    wait_whole([cluster.nodes[2], *nodes[1:]], 3)
    check(cluster.nodes[2], KEYS, "after")


def test_all_nodes_were_down_and_one_of_three_comes_back(setup):
    cluster = Cluster(setup, 3)
    wait_whole(cluster.nodes, 3)
    write_everywhere(cluster.nodes[0], KEYS, "before", 2)
    lost = [id_of(cluster.nodes[index]) for index in (0, 2)]
    cluster.kill(0, 1, 2)
    left = cluster.start(1, wait=False)
    recover(cluster, 1, *lost)
    wait_whole([left], 1)
    check(left, KEYS, "before")
    write(left, KEYS, "alone")


def one_of_two_is_lost(setup, index):
    """Half of the partitions had their only voter there."""
    cluster = Cluster(setup, 2)
    wait_whole(cluster.nodes, 2)
    write_everywhere(cluster.nodes[0], KEYS, "before", 1)
    lost = id_of(cluster.nodes[index])
    lose(setup, cluster, index)
    recover(cluster, 1 - index, lost)
    wait_whole([cluster.nodes[1 - index]], 1)
    check(cluster.nodes[1 - index], KEYS, "before")
    write(cluster.nodes[1 - index], KEYS, "alone")
    nodes = replace(setup, cluster, 1 - index, 1)
    check(nodes[1], KEYS, "alone")


def test_the_first_of_two_nodes_is_lost_for_good(setup):
    one_of_two_is_lost(setup, 0)


def test_the_second_of_two_nodes_is_lost_for_good(setup):
    one_of_two_is_lost(setup, 1)


def test_who_was_given_up_comes_back_with_its_old_data(setup):
    cluster = Cluster(setup, 3, "--request-timeout-ms", "1000")
    wait_whole(cluster.nodes, 3)
    write(cluster.nodes[0], KEYS, "before")
    lost = [id_of(cluster.nodes[index]) for index in (1, 2)]
    cluster.kill(1, 2)
    recover(cluster, 0, *lost)
    write(cluster.nodes[0], KEYS, "after")
    back = [cluster.start(1, wait=False), cluster.start(2, wait=False)]
    for node in back:
        wait_until(lambda node=node: "removed from the cluster for good" in node.log(), "port %d to hear that it is out" % node.port)
        with connected(node) as client:
            assert pairs(client.call("QUORUM", "STATUS"))["membership"] == b"refused"
            assert answer(client, "SET", "key:1", "stale") is None
    check(cluster.nodes[0], KEYS, "after")


def test_who_was_given_up_and_stands_still_hears_it_when_it_goes_on(setup):
    """Of the two that are given up one usually dials the other, whichever."""
    cluster = Cluster(setup, 3, "--request-timeout-ms", "2000")
    wait_whole(cluster.nodes, 3)
    write(cluster.nodes[0], KEYS, "before")
    lost = [id_of(cluster.nodes[index]) for index in (0, 2)]
    for index in (0, 2):
        cluster.nodes[index].signal(signal.SIGSTOP)
    recover(cluster, 1, *lost)
    write(cluster.nodes[1], KEYS, "after")
    for index in (0, 2):
        cluster.nodes[index].signal(signal.SIGCONT)
    for index in (0, 2):
        node = cluster.nodes[index]
        wait_until(lambda node=node: "removed from the cluster for good" in node.log(), "port %d to hear that it is out" % node.port)
    check(cluster.nodes[1], KEYS, "after")
    with connected(cluster.nodes[0]) as client:
        assert answer(client, "SET", "key:1", "stale") is None
    check(cluster.nodes[1], KEYS, "after")


def test_partitions_without_a_copy_begin_with_nothing_if_that_is_wanted(setup):
    cluster = Cluster(setup, 3, "--replication-n", "1")
    for node in cluster.nodes:
        wait_until(lambda node=node: cluster_info(node)["cluster_known_nodes"] == "3", "port %d to know all" % node.port)
    write(cluster.nodes[0], KEYS, "before")
    wait_whole(cluster.nodes, 3, 60)
    lost = id_of(cluster.nodes[2])
    wait_until(lambda: slots_of(cluster.nodes[0], lost) >= 16384 * 41 // 128, "the third node to have its share", 60)
    # A copy that is about to go would be one that is left.
    wait_at_rest(cluster.nodes, 128)
    lose(setup, cluster, 2)
    left = cluster.nodes[0]
    with connected(left) as client:
        def is_told():
            refusal = error_of(client, "QUORUM", "UNSAFE-RECOVER", lost)
            assert refusal is not None and ("is heard of" in refusal or "nobody who is left has a copy of" in refusal), refusal
            return "nobody who is left" in refusal
        wait_until(is_told, "the refusal")
        assert cluster_info(left)["cluster_known_nodes"] == "3"
    recover(cluster, 0, "EMPTY", lost)
    wait_whole(cluster.nodes[:2], 2, 60)
    with connected(left) as client:
        values = {key: client.call("GET", key) for key in KEYS}
        partitions = {key: client.call("CLUSTER", "KEYSLOT", key) * 128 // 16384 for key in KEYS}
    assert set(values.values()) == {b"before", None}, values
    told = []
    for node in cluster.nodes[:2]:
        with connected(node) as client:
            records = [pairs(record) for record in client.call("QUORUM", "LOST")]
            told += [record["partition"] for record in records if record["kind"] == b"unsafe-recovery" and record["last-index"] == 0]
    assert 128 // 3 - 2 <= len(set(told)) == len(told) <= 128 // 3 + 2, told
    for key in KEYS:
        assert (values[key] is None) == (partitions[key] in told), (key, partitions[key], told)
    write(left, KEYS, "after")
    check(cluster.nodes[1], KEYS, "after")


def test_what_is_refused(setup):
    cluster = Cluster(setup, 3, "--request-timeout-ms", "1000")
    wait_whole(cluster.nodes, 3)
    write(cluster.nodes[0], KEYS, "before")
    ids = [id_of(node) for node in cluster.nodes]
    with connected(cluster.nodes[0]) as client:
        assert error_of(client, "CLUSTER", "UNSAFE-RECOVER").startswith("ERR wrong number of arguments")
        assert error_of(client, "QUORUM", "UNSAFE-RECOVER", "nobody").startswith("ERR Unknown node nobody")
        assert error_of(client, "QUORUM", "UNSAFE-RECOVER", "EMPTY") == "ERR syntax error"
        assert error_of(client, "QUORUM", "UNSAFE-RECOVER", ids[0]).startswith("ERR I tried hard but I can't forget myself")
        for names in ((ids[1],), (ids[1], ids[2])):
            refusal = error_of(client, "QUORUM", "UNSAFE-RECOVER", *names)
            # The first of them by their ids, which are drawn.
            assert refusal.startswith(tuple("ERR node %s is heard of by %s" % (name, ids[0]) for name in names)), refusal
        cluster.kill(1)
        # Two of three are a quorum: nothing need be lost.
        wait_until(lambda: "enough to go on without losing anything" in error_of(client, "QUORUM", "UNSAFE-RECOVER", ids[1]), "the refusal")
        assert "is heard of" in error_of(client, "QUORUM", "UNSAFE-RECOVER", ids[1], ids[2])
        cluster.kill(2)
        wait_until(lambda: "node %s is neither named nor heard of" % ids[2] in error_of(client, "QUORUM", "UNSAFE-RECOVER", ids[1]),
                   "the refusal")
    # Nothing has come of it.
    cluster.start(1)
    cluster.start(2)
    wait_whole(cluster.nodes, 3)
    for node in cluster.nodes:
        check(node, KEYS, "before")
        assert cluster_info(node)["cluster_known_nodes"] == "3"


if __name__ == "__main__":
    run(globals())
