#!/usr/bin/env python3
"""Measures a cluster of quorate-server beside its peers: failover, replicated writes, reads, idle CPU, seven nodes.

  tools/bench_cluster.py --valkey /path/to/valkey-server --etcd /path/to/etcd --markdown docs/BENCHMARKS.md
  tools/bench_cluster.py --quick --groups failover,idle

Groups: failover (512 keys: the time until each is writable again after kill -9, SIGSTOP, SIGTERM), writes (SET at the commit
quorum beside Valkey's SET + WAIT 1 and etcd's put), reads (levels, forwarding), idle (CPU of nodes that do nothing), seven (7
nodes, half GET half SET, N = 1, 3, 5).  Peers run in the same run, alternating round by round; medians.  The client is
valkey-benchmark (beside valkey-server, or --client) for all but etcd.  "us/op" is the CPU time of all server processes together
divided by the operations.  Processes are not pinned.  What cannot be had here is left out, with the reason.
Exit status: 0, or 2 when it could not run.
"""

import argparse
import collections
import csv
import io
import json
import os
import selectors
import shlex
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

TOOLS = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(TOOLS)
sys.path.insert(0, TOOLS)
import bench_load  # noqa: E402
import docs_part  # noqa: E402
from bench import aligned, cpu_model, markdown  # noqa: E402
from bench_clusters import SLOTS, Etcd, Missing, Quorate, Valkey, etcd_put, slot_of  # noqa: E402
from bench_failover import KEYS, Probe  # noqa: E402
from bench_servers import CONFIGS, raise_file_limit, version  # noqa: E402

GROUPS = ("failover", "writes", "reads", "idle", "seven")
CLIENTS, VALUE, PIPELINE, KEY_RANGE = 64, 64, 16, 1_000_000
TAGGED_KEY = "key:{tag}:__rand_int__"
IDLE_SECONDS = 30
SEVEN_OPERATIONS = 200_000


def say(text):
    print(text, file=sys.stderr, flush=True)


