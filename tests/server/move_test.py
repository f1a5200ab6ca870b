"""What an operator moves by hand and what monitoring is told: QUORUM MOVE, REBALANCE, node-weight, INFO keyspace."""

import threading

from cluster import Cluster, check, connected, wait_whole, write
from harness import Client, ReplyError, run, wait_until

KEYS = ["key:%d" % number for number in range(100)]
PARTITIONS = 16


def pairs(reply):
    """A flat list of names and values as a dictionary."""
    return {name.decode(): value for name, value in zip(reply[::2], reply[1::2])}


def status(client):
    """QUORUM STATUS, and its nodes by address."""
    told = pairs(client.call("QUORUM", "STATUS"))
    nodes = [pairs(node) for node in told["nodes"]]
    return told, {node["address"].decode(): node for node in nodes}


def explain(client, key):
    """Partition, address of the leader, addresses of all copies."""
    told = pairs(client.call("QUORUM", "EXPLAIN", key))
    leader = told["leader-address"]
    copies = {pairs(copy)["address"].decode() for copy in told["replicas"]}
    return told["partition"], leader.decode() if leader else None, copies


def done(client, *words):
    """The command, again while the members are busy with another plan."""
    def is_done():
        try:
            return client.call(*words) == "OK"
        except ReplyError as error:
            assert "ask again" in str(error) or str(error).startswith(("UNCERTAIN", "CLUSTERDOWN")), error
            return False
    wait_until(is_done, " ".join(map(str, words)))


def refusal(client, *words):
    """Why not; asked again while the partition is between two leaders."""
    return wait_until(lambda: (lambda text: "" if text.startswith("CLUSTERDOWN") else text)(client.error(*words)), " ".join(map(str, words)))


def addresses(cluster):
    return ["127.0.0.1:%d" % port for port in cluster.ports]


def test_a_copy_and_a_leader_are_moved_while_clients_write(setup):
    cluster = Cluster(setup, 4, "--partitions", PARTITIONS)
    wait_whole(cluster.nodes, 4)
    write(cluster.nodes[0], KEYS, "before")
    ends, errors, counter = threading.Event(), [], [0]

    def count():
        with connected(cluster.nodes[1]) as client:
            while not ends.is_set():
                try:
                    counter[0] = client.call("INCR", "counter")
                except ReplyError as error:
                    errors.append(str(error))

    writer = threading.Thread(target=count)
    writer.start()
    try:
        with connected(cluster.nodes[2]) as client:
            partition, leader, copies = wait_until(lambda: (lambda told: told if told[1] else None)(explain(client, "counter")), "a leader")
            target = (set(addresses(cluster)) - copies).pop()
            done(client, "QUORUM", "MOVE", partition, "FROM", leader, "TO", target)
            wanted = copies - {leader} | {target}
            wait_until(lambda: explain(client, "counter") == (partition, target, wanted), "the copy to be moved, and to lead", 60)
            other = (copies - {leader}).pop()
            done(client, "QUORUM", "MOVE", partition, "LEADER", other)
            wait_until(lambda: explain(client, "counter") == (partition, other, wanted), "the other to lead", 60)
            for words, reason in (
                    (("MOVE", PARTITIONS, "LEADER", other), "no such partition"),
                    (("MOVE", partition, "LEADER", "127.0.0.1:1"), "Unknown node 127.0.0.1:1"),
                    (("MOVE", partition, "LEADER", other), "preferred leader already"),
                    (("MOVE", partition, "LEADER", leader), "has no copy"),
                    (("MOVE", partition, "FROM", leader, "TO", leader), "has no copy"),
                    (("MOVE", partition, "FROM", other, "TO", target), "has a copy of it already"),
                    (("MOVE", partition, "FROM", other), "syntax error")):
                assert reason in refusal(client, "QUORUM", *words), (words, reason)
            assert status(client)[0]["plan-by-hand"] == b"yes"
    finally:
        ends.set()
        writer.join()
    assert not errors, errors
    with connected(cluster.nodes[3]) as client:
        assert int(client.call("GET", "counter")) == counter[0]
    # What was decided by hand outlives all processes.
    cluster.kill(0, 1, 2, 3)
    for index in range(4):
        cluster.start(index)
    wait_whole(cluster.nodes, 4)
    with connected(cluster.nodes[0]) as client:
        wait_until(lambda: explain(client, "counter") == (partition, other, wanted), "the partition to be where it was moved to", 60)
        drained = other
        done(client, "QUORUM", "DRAIN", drained)
        wait_until(lambda: status(client)[1][drained]["copies"] == 0, "the node to be empty", 60)
        assert status(client)[0]["plan-by-hand"] == b"no"
        assert "draining and gets nothing" in refusal(client, "QUORUM", "MOVE", partition, "FROM", target, "TO", drained)
    for node in cluster.nodes:
        check(node, KEYS, "before")


