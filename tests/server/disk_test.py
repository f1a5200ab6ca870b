"""Disks that fail: full ones, broken ones, ones that cannot be written.  Nothing acknowledged may be lost."""

import os
import signal
import subprocess
import time

from harness import ReplyError, Skip, encode, run, wait_until


class Faults:
    """The faults of the faulty server's disk; see faulty_server.cc."""

    def __init__(self, setup):
        self.path = os.path.join(setup.folder, "faults")
        self.env = dict(os.environ, QUORATE_FAULTS=self.path)
        self.set()

    def set(self, *words):
        with open(self.path + ".new", "w", encoding="ascii") as file:
            file.write(" ".join(words))
        os.rename(self.path + ".new", self.path)


def check_full_disk(setup, fault, fsync):
    faults = Faults(setup)
    server = setup.server("--appendfsync", fsync, binary=setup.faulty_binary, env=faults.env)
    with server.client() as client:
        for number in range(100):
            client.call("SET", "before:%d" % number, number)
        faults.set(fault)
        # With `always` the reply that waits for the disk is held; the writes behind it are refused.
        with server.client() as writer:
            writer.socket.sendall(encode("SET", "limbo", 1))
            wait_until(lambda: client.info("persistence")["aof_last_write_status"] == "err", "the fault to be seen")
            error = client.error("SET", "after", 1)
            assert error.startswith("MISCONF"), error
            assert client.call("GET", "before:7") == b"7"
            faults.set()
            assert writer.read() == "OK"
        wait_until(lambda: client.info("persistence")["aof_last_write_status"] == "ok", "the disk to be tried again")
        assert client.call("SET", "after", 2) == "OK"
    server.process.kill()
    server.wait_end()
    server = setup.server()
    with server.client() as client:
        assert client.call("GET", "limbo") == b"1" and client.call("GET", "after") == b"2"
        for number in range(100):
            assert client.call("GET", "before:%d" % number) == b"%d" % number


def test_a_full_disk_refuses_writes_until_there_is_room(setup):
    check_full_disk(setup, "append:full", "everysec")


def test_a_full_disk_with_always(setup):
    check_full_disk(setup, "append:full", "always")


def test_a_write_error_is_tried_again(setup):
    check_full_disk(setup, "append:io", "everysec")


def test_a_failed_sync_ends_the_server_and_loses_nothing_acknowledged(setup):
    for fsync in ("always", "everysec"):
        faults = Faults(setup)
        directory = os.path.join(setup.folder, fsync)
        server = setup.server("--appendfsync", fsync, binary=setup.faulty_binary, env=faults.env, directory=directory)
        with server.client() as client:
            client.call("SET", "before", 1)
            faults.set("sync:io")
            try:
                client.socket.sendall(encode("SET", "key", 1))
                answered = client.read() == "OK"
            except (ConnectionError, OSError):
                answered = False
            if fsync == "always":
                assert not answered
        assert server.wait_end() == 1
        assert "sync of the log failed" in server.log(), server.log()
        faults.set()
        server = setup.server(directory=directory)
        with server.client() as client:
            assert client.call("GET", "before") == b"1"
        server.stop()


def test_a_failed_snapshot_is_told_and_writes_are_refused(setup):
    faults = Faults(setup)
    server = setup.server("--appendonly", "no", "--save", "3600", "1", binary=setup.faulty_binary, env=faults.env)
    with server.client() as client:
        client.call("SET", "key", 1)
        faults.set("create:full")
        client.error("SAVE")
        assert client.info("persistence")["rdb_last_bgsave_status"] == "err"
        assert client.error("SET", "key", 2).startswith("MISCONF")
        client.call("CONFIG", "SET", "stop-writes-on-bgsave-error", "no")
        client.call("SET", "key", 3)
        faults.set()
        assert client.call("SAVE") == "OK"
        assert client.info("persistence")["rdb_last_bgsave_status"] == "ok"


def test_a_really_full_file_system(setup):
    directory = os.path.join(setup.folder, "small")
    os.mkdir(directory)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", directory],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    if mounted.returncode != 0:
        raise Skip("file systems can't be mounted here")
    try:
        server = setup.server("--save", "", directory=directory)
        with server.client() as client:
            acknowledged = 0
            value = "x" * 10000
            while True:
                client.socket.sendall(encode("SET", "key:%d" % acknowledged, value))
                # The reply of a write that found no room is held; then others are refused.
                client.socket.settimeout(3)
                try:
                    reply = client.read()
                except TimeoutError:
                    break
                if isinstance(reply, ReplyError):
                    break
                acknowledged += 1
                assert acknowledged < 2000
            assert acknowledged > 100
        server.process.kill()
        server.wait_end()
        other = os.path.join(setup.folder, "copy")
        subprocess.run(["cp", "-r", directory, other], check=True)
        server = setup.server("--save", "", directory=other)
        with server.client() as client:
            for number in range(acknowledged):
                assert client.call("STRLEN", "key:%d" % number) == 10000, number
        server.stop()
    finally:
        for server in setup.servers:
            server.process.kill()
            server.wait_end()
        subprocess.run(["umount", directory], check=True)


def test_a_directory_that_cannot_be_written_is_refused(setup):
    directory = os.path.join(setup.folder, "readonly")
    os.mkdir(directory)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", directory],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    if mounted.returncode != 0:
        raise Skip("file systems can't be mounted here")
    try:
        server = setup.server(directory=directory, wait=False)
        wait_until(lambda: server.process.poll() is not None or "Ready" in server.log(), "a decision")
        if server.process.poll() is None:
            with server.client() as client:
                assert client.error("SET", "key", 1).startswith("MISCONF")
        else:
            assert server.process.returncode == 1
        assert "ead-only file system" in server.log(), server.log()
    finally:
        server.process.kill()  # what it cannot save, it will not end for a SIGTERM
        server.wait_end()
        subprocess.run(["umount", directory], check=True)


def test_loading_is_told_to_those_who_ask(setup):
    server = setup.server("--save", "")
    count = 400000
    with server.client() as client:
        for first in range(0, count, 10000):
            client.socket.sendall(b"".join(encode("SET", "key:%d" % number, number)
                                           for number in range(first, first + 10000)))
            for _ in range(10000):
                assert client.read() == "OK"
    server.process.kill()
    server.wait_end()
    server = setup.server("--save", "", wait=False)
    seen, told = set(), 0
    client = wait_until(lambda: _connected(server), "the port")
    with client:
        while True:
            client.socket.sendall(encode("GET", "key:1"))
            reply = client.read()
            seen.add(str(reply))
            if not isinstance(reply, ReplyError):
                break
            told += 1
            time.sleep(0.001)
        # The same connection goes on once the data is there.
        assert reply == b"1"
        assert client.call("DBSIZE") == count
    assert seen <= {"b'1'", "LOADING Redis is loading the dataset in memory"}, seen
    assert len(seen) == 2, "loading was too quick to be seen"
    assert told > 1, "only the first request was answered before the end of loading"


def _connected(server):
    try:
        return server.client()
    except ConnectionError:
        return None


def test_sigterm_while_loading_ends_it(setup):
    server = setup.server("--save", "", wait=False)
    wait_until(lambda: _connected(server), "the port").close()
    server.signal(signal.SIGTERM)
    assert server.wait_end() == 0


if __name__ == "__main__":
    run(globals())
