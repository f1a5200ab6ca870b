"""What an operator does and meets: nodes lost for good, a quorum lost and back, all down and started in any order."""

import itertools
import os
import signal
import time

from cluster import Cluster, answer, check, cluster_info, connected, wait_whole, write
from harness import ReplyError, run, wait_until

KEYS = ["key:%d" % number for number in range(200)]     # more than there are partitions
REQUEST_TIMEOUT_MS = 1000


def id_of(node):
    with connected(node) as client:
        return client.call("CLUSTER", "MYID").decode()


def pairs(reply):
    """A flat list of names and values as a dictionary."""
    return {name.decode(): value for name, value in zip(reply[::2], reply[1::2])}


def leader_of(client, key):
    return pairs(client.call("QUORUM", "EXPLAIN", key))["leader"]


def outcomes(node, *words, keys=KEYS):
    """What each key answers: the reply, or the first word of the error; and the longest time it took."""
    out, slowest = {}, 0.0
    with connected(node) as client:
        for key in keys:
            begin = time.monotonic()
            try:
                out[key] = client.call(words[0], key, *words[1:])
            except ReplyError as error:
                out[key] = str(error).split()[0]
            slowest = max(slowest, time.monotonic() - begin)
    return out, slowest


def test_one_of_two_nodes_is_lost(setup):
    """Each partition has one voter: what the other node voted for waits for it, the rest goes on."""
    cluster = Cluster(setup, 2, "--request-timeout-ms", "100")
    wait_whole(cluster.nodes, 2)
    keys = KEYS[:60]                        # half of them wait for the time-out
    write(cluster.nodes[0], keys, "before")
    with connected(cluster.nodes[0]) as client:
        own = id_of(cluster.nodes[0]).encode()

        def led_by_us():
            return {key for key in keys if leader_of(client, key) == own}

        def is_shared():
            # Each node leads about half of them once all moves of the plan are done.
            before = led_by_us()
            return len(keys) / 4 < len(before) < len(keys) * 3 / 4 and led_by_us() == before

        wait_until(is_shared, "the leaders to be shared")
        led_here = led_by_us()
        assert pairs(client.call("QUORUM", "STATUS"))["survives-a-node"] == b"no"
    lost = id_of(cluster.nodes[1])
    cluster.kill(1)
    wait_until(lambda: int(cluster_info(cluster.nodes[0])["cluster_leaderless_partitions"]) > 0, "the loss to be seen")
    assert cluster_info(cluster.nodes[0])["cluster_state"] == "fail"
    told, _ = outcomes(cluster.nodes[0], "SET", "after", keys=keys)
    assert {key for key, reply in told.items() if reply == "OK"} == led_here, told
    assert set(told.values()) == {"OK", "CLUSTERDOWN"}, told
    with connected(cluster.nodes[0]) as client:
        # It holds the only copies of what it led, wherever they are planned to be.
        wait_until(lambda: answer(client, "QUORUM", "DRAIN", lost) == "OK", "QUORUM DRAIN")
        for _ in range(100):
            try:
                client.call("QUORUM", "REMOVE", lost)
                raise AssertionError("the only copies were given away")
            except ReplyError as error:
                # At first it is not known to be gone.
                assert "has no leader on another node" in str(error) or "the node drains, and still leads" in str(error), error
        wait_until(lambda: answer(client, "QUORUM", "UNDRAIN", lost) == "OK", "QUORUM UNDRAIN")
    cluster.start(1)
    wait_whole(cluster.nodes, 2)
    for node in cluster.nodes:
        check(node, led_here, "after")
        check(node, set(keys) - led_here, "before")


def test_a_new_leader_does_not_pretend_to_know_what_a_dead_copy_holds(setup):
    cluster = Cluster(setup, 3)
    wait_whole(cluster.nodes, 3)
    write(cluster.nodes[0], KEYS, "value")
    lost = id_of(cluster.nodes[2]).encode()
    with connected(cluster.nodes[0]) as client:
        led = [key for key in KEYS if leader_of(client, key) == lost]
        cluster.kill(2)
        own = id_of(cluster.nodes[0]).encode()
        led_here = wait_until(lambda: [key for key in led if leader_of(client, key) == own], "this node to lead what the dead one led")
        for key in led_here:
            copies = {copy["node"]: copy for copy in map(pairs, pairs(client.call("QUORUM", "EXPLAIN", key))["replicas"])}
            assert copies[lost]["last-index"] is None and copies[lost]["lag"] is None, copies[lost]
            assert copies[own]["last-index"] > 0, copies[own]


