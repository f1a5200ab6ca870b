"""Settings that hold at every node of a cluster, and nodes whose settings do not fit it."""

import os
import signal

from cluster import Cluster, cluster_info, wait_whole
from harness import encode, free_port, run, wait_until


def cluster_of(setup, count, *more):
    cluster = Cluster(setup, count, "--partitions", 16, *more)
    wait_whole(cluster.nodes, count)
    return cluster


def wait_value(nodes, name, value):
    for node in nodes:
        with node.client() as client:
            wait_until(lambda client=client: client.config(name) == value, "%s to be %s at port %d" % (name, value, node.port))


def test_what_is_set_at_one_node_holds_at_all_and_at_those_that_come(setup):
    cluster = cluster_of(setup, 3)
    with cluster.nodes[2].client() as client:
        assert client.call("CONFIG", "SET", "notify-keyspace-events", "KEA", "proto-max-bulk-len", "2mb", "slowlog-max-len", "7") == "OK"
        assert client.config("notify-keyspace-events") == "AKE" and client.config("proto-max-bulk-len") == "2097152"
        assert client.error("CONFIG", "SET", "replication-n", "0").startswith("ERR CONFIG SET failed")
        assert client.error("CONFIG", "SET", "replication-n", "2", "slowlog-max-len", "x").startswith("ERR CONFIG SET failed")
        for refused in (["commit-quorum", 3], ["replication-n", 16], ["replication-n", 1, "commit-quorum", 2]):
            assert client.error("CONFIG", "SET", *refused).startswith("ERR CONFIG SET failed")
        assert client.config("replication-n") == "3" and client.config("commit-quorum") == "0"
        # Several are one decision.
        assert client.call("CONFIG", "SET", "max-unacked-ms", "900", "read-quorum", "quorum", "max-unacked-bytes", "1mb") == "OK"
        assert [client.config(name) for name in ("max-unacked-ms", "read-quorum", "max-unacked-bytes")] == ["900", "quorum", "1048576"]
        # What could not be told to the others is not taken.
        policy = " ".join("prefix%d: w=1" % number for number in range(500))
        assert "longer than 4096 bytes" in client.error("CONFIG", "SET", "quorum-policy", policy, "max-unacked-ms", "800")
        assert client.config("max-unacked-ms") == "900"
    wait_value(cluster.nodes, "read-quorum", "quorum")
    wait_value(cluster.nodes, "notify-keyspace-events", "AKE")
    wait_value(cluster.nodes, "proto-max-bulk-len", "2097152")
    with cluster.nodes[0].client() as client:
        assert client.config("slowlog-max-len") == "128"        # of the node that was asked alone
    # One that comes back, told otherwise, and one that is new.
    cluster.kill(1)
    cluster.start(1, "--notify-keyspace-events", "")
    wait_value([cluster.nodes[1]], "notify-keyspace-events", "AKE")
    new = setup.server("--partitions", 16, "--join", "127.0.0.1:%d" % cluster.ports[0],
                       directory=os.path.join(setup.folder, "node4"), port=free_port())
    wait_value([new], "notify-keyspace-events", "AKE")
    wait_value([new], "proto-max-bulk-len", "2097152")


def test_the_number_of_copies_is_changed_while_the_cluster_works(setup):
    cluster = cluster_of(setup, 3)
    keys = ["key:%d" % number for number in range(50)]
    with cluster.nodes[0].client() as client:
        for key in keys:
            client.call("SET", key, key)
        for wanted in (1, 3):
            with cluster.nodes[1].client() as other:
                assert other.call("CONFIG", "SET", "replication-n", wanted) == "OK"
            wait_until(lambda wanted=wanted: copies(client) == {wanted}, "every partition to have %d copies" % wanted, 60)
            wait_whole(cluster.nodes, 3)
            for key in keys:
                assert client.call("GET", key) == key.encode()


def copies(client):
    """How many copies the partitions of some keys have."""
    counts = set()
    for number in range(50):
        explained = client.call("QUORUM", "EXPLAIN", "key:%d" % number)
        fields = {explained[at]: explained[at + 1] for at in range(0, len(explained), 2)}
        counts.add(len(fields[b"replicas"]))
    return counts


def test_what_was_set_while_a_node_was_alone_becomes_the_clusters(setup):
    first = setup.server("--partitions", 16, directory=os.path.join(setup.folder, "node1"))
    with first.client() as client:
        assert client.call("CONFIG", "SET", "replication-n", 2) == "OK"
    second = setup.server("--partitions", 16, "--join", "127.0.0.1:%d" % first.port, directory=os.path.join(setup.folder, "node2"))
    wait_value([first, second], "replication-n", "2")


def test_a_node_with_other_databases_is_not_let_in(setup):
    first = setup.server("--partitions", 16, directory=os.path.join(setup.folder, "node1"))
    other = setup.server("--partitions", 16, "--databases", 4, "--join", "127.0.0.1:%d" % first.port,
                         directory=os.path.join(setup.folder, "node2"))
    reason = "databases is 16 in the cluster and 4 at the node that joins"
    wait_until(lambda: "the cluster refuses us: " + reason in other.log(), "the reason to be told")
    assert cluster_info(first)["cluster_known_nodes"] == "1"
    fits = setup.server("--partitions", 16, "--join", "127.0.0.1:%d" % first.port, directory=os.path.join(setup.folder, "node3"))
    wait_whole([first, fits], 2)


