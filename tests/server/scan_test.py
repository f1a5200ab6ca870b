"""Walks in pages that go on at another node: keys and members stand in one order everywhere."""

import itertools
import threading

from cluster import Cluster, answer, connected, wait_whole
from harness import encode, run, wait_until

STAYING = ["stays:%d" % number for number in range(2000)]
LOCAL = ("CLIENT", "QUORUM", "R", "local")
# Words before the cursor, and how many items a name has.
SCANS = ((("SCAN",), 1), (("HSCAN", "hash"), 2), (("SSCAN", "set"), 1), (("ZSCAN", "sorted"), 2))


def write_all(client):
    assert client.call("HSET", "hash", *itertools.chain.from_iterable((name, "v") for name in STAYING)) == len(STAYING)
    assert client.call("SADD", "set", *STAYING) == len(STAYING)
    assert client.call("ZADD", "sorted", *itertools.chain.from_iterable((1, name) for name in STAYING)) == len(STAYING)
    client.socket.sendall(b"".join(encode("SET", name, "v") for name in STAYING))
    assert all(client.read() == "OK" for _ in STAYING)


def page(client, words, cursor, count=25):
    """The next cursor and what was found; None where the cluster looks for leaders."""
    return answer(client, *words, cursor, "COUNT", count)


class Churn:
    """Others come and go all the time, so that tables grow and shrink."""

    def __init__(self, node):
        self.client, self.ends, self.done, self.failure = connected(node), threading.Event(), 0, None
        self.thread = threading.Thread(target=self.work)
        self.thread.start()

    def work(self):
        try:
            self.write()
        except Exception as error:      # told by stop()
            self.failure = error

    def write(self):
        for number in itertools.count():
            if self.ends.is_set():
                return
            names = ["goes:%d" % (number % 20 * 200 + each) for each in range(200)]
            adds = number % 40 < 20
            self.client.socket.sendall(b"".join(itertools.chain.from_iterable((
                encode("SET", name, "v") if adds else encode("DEL", name),
                encode("HSET", "hash", name, "v") if adds else encode("HDEL", "hash", name)) for name in names)))
            for _ in range(2 * len(names)):
                self.client.read()      # an error between two leaders
            self.done += 1

    def stop(self):
        self.ends.set()
        self.thread.join()
        self.client.close()
        assert self.failure is None and self.done > 0, self.failure


def test_a_scan_goes_on_at_other_nodes_while_leaders_move_and_die(setup):
    cluster = Cluster(setup, 3)
    wait_whole(cluster.nodes, 3)
    with connected(cluster.nodes[0]) as client:
        write_all(client)
    churn = Churn(cluster.nodes[2])     # which stays
    takers = itertools.cycle(range(3))
    try:
        for number, (words, items) in enumerate(SCANS):
            found, cursor, pages = set(), b"0", 0
            clients = [connected(node) for node in cluster.nodes]
            while True:
                if pages % 25 == 5:
                    # One that leads everything already refuses.
                    wait_until(lambda clients=clients: answer(clients[next(takers)], "CLUSTER", "FAILOVER") == "OK", "CLUSTER FAILOVER to be taken")
                if pages == 40:
                    victim = number % 2
                    clients[victim].close()
                    cluster.kill(victim)
                    cluster.start(victim)
                    clients[victim] = connected(cluster.nodes[victim])
                asked = clients[pages % 3]
                cursor, names = wait_until(lambda asked=asked, cursor=cursor: page(asked, words, cursor), "a page of %s" % words[0])
                found.update(name.decode() for name in names[::items])
                pages += 1
                if cursor == b"0":
                    break
            for client in clients:
                client.close()
            missed = set(STAYING) - found
            assert pages > 45 and not missed, "%s: %d pages, missed %d of %d" % (words[0], pages, len(missed), len(STAYING))
    finally:
        churn.stop()


def test_a_scan_that_began_at_a_node_alone_goes_on_at_any_copy_of_its_cluster(setup):
    def check(clients, begun):
        for (words, items), (cursor, found) in zip(SCANS, begun):
            found = set(found)
            for client in itertools.cycle(clients):
                if cursor == b"0":
                    break
                cursor, names = wait_until(lambda client=client, cursor=cursor: page(client, words, cursor), "a page of %s" % words[0])
                found.update(name.decode() for name in names[::items])
            missed = set(STAYING) - found
            assert not missed, "%s missed %d of %d" % (words[0], len(missed), len(STAYING))

    cluster = Cluster(setup, 1)
    begun = []
    with connected(cluster.nodes[0]) as client:
        write_all(client)
        for words, items in SCANS:
            cursor, names = page(client, words, 0, 500)
            assert cursor != b"0"
            begun.append((cursor, [name.decode() for name in names[::items]]))
    cluster.grow(3)
    wait_whole(cluster.nodes, 3)
    local = [connected(node) for node in cluster.nodes]
    for client in local:
        assert client.call(*LOCAL) == "OK"
        wait_until(lambda client=client: client.call("MGET", *STAYING) == [b"v"] * len(STAYING), "the copies to hold it")
    check(local[1:], begun)
    check(local, begun)
    for client in local:
        client.close()
    # All of them at once, from their logs.
    cluster.kill(0, 1, 2)
    for index in range(3):
        cluster.start(index)
    wait_whole(cluster.nodes, 3)
    again = [connected(node) for node in cluster.nodes]
    check(again, begun)
    for client in again:
        client.close()


if __name__ == "__main__":
    run(globals())
