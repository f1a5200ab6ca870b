"""Writers of many keys, each on a connection of its own, and what they saw while a node was lost.

Used by tools/bench_cluster.py; not a program.  One thread; every writer sends a SET, waits for the answer, rests a while, sends
the next.  A key's window begins with the fault and ends with the first OK for a SET that was sent after the fault began.
"""

import collections
import selectors
import socket
import time

import bench_load
from bench_clusters import slot_of

KEYS = 512
REST_SECONDS = 0.05
AGAIN_SECONDS = 0.005           # after an error
MAP_SECONDS = 0.05              # how often a cluster-aware client that is troubled asks who leads
BEFORE_SECONDS, AFTER_SECONDS = 1.0, 1.0
WINDOW_SECONDS_MAX = 40.0


class Writer:
    """One key."""

    def __init__(self, number):
        self.key = b"failover:%d" % number
        self.request = bench_load.command("SET", self.key, "x" * 64)
        self.slot = slot_of(self.key)
        self.address = self.socket = None
        self.sent = None                # when, if no answer has come yet
        self.due = 0.0
        self.wished = None              # since when it wants to write and has had no OK
        self.longest_wait = 0.0
        self.writable = None            # when the first OK for a SET sent after the fault came


class Probe:
    """`route(slot)` says where a writer sends to; `routes_change` when clients follow the map.  Call run() once."""

    def __init__(self, route, refresh=None):
        self.route, self.refresh = route, refresh
        self.writers = [Writer(number) for number in range(KEYS)]
        self.selector = selectors.DefaultSelector()
        self.errors = collections.Counter()
        self.fault, self.asked, self.troubled = None, 0.0, False

    def run(self, act):
        """act() is the fault.  Returns windows in ms, the longest time in ms that a writer waited for an OK, refusals and
        attempts after them included, errors."""
        begin = time.monotonic()
        for index, writer in enumerate(self.writers):
            writer.due = writer.wished = begin + REST_SECONDS * index / KEYS
        self.loop(lambda now: now >= begin + BEFORE_SECONDS)
        self.fault = time.monotonic()
        act()
        self.loop(lambda now: all(w.writable for w in self.writers) or now > self.fault + WINDOW_SECONDS_MAX)
        end = time.monotonic()
        self.loop(lambda now: now >= end + AFTER_SECONDS)
        for writer in self.writers:
            self.close(writer)
        never = sum(w.writable is None for w in self.writers)
        if never:
            raise RuntimeError("%d keys take no write %.0f s after the fault: %s" % (never, WINDOW_SECONDS_MAX, dict(self.errors)))
        return {"windows": sorted(1000 * (w.writable - self.fault) for w in self.writers),
                "wait": 1000 * max(w.longest_wait for w in self.writers), "errors": dict(self.errors)}

    def loop(self, done):
        now = time.monotonic()
        while not done(now):
            self.follow(now)
            for writer in self.writers:
                if writer.sent is None and writer.due <= now:
                    self.send(writer, now)
            for key, _ in self.selector.select(0.002):
                self.receive(key.data)
            now = time.monotonic()

    def follow(self, now):
        """Asks for the map while something goes wrong, and leaves connections that lead elsewhere now."""
        if self.refresh is None or self.fault is None or now < self.asked + MAP_SECONDS:
            return
        if not self.troubled and all(w.sent is None or now - w.sent < 0.1 for w in self.writers):
            return
        self.asked, self.troubled = now, False
        self.refresh()
        for writer in self.writers:
            if writer.socket is not None and self.route(writer.slot) != writer.address:
                self.drop(writer, "moved", 0.0)

    def send(self, writer, now):
        try:
            if writer.socket is None:
                writer.address = self.route(writer.slot)
                writer.socket = socket.create_connection(writer.address, 1)
                writer.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.selector.register(writer.socket, selectors.EVENT_READ, writer)
            writer.socket.sendall(writer.request)
            writer.sent = now
        except OSError:
            self.drop(writer, "connection lost", AGAIN_SECONDS)

    def receive(self, writer):
        try:
            reply = writer.socket.recv(4096)
        except OSError:
            reply = b""
        now = time.monotonic()
        if not reply:
            self.drop(writer, "connection lost", AGAIN_SECONDS)
            return
        sent, writer.sent = writer.sent, None
        if not reply.startswith(b"+OK"):
            self.errors[reply.split()[0].decode("latin-1")] += 1
            self.troubled = True
            writer.due = now + AGAIN_SECONDS
            if reply.startswith(b"-MOVED"):
                self.close(writer)
            return
        writer.longest_wait = max(writer.longest_wait, now - writer.wished)
        in_trouble = self.fault is not None and writer.writable is None
        if in_trouble and sent >= self.fault:
            writer.writable = now
        writer.due = writer.wished = now if in_trouble and writer.writable is None else now + REST_SECONDS

    def drop(self, writer, reason, rest):
        self.errors[reason] += 1
        self.troubled = True
        self.close(writer)
        writer.due = time.monotonic() + rest

    def close(self, writer):
        if writer.socket is not None:
            try:
                self.selector.unregister(writer.socket)
            except KeyError:
                pass
            writer.socket.close()
        writer.socket, writer.sent = None, None
