#!/usr/bin/env python3
"""Compares what COMMAND INFO and COMMAND DOCS say about every command of ours with a real redis-server, row by row.

  tests/command_rows.py --server build/bin/quorate-server [--redis redis-server]
  tests/command_rows.py --ours file          ours from a file: an array of COMMAND INFO entries and a map of DOCS

Compared: arity, flags, legacy key range, ACL categories, tips, key specifications, subcommands, group, since, and the
shape of the argument tree (types, tokens, flags, key specifications).  Texts are our own and are not compared.
Exit status: 0 the same, 1 differences, 77 there is no redis-server.
"""

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tools"))
from free_port import free_port  # noqa: E402

# What differs on purpose: "command: field" -> why.
KNOWN = {
    "client|kill: arguments": "both forms on one level",
    "client|kill: history": "two entries of one version are one",
    "client|list: arguments": "ID takes its numbers without a block around them",
    "command|getkeys: arguments": "7.0 gives none",
    "command|getkeysandflags: arguments": "7.0 gives none",
    "config|get: arguments": "no block around one argument",
    "debug: arguments": "Redis gives none",
    "debug: doc_flags": "we have no doc flag but deprecated",
    "replconf: doc_flags": "we have no doc flag but deprecated",
    "hscan: arguments": "NOVALUES of 7.4",
    "hscan: history": "NOVALUES of 7.4",
    "lcs: arguments": "the name that 7.2 gives",
    "zrank: arguments": "WITHSCORE of 7.2",
    "zrank: arity": "WITHSCORE of 7.2",
    "zrank: history": "WITHSCORE of 7.2",
    "zrevrank: arguments": "WITHSCORE of 7.2",
    "zrevrank: arity": "WITHSCORE of 7.2",
    "zrevrank: history": "WITHSCORE of 7.2",
    "psubscribe: arguments": "no block around one argument",
}
# Commands that redis-server 7.0 does not have.
NEWER = {
    "client|no-touch", "client|setinfo", "hexpire", "hexpireat", "hexpiretime", "hgetdel", "hgetex", "hpersist",
    "hpexpire", "hpexpireat", "hpexpiretime", "hpttl", "hsetex", "httl", "waitaof",
    "client|quorum", "cluster|myshardid", "quorum", "quorum|drain", "quorum|explain", "quorum|help", "quorum|rebalance", "quorum|remove",
    "quorum|lost", "quorum|move", "quorum|status", "quorum|undrain", "quorum|unsafe-recover", "cluster|unsafe-recover",
}
# Subcommands that wait for a later part of the project; modules there will never be.
LATER = {"client|caching", "client|tracking", "module|load", "module|loadex", "module|unload"}


class Wire:
    """Reads RESP values from a file-like object."""

    def __init__(self, stream):
        self.stream = stream

    def value(self):
        line = self.stream.readline()
        if not line:
            raise EOFError("the stream ended")
        kind, rest = line[:1], line[1:-2]
        if kind in b"+-":
            return rest.decode()
        if kind in b":(":
            return int(rest)
        if kind == b",":
            return float(rest)
        if kind == b"#":
            return rest == b"t"
        if kind == b"_":
            return None
        if kind in b"$=":
            size = int(rest)
            return None if size < 0 else self.stream.read(size + 2)[:-2].decode()
        count = int(rest)
        if kind in b"*>":
            return None if count < 0 else [self.value() for _ in range(count)]
        if kind == b"~":
            return [self.value() for _ in range(count)]
        if kind == b"%":
            return {self.value(): self.value() for _ in range(count)}
        raise ValueError("what is %r" % line)


class Server:
    """A server process on a free port, ended with the object."""

    def __init__(self, command):
        self.folder = tempfile.TemporaryDirectory()
        self.port = free_port()
        self.process = subprocess.Popen(
            command + ["--port", str(self.port), "--dir", self.folder.name],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder.name)
        deadline = time.monotonic() + 20
        while True:
            try:
                self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=20)
                break
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise SystemExit("%s does not answer" % command[0])
                time.sleep(0.02)
        self.wire = Wire(self.socket.makefile("rb"))
        # Until the data is loaded every command is answered LOADING.
        while self.call("PING") != "PONG":
            if time.monotonic() > deadline:
                raise SystemExit("%s does not get ready" % command[0])
            time.sleep(0.01)
        self.call("HELLO", "3")

    def call(self, *words):
        self.socket.sendall(b"*%d\r\n" % len(words) + b"".join(
            b"$%d\r\n%s\r\n" % (len(word), word.encode()) for word in words))
        return self.wire.value()

    def stop(self):
        self.socket.close()
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()


