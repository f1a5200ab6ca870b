#!/usr/bin/env python3
"""Measures quorate-server beside its peers and prints where it wins and where it loses.

  tools/bench.py                                 every row, ours and Debian's redis-server
  tools/bench.py --peer valkey=/path/to/valkey-server --rounds 5 --markdown out.md
  tools/bench.py --rows 'P=16' --quick           rows whose name or group matches

Groups: speed (server CPU and ops/s), memory (bytes a key), persist (with a log), load
(restart), snapshot (BGSAVE under writes), pauses (worst latency beside large work).
One server thread on core 0, the client on core 1 (taskset), the servers alternate round by
round, medians.  "us/op" is CPU time of the server process (all its threads, user and
system, /proc/PID/task/*/schedstat) divided by the operations.
Exit status: 0, or 2 when it could not run.
"""

import argparse
import json
import os
import platform
import re
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import time

TOOLS = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(TOOLS)
sys.path.insert(0, TOOLS)
import bench_rows as rows  # noqa: E402
import docs_part  # noqa: E402
from bench_servers import CONFIGS, Server, raise_file_limit, version  # noqa: E402

GROUPS = ("speed", "memory", "persist", "load", "snapshot", "pauses")


def say(text):
    print(text, file=sys.stderr, flush=True)


def median(samples, key):
    return statistics.median(s[key] for s in samples)


def median_and_each(values):
    known = [v for v in values if v is not None]
    return "%.2f (%s)" % (statistics.median(known), ", ".join("%.2f" % v for v in known)) if known else "-"


def spread(samples, key):
    values = [s[key] for s in samples]
    return 100.0 * (max(values) - min(values)) / statistics.median(values)


