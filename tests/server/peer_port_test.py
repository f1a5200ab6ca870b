"""What strangers send to the port for other nodes: refused, counted, and nobody notices otherwise."""

import collections
import ctypes
import ctypes.util
import hashlib
import hmac
import os
import random
import resource
import socket
import struct
import threading
import time

from cluster import Cluster, answer, check, cluster_info, connected, wait_whole, write
from harness import Skip, run, wait_until

# Openings, greetings and frames of docs/FORMATS.md, "Between nodes".
GREETING_BYTES, GREETING_SEED, HEADER_SEED = 80, 0x706565726772746E, 0x7065657266726D31
PROOF_BYTES, FRAME_HEADER_BYTES, GUEST_FRAME_MAX = 32, 32, 1 << 20
VERSION, CALLER, CALLED = 7, 1, 2
LANE_DATA, LANE_BEATS = 1, 2
GUEST, WELCOME = 12345, 19
KEYS = ["key:%d" % number for number in range(200)]


def xxh3():
    name = ctypes.util.find_library("xxhash")
    if not name:
        raise Skip("no libxxhash to make checksums with")
    function = ctypes.CDLL(name).XXH3_64bits_withSeed
    function.restype = ctypes.c_uint64
    function.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64]
    return lambda data, seed: function(bytes(data), len(data), seed)


def sealed(data):
    return bytes(data) + struct.pack("<Q", xxh3()(data, GREETING_SEED))


def opening(role=CALLER, nonce=bytes(32), password=None, version=VERSION):
    data = bytearray(GREETING_BYTES - 8)
    data[:10] = b"QRTPEER" + bytes([version, role, password is not None])
    data[16:48] = nonce
    return sealed(data)


def proof(password, speaker, *said):
    """Of who has said and heard so much; without a password zeros."""
    if password is None:
        return bytes(PROOF_BYTES)
    secret = hashlib.pbkdf2_hmac("sha256", password.encode(), b"quorate masterauth 2", 4096)
    return hmac.new(secret, b"quorate proof 2 " + bytes([speaker]) + b"".join(said), "sha256").digest()


def changed(greeting, **fields):
    """A greeting with other fields and a right checksum."""
    data = bytearray(greeting[:GREETING_BYTES - 8])
    for name, value in fields.items():
        at, form = {"version": (7, "<B"), "lane": (8, "<B"), "partitions": (12, "<I"), "cluster": (16, "<Q"), "cluster_end": (24, "<Q"), "node": (32, "<Q"),
                    "wanted": (40, "<Q"), "incarnation": (48, "<Q")}[name]
        struct.pack_into(form, data, at, value)
    return sealed(data)


def guest_greeting(node):
    with connected(node) as client:
        partitions = int(client.config("partitions"))
    empty = b"QRTPEER" + bytes([VERSION]) + bytes(GREETING_BYTES - 8)
    return changed(empty, lane=LANE_DATA, partitions=partitions, node=GUEST, incarnation=1)


def as_caller(greeting, **fields):
    """The greeting of a node, as it would say it to one that it calls."""
    return changed(greeting, **{"lane": LANE_DATA, **fields})


def field(greeting, at):
    return struct.unpack_from("<Q", greeting, at)[0]


def varint(value):
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def message(kind, data):
    return varint(kind) + varint(len(data)) + data


def frame(number, body, acknowledged=0, size=None):
    """A whole frame with right checksums; `size`: claims another."""
    hash64 = xxh3()
    header = bytearray(FRAME_HEADER_BYTES)
    header[0:2] = b"F" + bytes([VERSION])
    struct.pack_into("<I", header, 8, len(body) if size is None else size)
    header[12:18], header[18:24] = number.to_bytes(6, "little"), acknowledged.to_bytes(6, "little")
    struct.pack_into("<I", header, 4, hash64(header[:4], hash64(header[8:24], HEADER_SEED)) & 0xFFFFFFFF)
    struct.pack_into("<Q", header, 24, hash64(body, hash64(header[:24], HEADER_SEED)))
    return bytes(header) + body


