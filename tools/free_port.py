"""A free port for a server that a test or a measurement starts."""

import random
import socket

# What a server opens beside its port, above it: for cluster-aware clients, for HTTP, for other nodes.
STEPS = (0, 1000, 2000, 10000)
# No port of a server is one that the system gives to outgoing connections (32768 and above), so nobody takes it by chance
# between here and the server's start; and nothing that one server opens above its port is the port of another: these ranges,
# moved by a step, meet neither each other nor those moved by another.
RANGES = (range(10500, 11500), range(13500, 14500), range(16500, 17500))


def free_port():
    while True:
        port = random.SystemRandom().choice(random.SystemRandom().choice(RANGES))
        if all(_is_free(port + step) for step in STEPS):
            return port


def _is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)     # as servers do: what is closing does not count
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