def by_name(entries):
    rows = {}
    for entry in entries:
        if entry is None:
            continue
        rows[entry[0]] = entry
        rows.update(by_name(entry[9]))
    return rows


def docs_by_name(docs):
    rows = {}
    for name, entry in docs.items():
        rows[name] = entry
        rows.update(docs_by_name(entry.get("subcommands", {})))
    return rows


def without_notes(spec):
    result = {key: value for key, value in spec.items() if key != "notes"}
    result["flags"] = sorted(spec["flags"])
    return result


def shape(arguments):
    """The argument tree without names that only people read."""
    result = []
    for argument in arguments or []:
        kept = {key: argument[key] for key in ("type", "token", "key_spec_index") if key in argument}
        kept["flags"] = sorted(argument.get("flags", []))
        if argument["type"] not in ("oneof", "block", "pure-token"):
            kept["name"] = argument["name"]
        if "arguments" in argument:
            kept["arguments"] = shape(argument["arguments"])
        result.append(kept)
    return result


def compare(ours, theirs):
    """Yields (command, field, ours, theirs)."""
    our_info, their_info = by_name(ours[0]), by_name(theirs[0])
    our_docs, their_docs = docs_by_name(ours[1]), docs_by_name(theirs[1])
    for name, row in sorted(our_info.items()):
        other = their_info.get(name)
        if other is None:
            if name not in NEWER:
                yield name, "exists", "yes", "no"
            continue
        for index, field in ((1, "arity"), (3, "first key"), (4, "last key"), (5, "step")):
            if row[index] != other[index]:
                yield name, field, row[index], other[index]
        for index, field in ((2, "flags"), (6, "acl"), (7, "tips")):
            if sorted(row[index]) != sorted(other[index]):
                yield name, field, sorted(row[index]), sorted(other[index])
        our_specs, their_specs = [[without_notes(spec) for spec in entry[8]] for entry in (row, other)]
        if our_specs != their_specs:
            yield name, "key specs", our_specs, their_specs
        missing = sorted({sub[0] for sub in other[9]} - {sub[0] for sub in row[9]} - LATER)
        if missing:
            yield name, "subcommands that are missing", [], missing
        ours_doc, theirs_doc = our_docs[name], their_docs[name]
        for field in ("since", "group", "deprecated_since", "doc_flags"):
            if ours_doc.get(field) != theirs_doc.get(field):
                yield name, field, ours_doc.get(field), theirs_doc.get(field)
        versions = [sorted(entry[0] for entry in doc.get("history", [])) for doc in (ours_doc, theirs_doc)]
        if versions[0] != versions[1]:
            yield name, "history", versions[0], versions[1]
        our_shape, their_shape = shape(ours_doc.get("arguments")), shape(theirs_doc.get("arguments"))
        if our_shape != their_shape:
            yield name, "arguments", our_shape, their_shape


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server")
    parser.add_argument("--ours")
    parser.add_argument("--redis", default=os.environ.get("QUORATE_REDIS_SERVER") or "redis-server")
    options = parser.parse_args()
    redis = shutil.which(options.redis)
    if redis is None:
        print("no redis-server: skipped")
        return 77
    reference = Server([redis, "--save", "", "--appendonly", "no"])
    try:
        if options.ours:
            with open(options.ours, "rb") as stream:
                ours = Wire(stream).value()
        else:
            server = Server([os.path.abspath(options.server), "--save", "", "--appendonly", "no"])
            try:
                ours = [server.call("COMMAND"), server.call("COMMAND", "DOCS")]
            finally:
                server.stop()
        theirs = [reference.call("COMMAND"), reference.call("COMMAND", "DOCS")]
    finally:
        reference.stop()
    found = 0
    for name, field, our_value, their_value in compare(ours, theirs):
        if "%s: %s" % (name, field) in KNOWN:
            continue
        found += 1
        print("%s: %s\n    ours   %s\n    redis  %s" % (name, field, our_value, their_value))
    print("%d rows, %d differences" % (len(by_name(ours[0])), found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
