"""Clusters under measurement: ours, Valkey's and etcd's, each of processes on this machine.

Used by tools/bench_cluster.py; not a program.  All have start(), stop(), nodes (bench_servers.Server), cpu_ns(), and for Redis'
protocol leaders(): slot -> (host, port).
"""

import binascii
import shutil
import signal
import subprocess
import time

import bench_load
from bench_servers import Server
from free_port import free_port

SLOTS = 16384
READY_SECONDS_MAX = 60


class Missing(Exception):
    """This contender cannot be had here, or not in this mode; the text says why."""


def slot_of(key):
    """`key` as bytes; the part in braces if there is one."""
    begin = key.find(b"{")
    if begin >= 0:
        end = key.find(b"}", begin + 1)
        if end > begin + 1:
            key = key[begin + 1:end]
    return binascii.crc_hqx(key, 0) % SLOTS


def wait_for(condition, what):
    deadline = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < deadline:
        try:
            value = condition()
            if value:
                return value
        except (OSError, bench_load.ServerError):
            pass
        time.sleep(0.02)
    raise RuntimeError("waited %d s for %s" % (READY_SECONDS_MAX, what))


class Cluster:
    """What the kinds have in common."""

    def __init__(self, name, path):
        if not path or not shutil.which(path):
            raise Missing("no program for %s (%s)" % (name, path or "not named"))
        self.name, self.path, self.nodes = name, path, []

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        raise NotImplementedError

    def stop(self):
        for node in self.nodes:
            if node.process is not None:
                node.process.send_signal(signal.SIGCONT)        # one that a trial has stopped
        for node in self.nodes:
            node.stop()

    def cpu_ns(self):
        return sum(node.cpu_ns() for node in self.nodes if node.process is not None)

    def ask(self, index, *words):
        client = bench_load.Client(self.nodes[index].port, timeout=10)
        try:
            return client.call(*words)
        finally:
            client.close()

    def ask_all(self, *words):
        for index in range(len(self.nodes)):
            self.ask(index, *words)

    def fields(self, index, *words):
        lines = self.ask(index, *words).decode().split("\r\n")
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def leaders(self, index=0):
        """A list: the (host, port) that node `index` says leads the slot, or None."""
        out = [None] * SLOTS
        for first, last, leader, *_ in self.ask(index, "CLUSTER", "SLOTS"):
            for slot in range(first, last + 1):
                out[slot] = (leader[0].decode(), leader[1])
        return out

    def address_among_leaders(self, index):
        """The (host, port) by which leaders() names the node, if it leads something; it need not be the port of its clients."""
        own = self.ask(index, "CLUSTER", "MYID")
        for _, _, leader, *_ in self.ask(index, "CLUSTER", "SLOTS"):
            if leader[2] == own:
                return leader[0].decode(), leader[1]
        raise RuntimeError("node %d of %s leads nothing" % (index, self.name))

    def knows(self, *words):
        """Does the server have this command?"""
        return self.ask(0, "COMMAND", "INFO", "|".join(words)) != [None]


