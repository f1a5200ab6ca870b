"""min-zones: what is acknowledged is in so many zones."""

import os
import signal

from cluster import Cluster, answer, check, connected, wait_whole, write
from harness import run, wait_until

KEYS = ["key:%d" % number for number in range(40)]


def pairs(reply):
    """A flat list of names and values as a dictionary."""
    return {name.decode(): value for name, value in zip(reply[::2], reply[1::2])}


class Zones(Cluster):
    """Each node in the zone that stands at its place."""

    def __init__(self, setup, zones, *settings):
        self.zones = zones
        super().__init__(setup, len(zones), *settings)

    def start(self, index, *more, wait=True):
        return super().start(index, "--zone", self.zones[index], *more, wait=wait)


def is_set(node, value):
    with connected(node) as client:
        return client.config("min-zones") == value


def set_min_zones(cluster, value):
    with connected(cluster.nodes[0]) as client:
        wait_until(lambda: answer(client, "CONFIG", "SET", "min-zones", value) == "OK", "CONFIG SET min-zones")
    for node in cluster.nodes:
        wait_until(lambda node=node: is_set(node, value), "port %d to know of it" % node.port)


def test_what_is_acknowledged_is_in_two_zones(setup):
    cluster = Zones(setup, ["a", "a", "b"], "--request-timeout-ms", "700")
    wait_whole(cluster.nodes, 3)
    set_min_zones(cluster, "2")
    write(cluster.nodes[0], KEYS, "everywhere")
    with connected(cluster.nodes[1]) as client:
        explained = pairs(client.call("QUORUM", "EXPLAIN", KEYS[0]))
        assert (explained["min-zones"], explained["live-zones"]) == (2, 2), explained
        # One node of zone a is enough beside b.
        cluster.kill(0)
        write(cluster.nodes[1], KEYS, "without one")
        cluster.start(0)
        wait_whole(cluster.nodes, 3)
        # Two of three still commit without b, but what they have is in one zone.
        cluster.nodes[2].signal(signal.SIGSTOP)
        refused = set()

        def is_refused():
            refused.add(client.error("SET", KEYS[0], "in one zone").split()[0])
            return "NOREPLICAS" in refused
        wait_until(is_refused, "a write to be refused")
        # Before that is noticed they are run, and nobody can promise anything.
        assert refused <= {"NOREPLICAS", "UNCERTAIN", "TRYAGAIN", "CLUSTERDOWN"}, refused
        wait_until(lambda: "live; nothing was done" in client.error("SET", KEYS[0], "in one zone"), "the reason")
        assert pairs(client.call("QUORUM", "EXPLAIN", KEYS[0]))["live-zones"] == 1
        # Reads do not ask for it.
        assert answer(client, "GET", KEYS[1]) == b"without one"
        cluster.nodes[2].signal(signal.SIGCONT)
    write(cluster.nodes[0], KEYS, "together again")
    check(cluster.nodes[2], KEYS, "together again")


def test_more_zones_than_there_are_refuse_every_write(setup):
    cluster = Zones(setup, ["a", "b", "b"])
    wait_whole(cluster.nodes, 3)
    write(cluster.nodes[0], KEYS[:1], "before")
    set_min_zones(cluster, "3")
    with connected(cluster.nodes[1]) as client:
        refusal = "NOREPLICAS copies in 3 zones are asked for (min-zones), 2 live; nothing was done"
        wait_until(lambda: client.error("SET", KEYS[0], "x") == refusal, "the refusal")
        wait_until(lambda: answer(client, "GET", KEYS[0]) == b"before", "GET")
    set_min_zones(cluster, "0")
    write(cluster.nodes[1], KEYS, "after")


def test_a_node_that_is_alone_is_one_zone(setup):
    directory = os.path.join(setup.folder, "alone")
    server = setup.server("--zone", "a", directory=directory)
    with connected(server) as client:
        client.call("CONFIG", "SET", "min-zones", "2")
        assert client.error("SET", "k", "v") == "NOREPLICAS copies in 2 zones are asked for (min-zones), 1 live; nothing was done"
        assert client.call("GET", "k") is None
        client.call("CONFIG", "SET", "min-zones", "1")
        assert client.call("SET", "k", "v") == "OK"


if __name__ == "__main__":
    run(globals())
