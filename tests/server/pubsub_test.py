"""Pub/sub over several processes: what is published at any node is heard at every other."""

import signal
import time

from cluster import Cluster, wait_whole
from harness import ReplyError, encode, run, wait_until


def cluster_of(setup, count=3):
    cluster = Cluster(setup, count, "--partitions", 16)
    wait_whole(cluster.nodes, count)
    return cluster


def clients_of(cluster):
    return [node.client() for node in cluster.nodes]


def subscribe(client, *words):
    """Sends it and reads the confirmations."""
    first = client.call(*words)
    return [first] + [client.read() for _ in words[2:]]


def test_a_message_is_heard_at_every_node_and_counted(setup):
    cluster = cluster_of(setup)
    listeners = clients_of(cluster)
    publishers = clients_of(cluster)
    for index, client in enumerate(listeners):
        assert subscribe(client, "SUBSCRIBE", "news", "own%d" % index)[1] == [b"subscribe", b"own%d" % index, 2]
    for at, publisher in enumerate(publishers):
        assert publisher.call("PUBLISH", "news", "from %d" % at) == 3
        for client in listeners:
            assert client.read() == [b"message", b"news", b"from %d" % at]
        for to, client in enumerate(listeners):
            assert publisher.call("PUBLISH", "own%d" % to, "x") == 1
            assert client.read() == [b"message", b"own%d" % to, b"x"]
        assert publisher.call("PUBLISH", "nobody", "x") == 0


def test_patterns_shard_channels_and_what_is_told_of_them(setup):
    cluster = cluster_of(setup)
    a, b, c = clients_of(cluster)
    assert subscribe(a, "PSUBSCRIBE", "n*")[0] == [b"psubscribe", b"n*", 1]
    assert subscribe(b, "SSUBSCRIBE", "shard")[0] == [b"ssubscribe", b"shard", 1]
    assert c.call("PUBLISH", "news", "x") == 1
    assert a.read() == [b"pmessage", b"n*", b"news", b"x"]
    assert c.call("SPUBLISH", "shard", "y") == 1
    assert b.read() == [b"smessage", b"shard", b"y"]
    assert c.call("PUBLISH", "shard", "y") == 0
    with cluster.nodes[1].client() as other:
        subscribe(other, "SUBSCRIBE", "news")
        assert c.call("PUBSUB", "CHANNELS") == [b"news"]
        assert c.call("PUBSUB", "NUMSUB", "news", "none") == [b"news", 1, b"none", 0]
        assert c.call("PUBSUB", "NUMPAT") == 1
        assert c.call("PUBSUB", "SHARDCHANNELS") == [b"shard"]
        assert c.call("PUBSUB", "SHARDNUMSUB", "shard") == [b"shard", 1]
        assert c.call("PUBLISH", "news", "z") == 2
        assert a.read() == [b"pmessage", b"n*", b"news", b"z"]
        assert other.read() == [b"message", b"news", b"z"]
    # Who has gone is counted no more.
    wait_until(lambda: c.call("PUBSUB", "NUMSUB", "news") == [b"news", 0], "the other nodes to know")
    assert c.call("PUBLISH", "news", "z") == 1


def test_one_publisher_is_heard_in_its_order(setup):
    cluster = cluster_of(setup)
    a, b, c = clients_of(cluster)
    subscribe(a, "SUBSCRIBE", "numbers")
    subscribe(b, "PSUBSCRIBE", "num*")
    count = 5000
    c.socket.sendall(b"".join(encode("PUBLISH", "numbers", number) for number in range(count)))
    for _ in range(count):
        assert c.read() == 2
    for number in range(count):
        assert a.read()[2] == b"%d" % number
        assert b.read()[3] == b"%d" % number


def test_a_node_that_stands_still_does_not_hold_publishers(setup):
    cluster = cluster_of(setup)
    a, b, c = clients_of(cluster)
    subscribe(a, "SUBSCRIBE", "news")
    subscribe(c, "SUBSCRIBE", "news")
    cluster.nodes[2].signal(signal.SIGSTOP)
    try:
        started = time.monotonic()
        for _ in range(100):
            b.call("PUBLISH", "news", b"x" * 1000)
        assert time.monotonic() - started < 5
        for _ in range(100):
            assert a.read() == [b"message", b"news", b"x" * 1000]
        # Nor those who begin to listen, for long.
        with cluster.nodes[0].client() as late:
            started = time.monotonic()
            subscribe(late, "SUBSCRIBE", "later")
            assert time.monotonic() - started < 5
            assert b.call("PUBLISH", "later", "x") == 1
            assert late.read() == [b"message", b"later", b"x"]
    finally:
        cluster.nodes[2].signal(signal.SIGCONT)


def test_after_a_node_was_killed_its_clients_are_heard_again(setup):
    cluster = cluster_of(setup)
    a, b, _ = clients_of(cluster)
    subscribe(a, "SUBSCRIBE", "news")
    cluster.kill(2)
    assert b.call("PUBLISH", "news", "1") == 1
    assert a.read() == [b"message", b"news", b"1"]
    cluster.start(2)
    with cluster.nodes[2].client() as again:
        wait_until(lambda: again.call("PUBLISH", "news", "2") == 1, "the node to know who listens")
        assert a.read() == [b"message", b"news", b"2"]


def test_events_of_keys_are_heard_at_every_node_once_they_are_kept(setup):
    cluster = cluster_of(setup)
    for client in clients_of(cluster):
        assert client.call("CONFIG", "SET", "notify-keyspace-events", "KEA") == "OK"
    listeners = clients_of(cluster)
    for client in listeners:
        subscribe(client, "PSUBSCRIBE", "__keyevent@0__:*")
    with cluster.nodes[0].client() as writer:
        for number in range(20):
            writer.call("SET", "key:%d" % number, 1)
    for client in listeners:
        heard = {client.read()[3] for _ in range(20)}
        assert heard == {b"key:%d" % number for number in range(20)}


def test_publish_inside_a_transaction_of_another_node(setup):
    cluster = cluster_of(setup)
    a, b, c = clients_of(cluster)
    subscribe(a, "SUBSCRIBE", "done")
    for client in (b, c):
        for key in ("x", "y", "z"):
            assert client.call("MULTI") == "OK"
            assert client.call("SET", key, 1) == "QUEUED"
            assert client.call("PUBLISH", "done", key) == "QUEUED"
            reply = client.call("EXEC")
            assert reply[0] == "OK" and not isinstance(reply[1], ReplyError), reply
            assert a.read() == [b"message", b"done", key.encode()]


if __name__ == "__main__":
    run(globals())
