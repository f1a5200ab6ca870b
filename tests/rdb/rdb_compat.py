#!/usr/bin/env python3
"""RDB files of the real redis-server are read, written again, and loaded by a second redis-server: every key must be
the same there.  Random values of every type and encoding, from a seed.

usage: rdb_compat.py --convert PATH/rdb_convert [--seed N] [--keys N]
Exits 0 good, 1 wrong, 2 usage, 77 skipped (no redis-server)."""
import argparse
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time


def redis_server():
    """The path of Debian's redis-server, or None."""
    return os.environ.get("QUORATE_REDIS_SERVER") or shutil.which("redis-server")


class Client:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.file = self.socket.makefile("rb")

    def send(self, *words):
        words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        parts = [b"*%d\r\n" % len(words)]
        parts += [b"$%d\r\n%s\r\n" % (len(word), word) for word in words]
        self.socket.sendall(b"".join(parts))
        return self.read()

    def read(self):
        line = self.file.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"$":
            size = int(rest)
            if size < 0:
                return None
            return self.file.read(size + 2)[:-2]
        if kind == b"*":
            return [self.read() for _ in range(int(rest))]
        if kind == b"-":
            raise RuntimeError(rest.decode())
        return rest


class Server:
    """A redis-server on a Unix socket, in a directory of its own."""

    def __init__(self, directory, *options):
        self.path = os.path.join(directory, "s")
        self.process = subprocess.Popen(
            [redis_server(), "--port", "0", "--unixsocket", self.path, "--dir", directory, "--save", "",
             "--appendonly", "no", *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 20
        while True:
            try:
                self.client = Client(self.path)
                if self.client.send("PING") == b"PONG":
                    return
            except (OSError, RuntimeError):
                pass
            if self.process.poll() is not None or time.monotonic() > deadline:
                output = self.process.stdout.read().decode() if self.process.poll() is not None else ""
                raise RuntimeError("redis-server does not start: " + output[-600:])
            time.sleep(0.02)

    def stop(self):
        self.process.terminate()
        self.process.communicate()


def text(chance):
    kind = chance.randrange(10)
    if kind == 0:
        return str(chance.choice([0, -1, 12, 127, 128, -129, 4095, 4096, 32767, 32768, 2**31 - 1, 2**31,
                                  -2**31 - 1, 2**63 - 1, -2**63]))
    if kind == 1:
        return str(chance.randrange(-10**6, 10**6))
    if kind == 2:
        return chance.choice("abc") * chance.randrange(1, 200)
    if kind == 3:
        return bytes(chance.randrange(256) for _ in range(chance.randrange(30)))
    if kind == 4 and chance.random() < 0.05:
        return "L" * chance.randrange(4000, 70000)
    return "w%d" % chance.randrange(10**9)


def fill(client, chance, keys):
    for number in range(keys):
        client.send("SELECT", chance.choice([0, 0, 0, 3, 15]))
        key = "key%d" % number
        size = chance.choice([1, 2, 5, 100, 130, 600])
        kind = chance.randrange(6)
        if kind == 0:
            client.send("SET", key, text(chance))
        elif kind == 1:
            client.send("RPUSH", key, *[text(chance) for _ in range(size)])
        elif kind == 2:
            client.send("SADD", key, *[text(chance) for _ in range(size)])
        elif kind == 3:
            limit = chance.choice([100, 10**5, 10**12])
            client.send("SADD", key, *[chance.randrange(-limit, limit) for _ in range(size)])
        elif kind == 4:
            scores = [chance.choice(["inf", "-inf", "0", "1.5", repr(chance.uniform(-1e9, 1e9)),
                                     repr(chance.random() * 1e-300), chance.randrange(10**15)])
                      for _ in range(size)]
            client.send("ZADD", key, *[word for score in scores for word in (score, text(chance))])
        else:
            client.send("HSET", key, *[text(chance) for _ in range(2 * size)])
        if chance.random() < 0.3:
            client.send("PEXPIREAT", key, 1900000000000 + number)


def value(client, key):
    kind = client.send("TYPE", key)
    if kind == b"string":
        content = client.send("GET", key)
    elif kind == b"list":
        content = client.send("LRANGE", key, 0, -1)
    elif kind == b"set":
        content = sorted(client.send("SMEMBERS", key))
    elif kind == b"zset":
        content = client.send("ZRANGE", key, 0, -1, "WITHSCORES")
    else:
        pairs = client.send("HGETALL", key)
        content = sorted(zip(pairs[::2], pairs[1::2]))
    return kind, client.send("OBJECT", "ENCODING", key), client.send("PEXPIRETIME", key), content


def everything(client):
    data = {}
    for database in range(16):
        client.send("SELECT", database)
        for key in client.send("KEYS", "*"):
            data[database, key] = value(client, key)
    return data


def run(arguments):
    chance = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        server = Server(first, "--rdbcompression", chance.choice(["yes", "no"]),
                        "--list-max-listpack-size", chance.choice(["-2", "-1", "16", "-5"]))
        try:
            fill(server.client, chance, arguments.keys)
            server.client.send("SAVE")
            before = everything(server.client)
        finally:
            server.stop()
        converted = subprocess.run(
            [arguments.convert, os.path.join(first, "dump.rdb"), os.path.join(second, "dump.rdb")],
            stdout=subprocess.PIPE, text=True)
        print(converted.stdout.strip())
        if converted.returncode != 0:
            return "the file of redis-server is not read"
        server = Server(second)
        try:
            after = everything(server.client)
        finally:
            server.stop()
    for place in before:
        if before[place] != after.get(place):
            return "key %r differs: %r, was %r" % (place, after.get(place), before[place])
    if len(after) != len(before):
        return "%d keys became %d" % (len(before), len(after))
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--convert", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keys", type=int, default=300)
    arguments = parser.parse_args()
    if not redis_server():
        print("skipped: no redis-server")
        return 77
    print("rdb_compat: seed", arguments.seed)
    wrong = run(arguments)
    print("wrong: " + wrong[:2000] if wrong else "good")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
