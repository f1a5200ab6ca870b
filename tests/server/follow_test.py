"""Clients that follow the data: SYNC and PSYNC give an RDB file, and then every write as a command."""

import os
import random
import shutil
import subprocess

from disk_test import Faults
from harness import Client, Skip, encode, free_port, run, wait_until

NO_LOG = ("--appendonly", "no", "--save", "")


class Follower:
    """A connection that sent SYNC or PSYNC; file() first, then next() for each command."""

    def __init__(self, server, *conversation, psync=False):
        self.client = server.client()
        for words in conversation:
            assert self.client.call("REPLCONF", *words) == "OK"
        self.client.socket.sendall(encode("PSYNC", "?", "-1") if psync else b"SYNC\r\n")
        self.header = self.read_line().split() if psync else None

    def read_line(self):
        line = b"\n"
        while line == b"\n":                      # patience
            line = self.client.file.readline()
        assert line.endswith(b"\r\n"), line
        return line[:-2].decode()

    def file(self):
        line = self.read_line()
        assert line.startswith("$"), line
        if not line.startswith("$EOF:"):
            return self.client.file.read(int(line[1:]))
        mark = line[5:].encode()
        data = b""
        while not data.endswith(mark):
            data += self.client.file.read(1)
        return data[:-len(mark)]

    def next(self):
        words = [word.decode("latin-1") for word in self.client.read()]
        return self.next() if words == ["PING"] else " ".join(words)

    def acknowledge(self, offset):
        self.client.socket.sendall(encode("REPLCONF", "ACK", offset))


def expect(follower, *commands):
    for command in commands:
        got = follower.next()
        assert got == command or (command.endswith("*") and got.startswith(command[:-1])), \
            "got %r, not %r" % (got, command)


def test_a_follower_gets_the_data_and_then_every_change(setup):
    server = setup.server(*NO_LOG)
    with server.client() as client:
        client.call("SET", "before", "1")
        follower = Follower(server)
        data = follower.file()
        assert data.startswith(b"REDIS0010") and b"before" in data
        client.call("SELECT", 9)
        client.call("SET", "a", "1", "EX", "100")
        client.call("INCRBYFLOAT", "f", "1.5")
        client.call("EXPIRE", "a", "200")
        client.call("EXPIRE", "a", "-1")
        client.call("SADD", "s", "m")
        client.call("SPOP", "s")
        client.call("GET", "a")
        client.call("DEL", "nothing")
        client.call("SELECT", 0)
        client.call("APPEND", "before", "2")
        client.call("FLUSHALL")
        expect(follower, "SELECT 9", "SET a 1 PXAT *", "SET f 1.5 KEEPTTL", "PEXPIREAT a *", "DEL a", "SADD s m",
               "SREM s m", "SELECT 0", "APPEND before 2", "FLUSHALL")


def test_what_one_request_did_stands_between_multi_and_exec(setup):
    server = setup.server(*NO_LOG)
    with server.client() as client:
        follower = Follower(server)
        follower.file()
        client.call("RPUSH", "l", "a")
        client.call("LMOVE", "l", "m", "LEFT", "RIGHT")
        for words in (["MULTI"], ["SET", "x", "1"], ["GET", "x"], ["PUBLISH", "c", "hello"], ["SELECT", "2"],
                      ["SET", "y", "2"], ["EXEC"]):
            client.call(*words)
        client.call("MULTI")
        client.call("SET", "z", "3")
        client.call("EXEC")
        expect(follower, "SELECT 0", "RPUSH l a", "MULTI", "RPUSH m a", "LPOP l", "EXEC",
               "MULTI", "SET x 1", "PUBLISH c hello", "SELECT 2", "SET y 2", "EXEC", "SET z 3")


def test_the_stream_waits_for_who_looks_for_the_end_mark(setup):
    server = setup.server(*NO_LOG)
    with server.client() as client:
        follower = Follower(server, ["listening-port", 7777, "capa", "eof", "capa", "psync2"], psync=True)
        assert follower.header[0] == "+FULLRESYNC" and len(follower.header[1]) == 40, follower.header
        offset = int(follower.header[2])
        assert follower.file().startswith(b"REDIS0010")
        client.call("SET", "a", "1")
        end = int(client.info("replication")["master_repl_offset"])
        assert end > offset
        follower.acknowledge(offset)
        expect(follower, "SELECT 0", "SET a 1")
        follower.acknowledge(end)
        wait_until(lambda: ",offset=%d," % end in client.info("replication")["slave0"], "the acknowledgement")
        assert client.info("replication")["slave0"].startswith("ip=127.0.0.1,port=7777,state=online,")
        assert client.call("ROLE") == [b"master", end, [[b"127.0.0.1", b"7777", b"%d" % end]]]
        assert "flags=S" in client.call("CLIENT", "LIST", "TYPE", "replica").decode()
        follower.client.close()
        wait_until(lambda: client.info("replication")["connected_slaves"] == "0", "the follower to be forgotten")


