"""The two doors: the main port answers for every key, cluster-client-port sends to the leader."""

import socket

from cluster import Cluster, wait_whole
from harness import Client, ReplyError, free_port, run, wait_until

PARTITIONS = 16


def slot_of(key):
    """CRC16 (XMODEM) of the key, of 16384."""
    crc = 0
    for byte in key.encode():
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1) ^ (0x1021 if crc & 0x8000 else 0)
    return crc & 0x3FFF


class Doors(Cluster):
    """Three nodes, each with its main port and its port for clients that know the cluster."""

    def __init__(self, setup):
        super().__init__(setup, 3, "--partitions", PARTITIONS)
        wait_whole(self.nodes, 3)
        wait_until(self.is_balanced, "all leaders to be where the plan wants them")

    def is_balanced(self):
        """Every node sees that each leads its share: leaders move no more by themselves."""
        for node in self.nodes:
            led = {}
            with node.client() as client:
                for first, last, master, *_ in client.call("CLUSTER", "SLOTS"):
                    led[master[1]] = led.get(master[1], 0) + (last + 1 - first) * PARTITIONS // 16384
            if sorted(led.values()) != [5, 5, 6]:
                return False
        return True

    def main(self, index):
        return self.nodes[index].client()

    def second(self, index):
        return Client(("127.0.0.1", self.ports[index] + 1000))

    def index_of(self, address):
        """Of the node whose second door is at host:port."""
        return self.ports.index(int(address.rsplit(":", 1)[1]) - 1000)

    def leader(self, key):
        """The node that the map names for the key's slot."""
        with self.main(0) as client:
            for first, last, master, *_ in client.call("CLUSTER", "SLOTS"):
                if first <= slot_of(key) <= last:
                    return self.index_of("x:%d" % master[1])
        raise AssertionError("no node has slot %d" % slot_of(key))


KEYS = ["key:%d" % number for number in range(64)]


def test_the_second_door_sends_to_the_leader_and_the_main_port_does_not(setup):
    doors = Doors(setup)
    for key in KEYS:
        leader = doors.leader(key)
        for index in range(3):
            with doors.main(index) as client:
                assert client.call("SET", key, index) == "OK"
            with doors.second(index) as client:
                if index == leader:
                    assert client.call("GET", key) == b"%d" % index
                else:
                    moved = "MOVED %d 127.0.0.1:%d" % (slot_of(key), doors.ports[leader] + 1000)
                    assert client.error("SET", key, "x") == moved
                    assert client.error("GET", key) == moved


def test_a_request_of_a_browser_is_run_at_neither_door(setup):
    doors = Doors(setup)
    request = b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\n" + b"".join(b"SET %s pwned\r\n" % key.encode() for key in KEYS)
    for index in range(3):
        for door in (doors.main, doors.second):
            with door(index) as client:
                client.socket.sendall(request)
                assert client.at_end()
    with doors.main(0) as client:
        assert client.call("MGET", *KEYS) == [None] * len(KEYS)


def test_transactions_and_several_keys_at_the_second_door(setup):
    doors = Doors(setup)
    leader = doors.leader("tx")
    other = (leader + 1) % 3
    with doors.second(other) as client:
        assert client.error("WATCH", "tx").startswith("MOVED ")
        assert client.call("MULTI") == "OK"
        assert client.error("SET", "tx", "1").startswith("MOVED ")
        assert client.error("EXEC") == "EXECABORT Transaction discarded because of previous errors."
        # What can be taken apart is answered anywhere.
        assert client.call("MSET", *[word for key in KEYS for word in (key, key)]) == "OK"
        assert client.call("MGET", *KEYS) == [key.encode() for key in KEYS]
    with doors.second(leader) as client:
        assert client.call("MULTI") == "OK"
        assert client.call("SET", "tx", "1") == "QUEUED"
        assert client.call("EXEC") == ["OK"]


def test_what_the_nodes_say_at_the_second_door_adds_up(setup):
    doors = Doors(setup)
    with doors.main(0) as client:
        for key in KEYS:
            client.call("SET", key, 1)
    sizes, found, scanned = [], [], []
    for index in range(3):
        with doors.main(index) as client:
            assert client.call("DBSIZE") == len(KEYS)
        with doors.second(index) as client:
            sizes.append(client.call("DBSIZE"))
            found += client.call("KEYS", "*")
            cursor = b"0"
            while True:
                cursor, page = client.call("SCAN", cursor)
                scanned += page
                if cursor == b"0":
                    break
    assert sum(sizes) == len(KEYS) and min(sizes) > 0, sizes
    assert sorted(found) == sorted(scanned) == sorted(key.encode() for key in KEYS)
    with doors.second(1) as client:
        assert client.call("FLUSHALL") == "OK"
        assert client.call("DBSIZE") == 0
    with doors.main(2) as client:
        assert client.call("DBSIZE") == 0


