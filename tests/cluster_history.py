#!/usr/bin/env python3
"""Real processes, real faults: clients write down what they were told, and one store must be able to have told it.

  tests/cluster_history.py --server PATH [--rounds 8] [--nodes 3] [--seed N] [--faults processes|network] [--only NAME]

Each round takes fresh keys (registers, counters, lists, sets, pairs of counters that only MULTI changes); clients use them
through drawn nodes while one fault happens and ends; then every key of a few hundred must take a write, the keys are read through every
node, and each history must be linearizable, with every acknowledged write there and none done twice.  Keys of earlier
rounds are read again, all of them at the end.
processes: kill -9 of one, of a majority, of all, also while they start again; SIGSTOP of one and of a majority; SIGTERM.
network: each node in a network namespace; two-way and one-way partitions of one node, of a majority, of all from all, links that flap,
a leader that is cut off and killed.

Exit status: 0 good, 1 a violation (the folder is kept), 2 usage, 77 nothing could be run here.
"""

import argparse
import os
import random
import signal
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "server"))
import network as networks  # noqa: E402
from cluster import Cluster, answer, connected  # noqa: E402
from harness import ReplyError, Setup  # noqa: E402
from history import Violation  # noqa: E402
from history_clients import KINDS, REQUEST_TIMEOUT_MS, Connection, Key, Recorder, counts  # noqa: E402

KEYS_OF_A_KIND = 3
PROBES = ["probe:%d" % number for number in range(300)]     # more than there are partitions
RECOVERY_SECONDS_MAX = 30.0
SUSPICION_SECONDS = 0.3