def test_a_member_that_comes_back_with_other_databases_does_not_start(setup):
    cluster = cluster_of(setup, 2)
    cluster.kill(1)
    node = cluster.start(1, "--databases", 4, wait=False)
    assert node.wait_end() == 1
    assert "databases is 16 in the cluster and 4 here" in node.log(), node.log()


def fields(reply):
    return {reply[at].decode(): reply[at + 1] for at in range(0, len(reply), 2)}


def kept_modes(client):
    """What each node says that it keeps; None for one that is not heard."""
    return [fields(node)["mode-kept"] for node in fields(client.call("QUORUM", "STATUS"))["nodes"]]


def partition_modes(client):
    return {fields(client.call("QUORUM", "EXPLAIN", "key:%d" % number))["mode"] for number in range(50)}


def test_the_mode_is_the_clusters_and_outlives_all_processes(setup):
    cluster = cluster_of(setup, 3, "--appendonly", "no")
    with cluster.nodes[1].client() as client:
        assert kept_modes(client) == [b"memory"] * 3 and partition_modes(client) == {b"memory"}
        for number in range(50):
            client.call("SET", "key:%d" % number, "before")
        assert client.call("CONFIG", "SET", "appendonly", "yes", "appendfsync", "always") == "OK"
        # All partitions go by it now.  This node's copies may hear so later, and who was not heard while they took it may keep it later.
        assert fields(client.call("QUORUM", "STATUS"))["partitions-without-mode"] == 0
        wait_until(lambda: partition_modes(client) == {b"synced"}, "this node's copies to hear of it")
        wait_until(lambda: kept_modes(client) == [b"synced"] * 3, "all nodes to keep it")
        assert b"quorum_mode_kept:synced" in client.call("INFO", "quorum")
        for number in range(25):
            client.call("SET", "key:%d" % number, "after")
    # Started as ever, they are told what the members have decided, and have forgotten nothing.
    cluster.kill(0, 1, 2)
    for index in range(3):
        cluster.start(index)
    wait_whole(cluster.nodes, 3)
    for node in cluster.nodes:
        with node.client() as client:
            assert (client.config("appendonly"), client.config("appendfsync")) == ("yes", "always")
            for number in range(50):
                assert client.call("GET", "key:%d" % number) == (b"after" if number < 25 else b"before")
            wait_until(lambda: partition_modes(client) == {b"synced"}, "this node's copies to hear of it")
        assert "may not have got to the disk" not in node.log(), node.log()
    # Nor does one that comes keep what it was told to keep.
    new = setup.server("--partitions", 16, "--join", "127.0.0.1:%d" % cluster.ports[0], "--appendonly", "no",
                       directory=os.path.join(setup.folder, "node4"), port=free_port())
    wait_whole([*cluster.nodes, new], 4)
    # Which whoever has started it may not know.
    told = next(line for line in new.log().splitlines() if "setting of the cluster -> appendonly is 'yes'" in line)
    assert " # " in told and "not 'no' as this node was started with" in told, told
    told = next(line for line in new.log().splitlines() if "setting of the cluster -> appendfsync is 'always'" in line)
    assert " * " in told and "started with" not in told, told
    with new.client() as client:
        wait_until(lambda: kept_modes(client) == [b"synced"] * 4, "the new node to keep it")
        assert client.call("CONFIG", "SET", "appendonly", "no") == "OK"
        wait_until(lambda: kept_modes(client) == [b"memory"] * 4, "all nodes to keep nothing")
    wait_value(cluster.nodes, "appendonly", "no")


def end_while_founding(setup, line):
    """A node alone that keeps its data since it was told to gets company, and ends as soon as its log has that line."""
    port, keys = free_port(), ["key:%d" % number for number in range(5000)]
    directory = os.path.join(setup.folder, "node1 " + line.split()[0])
    founder = setup.server("--partitions", 16, "--appendonly", "no", "--appendfsync", "always", directory=directory, port=port)
    with founder.client() as client:
        assert client.call("CONFIG", "SET", "appendonly", "yes", "appendfsync", "everysec") == "OK"
        client.socket.sendall(b"".join(encode("SET", key, key) for key in keys))
        assert all(client.read() == "OK" for _ in keys)
    other = setup.server("--partitions", 16, "--appendonly", "no", "--join", "127.0.0.1:%d" % port,
                         directory=os.path.join(setup.folder, "node2 " + line.split()[0]), port=free_port())
    wait_until(lambda: line in founder.log(), line)
    founder.signal(signal.SIGKILL)
    founder.wait_end()
    founder = setup.server("--partitions", 16, directory=directory, port=port)
    wait_whole([founder, other], 2)
    with founder.client() as client:
        assert client.call("DBSIZE") == len(keys), client.call("DBSIZE")
        assert all(client.call("GET", key) == key.encode() for key in keys[::50])
        assert (client.config("appendonly"), client.config("appendfsync")) == ("yes", "everysec")
        wait_until(lambda: partition_modes(client) == {b"os"}, "this node's copies to hear of it")
    assert "the mode is memory" not in founder.log(), founder.log()
    wait_value([other], "appendonly", "yes")
    for node in (founder, other):
        node.stop()


def test_a_cluster_is_founded_with_what_was_set_before(setup):
    for line in ("founding a cluster as", "elected -> lead term", "configuration at"):
        end_while_founding(setup, line)


if __name__ == "__main__":
    run(globals())
