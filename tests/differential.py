#!/usr/bin/env python3
"""Sends the same random commands to quorate-server and to Debian's redis-server and compares the replies.

  tests/differential.py --server PATH [--seed N] [--seconds 20] [--only set,zadd] [--keep-going] [--resp3]

Arguments are drawn from what the reference's COMMAND DOCS says of each command that both have, and
then often spoilt: a word dropped, doubled, or replaced by nonsense.  What chance or time decides is
compared by its shape.  A difference prints the commands of its block, which repeat it.
Exit status: 0 no difference, 1 one, 77 no redis-server.
"""

import argparse
import os
import random
import re
import shutil
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "server"))
import run_rt  # noqa: E402
from harness import Client, ReplyError, encode  # noqa: E402

COMMANDS_A_BLOCK = 40
GROUPS = ("string", "generic", "list", "set", "sorted-set", "hash", "stream", "bitmap", "geo", "hyperloglog",
          "transactions", "pubsub", "connection", "server")
# Not sent: they end the session or the server, wait, change how the servers behave, or speak of the machine.
SKIPPED = set("""
    quit shutdown reset sync psync replconf monitor debug save bgsave bgrewriteaof replicaof slaveof failover
    migrate wait cluster acl module function script eval eval_ro evalsha evalsha_ro fcall fcall_ro config
    client memory latency slowlog swapdb flushall info lolwut role lastsave time command randomkey
    subscribe psubscribe ssubscribe auth hello asking readonly readwrite pfdebug pfselftest restore-asking
    xsetid client|kill client|pause client|reply client|unblock select move copy
""".split())
# Compared by the kind of the reply only; those that change something by chance are not sent at all.
BY_CHANCE = set("srandmember hrandfield zrandmember dump scan sscan hscan zscan object|encoding object|freq "
                "object|idletime object|refcount pubsub|channels command|docs command|info command|list "
                "command|count command object|help pubsub|help".split())
UNORDERED = set("smembers sinter sunion sdiff hgetall hkeys hvals keys".split())
CHANGES_BY_CHANCE = {"spop"}
# Where Redis and Quorate differ on purpose; docs/COMPATIBILITY.md says why.
EXPECTED = [
    # (pattern of the command line, pattern of Redis' reply, pattern of ours)
    # As Redis 7.2: a time-out that does not fit is not "negative".
    (r"", r"timeout is negative", r"timeout is out of range"),
    # As Redis 7.2: the one rank that cannot be negated is refused.
    (r"(?i)^lpos .*-9223372036854775808", r"", r"value must between"),
    # As Redis 7.2: they take WITHSCORE.
    (r"(?i)^z(rev)?rank ", r"wrong number of arguments", r""),
    # What Redis' sort, which is not stable, does with equal weights, and the order of a set.
    (r"(?i)^sort(_ro)? .*by ", r"^\[\[", r"^\[\["),
]

KEYS = ["k1", "k2", "k3", "{t}a", "{t}b", "", "int", "str", "list", "set", "zset", "hash"]
FIELDS = ["a", "b", "c", "d", "1", "2", "3", "", "x\x00y", "\xff\xfe"]
INTEGERS = ["0", "1", "2", "3", "5", "10", "-1", "-2", "-3", "-10", "100"]
ODD_INTEGERS = ["9223372036854775807", "-9223372036854775808", "9223372036854775808", "18446744073709551616",
                "4611686018427387904", "+1", "01", " 1", "1 ", "1.0", "", "abc", "0x10", "1e2", "-0", "--1", "1\x00"]
DOUBLES = ["0", "1", "-1", "1.5", "2.25", "-0.1", "3", "10", "1e3", "inf", "-inf", "+inf", "0.1", "17179869184.5"]
ODD_DOUBLES = ["nan", "1e400", "-1e400", "", "abc", "1.5x", " 1", "1e-400", "(1", "0x1p3", "infinity", "-nan",
               "1.7976931348623157e308", "5e-324"]
