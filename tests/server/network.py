"""Machines that can be cut off from each other: network namespaces of Linux, joined by a bridge.

A program that wants them calls inside_own_namespaces() first: it starts itself again in namespaces of users, networks, mounts and processes
of its own.  Nothing outside sees them, and all that is in them ends with the program, however that ends.  No root is needed where
the system lets users make namespaces.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile

INSIDE = "QUORATE_TEST_NAMESPACES"
UNSHARE = ["unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
PR_SET_PDEATHSIG = 1


def end_with_parent():
    """For preexec_fn: the kernel kills this process when the one that started it is gone."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def why_not():
    """The reason why there can be no namespaces here, or None."""
    for program in ("unshare", "nsenter", "ip"):
        if not shutil.which(program):
            return "there is no program `%s`" % program
    probe = "ip link add p0 type veth peer name p1 && ip link add b0 type bridge && ip rule add prio 10 from 10.1.1.1 blackhole"
    done = subprocess.run(UNSHARE + ["sh", "-c", probe], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=20, check=False)
    return None if done.returncode == 0 else "no network namespaces: " + done.stdout.decode(errors="replace").strip()[-200:]


def inside_own_namespaces():
    """Returns inside; the process that called it waits for the one inside and exits as that does.  Requires: why_not() is None."""
    if os.environ.get(INSIDE):
        del os.environ[INSIDE]
        return
    folder = tempfile.mkdtemp(prefix="quorate-test-")
    child = subprocess.Popen(UNSHARE + [sys.executable] + sys.argv, env=dict(os.environ, **{INSIDE: "1", "TMPDIR": folder}),
                             preexec_fn=end_with_parent)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: child.kill())
    status = child.wait()
    if status != 1 or not os.listdir(folder):       # what a failed one keeps is kept
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(status & 0x7F)


class Network:
    """`count` machines 10.77.0.1, .2 ... and the bridge, 10.77.0.254, where the program and its clients are: they reach all machines
    always.  What a machine is not to hear is dropped where it arrives, without a word to the sender."""

    HUB = "10.77.0.254"

    def __init__(self, count):
        self.holders = []
        ip("link set lo up", "link add hub type bridge", "link set hub up", "addr add %s/24 dev hub" % self.HUB)
        for index in range(count):
            self.add_machine(index)

    def add_machine(self, index):
        # The namespace lives as long as a process in it; `cat` ends with its input.
        holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec cat"], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, preexec_fn=end_with_parent)
        holder.stdout.readline()
        self.holders.append(holder)
        ip("link add wire%d type veth peer name eth0 netns %d" % (index, holder.pid), "link set wire%d master hub up" % index)
        # The rule for what is addressed to this machine is the first of all; ours must come before it.
        self.at(index, "link set lo up", "link set eth0 up", "addr add %s/24 dev eth0" % self.address(index),
                "rule add prio 100 lookup local", "rule del prio 0")

    def address(self, index):
        return "10.77.0.%d" % (index + 1)

    def prefix(self, index):
        """What a command begins with that is to run on the machine."""
        return ["nsenter", "--net=/proc/%d/ns/net" % self.holders[index].pid, "--"]

    def at(self, index, *lines):
        ip(*lines, prefix=self.prefix(index))

    def deafen(self, index, others):
        """The machine no longer hears the others; they hear it."""
        self.at(index, *("rule add prio 10 from %s blackhole" % self.address(other) for other in others))

    def separate(self, group, rest):
        """Neither of the two hears the other."""
        for index in group:
            self.deafen(index, rest)
        for index in rest:
            self.deafen(index, group)

    def heal(self):
        for index, _ in enumerate(self.holders):
            rules = subprocess.run(self.prefix(index) + ["ip", "rule"], stdout=subprocess.PIPE, check=True).stdout.decode()
            self.at(index, *(["rule del prio 10"] * rules.count("10:\t")))


def ip(*lines, prefix=()):
    if not lines:
        return
    done = subprocess.run(list(prefix) + ["ip", "-batch", "-"], input="\n".join(lines).encode(), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        raise RuntimeError("ip: %s: %s" % (lines, done.stdout.decode(errors="replace")))
