"""Servers under measurement: start pinned, read CPU time and memory, stop for certain.

Used by tools/bench.py and the tests of real processes; not a program.
"""

import glob
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import time

import bench_load
from free_port import free_port

# What a server is told in each mode of durability; the same words for every server.
# A log that is rewritten in the middle of a row would be measured with it: off.
CONFIGS = {
    "none": ["--save", "", "--appendonly", "no"],
    "everysec": ["--save", "", "--appendonly", "yes", "--appendfsync", "everysec",
                 "--auto-aof-rewrite-percentage", "0"],
    "always": ["--save", "", "--appendonly", "yes", "--appendfsync", "always",
               "--auto-aof-rewrite-percentage", "0"],
}


def raise_file_limit():
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Server:
    """One process in a folder of its own; a context manager that leaves nothing behind."""

    def __init__(self, name, path, config="none", core=None, extra=(), folder=None, base=None,
                 bare=False):
        self.name, self.path, self.config, self.core = name, shutil.which(path), config, core
        if self.path is None:
            raise RuntimeError("%s: there is no such program" % path)
        self.path = os.path.abspath(self.path)          # each runs in its own folder
        self.extra, self.bare = list(extra), bare
        self.own_folder = folder is None
        self.folder = folder or tempfile.mkdtemp(prefix="bench-%s-" % name, dir=base)
        self.port, self.process = free_port(), None

    def argv(self):
        words = [] if self.core is None else ["taskset", "-c", str(self.core)]
        words += [self.path, "--port", str(self.port)]
        if not self.bare:
            words += ["--dir", self.folder, "--loglevel", "warning", *CONFIGS[self.config],
                      *self.extra]
        return words

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def launch(self):
        """Starts the process and does not wait for it."""
        with open(os.path.join(self.folder, "stdout"), "ab") as out:
            self.process = subprocess.Popen(self.argv(), stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=subprocess.STDOUT, cwd=self.folder,
                                            start_new_session=True)

    def start(self, wait=60):
        """Starts the process and waits until it answers PING with PONG (loading is over)."""
        self.launch()
        try:
            self.await_pong(wait)
        except BaseException:             # also the signal that ends this program
            self.stop()
            raise
        return self

    def await_pong(self, wait):
        end = time.monotonic() + wait
        while time.monotonic() < end and self.process.poll() is None:
            try:
                client = bench_load.Client(self.port, timeout=2)
                try:
                    client.call("PING")
                    return
                finally:
                    client.close()
            except (OSError, bench_load.ServerError):
                time.sleep(0.005)
        raise RuntimeError("%s does not start: %s\n%s" % (
            self.name, " ".join(self.argv()), self.output()))

    def output(self):
        with open(os.path.join(self.folder, "stdout"), encoding="utf-8", errors="replace") as f:
            return f.read()[-2000:]

    def kill(self, how=signal.SIGKILL):
        """Ends the process group and keeps the folder."""
        if self.process is None:
            return
        try:
            os.killpg(self.process.pid, how)
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        except ProcessLookupError:
            self.process.wait()
        self.process = None

    def stop(self):
        self.kill(signal.SIGTERM if self.process and self.process.poll() is None
                  else signal.SIGKILL)
        if self.own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def client(self):
        return bench_load.Client(self.port)

    def cpu_ns(self):
        """Nanoseconds that the threads of the process were on a CPU (user and system)."""
        total = 0
        for path in glob.glob("/proc/%d/task/*/schedstat" % self.process.pid):
            try:
                with open(path, encoding="ascii") as f:
                    total += int(f.read().split()[0])
            except (OSError, IndexError):
                pass
        return total

    def rss(self, pid=None):
        return status_bytes(pid or self.process.pid, "VmRSS")

    def settle(self, seconds_max=15.0):
        """Waits until the process is idle and its memory no longer changes."""
        end = time.monotonic() + seconds_max
        calm, rss = 0, self.rss()
        while calm < 5 and time.monotonic() < end:
            before = self.cpu_ns()
            time.sleep(0.1)
            now = self.rss()
            quiet = self.cpu_ns() - before < 4e6 and abs(now - rss) < 1 << 20
            calm, rss = calm + 1 if quiet else 0, now

    def settled_rss(self):
        """Resident bytes once the allocator has given back what it means to give back."""
        self.settle()
        low, same = self.rss(), 0
        for _ in range(24):
            time.sleep(0.5)
            now = self.rss()
            same = same + 1 if now > low - (256 << 10) else 0
            low = min(low, now)
            if same >= 6:
                break
        return self.rss()

    def children(self):
        pids = []
        for path in glob.glob("/proc/%d/task/*/children" % self.process.pid):
            try:
                with open(path, encoding="ascii") as f:
                    pids += [int(p) for p in f.read().split()]
            except OSError:
                pass
        return pids

    def memory_with_children(self):
        """Resident bytes of the process plus the pages that only its children hold."""
        total = self.rss()
        for pid in self.children():
            try:
                with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as f:
                    fields = {l.split(":")[0]: int(l.split()[1]) << 10 for l in f if " kB" in l}
            except (OSError, ValueError, IndexError):
                continue
            shared = 2 * (fields.get("Rss", 0) - fields.get("Pss", 0))
            total += max(0, fields.get("Rss", 0) - shared)
        return total


def status_bytes(pid, field):
    try:
        with open("/proc/%d/status" % pid, encoding="ascii", errors="replace") as f:
            for line in f:
                if line.startswith(field + ":"):
                    return int(line.split()[1]) << 10
    except OSError:
        pass
    return 0


def version(path):
    done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False,
                          timeout=20)
    return (done.stdout or done.stderr).strip().splitlines()[0] if (
        done.stdout or done.stderr).strip() else path