TIMEOUTS = ["0.01", "0.001", "0.01", "-1", "abc", "", "1e400", "nan", "inf", "9223372036854775807"]
NONSENSE = ["", "x", "nx", "NX", "xx", "GT", "LT", "CH", "INCR", "WITHSCORES", "LIMIT", "COUNT", "MATCH", "EX", "PX", "-",
            "+", "[a", "(b", "(1", "inf", "*", "BY", "GET", "#", "0", "-1", "1", "STORE", "LEFT", "RIGHT", "MIN", "MAX",
            "KEEPTTL", "PERSIST", "REV", "BYSCORE", "BYLEX", "WEIGHTS", "AGGREGATE", "SUM", "ABSTTL", "REPLACE",
            "BEFORE", "RANK", "MAXLEN", "IDX", "LEN", "WITHVALUES", "ALPHA", "DESC", "nosort", "\r\n", "a" * 200]


class Words:
    """Draws argument lists of a command from its documented arguments."""

    def __init__(self, chance):
        self.chance = chance

    def integer(self, name):
        if self.chance.random() < 0.15:
            return self.chance.choice(ODD_INTEGERS)
        if "unix-time" in name or name in ("timestamp", "milliseconds-timestamp"):
            return str(int(time.time()) + self.chance.choice([-100, 100, 10 ** 6]))
        if name in ("seconds", "milliseconds", "ttl"):
            return self.chance.choice(["100", "1000", "100000", "0", "-1", "9223372036854775807", "9223372036854775"])
        return self.chance.choice(INTEGERS)

    def plain(self, argument):
        kind, name = argument["type"], argument["name"].lower()
        pick = self.chance.choice
        if "timeout" in name:
            return pick(TIMEOUTS)
        if kind == "key":
            return pick(KEYS)
        if kind == "integer":
            return self.integer(name)
        if kind == "unix-time":
            milliseconds = "milli" in name
            return str((int(time.time()) + pick([-100, 100, 10 ** 6])) * (1000 if milliseconds else 1))
        if kind == "double":
            return pick(ODD_DOUBLES if self.chance.random() < 0.1 else DOUBLES)
        if kind == "pattern":
            return pick(["*", "k?", "[a-c]*", "nothing", "", "weight_*", "h*->a", "\\"])
        if name in ("min", "max", "start", "stop"):
            return pick(["-inf", "+inf", "(1", "1", "2", "0", "-1", "[a", "(b", "-", "+", "x", "[", "("])
        if name in ("score", "increment", "decrement"):
            return pick(DOUBLES + INTEGERS)
        if name in ("value", "element"):
            return pick(FIELDS + INTEGERS + ["1.5", "hello world", "a" * 70])
        return pick(FIELDS)

    def one(self, argument):
        out = []
        if argument.get("token"):
            token = argument["token"]
            out.append(token if self.chance.random() < 0.7 else token.lower())
        kind = argument["type"]
        if kind == "oneof":
            out += self.one(self.chance.choice(argument["arguments"]))
        elif kind == "block":
            for inner in argument["arguments"]:
                out += self.some(inner)
        elif kind != "pure-token":
            out.append(self.plain(argument))
        return out

    def some(self, argument):
        flags = argument.get("flags", [])
        if "optional" in flags and self.chance.random() < 0.6:
            return []
        times = self.chance.choice([1, 1, 2, 3]) if "multiple" in flags else 1
        out = []
        for turn in range(times):
            words = self.one(argument)
            if turn and argument.get("token") and "multiple_token" not in flags:
                words = words[1:]
            out += words
        return out

    def spoilt(self, words):
        words = list(words)
        for _ in range(self.chance.choice([1, 1, 2])):
            what = self.chance.random()
            at = self.chance.randrange(len(words) + 1)
            if what < 0.3 and words:
                del words[at % len(words)]
            elif what < 0.5 and words:
                words.insert(at, words[at % len(words)])
            elif what < 0.8 and words:
                words[at % len(words)] = self.chance.choice(NONSENSE + ODD_INTEGERS + ODD_DOUBLES)
            else:
                words.insert(at, self.chance.choice(NONSENSE))
        return words

    def command(self, name, arguments):
        counted = None
        words = []
        for argument in arguments:
            made = self.some(argument)
            # numkeys mostly tells the truth.
            if argument["name"] == "numkeys" and self.chance.random() < 0.9:
                counted = len(words) + len(made) - 1
            elif counted is not None and argument["type"] == "key":
                words[counted] = str(len(made))
                counted = None
            words += made
        if self.chance.random() < 0.25:
            words = self.spoilt(words)
        return name.split("|") + words