class Bench:
    """One run: its options, the servers, and the tables that it has filled."""

    def __init__(self, args):
        self.args = args
        self.cores = (args.server_core, args.client_core)
        self.peers = {}
        if os.access(args.server, os.X_OK):
            self.peers["quorate"] = args.server
        else:
            say("no %s: peers only" % os.path.relpath(args.server))
        self.peers["redis"] = args.redis
        for text in args.peer:
            name, _, path = text.partition("=")
            if not path or not os.access(path, os.X_OK):
                raise SystemExit("tools/bench.py: --peer NAME=PATH, no program at %r" % path)
            self.peers[name] = path
        self.null = self.helper("quorate-null")
        self.probe = self.helper("latency-probe")
        self.fixed_turns = self.helper("fixed-turns")
        self.first = next(iter(self.peers))
        self.sections = []           # (title, lines)
        self.record = {}

    def helper(self, target):
        """A program of bench/, built when there is a build folder and it is missing."""
        path = os.path.join(ROOT, "build", "bin", target)
        if not os.access(path, os.X_OK) and os.path.exists(os.path.join(ROOT, "build",
                                                                        "build.ninja")):
            subprocess.run(["ninja", "-C", os.path.join(ROOT, "build"), target], check=False,
                           stdout=subprocess.DEVNULL)
        return path if os.access(path, os.X_OK) else None

    def wanted(self, name, group):
        picks = self.args.rows
        return not picks or any(p.lower() in (name + " " + group).lower() for p in picks)

    # -- throughput -------------------------------------------------------------------------

    def start_all(self, config, with_null):
        started = []
        try:
            for name, path in self.peers.items():
                started.append(Server(name, path, config, self.cores[0], base=self.args.dir))
                started[-1].start()
            if with_null and self.null:
                started.append(Server("null", self.null, core=self.cores[0], bare=True,
                                      base=self.args.dir))
                started[-1].start()
            return started
        except BaseException:
            for server in started:
                server.stop()
            raise

    def run_row(self, row, servers):
        requests = row.requests // (10 if self.args.quick else 1)
        samples = {s.name: [] for s in servers}
        active = []
        for server in servers:
            if server.name == "null":
                if row.config == "none" and row.words[1] in ("set", "get"):
                    active.append(server)
                continue
            if row.needs and not rows.knows(server, row.needs):
                say("  %s: %s has no %s" % (row.name, server.name, row.needs))
                continue
            if row.fill and not row.each_round and not self.fill(server, row.fill):
                continue
            active.append(server)
        for round_number in range(self.args.rounds):
            for server in active[round_number % len(active):] + active[
                    :round_number % len(active)]:
                try:
                    samples[server.name].append(
                        rows.run_speed(row, server, self.cores[1], requests))
                except (RuntimeError, OSError, rows.load.ServerError) as problem:
                    say("  %s on %s: %s" % (row.name, server.name, problem))
        out = {n: s for n, s in samples.items() if s}
        say("  %-22s %s" % (row.name, "  ".join("%s %.3f us (+-%.0f %%)" % (
            n, median(s, "us"), spread(s, "us") / 2) for n, s in out.items())))
        return out

    def fill(self, server, fill):
        """Fills once for neighbouring rows that need the same data."""
        if getattr(server, "filled", None) is fill:
            return True
        client = server.client()
        try:
            client.call("FLUSHALL")
            fill(client)
            server.filled = fill
            return True
        except (OSError, rows.load.ServerError) as problem:
            say("  filling %s: %s" % (server.name, problem))
            return False
        finally:
            client.close()

    def speed(self, title, all_rows):
        chosen = [r for r in all_rows if self.wanted(r.name, r.group)]
        results = []
        for config in dict.fromkeys(r.config for r in chosen):
            say("%s, durability: %s" % (title, " ".join(CONFIGS[config])))
            servers = self.start_all(config, with_null=config == "none")
            try:
                for row in chosen:
                    if row.config == config:
                        results.append((row, self.run_row(row, servers)))
            finally:
                for server in servers:
                    server.stop()
        if results:
            self.sections.append((title + ": server CPU us/op", self.cpu_table(results)))
            self.sections.append((title + ": ops/s and latency", self.ops_table(results)))
            self.record[title] = {r.name: s for r, s in results}

    def names(self, results):
        seen = dict.fromkeys(n for _, s in results for n in s)
        return list(seen)

    def cpu_table(self, results):
        names = self.names(results)
        others = [n for n in names if n not in (self.first, "null")]
        table = [["test", *names, *("%s / %s" % (self.first, n) for n in others), "goal us"]]
        for row, samples in results:
            line = [row.name]
            line += ["%.3f" % median(samples[n], "us") if n in samples else "-" for n in names]
            for n in others:
                if n in samples and self.first in samples:
                    pairs = zip(samples[self.first], samples[n])
                    line.append("%.2f" % statistics.median(a["us"] / b["us"] for a, b in pairs))
                else:
                    line.append("-")
            table.append(line + ["<= " + row.goal if row.goal else ""])
        return table

    def ops_table(self, results):
        names = self.names(results)
        table = [["test", *("%s k ops/s" % n for n in names),
                  *("%s p50/p99/p99.9 ms" % n for n in names)]]
        for row, samples in results:
            line = [row.name]
            line += ["%.0f" % (median(samples[n], "ops") / 1000) if n in samples else "-"
                     for n in names]
            line += ["%.2f / %.2f / %.2f" % tuple(median(samples[n], k) for k in (
                "p50", "p99", "p999")) if n in samples else "-" for n in names]
            table.append(line)
        return table

    # -- everything that runs on a fresh server -----------------------------------------------

    def each(self, what, function, *arguments, with_null=False):
        """function(name, path, ...) for every server; what fails is said and left out."""
        out = {}
        for name, path in self.peers.items():
            try:
                out[name] = function(name, path, *arguments)
                say("  %s, %s: %s" % (what, name, out[name]))
            except (RuntimeError, OSError, rows.load.ServerError) as problem:
                say("  %s, %s: %s" % (what, name, problem))
        return out

    def scale(self):
        return 0.1 if self.args.quick else 1.0

    def memory(self):
        table = [["shape", *self.peers, "goal"]]
        for name, count, generate, goal in rows.MEMORY:
            if self.wanted(name, "memory"):
                got = self.each(name, rows.measure_memory, self.cores[0],
                                int(count * self.scale()), generate, self.args.dir)
                table.append([name, *("%.1f" % got[n] if n in got else "-" for n in self.peers),
                              "<= " + goal])
                self.record.setdefault("memory", {})[name] = got
        if self.wanted("idle connection", "memory"):
            got = self.each("idle connection", rows.measure_idle, self.cores[0], self.args.dir)
            for when, goal in (("at once", ""), ("later", "<= 1500")):
                table.append(["idle connection after one PING, " + when, *(
                    "%.0f" % got[n][when] if n in got else "-" for n in self.peers), goal])
            self.record.setdefault("memory", {})["idle"] = got
        if len(table) > 1:
            self.sections.append(("Memory: bytes of RSS growth a key, element or connection",
                                  table))

    def loads(self):
        table = [["restart with 5 M keys of 64 bytes", *self.peers, "goal"]]
        for source, goal in (("dump", "<= 2 s"), ("log", "<= 3 s")):
            what = "load from the " + source
            if not self.wanted(what, "load"):
                continue
            got = self.each(what, rows.measure_load, self.cores[0], self.args.dir,
                            int(rows.BIG * self.scale()), source)
            table.append(["from the " + source, *(
                "%.2f s (%.0f MB)" % (got[n]["seconds"], got[n]["mb"]) if n in got else "-"
                for n in self.peers), goal])
            self.record.setdefault("load", {})[source] = got
        if len(table) > 1:
            self.sections.append(("Restart: seconds until the server answers", table))

    def snapshot(self):
        if not self.wanted("snapshot under writes", "snapshot") or not self.probe:
            return
        got = self.each("snapshot", rows.measure_snapshot, self.cores, self.args.dir,
                        int(rows.BIG * self.scale()), self.probe)
        table = [["5 M keys, 20 k writes/s", *got, "goal"]]
        table.append(["extra memory", *("%.0f MB (%.1f %%)" % (g["mb"], g["percent"])
                                        for g in got.values()), "<= 5 %"])
        for title, key in (("SET during it: p50 / p99 / p99.9 / max ms", "latency"),
                           ("SET before it", "quiet")):
            table.append([title, *("%.2f / %.2f / %.2f / %.2f" % tuple(
                g[key][k] for k in ("p50", "p99", "p99.9", "max")) for g in got.values()),
                          "<= - / 1 / 2 / 5" if key == "latency" else ""])
        table.append(["seconds", *("%.1f" % g["seconds"] for g in got.values()), ""])
        table.append(["the writer", *(g["writer"] for g in got.values()), ""])
        self.sections.append(("BGSAVE under writes", table))
        self.record["snapshot"] = got

    def pauses(self):
        """The first server `rounds` times, so that its longest turn has a median; the peers once."""
        if not self.probe:
            return
        table = [["PING at 1 kHz beside", *("%s p99.9 / max ms" % n for n in self.peers),
                  "%s's longest turn, CPU ms: median (each)" % self.first,
                  "longest of fixed turns: median (each)"]]
        for name, prepare, act in rows.PAUSES:
            if not self.wanted(name, "pauses"):
                continue
            got = self.each(name, rows.measure_pause, self.cores, self.args.dir, self.probe,
                            prepare, act, self.scale())
            ours = [got[self.first]] if self.first in got else []
            floor = [self.fixed_turn()]
            while ours and len(ours) < self.args.rounds:
                ours.append(rows.measure_pause(self.first, self.peers[self.first], self.cores, self.args.dir,
                                               self.probe, prepare, act, self.scale()))
                floor.append(self.fixed_turn())
            turns = [sample["turn"] for sample in ours if "turn" in sample]
            say("  %s: longest turns %s, of fixed turns %s" % (name, turns, floor))
            line = ["%.2f / %.2f" % (got[n]["p99.9"], got[n]["max"]) if n in got else "-"
                    for n in self.peers]
            if ours:
                line[0] = "%.2f / %.2f" % (median(ours, "p99.9"), median(ours, "max"))
            table.append([name, *line, median_and_each(turns), median_and_each(floor)])
            self.record.setdefault("pauses", {})[name] = {**got, "rounds": ours, "fixed turns": floor}
        if len(table) > 1 and self.null:
            with Server("null", self.null, core=self.cores[0], bare=True,
                        base=self.args.dir) as server:
                with rows.Probe(self.probe, server.port, self.cores[1]) as probe:
                    time.sleep(5)
            table.append(["(the null server: %.2f / %.2f)" % (
                probe.result["p99.9"], probe.result["max"]), *("" for _ in self.peers), "", ""])
        if len(table) > 1:
            self.sections.append(("Pauses", table))

    def fixed_turn(self):
        """CPU ms of the longest of turns that do the same small work for five seconds on the server's core."""
        if not self.fixed_turns:
            return None
        done = subprocess.run(["taskset", "-c", str(self.cores[0]), self.fixed_turns, "--seconds", "5"],
                              stdout=subprocess.PIPE, text=True, check=True)
        return float(done.stdout.split()[-1])

    # -- what was measured, and how -----------------------------------------------------------

    def header(self):
        words = [re.sub(r"(^|=)/.*/", r"\1", w) for w in sys.argv[1:]]
        lines = ["Command: `%s`" % shlex.join(["tools/bench.py", *words]), "",
            "%s, %s, Linux %s, load at the start %.2f." % (
                time.strftime("%Y-%m-%d"), cpu_model(), platform.release(), os.getloadavg()[0]),
            "Server on core %d, client on core %d; %d rounds, alternating, medians; %d "
            "connections, %d-byte values, %d random keys%s." % (
                *self.cores, self.args.rounds, rows.CLIENTS, rows.VALUE, rows.KEYS,
                "; --quick: a tenth of everything" if self.args.quick else ""), ""]
        for name, path in self.peers.items():
            lines.append("- %s: %s" % (name, version(path)))
        lines.append("- client: %s" % version(shutil.which("redis-benchmark")))
        lines.append("- durability: %s" % "; ".join(
            "*%s* = `%s`" % (n, " ".join(w or "''" for w in words))
            for n, words in CONFIGS.items()))
        example = rows.benchmark_argv(rows.SPEED[2], 7001, self.cores[1], rows.SPEED[2].requests)
        lines.append("- a row's client: `%s`" % " ".join(
            os.path.basename(w) if w.startswith("/") else w for w in example))
        name, path = next(iter(self.peers.items()))
        example = Server(name, path, core=self.cores[0], folder="DIR").argv()
        example[example.index("--port") + 1] = "PORT"
        lines.append("- a row's server: `%s`" % " ".join(
            os.path.basename(w) if w == os.path.abspath(path) else w or "''" for w in example))
        return lines

    def run(self):
        raise_file_limit()
        # This process and all its clients stay off the server's core.
        os.sched_setaffinity(0, {self.cores[1]})
        if self.args.priority:
            os.setpriority(os.PRIO_PROCESS, 0, self.args.priority)
        head = self.header()
        self.speed("Speed", rows.SPEED)
        self.speed("With a log", rows.PERSIST)
        self.memory()
        self.loads()
        self.snapshot()
        self.pauses()
        print("\n".join(head))
        for title, table in self.sections:
            print("\n== %s\n%s" % (title, aligned(table)))
        if self.args.markdown:
            tool = " ".join(["tools/bench.py", *filter(None, [self.args.part])])
            docs_part.write(self.args.markdown, tool, "Benchmarks", "\n".join(
                head + ["\n## %s\n\n%s" % (title, markdown(table))
                        for title, table in self.sections]))
        if self.args.json:
            with open(self.args.json, "w", encoding="utf-8") as f:
                json.dump(self.record, f, indent=1)
        return 0


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        m = re.search(r"model name\s*:\s*(.*)", f.read())
    return "%d x %s" % (os.cpu_count(), m.group(1) if m else platform.machine())