def test_without_a_leader_the_second_door_holds(setup):
    doors = Doors(setup)
    lost = [key for key in KEYS if doors.leader(key) == 2]
    doors.kill(2)
    for key in lost:
        with doors.second(0) as first, doors.second(1) as second:
            clients = {0: first, 1: second}
            at, outcome = 0, None
            for _ in range(6):      # from the one to the other and back while they learn of it
                try:
                    outcome = clients[at].call("SET", key, "v")
                    break
                except ReplyError as error:
                    assert str(error).startswith("MOVED "), error
                    at = doors.index_of(str(error))
                    assert at != 2, "sent to a node that is dead"
            assert outcome == "OK", (key, outcome)


def test_clients_that_follow_the_map_are_not_forwarded(setup):
    doors = Doors(setup)
    with doors.main(1) as client:
        assert client.call("CLUSTER", "FAILOVER") == "OK"
        for key in KEYS:        # once; then the map is as it will be
            client.call("SET", key, 0)
    before = forwarded(doors)
    clients = [doors.second(index) for index in range(3)]
    home = {}
    for round_number in range(5):
        for key in KEYS:
            for _ in range(5):
                try:
                    clients[home.get(key, 0)].call("SET", key, round_number)
                    break
                except ReplyError as error:
                    home[key] = doors.index_of(str(error))
    for client in clients:
        client.close()
    assert forwarded(doors) - before <= len(KEYS) * 5 * 5 // 100


def forwarded(doors):
    count = 0
    for index in range(3):
        with doors.main(index) as client:
            count += int(client.info("stats")["requests_forwarded"])
    return count


def test_the_setting_decides_which_ports_are_announced(setup):
    doors = Doors(setup)
    key = KEYS[0]
    leader = doors.leader(key)
    other = (leader + 1) % 3
    with doors.main(other) as client:
        for value, step in (("auto", 1000), ("never", 0), ("always", 0)):
            assert client.call("CONFIG", "SET", "cluster-redirect", value) == "OK"
            announced = {master[1] for _, _, master, *_ in client.call("CLUSTER", "SLOTS")}
            assert announced == {port + step for port in doors.ports}, (value, announced)
            nodes = client.call("CLUSTER", "NODES").decode()
            assert all(":%d@" % (port + step) in nodes for port in doors.ports)
        assert client.error("GET", key) == "MOVED %d 127.0.0.1:%d" % (slot_of(key), doors.ports[leader])
        assert client.call("CONFIG", "SET", "cluster-redirect", "never") == "OK"
        assert client.call("GET", key) is None


def test_a_node_that_is_alone_announces_its_second_door_and_answers_there(setup):
    server = setup.server()
    with Client(("127.0.0.1", server.port + 1000)) as client:
        assert client.call("SET", "key", "value") == "OK"
        assert client.call("DBSIZE") == 1
        assert client.call("SCAN", 0) == [b"0", [b"key"]]
        assert client.call("CLUSTER", "SLOTS")[0][2][1] == server.port + 1000


def test_a_second_door_that_cannot_be_opened_is_refused_with_the_reason(setup):
    with socket.socket() as taken:
        port = free_port()
        taken.bind(("127.0.0.1", port + 1000))
        taken.listen()
        code, output = setup.run("--port", str(port), "--dir", setup.directory)
        assert code == 1, output
        assert "could not listen on 127.0.0.1 port %d" % (port + 1000) in output, output
        assert "cluster-client-port names another port" in output, output
    code, output = setup.run("--port", "65000", "--cluster-port", "1234", "--dir", setup.directory)
    assert code == 1 and "65000 leaves no room for the default of cluster-client-port" in output, output
    server = setup.server("--cluster-client-port", "0")
    assert "clients that know the cluster" not in server.log()
    with server.client() as client:
        assert client.call("CLUSTER", "SLOTS")[0][2][1] == server.port


if __name__ == "__main__":
    run(globals())