def test_who_wants_only_the_file_or_no_data_gets_that(setup):
    server = setup.server(*NO_LOG)
    with server.client() as client:
        client.call("SET", "key", "1")
        follower = Follower(server, ["rdb-only", 1])
        assert b"key" in follower.file() and follower.client.at_end()
        follower = Follower(server, ["capa", "eof"], ["rdb-filter-only", ""])
        assert b"key" not in follower.file()
        follower.acknowledge(0)
        client.call("SET", "key", "2")
        expect(follower, "SELECT 0", "SET key 2")
        with server.client() as other:
            other.call("REPLCONF", "rdb-filter-only", "functions")
            assert other.error("SYNC") == "ERR Filtered replica requires EOF capability"


def test_changes_while_the_file_is_on_its_way_come_behind_it(setup):
    server = setup.server(*NO_LOG)
    with server.client() as client:
        value = os.urandom(2000).hex()
        for number in range(20000):
            client.socket.sendall(encode("SET", "big:%d" % number, value))
        for _ in range(20000):
            client.read()
        follower = Follower(server, ["capa", "eof"])      # nobody reads: the file does not fit into the socket
        assert follower.read_line().startswith("$EOF:")
        for number in range(100):
            client.call("SET", "big:%d" % number, "changed")
            client.call("INCR", "new")
        assert client.info("replication")["slave0"].split(",")[2] == "state=send_bulk"
        follower.client.close()
        follower = Follower(server)
        assert b"changed" in follower.file()
        client.call("INCR", "new")
        expect(follower, "SELECT 0", "INCR new")


def test_a_follower_that_is_too_slow_is_cut_off(setup):
    server = setup.server(*NO_LOG, "--client-output-buffer-limit", "replica 4mb 0 0")
    with server.client() as client:
        follower = Follower(server)
        follower.file()
        for _ in range(64):
            client.call("SET", "key", "x" * 1000000)
        wait_until(lambda: client.info("replication")["connected_slaves"] == "0", "the follower to be cut off")
        assert int(client.info("stats")["client_output_buffer_limit_disconnections"]) == 1
        follower.client.close()


def test_a_follower_never_sees_what_the_log_does_not_hold(setup):
    faults = Faults(setup)
    server = setup.server(binary=setup.faulty_binary, env=faults.env)
    with server.client() as client, server.client() as writer:
        follower = Follower(server)
        follower.file()
        client.call("SET", "safe", "1")
        expect(follower, "SELECT 0", "SET safe 1")
        faults.set("append:io")
        writer.socket.sendall(encode("SET", "limbo", "1"))
        wait_until(lambda: client.info("persistence")["aof_last_write_status"] == "err", "the fault to be seen")
        follower.client.socket.settimeout(0.3)
        try:
            raise AssertionError("it saw %r" % follower.next())
        except OSError:
            pass
        faults.set()
        assert writer.read() == "OK"
        follower.client.close()
        follower = Follower(server)
        assert b"limbo" in follower.file()


def test_following_does_not_depend_on_the_log(setup):
    server = setup.server()
    with server.client() as client:
        follower = Follower(server)
        follower.file()
        client.call("SET", "a", "1")
        client.call("CONFIG", "SET", "appendonly", "no")
        client.call("SET", "b", "2")
        wait_until(lambda: client.info("persistence")["aof_enabled"] == "0", "the log to be closed")
        client.call("SET", "c", "3")
        client.call("CONFIG", "SET", "appendonly", "yes")
        client.call("SET", "d", "4")
        expect(follower, "SELECT 0", "SET a 1", "SET b 2", "SET c 3", "SET d 4")
        wait_until(lambda: client.info("persistence")["aof_rewrite_in_progress"] == "0" and
                   client.info("persistence")["aof_enabled"] == "1", "the new log")
        follower.client.close()
        client.call("SET", "e", "5")
        server.process.kill()
        server.wait_end()
    server = setup.server()
    with server.client() as client:
        assert client.call("MGET", "a", "b", "c", "d", "e") == [b"1", b"2", b"3", b"4", b"5"]


def test_a_follower_may_not_touch_keys(setup):
    server = setup.server(*NO_LOG)
    follower = Follower(server)
    follower.file()
    follower.client.socket.sendall(encode("GET", "a"))
    assert str(follower.client.read()) == "ERR Replica can't interact with the keyspace"


def everything(client):
    """All data of database 0, readable."""
    out = {}
    for key in client.call("KEYS", "*"):
        kind = client.call("TYPE", key)
        if kind == "string":
            value = client.call("GET", key)
        elif kind == "list":
            value = client.call("LRANGE", key, 0, -1)
        elif kind == "set":
            value = sorted(client.call("SMEMBERS", key))
        elif kind == "zset":
            value = client.call("ZRANGE", key, 0, -1, "WITHSCORES")
            value = [(value[i], float(value[i + 1])) for i in range(0, len(value), 2)]
        else:
            value = client.call("HGETALL", key)
            value = sorted((value[i], value[i + 1]) for i in range(0, len(value), 2))
        expires = client.call("PEXPIRETIME", key)
        if expires != -2:   # else its time has come since KEYS
            out[key] = (kind, value, expires)
    return out


