"""A node that the cluster will not have says so at once, and not when its clients have waited for a leader."""

import os
import re
import time

from cluster import Cluster, answer, connected, wait_whole, write
from harness import encode, free_port, run, wait_until

KEYS = ["key:%d" % number for number in range(20)]
AT_ONCE_S = 1.0                                         # far from request-timeout-ms
COMMANDS = (("GET", KEYS[0]), ("SET", KEYS[0], "stale"), ("MGET", *KEYS), ("MSET", KEYS[0], "a", KEYS[1], "b"), ("DBSIZE",), ("SCAN", "0"),
            ("BLPOP", "list", "0"), ("WATCH", KEYS[0]))


def id_of(node):
    with connected(node) as client:
        return client.call("CLUSTER", "MYID").decode()


def check_refused(node, start):
    """Also on connections that are allowed to read what is there."""
    for words in ((), ("READONLY",), ("CLIENT", "QUORUM", "R", "local")):
        with connected(node) as client:
            if words:
                assert client.call(*words) == "OK"
            for command in COMMANDS:
                begin = time.monotonic()
                error = client.error(*command)
                assert error.startswith(start) and "nothing was done" in error, (command, error)
                assert time.monotonic() - begin < AT_ONCE_S, command
            assert client.call("MULTI") == "OK"
            assert client.call("SET", KEYS[0], "stale") == "QUEUED"
            error = client.error("EXEC")
            assert error.startswith("EXECABORT") and start in error, error
            assert client.call("PING") == "PONG"


def test_a_node_that_is_removed_while_it_runs(setup):
    cluster = Cluster(setup, 4)
    wait_whole(cluster.nodes, 4, 60)
    write(cluster.nodes[0], KEYS, "value")
    leaving = cluster.nodes[3]
    name = id_of(leaving)
    with connected(cluster.nodes[0]) as client:
        error = client.error("QUORUM", "REMOVE", name)
        assert re.match("ERR the node leads [1-9][0-9]* partitions and holds [1-9][0-9]* copies: QUORUM DRAIN it first", error), error
        assert client.error("CLUSTER", "FORGET", name) == error
    with connected(leaving) as waiting, connected(cluster.nodes[0]) as client:
        waiting.socket.sendall(b"*3\r\n$5\r\nBLPOP\r\n$4\r\nlist\r\n$1\r\n0\r\n")
        wait_until(lambda: answer(client, "QUORUM", "DRAIN", name) == "OK", "QUORUM DRAIN")
        wait_until(lambda: answer(client, "QUORUM", "REMOVE", name) == "OK", "QUORUM REMOVE", 60)
        wait_until(lambda: "removed from the cluster for good" in leaving.log(), "the removed node to hear of it")
        # Who waits there is not left waiting.
        told = str(waiting.read())
        assert told.split()[0] in ("CLUSTERDOWN", "UNCERTAIN", "UNBLOCKED"), told
        assert "quorum_membership:refused" in connected(leaving).call("INFO", "quorum").decode()
    check_refused(leaving, "CLUSTERDOWN this node was removed from the cluster for good")
    with connected(cluster.nodes[0]) as client:
        assert client.call("MGET", *KEYS) == [b"value"] * len(KEYS)


def test_a_node_that_may_not_join(setup):
    cluster = Cluster(setup, 2)
    wait_whole(cluster.nodes, 2)
    other = setup.server("--join", "127.0.0.1:%d" % cluster.ports[0], "--databases", "3", directory=os.path.join(setup.folder, "other"))
    wait_until(lambda: "the cluster refuses us" in other.log(), "the refusal")
    check_refused(other, "CLUSTERDOWN the cluster refuses this node: databases is 16 in the cluster and 3 at the node that joins")


def test_a_node_that_nobody_has_let_in_yet(setup):
    """A mistyped address: it says whom it asks, and can be told another one."""
    nowhere = free_port()
    joining = setup.server("--join", "127.0.0.1:%d" % nowhere, directory=os.path.join(setup.folder, "joining"))
    check_refused(joining, "CLUSTERDOWN this node belongs to no cluster yet: nobody has let it in at 127.0.0.1:%d" % (nowhere + 10000))


def test_the_last_of_two_meets_counts(setup):
    cluster = Cluster(setup, 2)
    wait_whole(cluster.nodes, 2)
    write(cluster.nodes[0], KEYS, "value")
    lone = setup.server(directory=os.path.join(setup.folder, "lone"))
    nowhere, elsewhere = free_port(), free_port()
    with connected(lone) as client:
        # In one turn, and in two.
        client.socket.sendall(encode("CLUSTER", "MEET", "127.0.0.1", nowhere) + encode("CLUSTER", "MEET", "127.0.0.1", elsewhere))
        assert [client.read(), client.read()] == ["OK", "OK"]
        error = client.error("GET", KEYS[0])
        assert "nobody has let it in at 127.0.0.1:%d (" % (elsewhere + 10000) in error, error
        assert client.call("CLUSTER", "MEET", "127.0.0.1", cluster.ports[0]) == "OK"
        wait_until(lambda: answer(client, "GET", KEYS[0]) == b"value", "the node to be let in")
        assert client.error("CLUSTER", "MEET", "127.0.0.1", nowhere).startswith("ERR this node belongs to a cluster")
    wait_whole([*cluster.nodes, lone], 3)


if __name__ == "__main__":
    run(globals())
