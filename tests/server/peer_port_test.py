"""What strangers send to the port for other nodes: refused, counted, and nobody notices otherwise."""

import ctypes
import ctypes.util
import os
import random
import resource
import socket
import struct

from cluster import Cluster, answer, check, cluster_info, connected, wait_whole, write
from harness import Skip, run, wait_until

# The greeting and the frames of docs/FORMATS.md, "Between nodes".
GREETING_BYTES, GREETING_SEED, HEADER_SEED = 80, 0x706565726772746E, 0x7065657266726D31
FRAME_HEADER_BYTES, GUEST_FRAME_MAX = 32, 1 << 20
LANE_DATA, LANE_BEATS = 1, 2
KEYS = ["key:%d" % number for number in range(200)]


def xxh3():
    name = ctypes.util.find_library("xxhash")
    if not name:
        raise Skip("no libxxhash to make checksums with")
    function = ctypes.CDLL(name).XXH3_64bits_withSeed
    function.restype = ctypes.c_uint64
    function.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64]
    return lambda data, seed: function(bytes(data), len(data), seed)


def changed(greeting, **fields):
    """A greeting with other fields and a right checksum."""
    data = bytearray(greeting[:GREETING_BYTES - 8])
    for name, value in fields.items():
        at, form = {"version": (7, "<B"), "lane": (8, "<B"), "partitions": (12, "<I"), "cluster": (16, "<Q"), "node": (32, "<Q"),
                    "wanted": (40, "<Q"), "incarnation": (48, "<Q")}[name]
        struct.pack_into(form, data, at, value)
    return bytes(data) + struct.pack("<Q", xxh3()(data, GREETING_SEED))


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
    header[0:2] = b"F\x01"
    struct.pack_into("<I", header, 8, len(body) if size is None else size)
    header[12:18], header[18:24] = number.to_bytes(6, "little"), acknowledged.to_bytes(6, "little")
    struct.pack_into("<I", header, 4, hash64(header[:4], hash64(header[8:24], HEADER_SEED)) & 0xFFFFFFFF)
    struct.pack_into("<Q", header, 24, hash64(body, hash64(header[:24], HEADER_SEED)))
    return bytes(header) + body


class Stranger:
    """A connection to a node's port for others."""

    def __init__(self, node):
        self.socket = socket.create_connection((node.host, node.port + 10000), 10)

    def greeting(self):
        """What the node says first."""
        data = b""
        while len(data) < GREETING_BYTES:
            data += self.some()
        return data[:GREETING_BYTES]

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
        """Whether the node closes the connection."""
        self.socket.settimeout(seconds)
        try:
            while self.socket.recv(65536):
                pass
            return True
        except TimeoutError:
            return False
        except OSError:
            return True

    def close(self):
        self.socket.close()


def greeting_of(node):
    stranger = Stranger(node)
    data = stranger.greeting()
    stranger.close()
    return data


def refused(node):
    return int(cluster_info(node)["cluster_stats_connections_refused"])


def refuses(node, *pieces):
    """The node closes the connection on which all this was sent, and counts it."""
    before = refused(node)
    stranger = Stranger(node)
    stranger.greeting()
    for piece in pieces:
        stranger.send(piece)
    assert stranger.closes(), "not refused: %r" % (pieces,)
    stranger.close()
    wait_until(lambda: refused(node) > before, "the refusal to be counted: %r" % [piece[:100] for piece in pieces])


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
        own = greeting_of(node)
        for _ in range(30):
            refuses(node, chance.randbytes(chance.choice([GREETING_BYTES, 200, 5000, 300000])))
            spoilt = bytearray(own)
            spoilt[chance.randrange(len(spoilt))] ^= 1 << chance.randrange(8)
            refuses(node, bytes(spoilt))
        refuses(node, b"GET / HTTP/1.1\r\nHost: me\r\nUser-Agent: somebody who took the wrong port, at some length\r\n\r\n")
        refuses(node, b"*1\r\n$4\r\nPING\r\n" * 20)
    still_good(cluster)


def test_who_is_somebody_else_is_refused(setup):
    cluster = Cluster(setup, 2)
    node, own, other = cluster.nodes[0], greeting_of(cluster.nodes[0]), greeting_of(cluster.nodes[1])
    refuses(node, own)                                                          # our own words, sent back
    refuses(node, changed(other, version=2))
    refuses(node, changed(other, cluster=field(other, 16) ^ 1))                 # another cluster
    refuses(node, changed(other, partitions=64))
    refuses(node, changed(other, lane=7))
    refuses(node, changed(other, wanted=field(other, 32)))                      # looks for somebody else
    refuses(node, changed(other, wanted=field(own, 32), incarnation=0))         # a process that was replaced
    still_good(cluster)


def test_repeated_and_broken_frames_are_refused(setup):
    cluster = Cluster(setup, 2)
    node, chance = cluster.nodes[0], random.Random(2)
    guest = changed(greeting_of(cluster.nodes[1]), node=12345, cluster=0)
    hello = frame(1, b"")
    refuses(node, guest, hello, hello)                                          # replayed
    refuses(node, guest, frame(2, b""))                                         # one is missing
    refuses(node, guest, frame(1, b"", acknowledged=5))                         # of what was never sent
    refuses(node, guest, frame(1, b"", size=GUEST_FRAME_MAX + 1))
    refuses(node, guest, frame(1, message(1, b"x"), size=5))                    # a wrong checksum
    refuses(node, guest, frame(1, b"\xff" * 20))                                # a body that is no messages
    for kind in range(1, 40):
        # Words of members, of an owner of links, of nobody, from a guest; a knock that makes no sense.
        refuses(node, guest, frame(1, message(kind, chance.randbytes(50))))
    still_good(cluster)


def test_a_false_member_cannot_end_the_process(setup):
    """There is no password between nodes: who knows the numbers is heard as the member.  Its bytes must still do no harm."""
    cluster = Cluster(setup, 3)
    chance = random.Random(3)
    for node, other in ((cluster.nodes[0], cluster.nodes[1]), (cluster.nodes[1], cluster.nodes[2])):
        own, as_member = greeting_of(node), greeting_of(other)
        for lane in (LANE_DATA, LANE_BEATS):
            greeting = changed(as_member, wanted=field(own, 32), lane=lane)
            for kind in range(0, 60):
                stranger = Stranger(node)
                stranger.greeting()
                stranger.send(greeting)
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
    # Those beyond the limit were closed at once, the others in a while.
    wait_until(lambda: refused(node) >= before + len(strangers), "all silent connections to be refused")
    assert all(stranger.closes() for stranger in strangers)
    for stranger in strangers:
        stranger.close()
    if not has_sanitizer(node):
        assert resident_mb(node) < memory + 64, "%d MB, then %d MB" % (memory, resident_mb(node))
    still_good(cluster)


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


if __name__ == "__main__":
    run(globals())
