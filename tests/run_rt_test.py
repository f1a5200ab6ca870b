#!/usr/bin/env python3
"""The test of the script harness: slips that the parser must refuse, and, with a real redis-server, scripts that
are wrong and must be found wrong.  Registered in ctest as scripts.self.

  run_rt_test.py --build BUILD_DIR
"""

import os
import subprocess
import sys
import tempfile

import run_rt

# text of a script behind its first comment, what the parser says (None: nothing)
SLIPS = [
    ("> GET k\n(nil)\n", None),
    ("> GET k\n", ":2: no reply is expected here"),
    ("> GET k\n\n> GET k\n(nil)\n", ":2: no reply is expected here"),
    ("GET k\n(nil)\n", ":2: neither a command"),
    (">\n(nil)\n", ":2: nothing to send"),
    ("> GET \"k\n(nil)\n", ":2: a quote is not closed"),
    ("> GET \"k\"x\n(nil)\n", ":2: a space must follow"),
    ("> GET k\"x\"\n(nil)\n", ":2: a quote inside a word"),
    ("> GET \"\\xg0\"\n(nil)\n", ":2: \\x needs two"),
    ("> GET ${k\n(nil)\n", ":2: a ${ is not closed"),
    ("> GET ${k}\n(nil)\n", ":2: ${k} was not stored before"),
    ("> GET k\nstore k\n> GET ${k}\n(nil)\n", None),
    ("> GET k\nstore k\n\n> GET ${k}\n(nil)\n", ":5: ${k} was not stored before"),
    ("> GET ${now_s+x}\n(nil)\n", ":2: ${name+number}"),
    ("> GET ${now_s+10}\n(nil)\n", None),
    ("> GET ${repeat ab 3}\n(nil)\n", None),
    ("> GET ${repeat ab 99999999999}\n(nil)\n", ":2: ${repeat text count}"),
    ("> GET k\nmatch (\n", ":3: not an extended regular"),
    ("> GET k\nany\n(nil)\n", ":2: `any` stands alone"),
    ("> GET k\nstore K\n", ":3: store name"),
    ("> GET k\nstore k 0\n", ":3: store name"),
    ("ADVANCE 10\n> GET k\n(nil)\n", ":2: ADVANCE 10s"),
    ("CONN Main\n> GET k\n(nil)\n", ":2: a connection's name"),
    ("RESP3 now\n> GET k\n(nil)\n", ":2: RESP3 takes no argument"),
    ("> GET k\n(nil)\nsince 7.2\n", ":4: marks stand before"),
    ("since 7\n> GET k\n(nil)\n", ":2: since X.Y"),
    ("since 7.2\n\n> GET k\n(nil)\n", ":3: marks without a step"),
    ("world mars\n> GET k\n(nil)\n", ":2: the worlds are"),
    ("file since 7.2\n\n> GET k\n(nil)\n", None),
    ("> GET k\n(nil)\n\nfile since 7.2\n", ":5: a file's marks stand before"),
    ("< OK\n", ":2: the awaited reply goes on the lines below"),
    ("# nothing\n", ":1: a script without a step"),
]

SKIPPED = "skipped"

