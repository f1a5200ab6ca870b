"""Debian's python3-redis at its defaults.  usage: smoke_python.py PORT"""

import sys
import threading
import time

import redis

checks = 0


def equal(what, got, want):
    global checks
    checks += 1
    if got != want:
        raise SystemExit("python3-redis: %s gave %r, not %r" % (what, got, want))


def refused(what, call, prefix):
    global checks
    checks += 1
    try:
        got = call()
    except redis.ResponseError as error:
        if prefix not in str(error):
            raise SystemExit("python3-redis: %s was refused with %r, not %r" % (
                what, str(error), prefix)) from error
        return
    raise SystemExit("python3-redis: %s was not refused, it gave %r" % (what, got))


def strings(r):
    equal("ping", r.ping(), True)
    equal("set", r.set("k", "v"), True)
    equal("get", r.get("k"), b"v")
    equal("set nx", r.set("k", "w", nx=True), None)
    equal("set get", r.set("k", "w", get=True), b"v")
    equal("mset", r.mset({"a": 1, "b": 2}), True)
    equal("mget", r.mget("a", "b", "none"), [b"1", b"2", None])
    equal("incrby", r.incrby("a", 5), 6)
    equal("incrbyfloat", r.incrbyfloat("a", 0.5), 6.5)
    equal("append", r.append("k", "xyz"), 4)
    equal("getrange", r.getrange("k", 1, 2), b"xy")
    equal("binary", r.set("bin", bytes(range(256))) and r.get("bin"), bytes(range(256)))
    large = b"x" * (3 << 20)
    equal("3 MB", r.set("large", large) and r.get("large"), large)
    equal("expire", r.expire("k", 100), True)
    equal("ttl", 98 <= r.ttl("k") <= 100, True)
    equal("type", r.type("k"), b"string")
    equal("delete", r.delete("k", "none"), 1)


def collections(r):
    equal("hset", r.hset("h", mapping={"f": "1", "g": "2"}), 2)
    equal("hgetall", r.hgetall("h"), {b"f": b"1", b"g": b"2"})
    equal("hincrby", r.hincrby("h", "f", 41), 42)
    equal("hscan", dict(r.hscan_iter("h")), {b"f": b"42", b"g": b"2"})
    equal("zadd", r.zadd("z", {"a": 1, "b": 2.5, "c": 3}), 3)
    equal("zrange", r.zrange("z", 0, -1, withscores=True), [(b"a", 1.0), (b"b", 2.5), (b"c", 3.0)])
    equal("zrevrank", r.zrevrank("z", "c"), 0)
    equal("zrangebyscore", r.zrangebyscore("z", "(1", "+inf"), [b"b", b"c"])
    equal("zpopmin", r.zpopmin("z"), [(b"a", 1.0)])
    equal("zscore", r.zscore("z", "b"), 2.5)
    equal("rpush", r.rpush("l", "a", "b", "c"), 3)
    equal("lrange", r.lrange("l", 0, -1), [b"a", b"b", b"c"])
    equal("lmove", r.lmove("l", "m", "LEFT", "RIGHT"), b"a")
    equal("sadd", r.sadd("s", "x", "y"), 2)
    equal("smembers", r.smembers("s"), {b"x", b"y"})
    equal("sort", r.sort("l", alpha=True, desc=True), [b"c", b"b"])
    for i in range(1000):
        r.set("scan:%d" % i, i)
    equal("scan_iter", len(set(r.scan_iter("scan:*", count=100))), 1000)


def pipelines(r):
    with r.pipeline(transaction=False) as p:
        for i in range(500):
            p.incr("piped")
        equal("pipeline", p.execute(), list(range(1, 501)))
    with r.pipeline() as p:
        p.set("tx", 1).incr("tx").get("tx")
        equal("multi", p.execute(), [True, 2, b"2"])
    with r.pipeline() as p:
        p.watch("tx")
        r.set("tx", 9)
        p.multi()
        p.incr("tx")
        try:
            p.execute()
            raise SystemExit("python3-redis: a watched key that changed did not abort EXEC")
        except redis.WatchError:
            equal("watch", r.get("tx"), b"9")


def blocking(r, port):
    other = redis.Redis(port=port)
    threading.Timer(0.2, lambda: other.rpush("queue", "job")).start()
    equal("blpop", r.blpop("queue", timeout=10), (b"queue", b"job"))
    begin = time.monotonic()
    equal("blpop time-out", r.blpop("queue", timeout=1), None)
    equal("blpop time-out lasts", 0.9 <= time.monotonic() - begin < 5, True)
    threading.Timer(0.2, lambda: other.zadd("zqueue", {"job": 7})).start()
    equal("bzpopmin", r.bzpopmin("zqueue", timeout=10), (b"zqueue", b"job", 7.0))


def channels(r):
    p = r.pubsub()
    p.subscribe("news")
    p.psubscribe("n*")
    equal("subscribe", p.get_message(timeout=5)["type"], "subscribe")
    equal("psubscribe", p.get_message(timeout=5)["type"], "psubscribe")
    equal("publish", r.publish("news", "hello"), 2)
    got = {p.get_message(timeout=5)["type"], p.get_message(timeout=5)["type"]}
    equal("messages", got, {"message", "pmessage"})
    p.unsubscribe()
    p.punsubscribe()
    p.close()


def errors(r):
    r.rpush("l2", 1)
    refused("GET of a list", lambda: r.get("l2"), "WRONGTYPE")
    refused("an unknown command", lambda: r.execute_command("NOSUCH"), "unknown command")
    refused("too few words", lambda: r.execute_command("GET"), "wrong number of arguments")
    r.set("word", "x")
    refused("INCR of a word", lambda: r.incr("word"), "not an integer")
    equal("after errors", r.ping(), True)


def server(r):
    info = r.info()
    equal("info", isinstance(info["redis_version"], str) and info["connected_clients"] >= 1, True)
    equal("dbsize", r.dbsize() > 1000, True)
    equal("config get", "maxmemory" in r.config_get("maxmemory*"), True)
    equal("client", r.client_setname("smoke") and r.client_getname(), "smoke")
    equal("client list", any(c["name"] == "smoke" for c in r.client_list()), True)
    equal("command", r.command_count() > 100, True)
    equal("time", abs(r.time()[0] - time.time()) < 5, True)
    payload = r.dump("h")
    equal("restore", r.restore("h2", 0, payload), b"OK")
    equal("restored", r.hgetall("h2"), r.hgetall("h"))
    db = redis.Redis(port=r.connection_pool.connection_kwargs["port"], db=3)
    equal("select", (db.set("k", 3), db.get("k"), r.get("k")), (True, b"3", None))
    equal("flushall", r.flushall(), True)


def main():
    port = int(sys.argv[1])
    r = redis.Redis(port=port, single_connection_client=True)
    strings(r)
    collections(r)
    pipelines(r)
    blocking(r, port)
    channels(r)
    errors(r)
    server(r)
    print("python3-redis %s: %d checks passed" % (redis.__version__, checks))


main()