class Stranger:
    """A connection to a node's port for others."""

    def __init__(self, node):
        self.socket = socket.create_connection((node.host, node.port + 10000), 10)

        self.received = b""

    def take(self, size):
        while len(self.received) < size:
            self.received += self.some()
        data, self.received = self.received[:size], self.received[size:]
        return data

    def meet(self, greeting, password=None, nonce=bytes(32)):
        """Says who we are, once the node has opened; what was said."""
        theirs = self.take(GREETING_BYTES)
        ours = opening(nonce=nonce, password=password)
        said = ours + greeting + proof(password, CALLER, ours, theirs, greeting)
        self.send(said)
        return said

    def greeting(self):
        """What the node says once it believes us."""
        return self.take(GREETING_BYTES + PROOF_BYTES)[:GREETING_BYTES]

    def some(self):
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("closed")
        return data

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            pass                    # it has closed already, which closes() sees

    def closes(self, seconds=10.0):
        """Whether the node closes the connection; what it says before is in `received`."""
        self.socket.settimeout(seconds)
        try:
            while data := self.socket.recv(65536):
                self.received += data
            return True
        except TimeoutError:
            return False
        except OSError:
            return True

    def close(self):
        self.socket.close()


def greeting_of(node, password=None):
    stranger = Stranger(node)
    stranger.meet(guest_greeting(node), password, os.urandom(32))
    data = stranger.greeting()
    stranger.close()
    return data


def refused(node):
    return int(cluster_info(node)["cluster_stats_connections_refused"])


def refuses(node, greeting, *pieces):
    """The node closes the connection of who greets so, and then says all this, and counts it."""
    before = refused(node)
    stranger = Stranger(node)
    stranger.meet(greeting)
    if pieces:
        stranger.greeting()
    for piece in pieces:
        stranger.send(piece)
    assert stranger.closes(), "not refused: %r" % (pieces,)
    stranger.close()
    wait_until(lambda: refused(node) > before, "the refusal to be counted: %r" % [piece[:100] for piece in pieces])


def refuses_bytes(node, data):
    """The same of who begins so."""
    before = refused(node)
    stranger = Stranger(node)
    stranger.send(data)
    assert stranger.closes(), "not refused: %r" % data[:200]
    stranger.close()
    wait_until(lambda: refused(node) > before, "the refusal to be counted: %r" % data[:100])
    return stranger.received


def still_good(cluster):
    for node in cluster.nodes:
        assert node.process.poll() is None, node.log()[-2000:]
    wait_whole(cluster.nodes, len(cluster.nodes))
    write(cluster.nodes[0], KEYS, "still good")
    check(cluster.nodes[-1], KEYS, "still good")


def test_random_bytes_are_refused(setup):
    cluster = Cluster(setup, 2)
    chance = random.Random(1)
    for node in cluster.nodes:
        good = opening() + guest_greeting(node) + proof(None, CALLER)
        for _ in range(30):
            refuses_bytes(node, chance.randbytes(chance.choice([GREETING_BYTES, 200, 5000, 300000])))
            spoilt = bytearray(good)
            spoilt[chance.randrange(len(spoilt))] ^= 1 << chance.randrange(8)
            refuses_bytes(node, bytes(spoilt))
        refuses_bytes(node, b"GET / HTTP/1.1\r\nHost: me\r\nUser-Agent: somebody who took the wrong port, at some length\r\n\r\n")
        refuses_bytes(node, b"*1\r\n$4\r\nPING\r\n" * 20)
        refuses_bytes(node, good + bytes(1_000_000))                            # says more before it was heard
    still_good(cluster)


def test_who_is_somebody_else_is_refused(setup):
    cluster = Cluster(setup, 2)
    node, own, other = cluster.nodes[0], greeting_of(cluster.nodes[0]), as_caller(greeting_of(cluster.nodes[1]))
    stranger = Stranger(node)
    refuses_bytes(node, stranger.take(GREETING_BYTES))                          # its own words, sent back
    refuses_bytes(node, opening(role=CALLED))
    refuses(node, as_caller(own))                                               # itself
    refuses(node, changed(other, cluster=field(other, 16) ^ 1))                 # another cluster
    refuses(node, changed(other, partitions=64))
    nowhere = changed(other, cluster=0, cluster_end=0)
    refuses(node, changed(nowhere, wanted=field(own, 32)))                      # a member that knows no cluster
    wait_until(lambda: "one of the two has not joined yet" in node.log(), "the log to say so")
    refuses(node, changed(other, lane=7))
    refuses(node, changed(other, lane=0))
    refuses(node, changed(other, wanted=field(other, 32)))                      # looks for somebody else
    refuses(node, changed(other, wanted=field(own, 32), incarnation=0))         # a process that was replaced
    still_good(cluster)