# text, part of what the run says (None: it is good; SKIPPED: nothing ran)
RUNS = [
    ("> SET k v\nOK\n> GET k\n\"v\"\n", None),
    ("> SET k v\nOK\n> GET k\n\"w\"\n", ":4: > GET k"),
    ("> RPUSH l b a\n(integer) 2\n> LRANGE l 0 -1\n1) \"a\"\n2) \"b\"\n", ":4:"),
    ("> RPUSH l b a\n(integer) 2\n> LRANGE l 0 -1\nunordered\n1) \"a\"\n2) \"b\"\n", None),
    ("> RPUSH l b a\n(integer) 2\n> LRANGE l 0 -1\nunordered\n1) \"a\"\n2) \"a\"\n", ":4:"),
    ("> RPUSH l b a\n(integer) 2\n> LRANGE l 0 -1\nunordered\n1) \"a\"\n2) \"b\"\n3) \"b\"\n", ":4:"),
    ("> RPUSH l a 1 b 2\n(integer) 4\n> LRANGE l 0 -1\nunordered pairs\n1) \"b\"\n2) \"2\"\n3) \"a\"\n4) \"1\"\n", None),
    ("> RPUSH l a 1 b 2\n(integer) 4\n> LRANGE l 0 -1\nunordered pairs\n1) \"b\"\n2) \"1\"\n3) \"a\"\n4) \"2\"\n", ":4:"),
    ("> GET k\nmatch ^.nil.$\n", None),
    ("> GET k\nmatch ^nil$\n", ":2:"),
    ("> SET k v\nOK\n\n> EXISTS k\n(integer) 0\n", None),
    ("> BLPOP l 0\n(blocked)\n", None),
    ("> PING\n(blocked)\n", "nobody read|:2:"),
    ("> SUBSCRIBE a b\n1) \"subscribe\"\n2) \"a\"\n3) (integer) 1\n", "nobody read"),
    ("> SUBSCRIBE a b\n1) \"subscribe\"\n2) \"a\"\n3) (integer) 1\n<\n1) \"subscribe\"\n2) \"b\"\n3) (integer) 2\n", None),
    ("> QUIT\nOK\n<\n(closed)\n", None),
    ("> QUIT\nOK\n> PING\nPONG\n", ":4:"),
    ("since 99.0\n> NONSENSE\nOK\n", SKIPPED),
    ("world inprocess\n> NONSENSE\nOK\n", SKIPPED),
    ("ADVANCE 1h\n> NONSENSE\nOK\n", SKIPPED),
    ("> CLIENT ID\nstore id\n> CLIENT KILL ID ${id} SKIPME no\n(integer) 1\n<\n(closed)\n", None),
    ("> DEBUG SLEEP 0\nOK\n", None),
]


def run(binary, arguments, folder, text):
    path = os.path.join(folder, "case.rt")
    with open(path, "w") as file:
        file.write("# A case.\n" + text)
    done = subprocess.run([binary] + arguments + [path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    with open(path) as file:
        return done.returncode, done.stdout, file.read()


def verdict(status, output, expected, bad_status):
    if expected is None:
        return status == 0
    if expected == SKIPPED:
        return status == run_rt.SKIPPED
    return status == bad_status and any(part in output for part in expected.split("|"))


def check_rewrite(binary, arguments, folder):
    """--rewrite fills in what is missing, replaces what is wrong and leaves the rest as it is."""
    before = "> SET k v\n\n# why\n> GET k\n\"wrong\"\n> MGET k k\n1) x\n> TIME\nmatch ^1\n"
    after = "# A case.\n> SET k v\nOK\n\n# why\n> GET k\n(nil)\n> MGET k k\n1) (nil)\n2) (nil)\n> TIME\nmatch ^1\n"
    status, output, text = run(binary, arguments + ["--rewrite"], folder, before)
    if status == 0 and text == after:
        return 0
    print("--rewrite: status %d, %s\n%s" % (status, output, text))
    return 1


def main():
    if len(sys.argv) != 3 or sys.argv[1] != "--build":
        print(__doc__, file=sys.stderr)
        return 2
    binary = os.path.join(sys.argv[2], "bin", "rt")
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="quorate-rt-") as folder:
        for text, expected in SLIPS:
            status, output, _ = run(binary, ["--parse"], folder, text)
            if not verdict(status, output, expected, 2):
                wrong += 1
                print("parse: expected %r, got status %d and %r for\n%s" % (expected, status, output, text))
        server = run_rt.server_of("redis", "")
        if isinstance(server, str):
            print("skipped: " + server)
            return 1 if wrong else run_rt.SKIPPED
        with run_rt.Server(*server) as running:
            arguments = ["--world", "redis", "--port", str(running.port)]
            for text, expected in RUNS:
                status, output, _ = run(binary, arguments, folder, text)
                if not verdict(status, output, expected, 1):
                    wrong += 1
                    print("run: expected %r, got status %d and %r for\n%s" % (expected, status, output, text))
            wrong += check_rewrite(binary, arguments, folder)
    print("scripts.self: %d cases, %d wrong" % (len(SLIPS) + len(RUNS) + 1, wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
