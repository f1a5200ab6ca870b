"""Clients that write down what they do: registers, counters, lists, sets, and pairs of counters that only MULTI changes."""

import random
import socket
import threading
import time
import traceback

from harness import Client, ReplyError, encode
from history import (Operation, Outcome, Violation, check_counter, check_list, check_register, check_set)

# By these words clients know that nothing was done (REPLICATION 2); -UNCERTAIN says that nobody knows; any other error is wrong.
REFUSALS = ("CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS", "LOADING", "READONLY", "MISCONF", "EXECABORT")
REQUEST_TIMEOUT_MS = 2000       # for the servers
ANSWER_SECONDS_MAX = 10.0       # far beyond that, and the time that a node may be stopped: no answer then is a hang
PIPELINE_MAX = 6
KINDS = ("register", "counter", "list", "set", "pair")


class Key:
    """One key, or two of the same slot, and the history of it."""

    def __init__(self, kind, name):
        self.kind, self.name, self.operations = kind, name, []

    def read_words(self):
        if self.kind == "pair":
            return [("GET", "{%s}:a" % self.name), ("GET", "{%s}:b" % self.name)]
        return [{"register": ("GET", self.name), "counter": ("GET", self.name),
                 "list": ("LRANGE", self.name, 0, -1), "set": ("SMEMBERS", self.name)}[self.kind]]

    def write_words(self, argument):
        if self.kind == "pair":
            return [("INCR", "{%s}:a" % self.name), ("INCR", "{%s}:b" % self.name)]
        return [{"register": ("SET", self.name, argument), "counter": ("INCR", self.name),
                 "list": ("RPUSH", self.name, argument), "set": ("SADD", self.name, argument)}[self.kind]]

    def result(self, is_read, reply):
        """What the reply means for the check of this kind."""
        if self.kind == "pair":
            if reply[0] != reply[1]:
                raise Violation("%s: half a MULTI: %r" % (self.name, reply))
            reply = reply[0]
        if not is_read:
            return reply
        if self.kind in ("counter", "pair"):
            return None if reply is None else int(reply)
        if self.kind == "register":
            return None if reply is None else reply.decode()
        values = [value.decode() for value in reply]
        return values if self.kind == "list" else set(values)

    def check(self):
        try:
            if self.kind == "list":
                check_list(self.operations, max((o.result for o in self.operations if o.is_read and o.result), key=len, default=[]))
            else:
                {"register": check_register, "counter": check_counter, "pair": check_counter,
                 "set": check_set}[self.kind](self.operations)
        except Violation as problem:
            raise Violation("%s %s: %s" % (self.kind, self.name, problem)) from problem


class Connection:
    """One connection of a recorder: its requests have a name and a sequence of their own."""

    def __init__(self, node, name):
        self.client, self.name, self.sequence = Client((node.host, node.port), timeout=ANSWER_SECONDS_MAX), name, 0
        self.node = node
        self.client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def begin(self, key, is_read, argument=None):
        self.sequence += 1
        operation = Operation(self.name, is_read, argument, time.monotonic(), sequence=self.sequence)
        key.operations.append(operation)
        return operation

    def run(self, planned):
        """A pipeline of (key, is_read, argument), none of a pair."""
        operations = [(key, self.begin(key, is_read, argument)) for key, is_read, argument in planned]
        words = [(key.read_words() if o.is_read else key.write_words(o.argument))[0] for key, o in operations]
        self.client.socket.sendall(b"".join(encode(*w) for w in words))
        for key, operation in operations:
            finish(key, operation, self.client.read())
        return [operation for _, operation in operations]

    def run_pair(self, key, is_read):
        """MULTI is answered before the rest is sent: without it each command would run by itself."""
        try:
            self.client.call("MULTI")
        except ReplyError as refused:
            if not str(refused).startswith(REFUSALS):
                raise Violation("MULTI: %s" % refused) from refused
            return []
        operation = self.begin(key, is_read)
        words = key.read_words() if is_read else key.write_words(None)
        self.client.socket.sendall(b"".join(encode(*w) for w in words + [("EXEC",)]))
        replies = [self.client.read() for _ in range(len(words) + 1)]
        finish(key, operation, replies[-1])
        return [operation]


def finish(key, operation, reply):
    """Writes down what the reply says."""
    end = time.monotonic()
    if isinstance(reply, ReplyError):
        text = str(reply)
        if text.startswith("UNCERTAIN"):
            return                              # as it was begun: unknown, without an end
        if not text.startswith(REFUSALS):
            raise Violation("%s %s: %s" % (key.kind, key.name, text))
        operation.outcome, operation.end = Outcome.REFUSED, end
        return
    operation.result, operation.end, operation.outcome = key.result(operation.is_read, reply), end, Outcome.DONE


class Recorder(threading.Thread):
    """One client after the other at drawn nodes, until it is told to stop."""

    def __init__(self, number, nodes, keys, seed):
        super().__init__(daemon=True)
        self.number, self.nodes, self.keys, self.chance = number, nodes, keys, random.Random(seed)
        self.stopping, self.problem = threading.Event(), None
        self.connections = self.made = 0
        self.last_write = time.monotonic()
        self.longest_gap = 0.0          # between two writes that were acknowledged

    def run(self):
        try:
            while not self.stopping.is_set():
                self.connections += 1
                try:
                    self.use(Connection(self.chance.choice(self.nodes), "client %d.%d" % (self.number, self.connections)))
                except OSError:
                    self.stopping.wait(0.01)    # the node is down, or was killed
        except Violation as problem:
            self.problem = str(problem)
        except Exception:  # whatever it is, the run must not call it good
            self.problem = traceback.format_exc()

    def use(self, connection):
        try:
            for _ in range(self.chance.randint(1, 200)):
                if self.stopping.is_set():
                    return
                self.note(self.one(connection))
        except TimeoutError as problem:
            raise Violation("%s, port %d: no answer for %.0f s" % (
                connection.name, connection.node.port, ANSWER_SECONDS_MAX)) from problem
        finally:
            connection.client.close()

    def one(self, connection):
        key = self.chance.choice(self.keys)
        if key.kind == "pair":
            return connection.run_pair(key, self.chance.random() < 0.5)
        planned = [(key, *self.draw(key))]
        while self.chance.random() < 0.4 and len(planned) < PIPELINE_MAX:
            other = self.chance.choice(self.keys)
            if other.kind != "pair":
                planned.append((other, *self.draw(other)))
        return connection.run(planned)

    def draw(self, key):
        """(is_read, argument): what is written is never written again."""
        # A list is read whole, and its length is told by each push.
        if self.chance.random() < (0.1 if key.kind == "list" else 0.5):
            return True, None
        self.made += 1
        return False, "%d:%d" % (self.number, self.made)

    def note(self, operations):
        if any(o.outcome is Outcome.DONE and not o.is_read for o in operations):
            now = time.monotonic()
            self.longest_gap, self.last_write = max(self.longest_gap, now - self.last_write), now


def counts(keys):
    """(done, refused, unknown) of all operations."""
    operations = [o for key in keys for o in key.operations]
    return tuple(sum(o.outcome is outcome for o in operations) for outcome in (Outcome.DONE, Outcome.REFUSED, Outcome.UNKNOWN))