def test_another_version_is_told_so_and_named_in_the_log(setup):
    cluster = Cluster(setup, 2)
    node = cluster.nodes[0]
    # Version 1 began with its greeting: 80 bytes, name and version in front, the checksum at the end, as they are still.
    said = refuses_bytes(node, changed(guest_greeting(node), version=1, node=field(greeting_of(cluster.nodes[1]), 32)))
    assert said[:8] == b"QRTPEER" + bytes([VERSION]) and said[GREETING_BYTES:][:1] == b"F" and said[-3:] == b"\x00\x01\x02", said
    line = "refused: another version of what nodes say to each other (1 there, %d here) -> run the same release at all nodes" % VERSION
    wait_until(lambda: line in node.log(), "the log to name the versions")
    wait_until(lambda: "connection with a node from 127.0.0.1:" in node.log(), "the log to say from where")
    refuses_bytes(node, opening(version=VERSION + 1))
    still_good(cluster)


def test_repeated_and_broken_frames_are_refused(setup):
    cluster = Cluster(setup, 2)
    node, chance = cluster.nodes[0], random.Random(2)
    guest = guest_greeting(node)
    hello = frame(1, b"")
    refuses(node, guest, hello, hello)                                          # replayed
    refuses(node, guest, frame(2, b""))                                         # one is missing
    refuses(node, guest, frame(1, b"", acknowledged=5))                         # of what was never sent
    refuses(node, guest, frame(1, b"", size=GUEST_FRAME_MAX + 1))
    refuses(node, guest, frame(1, message(1, b"x"))[:-1] + b"y")                # a wrong checksum
    refuses(node, guest, frame(1, b"\xff" * 20))                                # a body that is no messages
    for kind in range(1, 40):
        # Words of members, of an owner of links, of nobody, from a guest; a knock that makes no sense.
        if kind != WELCOME:
            refuses(node, guest, frame(1, message(kind, chance.randbytes(50))))
    welcomes = Stranger(node)
    welcomes.meet(guest)
    welcomes.greeting()
    welcomes.send(frame(1, message(WELCOME, chance.randbytes(50))))             # nobody has asked for it, and nobody looks at it
    still_good(cluster)


def test_a_false_member_cannot_end_the_process(setup):
    """Without masterauth who knows the numbers is heard as the member.  Its bytes must still do no harm."""
    cluster = Cluster(setup, 3)
    chance = random.Random(3)
    for node, other in ((cluster.nodes[0], cluster.nodes[1]), (cluster.nodes[1], cluster.nodes[2])):
        own, as_member = greeting_of(node), greeting_of(other)
        for lane in (LANE_DATA, LANE_BEATS):
            greeting = changed(as_member, wanted=field(own, 32), lane=lane)
            for kind in range(0, 60):
                stranger = Stranger(node)
                stranger.meet(greeting)
                stranger.greeting()
                for number in range(1, 6):
                    size = chance.choice([0, 1, 8, 40, 300])
                    data = bytes(size) if chance.random() < 0.3 else chance.randbytes(size)
                    stranger.send(frame(number, message(kind, data)))
                stranger.close()
    for node in cluster.nodes:
        assert node.process.poll() is None, node.log()[-3000:]
    still_good(cluster)


def resident_mb(node):
    with open("/proc/%d/status" % node.process.pid, encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) // 1024


def has_sanitizer(node):
    with open("/proc/%d/maps" % node.process.pid, encoding="ascii", errors="replace") as file:
        return "libasan" in file.read()


