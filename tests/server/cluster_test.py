"""A cluster of real processes: founding, joining, and coming back after kill -9."""

import signal

from cluster import Cluster, check, write
from harness import free_port, run

KEYS = ["key:%d" % number for number in range(200)]     # more than there are partitions


def test_what_is_written_at_one_node_is_read_at_all(setup):
    cluster = Cluster(setup, 3)
    for index, node in enumerate(cluster.nodes):
        write(node, KEYS, "value %d" % index)
        for other in cluster.nodes:
            check(other, KEYS, "value %d" % index)


def test_a_killed_node_comes_back_and_nothing_is_lost(setup):
    cluster = Cluster(setup, 3)
    for index in (2, 0):
        write(cluster.nodes[1], KEYS, "before %d" % index)
        cluster.kill(index)
        cluster.start(index)
        for node in cluster.nodes:
            check(node, KEYS, "before %d" % index)
        write(cluster.nodes[index], KEYS, "after %d" % index)
        for node in cluster.nodes:
            check(node, KEYS, "after %d" % index)


def test_all_nodes_are_killed_at_once_and_nothing_is_lost(setup):
    cluster = Cluster(setup, 3)
    write(cluster.nodes[0], KEYS, "value")
    for index in range(3):
        cluster.nodes[index].signal(signal.SIGKILL)
    for index in range(3):
        cluster.nodes[index].wait_end()
        cluster.start(index)
    for node in cluster.nodes:
        check(node, KEYS, "value")


def test_the_nodes_end_in_order(setup):
    cluster = Cluster(setup, 3)
    write(cluster.nodes[2], KEYS, "value")
    for node in cluster.nodes:
        assert node.stop() == 0, node.log()


def test_joining_needs_a_log(setup):
    code, output = setup.run("--port", str(free_port()), "--dir", setup.folder, "--join", "127.0.0.1:1", "--appendonly", "no")
    assert code == 1 and "a node of a cluster needs its log" in output and "CRASHED" not in output, (code, output)


if __name__ == "__main__":
    run(globals())
