"""Reads that the copies of one node answer: at level local and on READONLY connections, also when no quorum is left."""

import signal
import time

from cluster import Cluster, connected, wait_whole, write
from harness import run, wait_until

KEYS = ["key:%d" % number for number in range(300)]     # more than there are partitions
AT_ONCE_S = 1.0                                         # far from request-timeout-ms
LOCAL = ("CLIENT", "QUORUM", "R", "local")
READONLY = ("READONLY",)


def timed(client, *words):
    begin = time.monotonic()
    reply = client.call(*words)
    took = time.monotonic() - begin
    assert took < AT_ONCE_S, "%s took %.2f s" % (words[:2], took)
    return reply


def scanned(client):
    names, cursor = set(), b"0"
    while True:
        cursor, page = timed(client, "SCAN", cursor, "COUNT", 100)
        names.update(name.decode() for name in page)
        if cursor == b"0":
            return names


def check_all(client, value):
    assert timed(client, "MGET", *KEYS) == [value.encode()] * len(KEYS)
    assert timed(client, "EXISTS", *KEYS) == len(KEYS)
    assert timed(client, "TOUCH", *KEYS) == len(KEYS)
    assert timed(client, "DBSIZE") == len(KEYS)
    assert {name.decode() for name in timed(client, "KEYS", "*")} == set(KEYS)
    assert timed(client, "RANDOMKEY").decode() in KEYS
    assert scanned(client) == set(KEYS)
    assert timed(client, "GET", KEYS[0]) == value.encode()


def clients_of(node):
    out = []
    for words in (LOCAL, READONLY):
        client = connected(node)
        assert client.call(*words) == "OK"
        out.append(client)
    return out


def written(setup):
    cluster = Cluster(setup, 3)
    wait_whole(cluster.nodes, 3)
    write(cluster.nodes[1], KEYS, "value")
    with connected(cluster.nodes[0]) as client:
        client.call(*LOCAL)
        wait_until(lambda: client.call("MGET", *KEYS) == [b"value"] * len(KEYS), "the copies to hold it")
    return cluster


def check_for_a_while(node):
    """While it believes to lead what it led, while it doubts that, and when it knows."""
    clients = clients_of(node)
    begin = time.monotonic()
    while time.monotonic() - begin < 2:
        for client in clients:
            check_all(client, "value")
    for client in clients_of(node) + clients:
        check_all(client, "value")
        client.close()


def test_two_of_three_nodes_are_killed_and_local_reads_go_on(setup):
    cluster = written(setup)
    cluster.kill(1, 2)
    check_for_a_while(cluster.nodes[0])


def test_two_of_three_nodes_stand_still_and_local_reads_go_on(setup):
    cluster = written(setup)
    for index in (1, 2):
        cluster.nodes[index].signal(signal.SIGSTOP)
    check_for_a_while(cluster.nodes[0])
    for index in (1, 2):
        cluster.nodes[index].signal(signal.SIGCONT)
    write(cluster.nodes[0], KEYS, "again")


def test_a_node_without_copies_asks_who_has_them(setup):
    cluster = Cluster(setup, 5)
    wait_whole(cluster.nodes, 5, 60)
    write(cluster.nodes[1], KEYS, "value")
    for node in cluster.nodes:
        for client in clients_of(node):
            wait_until(lambda client=client: client.call("MGET", *KEYS) == [b"value"] * len(KEYS), "the copies to hold it")
            check_all(client, "value")
            client.close()


if __name__ == "__main__":
    run(globals())