def test_one_node_is_given_everything_until_rebalance(setup):
    cluster = Cluster(setup, 4, "--partitions", PARTITIONS)
    wait_whole(cluster.nodes, 4)
    write(cluster.nodes[0], KEYS, "v")
    all_nodes, full = addresses(cluster), addresses(cluster)[3]
    with connected(cluster.nodes[0]) as client:
        moved, seen = 0, set()
        for number in range(1000):
            partition, _, copies = explain(client, "key%d" % number)
            if partition in seen:
                continue
            seen.add(partition)
            if full not in copies:
                done(client, "QUORUM", "MOVE", partition, "FROM", sorted(copies)[0], "TO", full)
                moved += 1
        assert len(seen) == PARTITIONS and moved > 0
        wait_until(lambda: status(client)[1][full]["copies"] == PARTITIONS, "one node to have a copy of everything", 60)
        wait_whole(cluster.nodes, 4, 60)
        assert status(client)[1][full]["copies"] == PARTITIONS
        done(client, "QUORUM", "REBALANCE")
        wait_until(lambda: all(status(client)[1][each]["copies"] in (12, 13) for each in all_nodes), "all to have the same", 60)
    for node in cluster.nodes:
        check(node, KEYS, "v")


def test_a_node_has_its_share_by_its_weight(setup):
    cluster = Cluster(setup, 3, "--partitions", PARTITIONS, "--replication-n", 1)
    wait_whole(cluster.nodes, 3)
    heavy = addresses(cluster)[1]
    write(cluster.nodes[0], KEYS, "v")
    with connected(cluster.nodes[1]) as client:
        assert client.call("CONFIG", "SET", "node-weight", 200) == "OK"
        wait_until(lambda: status(client)[1][heavy]["leads"] == PARTITIONS / 2, "the node to have twice the share of the others", 60)
        assert status(client)[1][heavy]["weight"] == 200
        assert "argument must be between 1 and 10000" in client.error("CONFIG", "SET", "node-weight", 0)
    check(cluster.nodes[2], KEYS, "v")
    # What CONFIG SET said is gone with the process; an option says it for good.
    cluster.kill(1)
    cluster.start(1, "--node-weight", 50)
    with connected(cluster.nodes[0]) as client:
        wait_until(lambda: status(client)[1][heavy]["weight"] == 50 and status(client)[1][heavy]["leads"] in (3, 4), "its new share", 60)
    check(cluster.nodes[0], KEYS, "v")


def test_info_counts_the_keys_of_the_cluster(setup):
    cluster = Cluster(setup, 3, "--partitions", PARTITIONS)
    wait_whole(cluster.nodes, 3)
    write(cluster.nodes[0], KEYS, "v")
    with connected(cluster.nodes[1]) as client:
        client.call("EXPIRE", "key:7", 1000)
        client.call("SELECT", 3)
        client.call("SET", "key:7", "v")
        wanted = {"db0": "keys=100,expires=1,avg_ttl=0", "db3": "keys=1,expires=0,avg_ttl=0"}
        for node in cluster.nodes:
            with connected(node) as other:
                assert other.info("keyspace") == wanted
                assert other.info("everything")["db0"] == wanted["db0"]
        names = pairs(client.call("CONFIG", "GET", "cluster-wide-settings"))["cluster-wide-settings"].decode().split()
        assert names == sorted(names) and "replication-n" in names and "node-weight" not in names
        assert b"cluster-wide-settings" not in client.call("CONFIG", "GET", "*")
    # Clients of the second door ask every node, and add up.
    def sum_of_all():
        total = 0
        for port in cluster.ports:
            with Client(("127.0.0.1", port + 1000)) as client:
                line = client.info("keyspace").get("db0", "keys=0")
                total += int(line.split(",")[0].split("=")[1])
        return total

    wait_until(lambda: sum_of_all() == len(KEYS), "each key to be counted by who leads it")
    # One is gone: whoever is left tells what it knows, and nobody waits long.
    cluster.kill(2)
    with connected(cluster.nodes[0]) as client:
        wait_until(lambda: client.info("keyspace") == wanted, "all keys to be counted without the node")


if __name__ == "__main__":
    run(globals())