def test_a_dead_node_is_removed_and_a_fresh_one_takes_its_place(setup):
    cluster = Cluster(setup, 3)
    wait_whole(cluster.nodes, 3)
    write(cluster.nodes[0], KEYS, "before")
    lost = id_of(cluster.nodes[2])
    cluster.kill(2)
    fresh = setup.server("--join", "127.0.0.1:%d" % cluster.ports[0], directory=os.path.join(setup.folder, "fresh"))
    with connected(cluster.nodes[0]) as client:
        # A dead node's copies are rebuilt elsewhere before it is let go.
        wait_until(lambda: answer(client, "QUORUM", "DRAIN", lost) == "OK", "QUORUM DRAIN")
        wait_until(lambda: answer(client, "QUORUM", "REMOVE", lost) == "OK", "QUORUM REMOVE", 60)
    alive = [cluster.nodes[0], cluster.nodes[1], fresh]
    wait_whole(alive, 3, 60)
    for node in alive:
        check(node, KEYS, "before")
    # All three count now: any of the old ones may go.
    cluster.kill(1)
    write(fresh, KEYS, "after")
    cluster.start(1)
    wait_whole([cluster.nodes[0], cluster.nodes[1], fresh], 3)
    check(cluster.nodes[1], KEYS, "after")
    # The lost one comes back, is told that it was removed, and serves nothing.
    back = cluster.start(2, wait=False)
    wait_until(lambda: "removed from the cluster for good" in back.log(), "the removed node to hear of it")
    with connected(back) as client:
        assert pairs(client.call("QUORUM", "STATUS"))["membership"] == b"refused"
        assert answer(client, "SET", "key:1", "stale") is None
    check(fresh, KEYS, "after")


def test_all_nodes_are_killed_and_start_in_any_order(setup):
    cluster = Cluster(setup, 3)
    for number, order in enumerate(itertools.permutations(range(3))):
        write(cluster.nodes[number % 3], KEYS, "value %d" % number)
        cluster.kill(0, 1, 2)
        for index in order:
            cluster.start(index)
        for node in cluster.nodes:
            check(node, KEYS, "value %d" % number)


def test_two_start_and_the_third_comes_later(setup):
    cluster = Cluster(setup, 3)
    wait_whole(cluster.nodes, 3)                    # before that a partition may have one copy
    write(cluster.nodes[0], KEYS, "before")
    cluster.kill(0, 1, 2)
    cluster.start(2)
    cluster.start(1)
    check(cluster.nodes[2], KEYS, "before")         # two of three hold all that was acknowledged
    write(cluster.nodes[1], KEYS, "after")
    cluster.start(0)
    wait_whole(cluster.nodes, 3)
    check(cluster.nodes[0], KEYS, "after")


def test_a_lost_quorum_answers_in_time_and_recovers(setup):
    cluster = Cluster(setup, 3, "--request-timeout-ms", str(REQUEST_TIMEOUT_MS))
    wait_whole(cluster.nodes, 3)
    write(cluster.nodes[0], KEYS, "before")
    cluster.kill(1, 2)
    told, slowest = outcomes(cluster.nodes[0], "SET", "after", keys=KEYS[:4])
    assert slowest < 2 * REQUEST_TIMEOUT_MS / 1000 + 1, slowest
    assert set(told.values()) <= {"CLUSTERDOWN", "UNCERTAIN", "TRYAGAIN", "NOREPLICAS"}, told
    read, slowest = outcomes(cluster.nodes[0], "GET", keys=KEYS[:4])
    assert slowest < 2 * REQUEST_TIMEOUT_MS / 1000 + 1, slowest
    assert set(read.values()) <= {"CLUSTERDOWN", "TRYAGAIN"}, read
    cluster.start(1)
    cluster.start(2)
    wait_whole(cluster.nodes, 3)
    for key in KEYS:
        with connected(cluster.nodes[2]) as client:
            got = wait_until(lambda client=client, key=key: answer(client, "GET", key), "GET %s" % key)
        # What was uncertain may have been done; what was refused was not.
        allowed = {b"before", b"after"} if told.get(key) == "UNCERTAIN" else {b"before"}
        assert got in allowed, (key, got, told.get(key))
    write(cluster.nodes[1], KEYS, "again")
    check(cluster.nodes[0], KEYS, "again")


def test_a_majority_is_stopped_and_goes_on(setup):
    """Nobody has ended: SIGSTOP, as a machine that is swapping or suspended."""
    cluster = Cluster(setup, 3, "--request-timeout-ms", str(REQUEST_TIMEOUT_MS))
    wait_whole(cluster.nodes, 3)
    write(cluster.nodes[0], KEYS, "before")
    for index in (1, 2):
        cluster.nodes[index].signal(signal.SIGSTOP)
    told, slowest = outcomes(cluster.nodes[0], "SET", "after", keys=KEYS[:3])
    assert slowest < 2 * REQUEST_TIMEOUT_MS / 1000 + 1, slowest
    assert set(told.values()) <= {"CLUSTERDOWN", "UNCERTAIN", "TRYAGAIN", "NOREPLICAS"}, told
    for index in (1, 2):
        cluster.nodes[index].signal(signal.SIGCONT)
    write(cluster.nodes[0], KEYS, "again")
    for node in cluster.nodes:
        check(node, KEYS, "again")


if __name__ == "__main__":
    run(globals())
