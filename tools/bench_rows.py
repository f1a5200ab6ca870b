"""The rows of the bench: what is loaded before, what is run, and what is read off.

Used by tools/bench.py; not a program.  Every row runs on every server in turn, round by
round; the client is Debian's redis-benchmark for all of them.
"""

import dataclasses
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import bench_load as load
from bench_servers import Server

TOOLS = os.path.dirname(os.path.abspath(__file__))
KEYS = 1_000_000             # of the random keys
CLIENTS = 50
VALUE = 64
BIG = 5_000_000              # keys or elements of the large shapes


@dataclasses.dataclass
class Row:
    """One throughput row.  `fill` puts the same data into each server before the rounds,
    or before every round when the row consumes or grows it (`each_round`)."""
    name: str
    pipeline: int
    words: tuple                 # for redis-benchmark: -t test, or a command of its own
    requests: int
    fill: object = None          # client -> None
    each_round: bool = False
    config: str = "none"
    goal: str = ""               # of docs: server CPU us/op
    needs: str = ""              # a command that the server must know
    group: str = "speed"


def fill_strings(client):
    client.pipe(load.strings(KEYS, VALUE))


def fill_counters(client):
    client.pipe(load.counters(KEYS))


def fresh(key, *generators):
    def fill(client):
        client.call("DEL", key)
        for generator in generators:
            client.pipe(generator())
    return fill


def test(name):
    return ("-t", name)


SPEED = [
    Row("SET P=1", 1, test("set"), 200_000, fill_strings, goal="8.0"),
    Row("GET P=1", 1, test("get"), 200_000, fill_strings, goal="7.9"),
    Row("SET P=16", 16, test("set"), 1_500_000, fill_strings, goal="0.78"),
    Row("GET P=16", 16, test("get"), 1_500_000, fill_strings, goal="0.70"),
    Row("SET P=64", 64, test("set"), 2_000_000, fill_strings, goal="0.36"),
    Row("GET P=64", 64, test("get"), 2_000_000, fill_strings, goal="0.33"),
    Row("INCR P=16", 16, test("incr"), 1_500_000, fill_counters, goal="0.72"),
    Row("LPUSH P=16", 16, test("lpush"), 1_000_000, fresh("mylist"), True, goal="0.65"),
    Row("RPOP P=16", 16, test("rpop"), 1_000_000,
        fresh("mylist", lambda: load.listed(1_100_000, VALUE)), True, goal="0.65"),
    Row("SADD P=16", 16, test("sadd"), 1_000_000, fresh("myset"), True, goal="0.75"),
    Row("HSET P=16", 16, test("hset"), 1_000_000, fresh("myhash"), True, goal="0.90"),
    Row("ZADD P=16", 16, test("zadd"), 500_000, fresh("myzset"), True, goal="2.0"),
    Row("SPOP P=16", 16, test("spop"), 900_000,
        fresh("myset", lambda: load.members(KEYS)), True, goal="0.9"),
    Row("ZPOPMIN P=16", 16, test("zpopmin"), 900_000,
        fresh("myzset", lambda: load.scored(KEYS, name="element:%012d")), True, goal="0.9"),
    Row("LRANGE_100 P=16", 16, ("lrange", "mylist", "0", "99"), 200_000,
        fresh("mylist", lambda: load.listed(1000, VALUE)), goal="3.0"),
    Row("MSET (10 keys) P=16", 16, test("mset"), 200_000, fill_strings, goal="3.2"),
    Row("XADD P=16", 16, ("xadd", "mystream", "*", "myfield", load.POOL[:VALUE].decode()),
        500_000, fresh("mystream"), True, goal="0.9", needs="xadd"),
]

PERSIST = [
    Row("SET P=16, no log", 16, test("set"), 1_000_000, fill_strings, group="persist"),
    Row("SET P=16, everysec", 16, test("set"), 1_000_000, fill_strings, config="everysec",
        goal="1.0", group="persist"),
    Row("SET P=16, always", 16, test("set"), 1_000_000, fill_strings, config="always",
        goal="1.2", group="persist"),
    Row("SET P=1, no log", 1, test("set"), 200_000, fill_strings, group="persist"),
    Row("SET P=1, always", 1, test("set"), 200_000, fill_strings, config="always",
        group="persist"),
]

