#!/usr/bin/env python3
"""Kills the server with SIGKILL at random moments and looks for what it had acknowledged.

  tests/kill9.py [--rounds 10] [--seed N] [--server PATH] [--appendfsync always|everysec]

Each writer has keys of its own and repeats one cycle of steps in a fixed order, numbered
n = 1, 2, 3 ...: SET, INCR, RPUSH, HSET, ZADD, a MULTI over two keys, a large SET whose bytes
follow from n.  It counts what was sent and what was acknowledged.  After the restart on the
same folder every writer's keys must show a state which one prefix of its steps explains: at
least everything acknowledged, at most what was sent, no step without the one before it, both
keys of a MULTI or none, no torn value.  A reader notes the counters it was shown; they may
not go back either.  Some rounds start a BGREWRITEAOF or BGSAVE just before the kill, some
kill the server again while it loads.

Exit status: 0 nothing lost, 1 a violation (the folder is kept), 2 could not run.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import bench_load  # noqa: E402
from bench_servers import Server  # noqa: E402

STEPS = ("set", "incr", "rpush", "hset", "zadd", "multi", "blob")
BLOB_BYTES_MAX = 20_000
BATCH_MAX = 12              # steps in one pipeline


class Violation(Exception):
    """The server broke its promise."""


def blob(writer, n):
    """A value that follows from its number; now and then a large one."""
    size = (n * 7919 + writer) % (BLOB_BYTES_MAX if n % 16 == 0 else 200)
    return b"%d:" % n + bench_load.value(n * 31 + writer, size)


def key(writer, name):
    return "w%d:%s" % (writer, name)


def step_words(writer, index):
    """The commands of step `index` (0-based) of a writer: a list of word tuples."""
    n, kind = index // len(STEPS) + 1, STEPS[index % len(STEPS)]
    if kind == "set":
        return [("SET", key(writer, "set"), n)]
    if kind == "incr":
        return [("INCR", key(writer, "incr"))]
    if kind == "rpush":
        return [("RPUSH", key(writer, "list"), n)]
    if kind == "hset":
        return [("HSET", key(writer, "hash"), "f%d" % (n % 500), n)]
    if kind == "zadd":
        return [("ZADD", key(writer, "zset"), n, "m%d" % (n % 500))]
    if kind == "multi":
        return [("MULTI",), ("SET", key(writer, "a"), n), ("SET", key(writer, "b"), n), ("EXEC",)]
    return [("SET", key(writer, "blob"), blob(writer, n))]


class Writer(threading.Thread):
    """Sends steps in small pipelines until the connection breaks."""

    def __init__(self, number, port, done, seed):
        super().__init__(daemon=True)
        self.number, self.port, self.rng = number, port, random.Random(seed)
        self.sent = self.acknowledged = done        # counts of steps since the beginning
        self.problem = None

    def run(self):
        try:
            client = bench_load.Client(self.port, timeout=30)
            while True:
                first, count = self.sent, self.rng.randint(1, BATCH_MAX)
                commands = [step_words(self.number, first + i) for i in range(count)]
                self.sent += count
                client.socket.sendall(b"".join(
                    bench_load.command(*words) for step in commands for words in step))
                for i, step in enumerate(commands):
                    replies = [client.reply() for _ in step]
                    self.check(first + i, replies)
                    self.acknowledged += 1
        except OSError:
            pass                                    # the kill
        except (bench_load.ServerError, Violation) as problem:
            self.problem = "writer %d: %s" % (self.number, problem)

    def check(self, index, replies):
        n, kind = index // len(STEPS) + 1, STEPS[index % len(STEPS)]
        if kind in ("incr", "rpush") and replies[0] != n:
            raise Violation("%s number %d answered %r" % (kind, n, replies[0]))
        if kind == "multi" and replies[3] != ["OK", "OK"]:
            raise Violation("EXEC answered %r" % (replies[3],))


class Reader(threading.Thread):
    """Remembers the highest counters that it was shown."""

    def __init__(self, port, writers):
        super().__init__(daemon=True)
        self.port, self.seen = port, [0] * writers

    def run(self):
        try:
            client = bench_load.Client(self.port, timeout=30)
            while True:
                got = client.call("MGET", *(key(w, "incr") for w in range(len(self.seen))))
                self.seen = [max(s, int(g or 0)) for s, g in zip(self.seen, got)]
        except (OSError, bench_load.ServerError):
            pass


def number(value):
    return int(value) if value is not None else 0


def recovered_steps(client, w, checked):
    """How many steps of writer `w` the keyspace shows; raises when no prefix explains it."""
    get = client.call
    counts = {
        "set": number(get("GET", key(w, "set"))),
        "incr": number(get("GET", key(w, "incr"))),
        "rpush": get("LLEN", key(w, "list")),
        "multi": number(get("GET", key(w, "a"))),
    }
    if number(get("GET", key(w, "b"))) != counts["multi"]:
        raise Violation("writer %d: half a MULTI: a=%r b=%r" % (
            w, get("GET", key(w, "a")), get("GET", key(w, "b"))))
    tail = [int(v) for v in get("LRANGE", key(w, "list"), checked, -1)]
    if tail != list(range(checked + 1, counts["rpush"] + 1)):
        raise Violation("writer %d: the list from %d on has a gap or a wrong order" % (w, checked))
    large = get("GET", key(w, "blob"))
    counts["blob"] = int(large.split(b":", 1)[0]) if large else 0
    if large and large != blob(w, counts["blob"]):
        raise Violation("writer %d: the large value of step %d is torn" % (w, counts["blob"]))
    pairs = get("HGETALL", key(w, "hash"))
    counts["hset"] = newest(w, "hash", dict(zip(pairs[::2], map(int, pairs[1::2]))), b"f%d")
    pairs = get("ZRANGE", key(w, "zset"), 0, -1, "WITHSCORES")
    counts["zadd"] = newest(w, "zset", dict(zip(pairs[::2], map(int, pairs[1::2]))), b"m%d")

    done = sum(counts.values())
    for position, kind in enumerate(STEPS):
        want = done // len(STEPS) + (position < done % len(STEPS))
        if counts[kind] != want:
            raise Violation("writer %d: no prefix of its steps gives %r" % (w, counts))
    return done


def newest(w, what, found, name):
    """The highest number in a hash or sorted set that must hold the last 500 of them."""
    top = max(found.values(), default=0)
    want = {name % (n % 500): n for n in range(max(1, top - 499), top + 1)}
    if found != want:
        wrong = sorted(set(found.items()) ^ set(want.items()))[:4]
        raise Violation("writer %d: the %s up to %d is wrong near %r" % (w, what, top, wrong))
    return top


class Run:
    """The rounds of one run on one folder."""

    def __init__(self, args):
        self.args, self.rng = args, random.Random(args.seed)
        self.folder = tempfile.mkdtemp(prefix="kill9-", dir=args.dir)
        self.server = Server("kill9", args.server, args.appendfsync, folder=self.folder)
        self.done = [0] * args.writers         # steps that are known to be in the keyspace
        self.checked = [0] * args.writers      # list elements that were looked at
        self.acknowledged = self.kept = self.saves = self.double_kills = 0
        self.slowest = 0.0

    def write_and_kill(self):
        rng, port = self.rng, self.server.port
        writers = [Writer(w, port, self.done[w], rng.random()) for w in range(self.args.writers)]
        reader = Reader(port, self.args.writers)
        for thread in [*writers, reader]:
            thread.start()
        time.sleep(rng.uniform(0.005, 0.3))
        if rng.random() < 0.3:
            self.saves += 1
            client = self.server.client()
            try:
                client.call(rng.choice(["BGREWRITEAOF", "BGSAVE"]))
            except (OSError, bench_load.ServerError):
                pass                            # e.g. one is in progress
            client.close()
            time.sleep(rng.uniform(0, 0.05))
        self.server.kill(signal.SIGKILL)
        for thread in [*writers, reader]:
            thread.join(60)
            if thread.is_alive():
                raise Violation("a client hangs after the kill")
        for writer in writers:
            if writer.problem:
                raise Violation(writer.problem)
        return writers, reader

    def restart(self):
        while self.rng.random() < 0.15:         # killed again while it starts or loads
            self.double_kills += 1
            self.server.launch()
            time.sleep(self.rng.uniform(0, 0.08))
            self.server.kill(signal.SIGKILL)
        begin = time.monotonic()
        self.server.start(wait=60)
        self.slowest = max(self.slowest, time.monotonic() - begin)

    def verify(self, writers, reader):
        client = self.server.client()
        for writer in writers:
            w = writer.number
            done = recovered_steps(client, w, self.checked[w])
            if done < writer.acknowledged:
                raise Violation("writer %d: %d steps acknowledged, %d found: LOST %d" % (
                    w, writer.acknowledged, done, writer.acknowledged - done))
            if done > writer.sent:
                raise Violation("writer %d: %d steps sent, %d found" % (w, writer.sent, done))
            shown = number(client.call("GET", key(w, "incr")))
            if shown < reader.seen[w]:
                raise Violation("writer %d: a reader saw counter %d, it is %d now" % (
                    w, reader.seen[w], shown))
            self.acknowledged += writer.acknowledged - self.done[w]
            self.kept += done - writer.acknowledged
            self.done[w] = done
            self.checked[w] = client.call("LLEN", key(w, "list"))
        client.close()

    def round(self, index):
        writers, reader = self.write_and_kill()
        self.restart()
        self.verify(writers, reader)
        if (index + 1) % 20 == 0:
            print("  round %d: %d acknowledged writes so far" % (index + 1, self.acknowledged),
                  flush=True)

    def run(self):
        self.server.start()
        for index in range(self.args.rounds):
            self.round(index)
        client = self.server.client()           # the lists once more, from their beginning
        for w in range(self.args.writers):
            recovered_steps(client, w, 0)
        client.close()


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--server", default=os.path.join(ROOT, "build/bin/quorate-server"))
    ap.add_argument("--rounds", type=int, default=10)
    ap.add_argument("--writers", type=int, default=4)
    ap.add_argument("--seed", type=int, default=None)
    ap.add_argument("--appendfsync", choices=("always", "everysec"), default="always")
    ap.add_argument("--dir", help="where the data folder is made")
    args = ap.parse_args()
    args.server = shutil.which(args.server)
    if not args.server:
        print("kill9: no server; build it first (tools/build)")
        return 2
    if args.seed is None:
        args.seed = int.from_bytes(os.urandom(3), "big")
    print("kill9: seed %d, %d rounds, %d writers, appendfsync %s" % (
        args.seed, args.rounds, args.writers, args.appendfsync), flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))     # so that the server is stopped
    run, verdict = Run(args), "nothing lost"
    try:
        run.run()
    except (Violation, RuntimeError, OSError, bench_load.ServerError) as problem:
        verdict = "VIOLATION: %s (folder kept: %s)" % (problem, run.folder)
    finally:
        run.server.kill(signal.SIGKILL)
    print("kill9: %d acknowledged steps checked, %d unacknowledged ones kept, %d saves under way,"
          " %d kills while starting, slowest start %.2f s" % (
              run.acknowledged, run.kept, run.saves, run.double_kills, run.slowest))
    print("kill9: " + verdict)
    if verdict != "nothing lost":
        return 1
    shutil.rmtree(run.folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
