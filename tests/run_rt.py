#!/usr/bin/env python3
"""Runs scripts (.rt) in a world: starts the server it needs on a free port and an empty folder, runs `rt`, ends
the server.

  run_rt.py --build build-debug --world redis FILE...           against redis-server
  run_rt.py --build build-debug --world socket FILE...          against quorate-server of that build
  run_rt.py --build build-debug --world inprocess FILE...
  run_rt.py --build build-debug --world follower FILE...        against a node of three of that build that does not lead
  run_rt.py ... --rewrite FILE...                               writes the replies that came into the files

$QUORATE_REDIS_SERVER names the redis-server (or a newer peer); without it the one in PATH is used.
Exit status: that of rt; 77 when what the world needs is missing.
"""

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tools"))
from free_port import free_port  # noqa: E402

SKIPPED = 77
READY_SECONDS_MAX = 30
STOP_SECONDS_MAX = 30
SETTLE_SECONDS_MAX = 60
START_TRIES_MAX = 5


def answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as client:
            client.sendall(b"PING\r\n")
            return client.recv(16).startswith(b"+PONG")
    except OSError:
        return False


class Server:
    """A server process in a folder of its own; a context manager that leaves neither behind."""

    def __init__(self, binary, settings):
        self.binary, self.settings = binary, settings
        self.process, self.port = None, None
        self.folder = tempfile.mkdtemp(prefix="quorate-rt-")

    def __enter__(self):
        for _ in range(START_TRIES_MAX):
            if self.start():
                return self
            if "in use" not in self.log():
                break
        log = self.log()
        self.__exit__()
        sys.exit("%s does not start:\n%s" % (self.binary, log))

    def start(self):
        self.port = free_port()
        command = [self.binary, "--port", str(self.port), "--dir", self.folder] + self.settings
        with open(os.path.join(self.folder, "server.log"), "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + READY_SECONDS_MAX
        while time.monotonic() < end and self.process.poll() is None:
            if answers(self.port):
                return True
            time.sleep(0.01)
        self.stop()
        return False

    def log(self):
        with open(os.path.join(self.folder, "server.log"), errors="replace") as log:
            return log.read()[-8000:]

    def stop(self):
        """True if the server ended well by itself."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                return False
        return self.process.returncode == 0

    def __exit__(self, *_):
        if self.process is not None:
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def server_of(world, build):
    """(binary, settings) of a world, or a text that says what is missing."""
    if world == "redis":
        binary = os.environ.get("QUORATE_REDIS_SERVER") or shutil.which("redis-server")
        if not binary:
            return "no redis-server here (Debian package redis-tools or redis-server)"
        return binary, ["--save", "", "--appendonly", "no", "--enable-debug-command", "yes",
                        "--enable-protected-configs", "yes", "--bind", "127.0.0.1"]
    binary = os.path.join(build, "bin", "quorate-server")
    if not os.access(binary, os.X_OK):
        return "no quorate-server in this tree yet"
    return binary, ["--enable-debug-command", "yes", "--enable-protected-configs", "yes", "--bind", "127.0.0.1"]


def ask(port, *words):
    """The reply as it comes, one read."""
    request = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word.encode()) for word in words)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            client.sendall(request)
            return client.recv(1 << 16)
    except OSError:
        return b""


class Cluster:
    """Three servers with one partition, so that every key is led by the same node; `port` is of one that only follows."""

    NODES = 3

    def __init__(self, binary, settings):
        self.binary, self.settings = binary, settings + ["--partitions", "1"]
        self.servers, self.chosen = [], None

    def __enter__(self):
        for _ in range(self.NODES):
            join = ["--join", "127.0.0.1:%d" % self.servers[0].port] if self.servers else []
            server = Server(self.binary, self.settings + join)
            self.servers.append(server)
            server.__enter__()
        end = time.monotonic() + SETTLE_SECONDS_MAX
        while not self.is_settled():
            if time.monotonic() > end:
                log = self.log()
                self.__exit__()
                sys.exit("the cluster does not come to rest:\n" + log)
            time.sleep(0.1)
        return self

    def is_settled(self):
        """All nodes have a copy, one leads, and did a second ago."""
        def leaders():
            explained = [ask(server.port, "QUORUM", "EXPLAIN", "k") for server in self.servers]
            infos = [ask(server.port, "CLUSTER", "INFO") for server in self.servers]
            if not all(b"cluster_known_nodes:3" in info and b"cluster_under_replicated_partitions:0" in info and
                       b"cluster_state:ok" in info for info in infos):
                return None
            return {reply.split(b"leader-address\r\n")[1].split(b"\r\n")[1].decode() for reply in explained}
        before = leaders()
        time.sleep(1)
        if before is None or before != leaders() or len(before) != 1:
            return False
        self.chosen = [server for server in self.servers if not before & {"127.0.0.1:%d" % server.port}][0]
        return True

    @property
    def port(self):
        return self.chosen.port

    @property
    def process(self):
        return self.chosen.process

    def log(self):
        return "\n".join(server.log() for server in self.servers)

    def stop(self):
        return all([server.stop() for server in reversed(self.servers)])

    def __exit__(self, *_):
        for server in reversed(self.servers):
            server.__exit__()


def unfit_files(world):
    """The scripts that cannot run in the world, with the reason of each."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "scripts", "not_" + world + ".txt")
    if not os.path.exists(path):
        return {}
    with open(path) as lines:
        rows = [line.split(" | ", 1) for line in lines if " | " in line and not line.startswith("#")]
    return {name: reason.strip() for name, reason in rows}


def main():
    parser = argparse.ArgumentParser(description="runs scripts in a world")
    parser.add_argument("--build", required=True)
    parser.add_argument("--world", required=True, choices=("inprocess", "socket", "follower", "redis"))
    parser.add_argument("--rewrite", action="store_true")
    parser.add_argument("files", nargs="+")
    options = parser.parse_args()

    command = [os.path.join(options.build, "bin", "rt"), "--world", options.world]
    command += ["--rewrite"] if options.rewrite else []
    if options.world == "inprocess":
        return subprocess.call(command + options.files)
    server = server_of(options.world, options.build)
    if isinstance(server, str):
        print("skipped: " + server)
        return SKIPPED
    unfit = unfit_files(options.world)
    for name in [name for name in options.files if os.path.basename(name) in unfit]:
        print("skipped: %s: %s" % (name, unfit[os.path.basename(name)]))
        options.files.remove(name)
    if not options.files:
        return SKIPPED
    with (Cluster if options.world == "follower" else Server)(*server) as running:
        status = subprocess.call(command + ["--port", str(running.port)] + options.files)
        ended_before = running.process.poll()
        ended_well = running.stop()
        if ended_before is not None or not ended_well:
            print("the server %s:\n%s" % (
                "ended by itself" if ended_before is not None else "did not end well", running.log()))
            return status or 1
        return status


if __name__ == "__main__":
    sys.exit(main())