def tree_of(reply):
    """COMMAND DOCS in RESP2: lists of pairs become dictionaries."""
    def text(value):
        return value.decode() if isinstance(value, bytes) else value

    def argument(pairs):
        fields = {text(pairs[i]): pairs[i + 1] for i in range(0, len(pairs), 2)}
        out = {key: text(value) for key, value in fields.items() if key not in ("arguments", "flags")}
        out["flags"] = [text(flag) for flag in fields.get("flags", [])]
        out["arguments"] = [argument(inner) for inner in fields.get("arguments", [])]
        return out

    found = {}
    for at in range(0, len(reply), 2):
        fields = {text(reply[at + 1][i]): reply[at + 1][i + 1] for i in range(0, len(reply[at + 1]), 2)}
        found[text(reply[at])] = (text(fields.get("group", b"")),
                                  [argument(inner) for inner in fields.get("arguments", [])])
        for name, inner in tree_of(fields.get("subcommands", [])).items():
            found[name] = inner
    return found


class Speaker(Client):
    """A client that reads RESP3 too, and can read what came before a marker."""

    def read(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("closed")
        kind, rest = line[:1], line[1:-2]
        if kind in b"%~>|":
            count = int(rest) * (2 if kind in b"%|" else 1)
            return (kind.decode(), [self.read() for _ in range(count)])
        if kind in b",#(_":
            return (kind.decode(), rest)
        if kind == b"=":
            return ("=", self.file.read(int(rest) + 2)[:-2])
        if kind in b"*":
            return None if int(rest) < 0 else [self.read() for _ in range(int(rest))]
        if kind == b"$":
            return None if int(rest) < 0 else self.file.read(int(rest) + 2)[:-2]
        if kind == b"+":
            return ("+", rest)
        if kind == b"-":
            return ReplyError(rest.decode("latin-1"))
        if kind == b":":
            return int(rest)
        raise AssertionError("odd reply %r" % line)

    def replies(self, words, marker):
        self.socket.sendall(encode(*[w.encode("latin-1") for w in words]) + encode("ECHO", marker))
        out = []
        while True:
            reply = self.read()
            if reply == marker or (isinstance(reply, ReplyError) and out and str(reply).startswith("EXECABORT")):
                return out
            if isinstance(reply, tuple) and reply[0] == "+" and reply[1] == b"QUEUED" and out:
                return out + [reply]
            out.append(reply)


def shape(value):
    if isinstance(value, ReplyError):
        return "error " + str(value)
    if isinstance(value, list):
        return "list"
    if isinstance(value, tuple):
        return value[0]
    return type(value).__name__


def shown(value):
    if isinstance(value, ReplyError):
        return "-" + str(value)
    if isinstance(value, list):
        return "[" + ", ".join(shown(v) for v in value) + "]"
    if isinstance(value, tuple):
        return value[0] + shown(value[1]) if not isinstance(value[1], bytes) else value[0] + repr(value[1])
    return repr(value)


def in_order(value, name):
    """Unordered collections sorted, pairs kept together."""
    if isinstance(value, tuple) and value[0] in "%~":
        value = (value[0], in_order(value[1], name))
    elif isinstance(value, list):
        if name == "hgetall":
            pairs = [value[i:i + 2] for i in range(0, len(value), 2)]
            return [item for pair in sorted(pairs, key=repr) for item in pair]
        return sorted(value, key=repr)
    return value


def equal(a, b):
    if isinstance(a, int) and isinstance(b, int):
        return a == b or (min(a, b) > 0 and abs(a - b) <= 2000 and min(a, b) > 50)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b))
    if isinstance(a, tuple) and isinstance(b, tuple):
        return a[0] == b[0] and equal(a[1], b[1])
    if isinstance(a, ReplyError) and isinstance(b, ReplyError):
        return str(a) == str(b)
    if isinstance(a, bytes) and isinstance(b, bytes) and a != b:
        return same_double(a, b)
    return a == b