def share(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def median_of(samples, key):
    return statistics.median(sample[key] for sample in samples)


class Bench:
    """One run: its options and the tables that it has filled."""

    def __init__(self, args):
        self.args, self.sections, self.record, self.left_out = args, [], {}, []
        self.client = args.client or beside(args.valkey, "valkey-benchmark") or shutil.which("valkey-benchmark")

    def scale(self, count):
        return count // 10 if self.args.quick else count

    def available(self, *makers):
        """Clusters that can be had; the others' reasons are noted."""
        clusters = []
        for make in makers:
            try:
                clusters.append(make())
            except Missing as reason:
                self.leave_out(str(reason))
        return clusters

    def leave_out(self, reason):
        if reason not in self.left_out:
            say("  left out: " + reason)
            self.left_out.append(reason)

    def quorate(self, count=3, config="none", settings=(), name="quorate"):
        return lambda: Quorate(self.args.server, count, config, settings, self.args.dir, name)

    def valkey(self, masters, replicas, config="none", node_timeout_ms=15000, name=None):
        return lambda: Valkey(self.args.valkey, masters, replicas, config, node_timeout_ms, self.args.dir, name)

    def start_each(self, clusters):
        """Starts them; what has no such mode is left out."""
        running = []
        for cluster in clusters:
            try:
                cluster.__enter__()
                running.append(cluster)
            except (Missing, RuntimeError) as reason:
                self.leave_out("%s: %s" % (cluster.name, str(reason).splitlines()[0]))
        return running

    # -- throughput -------------------------------------------------------------------------

    def load(self, cluster, words, operations, pipeline=1, node=0, by_slots=True, commands=None, key_range=KEY_RANGE):
        """Runs the client once; `commands`: how many of the words' commands are counted as operations, of how many."""
        # {tag} is another one for each command, of any slot of the node: the range is that behind it.
        key_range = key_range // SLOTS if by_slots else key_range
        argv = [self.client, "-p", str(cluster.nodes[node].port), "-c", str(CLIENTS), "-d", str(VALUE), "-r", str(key_range),
                "-P", str(pipeline), "--csv"] + (["--cluster"] if by_slots else [])
        counted, all_of_them = commands or (1, 1)
        argv += ["-n", str(operations * all_of_them // counted), "--", *words]
        before = cluster.cpu_ns()
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=600)
        cpu = cluster.cpu_ns() - before
        rows = [row for row in csv.reader(io.StringIO(done.stdout)) if len(row) >= 7]
        if done.returncode != 0 or not rows or "rror" in done.stderr:
            raise RuntimeError("%s: %s" % (shlex.join(argv), (done.stdout + done.stderr)[-400:]))
        rate = float(rows[-1][1]) * counted / all_of_them
        return {"ops": rate, "us": cpu / 1000 / operations, "p50": float(rows[-1][4]), "p99": float(rows[-1][6])}

    def alternate(self, title, contenders):
        """contenders: (name, function).  Round by round, each first in its turn; what fails is said and left out."""
        samples = collections.OrderedDict((name, []) for name, _ in contenders)
        for number in range(self.args.rounds):
            turn = number % len(contenders)
            for name, function in contenders[turn:] + contenders[:turn]:
                try:
                    samples[name].append(function())
                except (RuntimeError, OSError, subprocess.TimeoutExpired, bench_load.ServerError) as problem:
                    self.leave_out("%s, %s: %s" % (title, name, problem))
        samples = {name: got for name, got in samples.items() if got}
        for name, got in samples.items():
            say("  %-40s %-28s %7.0f k ops/s  %6.2f us/op  p50 %.2f  p99 %.2f ms" % (
                title, name, median_of(got, "ops") / 1000, median_of(got, "us"), median_of(got, "p50"), median_of(got, "p99")))
        self.record[title] = samples
        return samples

    def throughput_table(self, title, results, goals=None):
        """results: (row, samples); one line for each contender of a row."""
        table = [["row", "contender", "k ops/s", "server CPU us/op", "p50 / p99 ms of a pipeline", "goal"]]
        for row, samples in results:
            for name, got in samples.items():
                table.append([row, name, "%.1f" % (median_of(got, "ops") / 1000), "%.2f" % median_of(got, "us"),
                              "%.2f / %.2f" % (median_of(got, "p50"), median_of(got, "p99")), (goals or {}).get((row, name), "")])
        if len(table) > 1:
            self.sections.append((title, table))

    def fill(self, clusters):
        """Most keys of the range are there before anything is measured: tables that grow are another subject."""
        for cluster in clusters:
            if not isinstance(cluster, Etcd):
                self.load(cluster, ["set", TAGGED_KEY, "__data__"], 2 * KEY_RANGE, PIPELINE)

    # -- replicated writes ---------------------------------------------------------------------

    def writes(self):
        results, goals = [], {}
        for config, mode in (("none", "memory mode"), ("everysec", "everysec")):
            say("writes, %s" % mode)
            running = self.start_each(self.available(
                self.quorate(config=config), self.quorate(config=config, settings=["--write-quorum", "1"], name="quorate w=1"),
                self.valkey(1, 2, config), self.valkey(3, 1, config),
                *([lambda: Etcd(self.args.etcd, 3, self.args.dir)] if config == "everysec" else [])))
            try:
                self.fill(running)
                for pipeline in (PIPELINE, 1):
                    contenders = []
                    for cluster in running:
                        contenders += self.writers(cluster, pipeline)
                    if contenders:
                        row = "SET P=%d, %s" % (pipeline, mode)
                        results.append((row, self.alternate(row, contenders)))
                        self.judge_writes(row, pipeline, results[-1][1], goals)
            finally:
                for cluster in running:
                    cluster.stop()
        self.throughput_table("Replicated writes: three nodes, six for Valkey 3+3", results, goals)

    def writers(self, cluster, pipeline):
        """(name, function) of what a cluster does in a row."""
        operations = self.scale(2_000_000 if pipeline > 1 else 300_000)
        sets = [str(pipeline), "set", TAGGED_KEY, "__data__"]
        if isinstance(cluster, Etcd):
            if pipeline > 1:
                return []
            return [("etcd put, 64 clients", lambda: etcd_load(cluster, self.scale(30_000)))]
        if isinstance(cluster, Quorate):
            if cluster.name != "quorate" and not cluster.knows("client|quorum"):
                self.leave_out("w=1: this version has no levels")
                return []
            name = "quorate w=quorum" if cluster.name == "quorate" else cluster.name
            return [(name, lambda: self.load(cluster, sets, operations))]
        both = (pipeline, pipeline + 1)
        return [(cluster.name + " SET", lambda: self.load(cluster, sets, operations)),
                (cluster.name + " SET + WAIT 1", lambda: self.load(cluster, sets + [";", "wait", "1", "0"], operations,
                                                                   commands=both))]

    @staticmethod
    def judge_writes(row, pipeline, samples, goals):
        ours = samples.get("quorate w=quorum")
        if not ours:
            return
        for name, got in samples.items():
            faster = median_of(ours, "ops") / median_of(got, "ops")
            cheaper = median_of(ours, "us") / median_of(got, "us")
            if "WAIT" in name:
                goals[row, name] = "quorate %.2fx ops/s (goal >= %s), %.2fx CPU (goal <= 0.7)" % (
                    faster, "1.5" if pipeline > 1 else "1.2", cheaper)
            elif "w=1" in name:
                goals[row, name] = "w=quorum has %.0f %% of it (goal >= 60 %%)" % (100 * faster)
            elif "etcd" in name:
                goals[row, name] = "quorate %.1fx ops/s (goal >= 8)" % faster

    # -- reads ---------------------------------------------------------------------------------

    def reads(self):
        results, goals = [], {}
        running = self.start_each(self.available(self.quorate(config="everysec"), self.valkey(3, 1, "everysec")))
        try:
            self.fill(running)
            gets = ["get", TAGGED_KEY]
            operations = self.scale(3_000_000)
            contenders = [("%s GET, at the leaders" % c.name, lambda c=c: self.load(c, gets, operations, PIPELINE)) for c in running]
            ours = [c for c in running if isinstance(c, Quorate)]
            if ours and ours[0].knows("client|quorum"):
                contenders.append(("quorate GET r=local, at the leaders", lambda: self.local_reads(ours[0], gets, operations)))
            elif ours:
                self.leave_out("r=local: this version has no levels")
            if contenders:
                results.append(("GET P=16", self.alternate("GET P=16", contenders)))
                self.judge_reads(results[-1], goals)
            if ours:
                results += self.forwarded(ours[0], goals)
        finally:
            for cluster in running:
                cluster.stop()
        self.throughput_table("Reads", results, goals)

    def local_reads(self, cluster, gets, operations):
        cluster.ask_all("CONFIG", "SET", "read-quorum", "local")
        try:
            return self.load(cluster, gets, operations, PIPELINE)
        finally:
            cluster.ask_all("CONFIG", "SET", "read-quorum", "lease")

    @staticmethod
    def judge_reads(result, goals):
        row, samples = result
        local, lease = samples.get("quorate GET r=local, at the leaders"), samples.get("quorate GET, at the leaders")
        if local and lease:
            goals[row, "quorate GET, at the leaders"] = "%.0f %% of r=local (goal >= 90 %%)" % (
                100 * median_of(lease, "ops") / median_of(local, "ops"))

    def forwarded(self, cluster, goals):
        """Keys of sixteen partitions that the second node leads, asked for there and at the first node."""
        leaders = cluster.leaders()
        there, tags = cluster.address_among_leaders(1), {}
        number = 0
        while len(tags) < PIPELINE:
            tag = b"t%d" % number
            number += 1
            if leaders[slot_of(tag)] == there:
                tags.setdefault(slot_of(tag) * 128 // SLOTS, tag.decode())
        out = []
        for verb, value in (("set", ["__data__"]), ("get", [])):
            words = []
            for tag in tags.values():
                words += [verb, "key:{%s}:__rand_int__" % tag, *value, ";"]
            operations = self.scale(2_000_000)

            def ask(node, words=words[:-1], operations=operations):
                return self.load(cluster, words, operations, node=node, by_slots=False, key_range=KEY_RANGE // PIPELINE)
            if verb == "set":
                ask(1, operations=2 * KEY_RANGE)
            row = "%s P=16, 16 partitions of one node" % verb.upper()
            samples = self.alternate(row, [
                ("quorate, at that node", lambda ask=ask: ask(1)), ("quorate, forwarded by another", lambda ask=ask: ask(0))])
            out.append((row, samples))
            if len(samples) == 2 and verb == "get":
                direct, forwarded = (median_of(s, "ops") for s in samples.values())
                goals[row, "quorate, forwarded by another"] = "%.0f %% of direct (goal >= 50 %%)" % (100 * forwarded / direct)
        return out

    # -- idle ----------------------------------------------------------------------------------

    def idle(self):
        seconds = self.scale(IDLE_SECONDS) + 2
        table = [["nothing to do, %d s" % seconds, "CPU of each node, %", "goal"]]
        for make, goal in ((self.quorate(config="everysec"), "<= 1 % a node"), (self.valkey(3, 1, "everysec"), "")):
            for cluster in self.start_each(self.available(make)):
                try:
                    time.sleep(3)
                    before = [node.cpu_ns() for node in cluster.nodes]
                    time.sleep(seconds)
                    used = [100 * (node.cpu_ns() - b) / 1e9 / seconds for node, b in zip(cluster.nodes, before)]
                finally:
                    cluster.stop()
                say("  idle %s: %s" % (cluster.name, " ".join("%.2f %%" % u for u in used)))
                self.record["idle " + cluster.name] = used
                table.append([cluster.name, " ".join("%.2f" % u for u in used), goal])
        self.sections.append(("Idle", table))

    # -- failover ------------------------------------------------------------------------------

    def failover(self):
        goals = {"kill -9": "p50 <= 150, p99 <= 500", "SIGSTOP": "p99 <= 1000", "SIGTERM": "wait <= 50, no error"}
        table = [["fault", "contender", "trials", "ms until the last of %d keys is writable: median / worst" % KEYS,
                  "until a key is: p50 / p99", "longest wait for a write's OK, ms: median / worst", "errors told to clients", "goal, ms"]]
        contenders = [(self.quorate(config="everysec"), self.args.failovers),
                      (self.valkey(3, 1, "everysec", 1000, "valkey 3+3, node time-out 1 s"), self.args.failovers)]
        if not self.args.quick:
            contenders.append((self.valkey(3, 1, "everysec", 15000, "valkey 3+3, defaults"), 2))
        for make, trials in contenders:
            for cluster in self.start_each(self.available(make)):
                try:
                    for fault, number in (("kill -9", signal.SIGKILL), ("SIGSTOP", signal.SIGSTOP), ("SIGTERM", signal.SIGTERM)):
                        got = [self.one_failover(cluster, number, trial) for trial in range(trials)]
                        got = [result for result in got if result]
                        if got:
                            table.append(self.failover_line(fault, cluster, got) + [goals[fault] if cluster.name == "quorate" else ""])
                finally:
                    cluster.stop()
        self.sections.append(("Failover", table))

    def one_failover(self, cluster, number, trial):
        victim = cluster.victim(trial)
        node = cluster.nodes[victim]
        survivors = [index for index in range(cluster.count) if index != victim]
        if isinstance(cluster, Quorate):
            # Plain clients of the nodes that stay: each forwards what it does not lead.
            addresses = [("127.0.0.1", cluster.nodes[index].port) for index in survivors]
            probe = Probe(lambda slot: addresses[slot % len(addresses)])
        else:
            state = {"map": cluster.leaders(survivors[0])}
            probe = Probe(lambda slot: state["map"][slot], lambda: state.update(map=cluster.leaders(survivors[0])))
        result = None
        try:
            result = probe.run(lambda: node.process.send_signal(number))
        except RuntimeError as problem:
            self.leave_out("%s, signal %d: %s" % (cluster.name, number, problem))
        if number == signal.SIGSTOP:
            node.process.send_signal(signal.SIGCONT)
            cluster.wait_whole()
        else:
            node.kill()
            cluster.restart(victim)
        return result

    def failover_line(self, fault, cluster, got):
        last = [result["windows"][-1] for result in got]
        keys = [window for result in got for window in result["windows"]]
        waits = [result["wait"] for result in got]
        errors = collections.Counter()
        for result in got:
            errors.update(result["errors"])
        self.record["%s, %s" % (fault, cluster.name)] = {"last": last, "waits": waits, "errors": dict(errors)}
        line = [fault, cluster.name, len(got), "%.0f / %.0f" % (statistics.median(last), max(last)),
                "%.0f / %.0f" % (share(keys, 0.5), share(keys, 0.99)), "%.0f / %.0f" % (statistics.median(waits), max(waits)),
                ", ".join("%d %s" % (n, e) for e, n in sorted(errors.items())) or "none"]
        say("  " + "  ".join(str(word) for word in line))
        return line

    # -- seven nodes -----------------------------------------------------------------------------

    def seven(self):
        table = [["7 nodes, %d operations, half GET half SET" % SEVEN_OPERATIONS, "k ops/s, plain clients of one node",
                  "k ops/s, clients that know the slots", "keys a node holds: max / mean"]]
        makers = [(copies, self.quorate(7, "everysec", ["--replication-n", str(copies)], "quorate N=%d" % copies)) for copies in (1, 3, 5)]
        makers.append((1, self.valkey(7, 0, "everysec", name="valkey 7 masters (N=1)")))
        for copies, make in makers:
            for cluster in self.start_each(self.available(make)):
                try:
                    table.append(self.seven_line(cluster, copies))
                finally:
                    cluster.stop()
        self.sections.append(("Seven nodes", table))

    def seven_line(self, cluster, copies):
        def words(key):
            return ["set", key, "__data__", ";", "get", key]
        is_ours, plain = isinstance(cluster, Quorate), []
        slots = [self.load(cluster, words(TAGGED_KEY), SEVEN_OPERATIONS, PIPELINE // 2) for _ in range(self.args.rounds)]
        balance = "-"
        if is_ours:
            cluster.ask(0, "FLUSHALL")
            plain = [self.load(cluster, words("key:__rand_int__"), SEVEN_OPERATIONS, PIPELINE // 2, by_slots=False)
                     for _ in range(self.args.rounds)]
            balance = self.balance(cluster, copies)
        line = [cluster.name, "%.1f" % (median_of(plain, "ops") / 1000) if plain else "-",
                "%.1f" % (median_of(slots, "ops") / 1000), balance]
        say("  " + "  ".join(line))
        self.record["seven " + cluster.name] = {"plain": plain, "slots": slots, "balance": balance}
        return line

    @staticmethod
    def balance(cluster, copies):
        """From the keys there are and the copies of each slot."""
        holders, held, cursor = cluster.holders(), collections.Counter(), b"0"
        client = cluster.nodes[0].client()
        while True:
            cursor, keys = client.call("SCAN", cursor, "COUNT", 1000)
            for key in keys:
                held.update(holders[slot_of(key)])
            if cursor == b"0":
                break
        client.close()
        mean = sum(held.values()) / cluster.count
        return "%d / %.0f = %.2f (copies of a key: %d)" % (max(held.values()), mean, max(held.values()) / mean, copies)

    # -- all ---------------------------------------------------------------------------------------

    def header(self):
        words = [os.path.basename(w) if w.startswith("/") else w for w in sys.argv[1:]]
        lines = ["Command: `%s`" % shlex.join(["tools/bench_cluster.py", *words]), "",
                 "%s, %s, load at the start %.2f; servers and client share the cores, not pinned; %d rounds, alternating, medians; %d "
                 "connections, %d-byte values, %d random keys%s." % (
                     time.strftime("%Y-%m-%d"), cpu_model(), os.getloadavg()[0], self.args.rounds, CLIENTS, VALUE, KEY_RANGE,
                     "; --quick: a tenth of everything" if self.args.quick else ""), ""]
        for path in (self.args.server, self.args.valkey, self.args.etcd, self.client):
            if path and os.access(path, os.X_OK):
                lines.append("- %s: %s" % (os.path.basename(path), version(path)))
        lines.append("- durability: %s; etcd: its defaults" % "; ".join(
            "*%s* = `%s`" % (n, " ".join(w or "''" for w in CONFIGS[n])) for n in ("none", "everysec")))
        lines.append("- SET + WAIT 1: sixteen SETs and one WAIT in a pipeline (P=1: one and one); the SETs are counted")
        return lines

    def run(self):
        raise_file_limit()
        if not self.client:
            raise RuntimeError("no valkey-benchmark; name one with --client")
        head = self.header()
        for group in self.args.groups.split(","):
            if group not in GROUPS:
                raise RuntimeError("no group %r; there are %s" % (group, ", ".join(GROUPS)))
            getattr(self, group)()
        notes = ["", "Left out:"] + ["- " + reason for reason in self.left_out] if self.left_out else []
        print("\n".join(head))
        for title, table in self.sections:
            print("\n== %s\n%s" % (title, aligned(table)))
        print("\n".join(notes))
        if self.args.markdown:
            tool = " ".join(["tools/bench_cluster.py", *filter(None, [self.args.part])])
            text = head + ["\n## Cluster: %s\n\n%s" % (title, markdown(table)) for title, table in self.sections] + notes
            docs_part.write(self.args.markdown, tool, "Benchmarks", "\n".join(text))
        if self.args.json:
            with open(self.args.json, "w", encoding="utf-8") as file:
                json.dump(self.record, file, indent=1)
        return 0


def etcd_load(cluster, operations):
    """CLIENTS connections spread over the members, one put under way on each, through the gateway for HTTP."""
    selector, latencies, left = selectors.DefaultSelector(), [], operations
    before, begin = cluster.cpu_ns(), time.monotonic()
    for index in range(CLIENTS):
        node = cluster.nodes[index % len(cluster.nodes)]
        connection = socket.create_connection(("127.0.0.1", node.port), 10)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        request = [etcd_put(b"key:%d:%d" % (index, n), b"x" * VALUE, node.port) for n in range(100)]
        state = {"requests": request, "number": 0, "sent": time.monotonic()}
        connection.sendall(request[0])
        selector.register(connection, selectors.EVENT_READ, state)
        left -= 1
    while len(latencies) < operations:
        for key, _ in selector.select(10):
            reply = key.fileobj.recv(65536)     # one answer is one piece on the loopback
            if not reply.startswith(b"HTTP/1.1 200"):
                raise RuntimeError("etcd: %r" % reply[:200])
            now, state = time.monotonic(), key.data
            latencies.append(now - state["sent"])
            if left > 0:
                left -= 1
                state["number"] += 1
                state["sent"] = now
                key.fileobj.sendall(state["requests"][state["number"] % 100])
    seconds = time.monotonic() - begin
    for key in list(selector.get_map().values()):
        key.fileobj.close()
    return {"ops": operations / seconds, "us": (cluster.cpu_ns() - before) / 1000 / operations,
            "p50": 1000 * share(latencies, 0.5), "p99": 1000 * share(latencies, 0.99)}


def beside(path, name):
    found = os.path.join(os.path.dirname(path), name) if path else ""
    return found if os.access(found, os.X_OK) else None


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", default=os.path.join(ROOT, "build/bin/quorate-server"))
    parser.add_argument("--valkey", default=shutil.which("valkey-server"))
    parser.add_argument("--etcd", default=shutil.which("etcd"))
    parser.add_argument("--client", help="valkey-benchmark, if it is not beside valkey-server")
    parser.add_argument("--groups", default=",".join(GROUPS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--failovers", type=int, default=20, help="trials of each fault")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work, one round, three failovers: a rough look")
    parser.add_argument("--dir", help="where the servers' folders are made (a real disk)")
    parser.add_argument("--markdown", metavar="FILE", help="write the tables into this page, e.g. docs/BENCHMARKS.md")
    parser.add_argument("--part", metavar="NAME", help="with --markdown: a part of the page of its own")
    parser.add_argument("--json", metavar="FILE", help="write every sample")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.failovers = 1, min(options.failovers, 3)
    if options.dir:
        os.makedirs(options.dir, exist_ok=True)
    return options


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))     # so that servers are stopped
    try:
        sys.exit(Bench(arguments()).run())
    except RuntimeError as error:
        say("tools/bench_cluster.py: %s" % error)
        sys.exit(2)