def random_write(chance):
    key = chance.choice("abcdefgh")
    other = chance.choice("abcdefgh")
    member = chance.choice("uvwxyz")
    number = str(chance.randrange(-3, 4))
    return chance.choice([
        ["SET", key, member], ["SET", key, number, "EX", "1000"], ["SETRANGE", key, "3", member], ["APPEND", key, member],
        ["INCRBYFLOAT", key, "0.5"], ["GETEX", key, "PX", "100000"], ["GETDEL", key], ["MSET", key, "1", other, "2"],
        ["RPUSH", key, member, number], ["LPUSH", key, member], ["LMOVE", key, other, "LEFT", "RIGHT"],
        ["LMPOP", "2", key, other, "LEFT", "COUNT", "2"], ["LREM", key, "0", member], ["LTRIM", key, "1", "3"],
        ["SADD", key, member, number], ["SPOP", key], ["SPOP", key, "2"], ["SMOVE", key, other, member],
        ["SUNIONSTORE", key, key, other], ["ZADD", key, number, member], ["ZINCRBY", key, "1.25", member],
        ["ZPOPMIN", key, "2"], ["ZUNIONSTORE", key, "2", key, other], ["ZRANGESTORE", key, other, "0", "2"],
        ["ZREMRANGEBYRANK", key, "0", "0"], ["HSET", key, member, number], ["HINCRBYFLOAT", key, member, "0.25"],
        ["HDEL", key, member], ["RENAME", key, other], ["COPY", key, other, "REPLACE"], ["DEL", key, other],
        ["EXPIRE", key, "500"], ["PEXPIRE", key, "1"], ["PERSIST", key], ["SORT", key, "ALPHA", "STORE", other],
        ["SDIFFSTORE", key, key, other], ["UNLINK", key], ["GETSET", key, member], ["LINSERT", key, "BEFORE", member, "n"],
    ])


def test_a_real_redis_server_follows_and_holds_the_same(setup):
    binary = os.environ.get("QUORATE_REDIS_SERVER") or shutil.which("redis-server")
    if not binary:
        raise Skip("no redis-server here")
    seed = random.randrange(1 << 30)
    print("seed %d" % seed)
    chance = random.Random(seed)
    server = setup.server(*NO_LOG)
    port = free_port()
    folder = os.path.join(setup.folder, "replica")
    os.mkdir(folder)
    with server.client() as client:
        for _ in range(2000):
            client.socket.sendall(encode(*random_write(chance)))
            client.read()
        replica = subprocess.Popen(
            [binary, "--port", str(port), "--dir", folder, "--save", "", "--bind", "127.0.0.1", "--replicaof",
             "127.0.0.1", str(server.port)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            wait_until(lambda: client.info("replication").get("slave0", ",,").split(",")[2] == "state=online",
                       "the replica")
            for turn in range(3000):
                if turn % 10 == 0:
                    client.call("MULTI")
                client.socket.sendall(encode(*random_write(chance)))
                client.read()
                if turn % 10 == 3:
                    client.call("EXEC")
                if turn % 10 == 3 and turn % 30 == 3:
                    client.call("PUBLISH", "channel", "message")
            if client.call("EXISTS", "a") not in (0, 1):
                client.call("EXEC")
            with Client(("127.0.0.1", port)) as other:
                wait_until(lambda: other.info("replication")["slave_repl_offset"] ==
                           client.info("replication")["master_repl_offset"], "the replica to be at the end")
                assert other.info("replication")["master_link_status"] == "up"
                here, there = everything(client), everything(other)
                assert here == there, "\n".join("%r: %r there %r" % (key, here.get(key), there.get(key))
                                                for key in set(here) | set(there) if here.get(key) != there.get(key))
                assert here, "nothing was written"
        finally:
            replica.kill()
            log = replica.communicate()[0].decode(errors="replace")
        assert "CRITICAL" not in log, log


def test_redis_cli_shows_the_stream(setup):
    cli = shutil.which("redis-cli")
    if not cli:
        raise Skip("no redis-cli here")
    server = setup.server(*NO_LOG)
    path = os.path.join(setup.folder, "copy.rdb")
    with server.client() as client:
        client.call("SET", "key", "1")
        subprocess.run([cli, "-p", str(server.port), "--rdb", path], check=True, capture_output=True, timeout=20)
        with open(path, "rb") as file:
            assert b"key" in file.read()
        shown = subprocess.Popen([cli, "-p", str(server.port), "--replica"], stdout=subprocess.PIPE,
                                 stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: client.info("replication")["connected_slaves"] == "1", "redis-cli")
            client.call("SET", "key", "2")
            client.call("SET", "key", "3")
            lines = [shown.stdout.readline().decode().strip() for _ in range(2)]
        finally:
            shown.kill()
            shown.communicate()
        assert lines == ['"SET","key","2"', '"SET","key","3"'], lines


if __name__ == "__main__":
    run(globals())