def same_double(a, b):
    """Redis 7.0 prints 17 digits, 7.2 and Quorate as many as are needed."""
    try:
        return float(a) == float(b) and len(a.strip(b"-0.").split(b"e")[0]) >= 17
    except ValueError:
        return False


def same_exec(queue, theirs, ours):
    """The replies of EXEC, each judged as that of the command it belongs to."""
    if len(theirs) != 1 or len(ours) != 1 or not isinstance(theirs[0], list) or not isinstance(ours[0], list):
        return [shown(r) for r in theirs] == [shown(r) for r in ours]
    if not len(theirs[0]) == len(ours[0]) == len(queue):
        return False
    return all(same(words, [a], [b]) for words, a, b in zip(queue, theirs[0], ours[0]))


def same(words, theirs, ours):
    name = words[0].lower()
    full = "|".join(w.lower() for w in words[:2])
    if len(theirs) != len(ours):
        return False
    for a, b in zip(theirs, ours):
        if name in BY_CHANCE or full in BY_CHANCE:
            if shape(a) != shape(b):
                return False
        elif name in UNORDERED:
            if not equal(in_order(a, name), in_order(b, name)):
                return False
        elif not equal(a, b):
            return False
    return True


def is_expected(words, theirs, ours):
    line = " ".join(words)
    return any(re.search(c, line) and re.search(t, shown(theirs)) and re.search(o, shown(ours))
               for c, t, o in EXPECTED)


def known_commands(client):
    out = set()
    for entry in client.call("COMMAND"):
        name = entry[0].decode().lower()
        out.add(name)
        for inner in entry[9] if len(entry) > 9 else []:
            out.add(inner[0].decode().lower())
    return out


def catalogue(reference, tested, only):
    docs = tree_of(reference.call("COMMAND", "DOCS"))
    both = known_commands(reference) & known_commands(tested)
    rows = []
    for name, (group, arguments) in sorted(docs.items()):
        head = name.split("|")[0]
        if name not in both or group not in GROUPS or name in SKIPPED or head in SKIPPED:
            continue
        if name in CHANGES_BY_CHANCE or (only and head not in only and name not in only):
            continue
        rows.append((name, arguments))
    return rows


def fill(clients):
    """Keys of every type, the same on both."""
    for words in (["SET", "int", "10"], ["SET", "str", "hello"], ["RPUSH", "list", "a", "b", "c", "1", "2", "3"],
                  ["SADD", "set", "1", "2", "3", "4"], ["ZADD", "zset", "1", "a", "2", "b", "3", "c"],
                  ["HSET", "hash", "a", "1", "b", "x", "c", "2.5"], ["SADD", "{t}a", "a", "b", "c"],
                  ["ZADD", "{t}b", "0", "a", "0", "b", "0", "c", "0", "d"]):
        for client in clients:
            client.call(*words)


def may_wait_for_ever(words):
    if words[0].lower() not in ("blpop", "brpop", "blmove", "brpoplpush", "blmpop", "bzpopmin", "bzpopmax", "bzmpop"):
        return False
    for word in (words[-1], words[1] if len(words) > 1 else ""):
        try:
            seconds = float.fromhex(word) if "x" in word.lower() else float(word)
        except (ValueError, OverflowError):
            continue
        if seconds == 0 or 1 < seconds < 1e15:
            return True
    return False