class Faults:
    """What happens to the cluster.  Each method begins one fault, lets it last and ends it; `hold` waits while clients work."""

    def __init__(self, cluster, chance, hold):
        self.cluster, self.chance, self.hold = cluster, chance, hold
        self.count = len(cluster.nodes)

    def some(self, count):
        return self.chance.sample(range(self.count), count)

    def majority(self):
        return self.count // 2 + 1

    def start_all(self, indexes):
        for index in self.chance.sample(indexes, len(indexes)):
            self.cluster.start(index, wait=False)

    # processes

    def kill_and_start(self, count):
        victims = self.some(count)
        self.cluster.kill(*victims)
        self.hold(0.0, 1.5)
        self.start_all(victims)

    def kill_one(self):
        self.kill_and_start(1)

    def kill_majority(self):
        self.kill_and_start(self.majority())

    def kill_all(self):
        self.kill_and_start(self.count)

    def kill_while_starting(self):
        victims = self.some(1)
        for _ in range(3):
            self.cluster.kill(*victims)
            self.hold(0.0, 0.1)
            self.start_all(victims)
            self.hold(0.0, 0.3)

    def kill_one_after_the_other(self):
        for index in self.some(self.count):
            self.cluster.kill(index)
            self.hold(0.0, 0.6)
            self.cluster.start(index, wait=False)
            self.hold(0.0, 0.6)

    def stop(self, count):
        victims = self.some(count)
        for index in victims:
            self.cluster.nodes[index].signal(signal.SIGSTOP)
        self.hold(SUSPICION_SECONDS, 1.5)
        for index in victims:
            self.cluster.nodes[index].signal(signal.SIGCONT)

    def stop_one(self):
        self.stop(1)

    def stop_majority(self):
        self.stop(self.majority())

    def stop_shortly(self):
        """Around the lease and the suspicion time, again and again."""
        for _ in range(4):
            node = self.cluster.nodes[self.some(1)[0]]
            node.signal(signal.SIGSTOP)
            self.hold(0.02, 0.4)
            node.signal(signal.SIGCONT)
            self.hold(0.0, 0.2)

    def end_one(self):
        victim = self.some(1)[0]
        self.cluster.nodes[victim].signal(signal.SIGTERM)
        if self.cluster.nodes[victim].wait_end() != 0:
            raise Violation("SIGTERM: node %d ends with %d" % (victim + 1, self.cluster.nodes[victim].process.returncode))
        self.hold(0.0, 1.0)
        self.cluster.start(victim, wait=False)

    # network

    def rest(self, group):
        return [index for index in range(self.count) if index not in group]

    def separate(self, group):
        self.cluster.network.separate(group, self.rest(group))
        self.hold(SUSPICION_SECONDS, 2.5)
        self.cluster.network.heal()

    def cut_one_off(self):
        self.separate(self.some(1))

    def cut_minority_off(self):
        self.separate(self.some((self.count - 1) // 2))

    def cut_all_from_all(self):
        for index in range(self.count):
            self.cluster.network.deafen(index, self.rest([index]))
        self.hold(SUSPICION_SECONDS, 2.0)
        self.cluster.network.heal()

    def one_hears_nobody(self):
        index = self.some(1)[0]
        self.cluster.network.deafen(index, self.rest([index]))
        self.hold(SUSPICION_SECONDS, 2.5)
        self.cluster.network.heal()

    def nobody_hears_one(self):
        index = self.some(1)[0]
        for other in self.rest([index]):
            self.cluster.network.deafen(other, [index])
        self.hold(SUSPICION_SECONDS, 2.5)
        self.cluster.network.heal()

    def one_hears_not_one(self):
        one, other = self.some(2)
        self.cluster.network.deafen(one, [other])
        self.hold(SUSPICION_SECONDS, 2.5)
        self.cluster.network.heal()

    def links_flap(self):
        for _ in range(8):
            one, other = self.some(2)
            self.cluster.network.deafen(one, [other])
            self.hold(0.02, 0.3)
            self.cluster.network.heal()
            self.hold(0.0, 0.1)

    def cut_one_off_and_kill_it(self):
        victim = self.some(1)[0]
        self.cluster.network.separate([victim], self.rest([victim]))
        self.hold(0.0, 1.0)
        self.cluster.kill(victim)
        self.cluster.network.heal()
        self.hold(0.0, 0.5)
        self.cluster.start(victim, wait=False)

    def cut_one_off_and_kill_another(self):
        """A majority is gone until the first comes back: what both had must be there."""
        one, other = self.some(2)
        self.cluster.network.separate([one], self.rest([one]))
        self.hold(SUSPICION_SECONDS, 1.0)
        self.cluster.kill(other)
        self.cluster.network.heal()
        self.hold(SUSPICION_SECONDS, 1.0)
        self.cluster.start(other, wait=False)


PROCESSES = ("kill_one", "stop_one", "kill_all", "end_one", "kill_majority", "stop_shortly", "kill_while_starting",
             "stop_majority", "kill_one_after_the_other")
NETWORK = ("cut_one_off", "one_hears_nobody", "nobody_hears_one", "cut_all_from_all", "one_hears_not_one", "links_flap",
           "cut_one_off_and_kill_it", "cut_one_off_and_kill_another", "cut_minority_off")


class Run:
    """The rounds of one run on one cluster."""

    def __init__(self, options, setup):
        self.options, self.chance = options, random.Random(options.seed)
        network = networks.Network(options.nodes) if options.faults == "network" else None
        self.cluster = Cluster(setup, options.nodes, "--request-timeout-ms", REQUEST_TIMEOUT_MS, *options.settings.split(),
                               network=network)
        self.faults = Faults(self.cluster, self.chance, self.hold)
        self.past, self.recoveries, self.gaps, self.verifiers = [], [], [], 0
        self.totals = (0, 0, 0)

    def hold(self, least, most):
        time.sleep(self.chance.uniform(least, most))

    def round(self, number, fault):
        keys = [Key(kind, "%s:%d:%d" % (kind, number, index)) for kind in KINDS for index in range(KEYS_OF_A_KIND)]
        recorders = [Recorder(index, self.cluster.nodes, keys, self.chance.random()) for index in range(self.options.clients)]
        for recorder in recorders:
            recorder.start()
        try:
            self.hold(0.2, 0.6)
            getattr(self.faults, fault)()
            recovery = self.recover()
            self.hold(0.1, 0.3)
        finally:
            for recorder in recorders:
                recorder.stopping.set()
        for recorder in recorders:
            recorder.join(RECOVERY_SECONDS_MAX)
            if recorder.is_alive():
                raise Violation("a client hangs")
            if recorder.problem:
                raise Violation(recorder.problem)
        self.look(keys)
        self.look(self.chance.sample(self.past, min(len(self.past), 2 * len(KINDS))))
        self.past += keys
        gap = max(recorder.longest_gap for recorder in recorders)
        self.recoveries.append(recovery)
        done = counts(keys)
        self.totals = tuple(a + b for a, b in zip(self.totals, done))
        print("  round %d: %-30s %6d done, %4d refused, %4d unknown; all keys writable %.2f s after its end; longest gap of a"
              " client %.2f s" % (number, fault.replace("_", " "), *done, recovery, gap), flush=True)

    def recover(self):
        """Seconds until every probe has taken a write, through a node that is drawn for each."""
        begin = time.monotonic()
        clients = {}
        for probe in self.chance.sample(PROBES, len(PROBES)):
            while not self.probe(clients, probe):
                if time.monotonic() - begin > RECOVERY_SECONDS_MAX:
                    raise Violation("no progress: %s takes no write %.0f s after the fault ended" % (probe, RECOVERY_SECONDS_MAX))
        for client in clients.values():
            client.close()
        for index, node in enumerate(self.cluster.nodes):
            if node.process.poll() is not None:
                raise Violation("node %d has ended with %d" % (index + 1, node.process.returncode))
        return time.monotonic() - begin

    def probe(self, clients, probe):
        node = self.chance.choice(self.cluster.nodes)
        try:
            if node not in clients:
                clients[node] = connected(node)
            return answer(clients[node], "SET", probe, probe) == "OK"
        except OSError:
            clients.pop(node, None)
            return False

    def look(self, keys):
        """Reads the keys through every node, and checks their histories."""
        for node in self.cluster.nodes:
            self.verifiers += 1
            connection = Connection(node, "verifier %d" % self.verifiers)
            for key in keys:
                self.read(connection, key)
            connection.client.close()
        for key in keys:
            key.check()

    def read(self, connection, key):
        deadline = time.monotonic() + RECOVERY_SECONDS_MAX
        while time.monotonic() < deadline:
            done = connection.run_pair(key, True) if key.kind == "pair" else connection.run([(key, True, None)])
            if done and done[0].end < deadline and done[0].outcome.name == "DONE":
                return
        raise Violation("%s cannot be read" % key.name)

    def run(self):
        self.recover()
        names = list(PROCESSES if self.options.faults == "processes" else NETWORK)
        self.chance.shuffle(names)
        if self.options.only:
            names = [self.options.only]
        for number in range(1, self.options.rounds + 1):
            self.round(number, names[(number - 1) % len(names)])
        self.look(self.past)


def options_of(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", default=os.path.join(ROOT, "build", "bin", "quorate-server"))
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--faults", choices=("processes", "network"), default="processes")
    parser.add_argument("--only", choices=PROCESSES + NETWORK, help="every round the same fault")
    parser.add_argument("--settings", default="", help="more settings for every node, as one word")
    options = parser.parse_args(arguments)
    if options.only in NETWORK:
        options.faults = "network"
    options.faulty_server = None
    return options


def main():
    options = options_of(sys.argv[1:])
    if not os.access(options.server, os.X_OK):
        print("cluster_history: no server; build it first (tools/build)")
        return 2
    if options.faults == "network" and not os.environ.get(networks.INSIDE):
        reason = networks.why_not()
        if reason:
            print("cluster_history: skipped: " + reason)
            return 77
    if options.faults == "network":
        networks.inside_own_namespaces()
    if options.seed is None:
        options.seed = int.from_bytes(os.urandom(3), "big")
    print("cluster_history: seed %d, %d rounds, %d nodes, %d clients, faults: %s" % (
        options.seed, options.rounds, options.nodes, options.clients, options.only or options.faults), flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))     # so that the servers are stopped
    setup = Setup(options)
    run = None
    try:
        run = Run(options, setup)
        run.run()
    except (Violation, AssertionError, OSError, ReplyError) as problem:
        print("cluster_history: VIOLATION: %s" % problem)
        show_servers(setup)
        for server in setup.servers:
            server.process.kill()
        print("cluster_history: folder kept: %s" % setup.folder)
        return 1
    finally:
        for server in setup.servers:
            server.process.kill()
            server.process.wait()
    setup.clean_up()
    print("cluster_history: %d operations done, %d refused, %d unknown; all keys writable again after %.2f s at most"
          % (*run.totals, max(run.recoveries, default=0)))
    print("cluster_history: nothing lost, nothing done twice")
    return 0


def show_servers(setup):
    for path in sorted({server.log_path for server in setup.servers}):
        with open(path, encoding="utf-8", errors="replace") as file:
            print("--- %s\n%s" % (os.path.basename(path), file.read()[-2500:]))


if __name__ == "__main__":
    sys.exit(main())
