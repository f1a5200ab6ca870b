"""WATCH from any node: counters that grow by what their clients have read, while nodes are killed; and commands that look at all keys."""

import threading

from cluster import Cluster, connected, wait_whole
from harness import ReplyError, run, wait_until

COUNTERS = ["counter:%d" % number for number in range(3)]


def cluster_of_three(setup):
    cluster = Cluster(setup, 3, "--partitions", 16)
    wait_whole(cluster.nodes, 3)
    return cluster


class Adder(threading.Thread):
    """Adds 1 by WATCH, GET, MULTI, SET, EXEC; counts what it was told to be done, and what nobody could say."""

    def __init__(self, node, end):
        super().__init__()
        self.node, self.end = node, end
        self.done = dict.fromkeys(COUNTERS, 0)
        self.unknown = dict.fromkeys(COUNTERS, 0)
        self.aborted, self.wrong = 0, None

    def run(self):
        try:
            with connected(self.node) as client:
                while not self.end.is_set():
                    for key in COUNTERS:
                        self.add(client, key)
        except Exception as error:  # told to the test, which joins
            self.wrong = repr(error)

    def add(self, client, key):
        try:
            assert client.call("WATCH", key) == "OK"
            value = int(client.call("GET", key) or 0)
            assert client.call("MULTI") == "OK"
            assert client.call("SET", key, value + 1) == "QUEUED"
            reply = client.call("EXEC")
        except ReplyError as error:
            if "UNCERTAIN" in str(error):
                self.unknown[key] += 1
            else:
                assert str(error).split()[0] in ("TRYAGAIN", "CLUSTERDOWN", "EXECABORT", "NOREPLICAS"), error
            return
        if reply is None:
            self.aborted += 1
        else:
            assert reply == ["OK"], reply
            self.done[key] += 1


def count_while(cluster, nodes, act):
    end = threading.Event()
    adders = [Adder(node, end) for node in nodes for _ in range(2)]
    for adder in adders:
        adder.start()
    act(adders)
    end.set()
    for adder in adders:
        adder.join()
        assert adder.wrong is None, adder.wrong
    with connected(nodes[-1]) as client:
        for key in COUNTERS:
            done = sum(adder.done[key] for adder in adders)
            unknown = sum(adder.unknown[key] for adder in adders)
            value = int(client.call("GET", key))
            assert done <= value <= done + unknown, (key, done, unknown, value)
    return adders


def additions(adders):
    return sum(sum(adder.done.values()) for adder in adders)


def test_no_addition_is_lost_whichever_nodes_they_come_by(setup):
    cluster = cluster_of_three(setup)
    adders = count_while(cluster, cluster.nodes, lambda some: wait_until(lambda: additions(some) > 300, "300 additions"))
    assert all(adder.done for adder in adders)
    assert sum(adder.aborted for adder in adders) > 0
    assert not any(sum(adder.unknown.values()) for adder in adders)


def test_no_addition_is_lost_while_leaders_die(setup):
    cluster = cluster_of_three(setup)

    def kill_one(some):
        wait_until(lambda: additions(some) > 50, "additions")
        cluster.kill(0)
        before = additions(some)
        wait_until(lambda: additions(some) > before + 50, "additions by the leaders that are left")
        cluster.start(0)
        wait_whole(cluster.nodes, 3)
        before = additions(some)
        wait_until(lambda: additions(some) > before + 50, "additions with all nodes again")
    count_while(cluster, cluster.nodes[1:], kill_one)


def test_a_watched_key_is_cleared_or_its_time_passes(setup):
    cluster = cluster_of_three(setup)
    for node in cluster.nodes:
        with node.client() as client, cluster.nodes[0].client() as other:
            for change in (["FLUSHALL"], ["DEL", "k"], ["PEXPIRE", "k", 1]):
                assert client.call("SET", "k", "v") == "OK"
                assert client.call("WATCH", "k") == "OK"
                other.call(*change)
                wait_until(lambda: other.call("EXISTS", "k") == 0, "the key to be gone")
                assert client.call("MULTI") == "OK"
                assert client.call("SET", "k", "w") == "QUEUED"
                assert client.call("EXEC") is None, change


def test_keys_of_several_databases_are_told_apart(setup):
    cluster = cluster_of_three(setup)
    for node in cluster.nodes:
        with node.client() as client, cluster.nodes[0].client() as other:
            assert client.call("SELECT", 3) == "OK"
            assert client.call("WATCH", "k") == "OK"
            assert client.call("SELECT", 0) == "OK"
            assert other.call("SELECT", 3) == "OK"
            assert other.call("SET", "k", "v") == "OK"
            assert client.call("MULTI") == "OK"
            assert client.call("SET", "k", "w") == "QUEUED"
            assert client.call("EXEC") is None
            assert client.call("EXISTS", "k") == 0


def test_keys_that_sort_does_not_name_are_of_its_partition(setup):
    cluster = cluster_of_three(setup)
    with cluster.nodes[0].client() as client:
        client.call("RPUSH", "{u}list", "1", "2", "3")
        for number, weight in (("1", "30"), ("2", "10"), ("3", "20")):
            client.call("SET", "{u}weight" + number, weight)
            client.call("HSET", "{u}data" + number, "f", "d" + number)
    for node in cluster.nodes:
        with node.client() as client:
            assert client.call("SORT", "{u}list", "BY", "{u}weight*", "GET", "{u}data*->f", "GET", "#") == [b"d2", b"2", b"d3", b"3", b"d1", b"1"]
            for words in (["BY", "weight*"], ["GET", "data*->f"], ["BY", "w*{u}"], ["BY", "nosort", "GET", "{}*"]):
                assert client.error("SORT", "{u}list", *words).startswith("CROSSSLOT BY and GET patterns")
                assert client.error("SORT_RO", "{u}list", *words).startswith("CROSSSLOT BY and GET patterns")
            assert client.call("MULTI") == "OK"
            assert client.error("SORT", "{u}list", "BY", "weight*").startswith("CROSSSLOT")
            assert client.error("EXEC").startswith("EXECABORT")


def test_each_key_has_the_same_chance_to_be_the_random_one(setup):
    cluster = cluster_of_three(setup)
    with cluster.nodes[1].client() as client:
        assert client.call("RANDOMKEY") is None
        # One partition holds nine of ten keys.
        for number in range(45):
            client.call("SET", "{many}%d" % number, "v")
        for number in range(5):
            client.call("SET", "few%d" % number, "v")
        drawn = [client.call("RANDOMKEY") for _ in range(300)]
    assert set(drawn) & {b"few%d" % number for number in range(5)}
    many = sum(key.startswith(b"{many}") for key in drawn)
    # 270 are to be expected; 6.7 standard deviations away.
    assert 235 <= many < 300, many


if __name__ == "__main__":
    run(globals())