def run_block(seed, rows, addresses, resp3):
    """The commands of one block; returns how many were sent, and the difference or None."""
    chance = random.Random(seed)
    words_of = Words(chance)
    clients = [Speaker(address, timeout=10) for address in addresses]
    history = []
    queue = None  # what MULTI queued, or None
    try:
        for client in clients:
            client.call("FLUSHALL")
        fill(clients)
        if resp3:
            for client in clients:
                client.call("HELLO", "3")
        for number in range(COMMANDS_A_BLOCK):
            name, arguments = chance.choice(rows)
            words = words_of.command(name, arguments)
            if may_wait_for_ever(words):
                continue
            marker = b"marker %d of %d" % (number, seed)
            history.append(words)
            results = [client.replies(words, marker) for client in clients]
            theirs, ours = results
            is_exec = words[0].lower() == "exec" and queue is not None and len(words) == 1
            if not (same_exec(queue, theirs, ours) if is_exec else same(words, theirs, ours)):
                if is_expected(words, theirs, ours):
                    return number, None  # what follows may follow from it
                return number, (history, theirs, ours)
            first = theirs[0] if theirs else None
            if queue is None and words[0].lower() == "multi" and first == ("+", b"OK"):
                queue = [["echo"]]
            elif is_exec or (words[0].lower() == "discard" and first == ("+", b"OK")):
                queue = None
            elif queue is not None:
                queue += [words] * (first == ("+", b"QUEUED")) + [["echo"]]
    except (ConnectionError, OSError, AssertionError) as problem:
        return len(history), (history, "", repr(problem))
    finally:
        for client in clients:
            client.close()
    return COMMANDS_A_BLOCK, None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", required=True)
    parser.add_argument("--reference", default=os.environ.get("QUORATE_REDIS_SERVER") or shutil.which("redis-server"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--blocks", type=int, default=0, help="so many instead of --seconds")
    parser.add_argument("--only", default="")
    parser.add_argument("--keep-going", action="store_true", help="all differences, one of a kind")
    parser.add_argument("--resp3", action="store_true")
    options = parser.parse_args()
    if not options.reference:
        print("skipped: no redis-server here")
        return run_rt.SKIPPED
    settings = ["--save", "", "--appendonly", "no", "--bind", "127.0.0.1"]
    only = set(filter(None, options.only.lower().split(",")))
    kinds = set()
    sent = found = 0
    with run_rt.Server(options.reference, settings) as theirs, run_rt.Server(options.server, settings) as ours:
        addresses = [("127.0.0.1", theirs.port), ("127.0.0.1", ours.port)]
        clients = [Client(address) for address in addresses]
        rows = catalogue(*clients, only)
        end = time.monotonic() + options.seconds
        seed = options.seed
        while (seed < options.seed + options.blocks) if options.blocks else time.monotonic() < end:
            count, difference = run_block(seed, rows, addresses, options.resp3)
            sent += count
            if difference:
                history, a, b = difference
                kind = (history[-1][0].lower(), re.sub(r"[0-9]+|'[^']*'", "#", shown(a))[:60],
                        re.sub(r"[0-9]+|'[^']*'", "#", shown(b))[:60])
                if kind not in kinds:
                    kinds.add(kind)
                    found += 1
                    if not options.keep_going:
                        for words in history[:-1]:
                            print("  " + " ".join(repr(w)[1:-1] or '""' for w in words))
                    print("seed %d, command %d: %s\n    redis   %s\n    quorate %s" % (
                        seed, len(history), " ".join(repr(w) for w in history[-1]), shown(a)[:300],
                        shown(b)[:300]), flush=True)
                if not options.keep_going or b.__class__ is str:
                    break
            seed += 1
    print("differential: %d commands of %d kinds, seeds %d to %d: %d differences" % (
        sent, len(rows), options.seed, seed - 1, found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