def aligned(table):
    widths = [max(len(str(r[i])) for r in table) for i in range(len(table[0]))]
    return "\n".join("  ".join(str(c).ljust(w) for c, w in zip(r, widths)).rstrip()
                     for r in table)


def markdown(table):
    lines = ["| " + " | ".join(map(str, r)) + " |" for r in table]
    return "\n".join([lines[0], "|" + "---|" * len(table[0]), *lines[1:]])


def arguments():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--server", default=os.path.join(ROOT, "build/bin/quorate-server"))
    ap.add_argument("--redis", default=shutil.which("redis-server") or "redis-server")
    ap.add_argument("--peer", action="append", default=[], metavar="NAME=PATH")
    ap.add_argument("--rows", action="append", default=[],
                    help="part of a row's name or group; may be repeated")
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--quick", action="store_true", help="a tenth of the work: a rough look")
    ap.add_argument("--dir", help="where the servers' folders are made (a real disk)")
    ap.add_argument("--server-core", type=int, default=0)
    ap.add_argument("--client-core", type=int, default=1)
    ap.add_argument("--priority", type=int, default=0, metavar="N",
                    help="nice value of servers and clients, e.g. -10 on a machine with other work")
    ap.add_argument("--markdown", metavar="FILE", help="write the tables into this page, e.g. docs/BENCHMARKS.md")
    ap.add_argument("--part", metavar="NAME", help="with --markdown: a part of the page of its own, so that groups "
                    "can be run one by one")
    ap.add_argument("--json", metavar="FILE", help="write every sample")
    args = ap.parse_args()
    if args.dir:
        os.makedirs(args.dir, exist_ok=True)
    return args


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))     # so that servers are stopped
    try:
        sys.exit(Bench(arguments()).run())
    except RuntimeError as error:
        say("tools/bench.py: %s" % error)
        sys.exit(2)