def test_a_thousand_silent_connections(setup):
    """They take no room from members, cost no memory to speak of, go after two seconds, and a node can join meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1200:
        raise Skip("no more than %d open files" % hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1200), hard))
    cluster = Cluster(setup, 2)
    node = cluster.nodes[0]
    write(cluster.nodes[1], KEYS, "before")
    memory, before = resident_mb(node), refused(node)
    strangers = []
    for _ in range(1000):
        try:
            strangers.append(Stranger(node))
        except OSError:
            pass                    # refused at once
    check(cluster.nodes[1], KEYS, "before")
    # With each one beyond the limit another was closed, the others in a while.
    wait_until(lambda: refused(node) >= before + len(strangers), "all silent connections to be refused")
    assert all(stranger.closes() for stranger in strangers)
    for stranger in strangers:
        stranger.close()
    if not has_sanitizer(node):
        assert resident_mb(node) < memory + 64, "%d MB, then %d MB" % (memory, resident_mb(node))
    still_good(cluster)


def test_strangers_who_come_again_and_again_keep_nobody_out(setup):
    cluster = Cluster(setup, 2)
    node = cluster.nodes[0]
    line = "too many connections that are no member's"
    before, is_over = refused(node), threading.Event()

    def crowd():
        strangers = collections.deque()
        while not is_over.is_set():
            try:
                strangers.append(Stranger(node))
            except OSError:
                pass
            if len(strangers) > 64:
                strangers.popleft().close()
            time.sleep(0.002)
        for stranger in strangers:
            stranger.close()

    thread = threading.Thread(target=crowd)
    thread.start()
    try:
        wait_until(lambda: refused(node) > before + 200 and line in node.log(), "the crowd to be there")
        third = setup.server("--join", "127.0.0.1:%d" % node.port, directory=os.path.join(setup.folder, "third"))
        wait_until(lambda: "-> member of a cluster of 3" in third.log(), "the third node to be let in")
        cluster.nodes.append(third)
        cluster.kill(1)
        cluster.start(1)
        still_good(cluster)
    finally:
        is_over.set()
        thread.join()


def test_a_node_joins_beside_a_crowd(setup):
    cluster = Cluster(setup, 2)
    node = cluster.nodes[0]
    crowd = [Stranger(node) for _ in range(40)]
    for stranger in crowd:
        stranger.send(os.urandom(20))           # too little for a greeting
    with connected(node) as client:
        assert wait_until(lambda: answer(client, "SET", "a", "b"), "a write") == "OK"
    third = setup.server("--join", "127.0.0.1:%d" % node.port, directory=os.path.join(setup.folder, "third"))
    wait_until(lambda: "-> member of a cluster of 3" in third.log(), "the third node to be let in")
    for stranger in crowd:
        stranger.close()
    cluster.nodes.append(third)
    still_good(cluster)


# ---- masterauth -----------------------------------------------------------------------------------------

PASSWORD = "the same at all nodes"


def test_three_nodes_with_masterauth_serve(setup):
    cluster = Cluster(setup, 3, "--masterauth", PASSWORD)
    still_good(cluster)
    cluster.kill(1)
    cluster.start(1)
    still_good(cluster)
    with connected(cluster.nodes[0]) as client:
        assert client.config("masterauth") == PASSWORD


def test_who_does_not_know_masterauth_learns_nothing(setup):
    cluster = Cluster(setup, 2, "--masterauth", PASSWORD)
    node, other = cluster.nodes
    own, as_member = greeting_of(node, PASSWORD), as_caller(greeting_of(other, PASSWORD))
    as_member = changed(as_member, wanted=field(own, 32), incarnation=field(as_member, 48))
    secrets = [own[16:32], own[32:40], as_member[32:40]]

    def learns_nothing(greeting, password, spoil=lambda said: said):
        before = refused(node)
        stranger = Stranger(node)
        theirs = stranger.take(GREETING_BYTES)
        ours = opening(nonce=os.urandom(32), password=password)
        stranger.send(spoil(ours + greeting + proof(password, CALLER, ours, theirs, greeting)))
        assert stranger.closes()
        stranger.close()
        heard = theirs + stranger.received
        assert len(stranger.received) <= FRAME_HEADER_BYTES + 3 and not any(secret in heard for secret in secrets), heard
        wait_until(lambda: refused(node) > before, "the refusal to be counted")

    for greeting in (guest_greeting(node), as_member, changed(as_member, lane=LANE_BEATS), changed(as_member, cluster=1)):
        for password in ("", "another", PASSWORD + " ", None):
            learns_nothing(greeting, password)
    # What was proven is no proof of something else.
    learns_nothing(guest_greeting(node), PASSWORD, lambda said: said[:GREETING_BYTES] + as_member + said[2 * GREETING_BYTES:])
    learns_nothing(as_member, PASSWORD, lambda said: said[:-1] + bytes([said[-1] ^ 1]))
    # Nor on another connection.
    stranger = Stranger(node)
    said = stranger.meet(as_member, PASSWORD, os.urandom(32))
    assert stranger.greeting() == own
    stranger.close()
    learns_nothing(as_member, PASSWORD, lambda _: said)
    assert "refused: masterauth differs" in node.log() and "refused: it has no masterauth" in node.log(), node.log()[-3000:]
    still_good(cluster)


def joining(setup, cluster, *settings):
    """One more node on its way into the cluster."""
    directory = os.path.join(setup.folder, "node%d" % (len(cluster.nodes) + 1))
    return setup.server("--join", "127.0.0.1:%d" % cluster.ports[0], *settings, directory=directory)


def joins_once_told(cluster, newcomer, password):
    with connected(newcomer) as client:
        assert client.call("CONFIG", "SET", "masterauth", password) == "OK"
    wait_until(lambda: "-> member of a cluster of 3" in newcomer.log(), "the node to be let in")
    cluster.nodes.append(newcomer)
    still_good(cluster)


def test_a_node_with_another_masterauth_joins_once_it_is_told(setup):
    cluster = Cluster(setup, 2, "--masterauth", PASSWORD)
    newcomer = joining(setup, cluster, "--masterauth", "another")
    line = "refused: masterauth differs -> set masterauth to the same at all nodes"
    wait_until(lambda: line in newcomer.log(), "the newcomer to say why")
    wait_until(lambda: line in cluster.nodes[0].log(), "the node to say why")
    assert cluster_info(cluster.nodes[0])["cluster_known_nodes"] == "2"
    joins_once_told(cluster, newcomer, PASSWORD)


def test_a_node_without_masterauth_joins_once_it_is_told(setup):
    cluster = Cluster(setup, 2, "--masterauth", PASSWORD)
    newcomer = joining(setup, cluster)
    wait_until(lambda: "refused: it has a masterauth and this node has none -> set masterauth here as it is there" in newcomer.log(), "why")
    wait_until(lambda: "refused: it has no masterauth -> set masterauth there as it is here" in cluster.nodes[0].log(), "why")
    joins_once_told(cluster, newcomer, PASSWORD)


def test_a_node_with_masterauth_does_not_join_those_without(setup):
    cluster = Cluster(setup, 2)
    newcomer = joining(setup, cluster, "--masterauth", PASSWORD)
    wait_until(lambda: "refused: it has no masterauth" in newcomer.log(), "the newcomer to say why")
    wait_until(lambda: "refused: it has a masterauth and this node has none" in cluster.nodes[0].log(), "the node to say why")
    joins_once_told(cluster, newcomer, "")


def links(node):
    with connected(node) as client:
        return sorted((link[3], link[5]) for link in client.call("CLUSTER", "LINKS"))


def test_masterauth_is_rolled_out_while_all_serve(setup):
    cluster = Cluster(setup, 3)
    still_good(cluster)
    before = links(cluster.nodes[0])
    for node in cluster.nodes:
        with connected(node) as client:
            assert client.call("CONFIG", "SET", "masterauth", PASSWORD) == "OK"
        write(node, KEYS, "at %d" % node.port)
    assert links(cluster.nodes[0]) == before        # connections that stand have stayed
    assert "masterauth was set -> connections with other nodes that are made from here on go by it" in cluster.nodes[0].log()
    refuses(cluster.nodes[0], guest_greeting(cluster.nodes[0]))
    cluster.kill(2)
    cluster.start(2, "--masterauth", PASSWORD)
    still_good(cluster)
    cluster.kill(1)
    cluster.start(1)                                # without: it stays outside until it is told
    wait_until(lambda: "this node has none -> set masterauth here as it is there" in cluster.nodes[1].log(), "the node to say why")
    with connected(cluster.nodes[1]) as client:
        assert client.call("CONFIG", "SET", "masterauth", PASSWORD) == "OK"
    still_good(cluster)


def test_a_lock_for_clients_only_is_warned_of(setup):
    warning = "masterauth is not set"
    for settings, is_warned in ((("--bind", "0.0.0.0", "--requirepass", "x"), True), (("--requirepass", "x"), False),
                                (("--bind", "0.0.0.0", "--requirepass", "x", "--masterauth", "y"), False),
                                (("--bind", "0.0.0.0", "--requirepass", "x", "--cluster-port", "0"), False),
                                (("--bind", "0.0.0.0"), True),
                                (("--bind", "0.0.0.0", "--protected-mode", "no"), False)):
        server = setup.server(*settings)
        assert (warning in server.log()[server.log_start:]) == is_warned, server.log()
        server.stop()


if __name__ == "__main__":
    run(globals())