class Quorate(Cluster):
    """`count` nodes with `settings` beside a durability of bench_servers.CONFIGS."""

    def __init__(self, path, count, config="none", settings=(), base=None, name="quorate"):
        super().__init__(name, path)
        self.count, self.config, self.settings, self.base = count, config, list(settings), base

    def start(self):
        for _ in range(self.count):
            join = ["--join", "127.0.0.1:%d" % self.nodes[0].port] if self.nodes else []
            node = Server(self.name, self.path, self.config, extra=self.settings + join, base=self.base)
            self.nodes.append(node)
            try:
                node.start()
            except RuntimeError as problem:
                if "needs its log" in str(problem):
                    raise Missing("no memory mode in this version") from problem
                raise
        self.wait_whole()

    def wait_whole(self):
        """All nodes see all nodes and every copy, and lead their share."""
        for index in range(self.count):
            wait_for(lambda index=index: self.is_whole(index), "%s's node %d" % (self.name, index + 1))
        wait_for(lambda: len(set(self.leaders())) == self.count and None not in self.leaders(), "leaders on all nodes")

    def is_whole(self, index):
        info = self.fields(index, "CLUSTER", "INFO")
        return (info["cluster_state"] == "ok" and int(info["cluster_known_nodes"]) == self.count and
                info["cluster_under_replicated_partitions"] == "0" and info["cluster_leaderless_partitions"] == "0")

    def restart(self, index):
        self.nodes[index].start()
        self.wait_whole()

    def victim(self, number):
        return number % self.count

    def holders(self):
        """For each slot the addresses that have a copy."""
        out = [None] * SLOTS
        for first, last, *_ in self.ask(0, "CLUSTER", "SLOTS"):
            for slot in range(first, last + 1):
                out[slot] = first
        partitions = int(self.fields(0, "CLUSTER", "INFO")["cluster_partitions"])
        width, names = SLOTS // partitions, {}
        number = 0
        while len(names) < partitions:
            key = b"k%d" % number
            number += 1
            partition = slot_of(key) // width
            if partition not in names:
                reply = self.ask(0, "QUORUM", "EXPLAIN", key)
                replicas = reply[reply.index(b"replicas") + 1]
                names[partition] = [dict(zip(r[::2], r[1::2]))[b"address"].decode() for r in replicas]
        return [names[slot // width] for slot in range(SLOTS)]


class Valkey(Cluster):
    """`masters` with `replicas` each, made by hand as its own tool does."""

    def __init__(self, path, masters, replicas, config="none", node_timeout_ms=15000, base=None, name=None):
        super().__init__(name or "valkey %d+%d" % (masters, masters * replicas), path)
        self.masters, self.replicas, self.config = masters, replicas, config
        self.node_timeout_ms, self.base = node_timeout_ms, base
        self.count = masters * (1 + replicas)

    def start(self):
        for _ in range(self.count):
            self.nodes.append(Server("valkey", self.path, self.config, base=self.base, extra=[
                "--cluster-enabled", "yes", "--cluster-node-timeout", str(self.node_timeout_ms),
                "--repl-diskless-sync-delay", "0"]).start())
        share = -(-SLOTS // self.masters)
        for index in range(self.masters):
            first = index * share
            self.ask(index, "CLUSTER", "ADDSLOTSRANGE", first, min(first + share, SLOTS) - 1)
            self.ask(index, "CLUSTER", "SET-CONFIG-EPOCH", index + 1)
        for node in self.nodes[1:]:
            self.ask(0, "CLUSTER", "MEET", "127.0.0.1", node.port)
        for index in range(self.count):
            wait_for(lambda index=index: self.knows_all(index), "valkey's nodes to meet")
        for index in range(self.masters, self.count):
            self.ask(index, "CLUSTER", "REPLICATE", self.ask(index % self.masters, "CLUSTER", "MYID"))
        self.wait_whole()

    def knows_all(self, index):
        info = self.fields(index, "CLUSTER", "INFO")
        return int(info["cluster_known_nodes"]) == self.count and info["cluster_size"] == str(self.masters)

    def wait_whole(self):
        for index in range(self.count):
            wait_for(lambda index=index: self.is_whole(index), "%s's node %d" % (self.name, index + 1))

    def is_whole(self, index):
        replication = self.fields(index, "INFO", "replication")
        is_linked = replication["role"] == "master" or replication["master_link_status"] == "up"
        # A replica takes over from a master once it was told of by gossip, with replication under way.
        return (is_linked and self.fields(index, "CLUSTER", "INFO")["cluster_state"] == "ok" and
                all(len(row) == 3 + self.replicas for row in self.ask(index, "CLUSTER", "SLOTS")))

    def restart(self, index):
        self.nodes[index].start()
        self.wait_whole()

    def victim(self, number):
        """A node that is a master now."""
        masters = [i for i in range(self.count) if self.ask(i, "ROLE")[0] == b"master"]
        return masters[number % len(masters)]


class EtcdNode(Server):
    """A member; `port` is that of its clients."""

    def __init__(self, path, base):
        super().__init__("etcd", path, base=base)
        self.peer_port, self.members = free_port(), ""

    def argv(self):
        peer, client = "http://127.0.0.1:%d" % self.peer_port, "http://127.0.0.1:%d" % self.port
        return [self.path, "--name", "n%d" % self.port, "--data-dir", self.folder + "/data",
                "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--listen-client-urls", client,
                "--advertise-client-urls", client, "--initial-cluster", self.members, "--log-level", "error"]

    def await_pong(self, wait):
        pass                                    # it answers when a majority is there


class Etcd(Cluster):
    """`count` members, its own defaults (every put is synced)."""

    def __init__(self, path, count, base=None):
        super().__init__("etcd", path)
        self.count, self.base = count, base

    def start(self):
        self.nodes = [EtcdNode(self.path, self.base) for _ in range(self.count)]
        members = ",".join("n%d=http://127.0.0.1:%d" % (n.port, n.peer_port) for n in self.nodes)
        for node in self.nodes:
            node.members = members
            node.start()
        wait_for(lambda: b"revision" in self.put("ready"), "etcd to take a put")

    def put(self, key):
        request = etcd_put(key.encode(), b"v", self.nodes[0].port)
        client = bench_load.Client(self.nodes[0].port, timeout=5)
        try:
            client.socket.sendall(request)
            return client.socket.recv(65536)
        finally:
            client.close()

    def version(self):
        done = subprocess.run([self.path, "--version"], capture_output=True, text=True, check=False, timeout=20)
        return done.stdout.splitlines()[0]


def etcd_put(key, value, port):
    """One put as its gateway for HTTP takes it."""
    body = b'{"key":"%s","value":"%s"}' % (binascii.b2a_base64(key, newline=False), binascii.b2a_base64(value, newline=False))
    return (b"POST /v3/kv/put HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
            % (port, len(body), body))
