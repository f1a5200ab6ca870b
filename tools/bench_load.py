"""What the bench sends: a small RESP client, generators of keys, and a paced writer.

Used by tools/bench.py and tests/kill9.py.  As a program it is the paced writer:
  bench_load.py --port PORT --rate 20000 --keys 5000000 --size 64 [--grow]
sets random keys (or, with --grow, new ones in order) at that rate until it is told to stop
or all keys are written, then prints `writes N seconds S late_ms_max M`.
"""

import argparse
import random
import signal
import socket
import sys
import time

CHUNK = 500                 # commands in one piece of a generated load
WINDOW = 8                  # pieces under way
POOL = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=65536)).encode()


class ServerError(Exception):
    """An error reply."""


class Client:
    """One connection; call() for single commands, pipe() for generated loads."""

    def __init__(self, port, host="127.0.0.1", timeout=600):
        self.socket = socket.create_connection((host, port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def close(self):
        self.socket.close()

    def fill(self):
        data = self.socket.recv(1 << 16)
        if not data:
            raise ConnectionError("the server closed the connection")
        self.buffer += data

    def line(self):
        while b"\r\n" not in self.buffer:
            self.fill()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def reply(self):
        """One reply; errors inside arrays are returned, others raised."""
        value = self.read_value()
        if isinstance(value, ServerError):
            raise value
        return value

    def read_value(self):
        line = self.line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            return ServerError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            size = int(rest)
            if size < 0:
                return None
            while len(self.buffer) < size + 2:
                self.fill()
            body, self.buffer = self.buffer[:size], self.buffer[size + 2:]
            return body
        if kind == b"*":
            return None if int(rest) < 0 else [self.read_value() for _ in range(int(rest))]
        raise ConnectionError("not a RESP2 reply: %r" % line[:60])

    def call(self, *words):
        self.socket.sendall(command(*words))
        return self.reply()

    def info(self, section):
        text = self.call("INFO", section).decode()
        return dict(l.split(":", 1) for l in text.splitlines() if ":" in l)

    def pipe(self, chunks):
        """Sends every chunk of (commands, bytes); each reply must be one line.  Returns the
        number of commands; raises at the first error reply."""
        sent = answered = 0
        pending = 0
        for count, data in chunks:
            self.socket.sendall(data)
            sent += count
            pending += 1
            while pending > WINDOW:
                answered += self.count_lines()
                pending = (sent - answered + CHUNK - 1) // CHUNK
        while answered < sent:
            answered += self.count_lines()
        return sent

    def count_lines(self):
        data = self.socket.recv(1 << 20)
        if not data:
            raise ConnectionError("the server closed the connection")
        at = 0 if data.startswith(b"-") else data.find(b"\n-")
        if at >= 0:
            raise ServerError(data[at:at + 120].decode("latin-1").strip())
        return data.count(b"\n")


def command(*words):
    out = [b"*%d\r\n" % len(words)]
    for word in words:
        word = word if isinstance(word, bytes) else str(word).encode()
        out.append(b"$%d\r\n%b\r\n" % (len(word), word))
    return b"".join(out)


def value(index, size):
    start = index * 7919 % (len(POOL) - size)
    return POOL[start:start + size]


def chunked(count, one):
    """Pieces of (commands, bytes) of one(i) for i in range(count)."""
    for start in range(0, count, CHUNK):
        stop = min(count, start + CHUNK)
        yield stop - start, b"".join([one(i) for i in range(start, stop)])


def strings(count, size, prefix="key:"):
    head = b"*3\r\n$3\r\nSET\r\n$16\r\n%b" % prefix.encode()
    tail = b"\r\n$%d\r\n" % size
    digits = b"%%0%dd" % (16 - len(prefix))
    return chunked(count, lambda i: b"".join(
        (head, digits % i, tail, value(i, size), b"\r\n")))


def counters(count):
    return chunked(count, lambda i: command("SET", "counter:%012d" % i, "0"))


def expiring(count, size, milliseconds, prefix="key:"):
    return chunked(count, lambda i: command(
        "SET", "%s%0*d" % (prefix, 16 - len(prefix), i), value(i, size), "PX", milliseconds))


def hashes(count):
    """Hashes of five small fields."""
    return chunked(count, lambda i: command("HSET", "hash:%011d" % i, *(
        word for f in range(5) for word in ("field%d" % f, value(i + f, 8)))))


def elements(name, key, count, one, batch=100):
    """A big key: `batch` elements a command, each the words that one(i) gives."""
    commands = (count + batch - 1) // batch
    return chunked(commands, lambda c: command(name, key, *(
        word for i in range(c * batch, min(count, (c + 1) * batch)) for word in one(i))))


def members(count, key="myset"):
    return elements("SADD", key, count, lambda i: ("element:%012d" % i,))


def scored(count, key="myzset", name="member:%09d"):
    return elements("ZADD", key, count, lambda i: (i * 7919 % count, name % i))


def fields(count, key="myhash"):
    return elements("HSET", key, count, lambda i: ("element:%012d" % i, value(i, 8)))


def listed(count, size, key="mylist"):
    return elements("RPUSH", key, count, lambda i: (value(i, size),))


def paced(args):
    """Writes at a steady rate.  A late batch is sent at once: the rate holds over time."""
    client, rng = Client(args.port), random.Random(args.seed)
    batch = max(1, args.rate // 500)
    written, late_max = 0, 0.0
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    start = time.monotonic()
    limit = args.keys if args.grow else None
    while not stop and (limit is None or written < limit):
        due = start + written / args.rate
        wait = due - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        late_max = max(late_max, -wait)
        picks = range(written, written + batch) if args.grow else [
            rng.randrange(args.keys) for _ in range(batch)]
        client.pipe([(batch, b"".join(
            b"*3\r\n$3\r\nSET\r\n$16\r\nkey:%012d\r\n$%d\r\n%b\r\n" % (
                i, args.size, value(i + written, args.size)) for i in picks))])
        written += batch
    print("writes %d seconds %.2f late_ms_max %.1f" % (
        written, time.monotonic() - start, late_max * 1000))
    return 0


if __name__ == "__main__":
    ap = argparse.ArgumentParser()
    for option, default in (("port", 7001), ("rate", 20000), ("keys", 5000000), ("size", 64),
                            ("seed", 1)):
        ap.add_argument("--" + option, type=int, default=default)
    ap.add_argument("--grow", action="store_true")
    sys.exit(paced(ap.parse_args()))