# name, number of keys or elements, generator, goal in bytes
MEMORY = [
    ("5 M strings, 8-byte value", BIG, lambda n: load.strings(n, 8), "48"),
    ("5 M strings, 64-byte value", BIG, lambda n: load.strings(n, 64), "108"),
    ("5 M strings, 256-byte value", BIG, lambda n: load.strings(n, 256), "335"),
    ("1 M keys with TTL, 8-byte value", KEYS, lambda n: load.expiring(n, 8, 86_400_000), "58"),
    ("1 M hashes of 5 small fields", KEYS, load.hashes, "140"),
    ("1 M-member sorted set", KEYS, load.scored, "55"),
    ("1 M-element list of 16 bytes", KEYS, lambda n: load.listed(n, 16), "18.6"),
]
IDLE_CONNECTIONS = 5000


def benchmark_argv(row, port, core, requests):
    words = ["taskset", "-c", str(core), shutil.which("redis-benchmark"), "-p", str(port),
             "-c", str(CLIENTS), "-n", str(requests), "-P", str(row.pipeline),
             "-d", str(VALUE), "-r", str(KEYS)]
    return words + list(row.words)


def parse_benchmark(text):
    """ops/s, p50, p99, p99.9 (milliseconds) of redis-benchmark's long output."""
    rate = re.findall(r"throughput summary: ([\d.]+)", text)
    summary = re.findall(r"avg +min +p50 +p95 +p99 +max\s+([\d. ]+)", text)
    if not rate or not summary:
        raise RuntimeError("redis-benchmark said:\n" + text[-1500:])
    numbers = [float(n) for n in summary[-1].split()]
    steps = re.findall(r"([\d.]+)% <= ([\d.]+) milliseconds \(cumulative", text)
    p999 = next((float(ms) for share, ms in steps if float(share) >= 99.9), numbers[5])
    return {"ops": float(rate[-1]), "p50": numbers[2], "p99": numbers[4], "p999": p999}


def run_speed(row, server, client_core, requests):
    """One round of one row on one server."""
    if row.each_round and row.fill:
        client = server.client()
        row.fill(client)
        client.close()
    server.settle(6)
    before = server.cpu_ns()
    done = subprocess.run(benchmark_argv(row, server.port, client_core, requests),
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False, timeout=900)
    cpu = server.cpu_ns() - before
    if done.returncode or "Error from server" in done.stdout:
        raise RuntimeError("%s on %s: %s" % (row.name, server.name, done.stdout[-800:]))
    if row.config != "none" and folder_bytes(server.folder) < requests * VALUE // 10:
        raise RuntimeError("%s was told to keep a log and wrote hardly any" % server.name)
    out = parse_benchmark(done.stdout)
    out["us"] = cpu / 1000.0 / requests
    return out


def knows(server, name):
    client = server.client()
    try:
        got = client.call("COMMAND", "INFO", name)
        return bool(got and got[0])
    except load.ServerError:
        return False
    finally:
        client.close()


def measure_memory(name, path, core, count, generate, base):
    """Bytes of RSS growth a key of one shape on a fresh server."""
    with Server(name, path, core=core, base=base) as server:
        before = server.settled_rss()
        client = server.client()
        client.pipe(generate(count))
        client.close()
        return (server.settled_rss() - before) / count


def measure_idle(name, path, core, base, count=IDLE_CONNECTIONS):
    """Bytes of RSS growth a connection that sent one PING: at once, and half a minute later,
    when servers have shrunk the buffers of idle clients and the allocator has given back."""
    with Server(name, path, core=core, base=base) as server:
        before = server.settled_rss()
        sockets = []
        try:
            for _ in range(count):
                s = socket.create_connection(("127.0.0.1", server.port), 30)
                sockets.append(s)
                s.sendall(b"PING\r\n")
                s.recv(64)
            at_once = server.rss()
            time.sleep(30)
            return {"at once": (at_once - before) / count,
                    "later": (server.rss() - before) / count}
        finally:
            for s in sockets:
                s.close()


