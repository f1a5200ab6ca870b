"""What nodes of a cluster remember of their lives before: `appendonly no`, and starts after which something may be missing."""

import os
import shutil

from cluster import Cluster, check, connected, wait_whole, write
from harness import free_port, run, wait_until

KEYS = ["key:%d" % number for number in range(60)]      # more than there are partitions
FEW_PARTITIONS = ("--partitions", "16")
MAY_HAVE_FORGOTTEN = "may not have got to the disk"
RESTARTED_TOGETHER = "partitions are certain to remember all -> they go on with what the fullest copy holds"


def restart(cluster, index):
    cluster.kill(index)
    return cluster.start(index)


def test_nodes_without_a_log_lose_nothing_while_most_of_them_live(setup):
    cluster = Cluster(setup, 3, *FEW_PARTITIONS, "--appendonly", "no")
    wait_whole(cluster.nodes, 3)
    for index in (2, 0):
        write(cluster.nodes[1], KEYS, "before %d" % index)
        restart(cluster, index)
        for node in cluster.nodes:
            check(node, KEYS, "before %d" % index)
        # It holds copies again: the next may go.
        wait_whole(cluster.nodes, 3)
    for node in cluster.nodes:
        assert RESTARTED_TOGETHER not in node.log(), node.log()


def test_a_node_without_a_log_that_ends_in_order_comes_back(setup):
    cluster = Cluster(setup, 3, *FEW_PARTITIONS, "--appendonly", "no")
    wait_whole(cluster.nodes, 3)
    write(cluster.nodes[2], KEYS, "value")
    assert cluster.nodes[0].stop() == 0, cluster.nodes[0].log()
    check(cluster.nodes[1], KEYS, "value")
    cluster.start(0)
    wait_whole(cluster.nodes, 3)
    check(cluster.nodes[0], KEYS, "value")


def test_nodes_without_a_log_that_all_fall_say_what_is_lost(setup):
    cluster = Cluster(setup, 3, *FEW_PARTITIONS, "--appendonly", "no")
    wait_whole(cluster.nodes, 3)
    write(cluster.nodes[0], KEYS, "value")
    cluster.kill(0, 1, 2)
    for index in range(3):
        cluster.start(index)
    wait_whole(cluster.nodes, 3)
    logs = "".join(node.log() for node in cluster.nodes)
    assert RESTARTED_TOGETHER in logs and "begin with nothing" in logs, logs
    with connected(cluster.nodes[1]) as client:
        assert [client.call("GET", key) for key in KEYS] == [None] * len(KEYS)
    write(cluster.nodes[2], KEYS, "again")
    check(cluster.nodes[0], KEYS, "again")


def test_the_log_is_switched_on_and_off_while_nodes_have_company(setup):
    cluster = Cluster(setup, 3, *FEW_PARTITIONS, "--appendonly", "no")
    wait_whole(cluster.nodes, 3)
    write(cluster.nodes[0], KEYS, "one")
    for node in cluster.nodes:
        with connected(node) as client:
            assert client.call("CONFIG", "SET", "appendonly", "yes") == "OK"
        wait_until(lambda node=node: "snapshot of the log is durable" in node.log(), "a snapshot at port %d" % node.port)
    write(cluster.nodes[1], KEYS, "two")
    cluster.kill(0, 1, 2)
    for index in range(3):
        cluster.start(index, "--appendonly", "yes")
    wait_whole(cluster.nodes, 3)
    check(cluster.nodes[2], KEYS, "two")
    for node in cluster.nodes:
        with connected(node) as client:
            assert client.call("CONFIG", "SET", "appendonly", "no") == "OK"
        wait_until(lambda node=node: "partitions are kept in memory only" in node.log(), "the log of port %d to be bare" % node.port)
    write(cluster.nodes[0], KEYS, "three")
    restart(cluster, 1)
    wait_whole(cluster.nodes, 3)
    for node in cluster.nodes:
        check(node, KEYS, "three")


def test_who_has_the_log_of_a_lone_node_and_keeps_none_is_not_let_in(setup):
    server = setup.server()
    with server.client() as client:
        client.call("SET", "key", "value")
    server.stop()
    code, output = setup.run("--port", str(free_port()), "--dir", setup.directory, "--join", "127.0.0.1:1", "--appendonly", "no")
    assert code == 1 and "the log of a node that was alone" in output and "CRASHED" not in output, (code, output)


def test_a_node_that_is_killed_remembers(setup):
    cluster = Cluster(setup, 3, *FEW_PARTITIONS)
    wait_whole(cluster.nodes, 3)
    write(cluster.nodes[0], KEYS, "value")
    restart(cluster, 1)
    wait_whole(cluster.nodes, 3)
    assert cluster.nodes[2].stop() == 0
    cluster.start(2)
    wait_whole(cluster.nodes, 3)
    for node in cluster.nodes:
        assert MAY_HAVE_FORGOTTEN not in node.log(), node.log()
        check(node, KEYS, "value")


def test_a_node_without_its_mark_asks_the_others_before_it_votes(setup):
    cluster = Cluster(setup, 3, *FEW_PARTITIONS)
    wait_whole(cluster.nodes, 3)
    write(cluster.nodes[0], KEYS, "value")
    cluster.kill(1)
    os.remove(os.path.join(setup.folder, "node2", "node.mark"))
    cluster.start(1)
    wait_whole(cluster.nodes, 3)
    assert MAY_HAVE_FORGOTTEN in cluster.nodes[1].log(), cluster.nodes[1].log()
    check(cluster.nodes[1], KEYS, "value")
    # Once it holds everything again it is as good as the others.
    cluster.kill(0)
    check(cluster.nodes[1], KEYS, "value")


def test_all_nodes_without_their_marks_go_on_with_what_they_have(setup):
    cluster = Cluster(setup, 3, *FEW_PARTITIONS)
    wait_whole(cluster.nodes, 3)
    write(cluster.nodes[0], KEYS, "value")
    cluster.kill(0, 1, 2)
    for index in range(3):
        os.remove(os.path.join(setup.folder, "node%d" % (index + 1), "node.mark"))
        cluster.start(index)
    wait_whole(cluster.nodes, 3)
    assert RESTARTED_TOGETHER in "".join(node.log() for node in cluster.nodes)
    for node in cluster.nodes:
        check(node, KEYS, "value")


def test_a_copied_directory_is_refused(setup):
    cluster = Cluster(setup, 3, *FEW_PARTITIONS)
    wait_whole(cluster.nodes, 3)
    assert cluster.nodes[2].stop() == 0
    copy = os.path.join(setup.folder, "copy")
    shutil.copytree(os.path.join(setup.folder, "node3"), copy)
    code, output = setup.run("--port", str(free_port()), "--dir", copy)
    assert code == 1 and "a copy of it" in output and "CRASHED" not in output, (code, output)


if __name__ == "__main__":
    run(globals())
