#!/usr/bin/env python3
"""Runs the smoke scripts of stock clients against a server that it starts.

  tests/clients/run.py [--server PATH] [--only python|ioredis|redis] [--cache DIR]

Installs what is missing: python3-redis and nodejs by apt-get, ioredis and redis by npm into
a folder outside git (.quorate/clients, or $QUORATE_CLIENTS_CACHE).  A client that cannot be
had (no network, no npm) is reported as skipped.
Exit status: 0 all that ran passed, 1 a failure, 77 nothing failed and something was skipped.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tools"))
from bench_servers import Server  # noqa: E402

PYTHON = "/usr/bin/python3"           # Debian's own, the one that sees python3-redis
SKIPPED = 77
SECONDS_MAX = 120


def quiet(argv, seconds=300, **more):
    """True when the command succeeds in time; what it printed otherwise."""
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.STDOUT, timeout=seconds, check=False, **more)
    except (OSError, subprocess.TimeoutExpired) as problem:
        return str(problem)
    return True if done.returncode == 0 else done.stdout[-600:]


def apt_install(package):
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    quiet(sudo + ["apt-get", "update", "-q"], env=environment)
    return quiet(sudo + ["apt-get", "install", "-y", "-q", "--no-install-recommends", package],
                 env=environment)


def have_python():
    test = [PYTHON, "-c", "import redis"]
    return quiet(test) is True or apt_install("python3-redis") is True and quiet(test)


def have_npm(cache):
    """True when the npm clients are in the cache folder, else why not."""
    wanted = os.path.join(HERE, "package.json")
    present = os.path.join(cache, "package.json")
    if os.path.isdir(os.path.join(cache, "node_modules", "ioredis")):
        with open(wanted, encoding="utf-8") as a, open(present, encoding="utf-8") as b:
            if a.read() == b.read():
                return True
    if not shutil.which("npm") and apt_install("npm") is not True:
        return "no npm"
    os.makedirs(cache, exist_ok=True)
    shutil.copy(wanted, present)
    return quiet(["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"], cwd=cache)


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--server", default=os.path.join(ROOT, "build/bin/quorate-server"))
    ap.add_argument("--only", choices=("python", "ioredis", "redis"))
    ap.add_argument("--cache", default=os.environ.get(
        "QUORATE_CLIENTS_CACHE", os.path.join(ROOT, ".quorate", "clients")))
    args = ap.parse_args()
    args.cache = os.path.abspath(args.cache)
    path = shutil.which(args.server)
    if not path:
        print("clients: no server at %s; build it first (tools/build)" % args.server)
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))     # so that the server is stopped

    npm = have_npm(args.cache) if args.only != "python" else None
    scripts = {
        "python": ([PYTHON, os.path.join(HERE, "smoke_python.py")], []),
        "ioredis": (["node", os.path.join(HERE, "smoke_ioredis.js")], [args.cache]),
        "redis": (["node", os.path.join(HERE, "smoke_redis.js")], [args.cache]),
    }
    failed = skipped = 0
    for name, (argv, more) in scripts.items():
        if args.only not in (None, name):
            continue
        able = have_python() if name == "python" else npm
        if able is not True:
            print("%s: skipped: %s" % (name, able))
            skipped += 1
            continue
        with Server("clients", path) as server:       # a server each: no leftovers between them
            result = quiet([*argv, str(server.port), *more], SECONDS_MAX)
            log = server.output()
        if result is True:
            print("%s: passed" % name)
        else:
            failed += 1
            print("%s: FAILED\n%s\nthe server said: %s" % (name, result, log[-1000:]))
    return 1 if failed else SKIPPED if skipped else 0


if __name__ == "__main__":
    sys.exit(main())
