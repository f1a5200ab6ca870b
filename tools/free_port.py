"""A free port for a server that a test or a measurement starts."""

import fcntl
import os
import random
import socket
import tempfile

# What a server opens beside its port, above it: for cluster-aware clients, for HTTP, for other nodes.
STEPS = (0, 1000, 2000, 10000)
# No port of a server is one that the system gives to outgoing connections (32768 and above), so nobody takes it by chance
# between here and the server's start; and nothing that one server opens above its port is the port of another: these ranges,
# moved by a step, meet neither each other nor those moved by another.
RANGES = (range(10500, 11500), range(13500, 14500), range(16500, 17500))


TRIES_MAX = 10_000

_held = []      # locked files of this process's ports


def free_port():
    """Nobody else who asks here gets it while this process lives, also while no server listens there."""
    for _ in range(TRIES_MAX):
        port = random.SystemRandom().choice(random.SystemRandom().choice(RANGES))
        if all(_is_free(port + step) for step in STEPS) and _hold(port):
            return port
    raise RuntimeError("no free port was found in %d tries" % TRIES_MAX)


def _hold(port):
    folder = os.path.join(tempfile.gettempdir(), "quorate-ports-%d" % os.getuid())
    os.makedirs(folder, exist_ok=True)
    file = open(os.path.join(folder, str(port)), "w", encoding="ascii")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return False
    _held.append(file)
    return True


def _is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)     # as servers do: what is closing does not count
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
