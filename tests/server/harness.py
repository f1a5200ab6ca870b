"""What the process tests share: a server on a free port with a folder of its own, and a client that shows every byte.

A test file defines functions named test_* that take a Setup; run(globals()) at its end runs them all, prints one line
for each and exits 0 (good), 1 (a failure) or 77 (nothing could be run here).
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
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools"))
from free_port import free_port  # noqa: E402

WAIT_S = 20.0


class Skip(Exception):
    """The machine lacks what the test needs."""


def wait_until(condition, what, seconds=WAIT_S):
    """`what` is said if it is in vain; a function, of what is there then."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError("waited %d s for %s" % (seconds, what() if callable(what) else what))


def encode(*words):
    out = [b"*%d\r\n" % len(words)]
    for word in words:
        if isinstance(word, (int, float)):
            word = str(word)
        if isinstance(word, str):
            word = word.encode()
        out.append(b"$%d\r\n%s\r\n" % (len(word), word))
    return b"".join(out)


class ReplyError(Exception):
    """The server answered with an error."""


class Client:
    """One connection; replies as Python values, errors raised by call(), returned by read()."""

    def __init__(self, address, timeout=WAIT_S):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family)
        self.socket.settimeout(timeout)
        self.socket.connect(address)
        self.file = self.socket.makefile("rb")

    def call(self, *words):
        self.socket.sendall(encode(*words))
        reply = self.read()
        if isinstance(reply, ReplyError):
            raise reply
        return reply

    def error(self, *words):
        """The text of the error that is expected."""
        self.socket.sendall(encode(*words))
        reply = self.read()
        assert isinstance(reply, ReplyError), "%r gave %r" % (words, reply)
        return str(reply)

    def read(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("closed")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            return ReplyError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            size = int(rest)
            return None if size < 0 else self.file.read(size + 2)[:-2]
        if kind == b"*":
            return None if int(rest) < 0 else [self.read() for _ in range(int(rest))]
        raise AssertionError("odd reply %r" % line)

    def at_end(self):
        """Has the server closed the connection?"""
        try:
            return self.file.read(1) == b""
        except ConnectionError:
            return True

    def config(self, name):
        return self.call("CONFIG", "GET", name)[1].decode()

    def info(self, section="all"):
        lines = self.call("INFO", section).decode().split("\r\n")
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def close(self):
        self.file.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Server:
    """A server process; its output is in log()."""

    def __init__(self, binary, directory, *args, port=None, stdin=None, env=None, preexec=None, wait=True, base=None,
                 host="127.0.0.1", prefix=()):
        self.port = free_port() if port is None else port
        self.host = host
        self.directory = directory
        self.log_path = os.path.join(os.path.dirname(directory), "out-%d.txt" % self.port)
        self.output = open(self.log_path, "ab")
        self.log_start = self.output.tell()         # a process that was started again writes behind the one before it
        words = list(base or []) + ["--port", str(self.port), "--dir", directory] + [str(arg) for arg in args]
        self.process = subprocess.Popen(
            list(prefix) + [binary] + words, stdout=self.output, stderr=subprocess.STDOUT, env=env, preexec_fn=preexec,
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL)
        if stdin is not None:
            self.process.stdin.write(stdin)
            self.process.stdin.close()
        if wait:
            self.wait_ready()

    def wait_ready(self):
        def ready():
            if self.process.poll() is not None:
                raise AssertionError("the server ended:\n" + self.log())
            return "Ready to accept connections" in self.log()[self.log_start:]
        wait_until(ready, "the server")

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def client(self):
        return Client((self.host, self.port))

    def signal(self, number):
        self.process.send_signal(number)

    def wait_end(self):
        return self.process.wait(WAIT_S)

    def stop(self):
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
            try:
                self.wait_end()
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.output.close()
        return self.process.returncode


class Setup:
    """What a test is given: the binaries, and a folder that goes away afterwards."""

    def __init__(self, options):
        self.binary = options.server
        self.faulty_binary = options.faulty_server
        self.folder = tempfile.mkdtemp(prefix="quorate-test-")
        self.directory = os.path.join(self.folder, "data")
        os.mkdir(self.directory)
        self.servers = []

    def server(self, *args, **options):
        binary = options.pop("binary", self.binary)
        server = Server(binary, options.pop("directory", self.directory), *args, **options)
        self.servers.append(server)
        return server

    def run(self, *args, stdin=None):
        """Runs the binary to its end: (exit code, output)."""
        done = subprocess.run([self.binary] + list(args), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              input=stdin, timeout=WAIT_S, check=False)
        return done.returncode, done.stdout.decode(errors="replace")

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def clean_up(self):
        for server in self.servers:
            server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def run(module):
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", required=True)
    parser.add_argument("--faulty-server")
    parser.add_argument("--only", help="part of the name of the tests to run")
    options = parser.parse_args()
    passed = failed = skipped = 0
    for name, test in list(module.items()):
        if not name.startswith("test_") or (options.only and options.only not in name):
            continue
        setup = Setup(options)
        started = time.monotonic()
        try:
            test(setup)
            passed += 1
            outcome = "ok"
        except Skip as reason:
            skipped += 1
            outcome = "skipped: %s" % reason
        except Exception:  # any failure of one test must not hide the others
            failed += 1
            outcome = "FAILED\n" + traceback.format_exc()
            for server in setup.servers:
                outcome += "--- output of the server on port %d\n%s" % (server.port, server.log()[-3000:])
        setup.clean_up()
        print("%-60s %5.1f s  %s" % (name[5:].replace("_", " "), time.monotonic() - started, outcome), flush=True)
    print("%d passed, %d failed, %d skipped" % (passed, failed, skipped))
    sys.exit(1 if failed else 0 if passed else 77)