def measure_load(name, path, core, base, count, source):
    """Seconds from start to the first PONG with `count` keys in a dump or a log, and MB."""
    config = "none" if source == "dump" else "everysec"
    server = Server(name, path, config, core=core, base=base)
    try:
        server.start()
        client = server.client()
        client.pipe(load.strings(count, VALUE))
        if source == "dump":
            client.call("SAVE")
        else:
            time.sleep(2.5)                        # everysec: the last second reaches the disk
        client.close()
        server.kill()
        size = folder_bytes(server.folder)
        begin = time.monotonic()
        server.start(wait=300)
        client = server.client()
        while True:
            try:
                found = client.call("DBSIZE")
                break
            except load.ServerError:               # LOADING
                time.sleep(0.005)
        seconds = time.monotonic() - begin
        client.close()
        if found != count:
            raise RuntimeError("%s: %d of %d keys after the restart" % (name, found, count))
        return {"seconds": seconds, "mb": size / 1e6}
    finally:
        server.stop()


def folder_bytes(folder):
    return sum(os.path.getsize(os.path.join(d, f)) for d, _, files in os.walk(folder)
               for f in files)


class Probe:
    """bench/latency_probe on the client's core for the time of a with block."""

    def __init__(self, binary, port, core, words=("PING",)):
        self.argv = ["taskset", "-c", str(core), binary, "--port", str(port), "--seconds", "600",
                     "--", *words]
        self.result = None

    def __enter__(self):
        self.process = subprocess.Popen(self.argv, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        out, _ = self.process.communicate(timeout=30)
        numbers = dict(re.findall(r"(samples|p50|p99\.9|p99|max) ([\d.]+)", out))
        self.result = {k: float(v) for k, v in numbers.items()}


class Writer:
    """The paced writer for the time of a with block."""

    def __init__(self, port, core, rate, keys, *more):
        self.argv = ["nice", "-n", "5", "taskset", "-c", str(core), sys.executable,
                     os.path.join(TOOLS, "bench_load.py"), "--port", str(port), "--rate",
                     str(rate), "--keys", str(keys), "--size", str(VALUE), *more]
        self.text = ""

    def __enter__(self):
        self.process = subprocess.Popen(self.argv, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.text = self.process.communicate(timeout=60)[0].strip()

    def wait(self):
        self.process.wait(600)


def measure_snapshot(name, path, cores, base, count, probe, rate=20_000):
    """BGSAVE of `count` keys under a steady load of writes: memory, latency, duration."""
    with Server(name, path, core=cores[0], base=base) as server:
        client = server.client()
        client.pipe(load.strings(count, VALUE))
        words = ("SET", "key:%012d" % 1, load.POOL[:VALUE])
        quiet = Probe(probe, server.port, cores[1], words)
        during = Probe(probe, server.port, cores[1], words)
        with Writer(server.port, cores[1], rate, count) as writer:
            time.sleep(3)
            with quiet:
                time.sleep(3)
            before = peak = server.settled_rss() if rate == 0 else server.rss()
            begin = time.monotonic()
            with during:
                client.call("BGSAVE")
                while True:
                    peak = max(peak, server.memory_with_children())
                    info = client.info("persistence")
                    if info.get("rdb_bgsave_in_progress") == "0":
                        break
                    if time.monotonic() - begin > 300:
                        raise RuntimeError("BGSAVE does not end on " + name)
                    time.sleep(0.1)
            seconds = time.monotonic() - begin
        if info.get("rdb_last_bgsave_status", "ok") != "ok":
            raise RuntimeError("BGSAVE failed on " + name)
        client.close()
        return {"seconds": seconds, "mb": (peak - before) / 1e6,
                "percent": 100.0 * (peak - before) / before, "quiet": quiet.result,
                "latency": during.result, "writer": writer.text}


# --- pauses: the worst latency of a PING beside work that is large at once -------------------

def pause_nothing(server, client, cores, scale):
    time.sleep(5)


def pause_grow(server, client, cores, scale):
    with Writer(server.port, cores[1], 100_000, int(3_000_000 * scale), "--grow") as writer:
        writer.wait()


def deletes(generate, key, *words):
    """Makes one large key; then a command (DEL if none is given) that drops it."""
    def prepare(client, scale):
        client.call("SET", "small", "value")
        client.pipe(generate(int(BIG * scale), key))

    def act(server, client, cores, scale):
        client.call(*(words or ("DEL", key)))
        time.sleep(3)
    return prepare, act


def pause_flush(server, client, cores, scale):
    client.call("FLUSHALL", "ASYNC")
    time.sleep(6)


def pause_scan(server, client, cores, scale):
    cursor = b"0"
    while True:
        cursor = client.call("SCAN", cursor, "COUNT", 1_000_000)[0]
        if cursor == b"0":
            return


def prepare_expiry(client, scale):
    client.pipe(load.strings(int(2_000_000 * scale), 8))
    client.pipe(load.expiring(int(1_000_000 * scale), 8, int(12_000 * scale), "exp:"))


def pause_expiry(server, client, cores, scale):
    end = time.monotonic() + 14 * scale + 6
    target = int(2_000_000 * scale)
    while time.monotonic() < end and client.call("DBSIZE") > target:
        time.sleep(0.2)


def prepare_eviction(client, scale):
    client.pipe(load.strings(int(BIG * scale), VALUE))


def pause_eviction(server, client, cores, scale):
    used = int(client.info("memory")["used_memory"])
    client.call("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    client.call("CONFIG", "SET", "maxmemory", int(used * 0.8))
    with Writer(server.port, cores[1], 20_000, int(BIG * scale)):
        time.sleep(6)


PAUSES = [
    ("nothing but the probe", lambda client, scale: None, pause_nothing),
    ("growing to 3 M keys at 100 k/s", lambda client, scale: None, pause_grow),
    ("DEL of a 5 M-member set", *deletes(load.members, "bigset")),
    ("DEL of a 5 M-field hash", *deletes(load.fields, "bighash")),
    ("DEL of a 5 M-member sorted set", *deletes(load.scored, "bigzset")),
    ("DEL of a 5 M-element list", *deletes(lambda n, key: load.listed(n, 16, key), "biglist")),
    ("ZREMRANGEBYRANK of 5 M, 1000 stay", *deletes(load.scored, "bigzset", "ZREMRANGEBYRANK", "bigzset", "1000", "-1")),
    ("LTRIM of 5 M, 1000 stay", *deletes(lambda n, key: load.listed(n, VALUE, key), "biglist", "LTRIM", "biglist", "0",
                                         "999")),
    ("RENAME over a 5 M-member set", *deletes(load.members, "bigset", "RENAME", "small", "bigset")),
    ("FLUSHALL ASYNC of 5 M keys", prepare_eviction, pause_flush),
    ("SCAN COUNT 1000000 of 5 M keys", prepare_eviction, pause_scan),
    ("1 M keys expire at once", prepare_expiry, pause_expiry),
    ("eviction of 20 % of 5 M keys", prepare_eviction, pause_eviction),
]


def measure_pause(name, path, cores, base, probe, prepare, act, scale):
    with Server(name, path, core=cores[0], base=base) as server:
        client = server.client()
        prepare(client, scale)
        if act is not pause_expiry:
            server.settle(5)
        client.call("CONFIG", "RESETSTAT")
        with Probe(probe, server.port, cores[1]) as watched:
            time.sleep(0.5)
            act(server, client, cores, scale)
        # A server that says so itself: the CPU time of its longest turn, which other work on the machine does not
        # lengthen.
        turn = client.info("stats").get("eventloop_turn_cpu_usec_max")
        if turn is not None:
            watched.result["turn"] = int(turn) / 1000.0
        client.close()
        return watched.result
