"""Clients that behave oddly: slow ones, half-closed ones, many idle ones, ones that send a byte at a time."""

import os
import resource
import signal
import socket
import struct
import threading
import time

from harness import Client, ReplyError, Skip, encode, run, wait_until

MIB = 1 << 20


def resident_bytes(server):
    with open("/proc/%d/statm" % server.process.pid, encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def cpu_seconds(server):
    with open("/proc/%d/stat" % server.process.pid, encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def is_sanitized(server):
    with open("/proc/%d/maps" % server.process.pid, encoding="ascii") as file:
        return "libasan" in file.read()


def test_a_request_may_arrive_byte_by_byte(setup):
    server = setup.server()
    with server.client() as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in encode("SET", "key", "some value") + b"PING\r\n" + encode("GET", "key"):
            client.socket.sendall(bytes([byte]))
        assert [client.read() for _ in range(3)] == ["OK", "PONG", b"some value"]


def send_in_pieces(server, size, piece):
    """Seconds of the server's CPU for a SET of `size` bytes that arrives in pieces."""
    value = os.urandom(MIB) * (size // MIB)
    with server.client() as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        started = cpu_seconds(server)
        request = memoryview(encode("SET", "key", value))
        send = client.socket.send
        for at in range(0, len(request), piece):
            send(request[at:at + piece])
        assert client.read() == "OK"
        spent = cpu_seconds(server) - started
        assert client.call("GET", "key") == value
    return spent


def test_a_big_value_in_small_pieces_costs_linear_time(setup):
    server = setup.server("--appendonly", "no", "--save", "")
    # Each piece costs a read(2) at most: what is above that would be copying over and over.
    spent = send_in_pieces(server, 16 * MIB, 1009)
    assert spent < 5, "%.1f s of CPU" % spent
    spent = send_in_pieces(server, 2 * MIB, 1)
    assert spent < 60, "%.1f s of CPU" % spent


def test_what_many_send_at_once_is_answered_to_each(setup):
    """All of it is there when the server looks: short requests of many, a long pipeline, a big value on its way, one who leaves."""
    server = setup.server()
    clients = [server.client() for _ in range(100)]
    value = os.urandom(MIB)
    big = encode("SET", "big", value)
    with server.client() as giver:
        own_id = giver.call("CLIENT", "ID")
        giver.socket.sendall(big[:MIB // 2])
        wait_until(lambda: b"qbuf=0 " not in clients[0].call("CLIENT", "LIST", "ID", own_id), "the value to be on its way")
        server.signal(signal.SIGSTOP)
        for number, client in enumerate(clients):
            if number == 40:
                client.socket.sendall(encode("APPEND", "text", "x" * 100) * 100)
            elif number == 60:
                giver.socket.sendall(big[MIB // 2:MIB // 2 + 400])
            client.socket.sendall(encode("INCR", "count"))
            if number == 80:
                client.socket.shutdown(socket.SHUT_WR)
        server.signal(signal.SIGCONT)
        assert [clients[40].read() for _ in range(100)] == [100 * length for length in range(1, 101)]
        assert sorted(client.read() for client in clients) == list(range(1, 101))
        giver.socket.sendall(big[MIB // 2 + 400:])
        assert giver.read() == "OK"
        assert giver.call("GET", "big") == value
    for client in clients:
        client.close()


def test_a_slow_reader_is_not_given_unbounded_memory(setup):
    server = setup.server("--appendonly", "no", "--save", "")
    with server.client() as writer, server.client() as slow:
        writer.call("SET", "big", b"x" * MIB)
        before = resident_bytes(server)
        slow.socket.setblocking(False)
        request = encode("GET", "big") * 64
        sent = 0
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline and sent < 2000:
            try:
                slow.socket.send(request)
                sent += 1
            except BlockingIOError:
                time.sleep(0.01)
            assert writer.call("PING") == "PONG"
        grown = resident_bytes(server) - before
        # The sanitizer keeps what was freed for a while.
        assert grown < (1200 if is_sanitized(server) else 400) * MIB, "%d MiB for one client that does not read" % (grown // MIB)
        # It gets what it asked for once it reads.
        slow.socket.setblocking(True)
        slow.socket.settimeout(20)
        for _ in range(128):
            assert len(slow.read()) == MIB


def test_output_beyond_the_hard_limit_closes_the_connection(setup):
    server = setup.server("--client-output-buffer-limit", "pubsub", "4mb", "1mb", "60")
    with server.client() as publisher, server.client() as slow:
        slow.call("SUBSCRIBE", "channel")
        message = b"x" * (256 * 1024)
        wait_until(lambda: publisher.call("PUBLISH", "channel", message) == 0, "the slow subscriber to be dropped")


def test_a_half_closed_client_gets_its_replies(setup):
    server = setup.server()
    with server.client() as client:
        client.socket.sendall(encode("SET", "key", "v" * 100000) + encode("GET", "key") * 50)
        client.socket.shutdown(socket.SHUT_WR)
        assert client.read() == "OK"
        for _ in range(50):
            assert client.read() == b"v" * 100000
        assert client.at_end()


def test_a_client_that_resets_is_forgotten(setup):
    server = setup.server()
    with server.client() as watcher:
        for _ in range(50):
            client = server.client()
            client.socket.sendall(encode("SET", "key", "value") * 10)
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
        wait_until(lambda: watcher.info("clients")["connected_clients"] == "1", "the others to be gone")


def test_an_idle_client_is_closed_after_timeout(setup):
    server = setup.server("--timeout", "1")
    with server.client() as idle, server.client() as busy:
        started = time.monotonic()
        idle.call("PING")
        ended = threading.Event()
        threading.Thread(target=lambda: (idle.at_end(), ended.set()), daemon=True).start()
        while not ended.wait(0.2):
            assert time.monotonic() - started < 10
            busy.call("PING")
        assert time.monotonic() - started > 0.9
        assert busy.call("PING") == "PONG"


def test_garbage_is_answered_and_the_connection_closed(setup):
    server = setup.server()
    for garbage, text in ((b"*1\r\n+bad\r\n", "ERR Protocol error: expected '$', got '+'"),
                          (b"*99999999999\r\n", "ERR Protocol error: invalid multibulk length"),
                          (b"*1\r\n$-5\r\n", "ERR Protocol error: invalid bulk length"),
                          (b"GET \"a\r\n", "ERR Protocol error: unbalanced quotes in request"),
                          (b"x" * 70000, "ERR Protocol error: too big inline request")):
        with server.client() as client:
            client.socket.sendall(garbage)
            reply = client.read()
            assert isinstance(reply, ReplyError) and str(reply) == text, reply
            assert client.at_end()


def test_a_request_of_a_browser_is_not_run(setup):
    """Nor before it has logged in, nor while it is paused; and the log does not grow with the attempts."""
    request = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 11\r\n\r\nSET pwned 1\r\n"
    server = setup.server()
    for raw in (request, request[request.index(b"Host"):], encode("post", "x") + encode("SET", "pwned", "1")) * 5:
        with server.client() as client:
            client.socket.sendall(raw)
            assert client.at_end()
    with server.client() as client:
        assert client.call("EXISTS", "pwned") == 0
        assert client.call("COMMAND", "INFO", "post", "host:") == [None, None]
        assert client.call("CONFIG", "SET", "requirepass", "secret") == "OK"
        assert client.call("CLIENT", "PAUSE", "100000", "WRITE") == "OK"
        with server.client() as stranger:
            stranger.socket.sendall(request)
            assert stranger.at_end()
        assert client.call("CLIENT", "UNPAUSE") == "OK"
        assert client.call("EXISTS", "pwned") == 0
    assert server.log().count("Possible SECURITY ATTACK detected") == 1, server.log()


def test_strangers_may_not_send_much_before_they_log_in(setup):
    server = setup.server("--requirepass", "secret")
    with server.client() as client:
        assert client.error("GET", "key") == "NOAUTH Authentication required."
        client.socket.sendall(b"*11\r\n")
        assert str(client.read()) == "ERR Protocol error: unauthenticated multibulk length"
        assert client.at_end()


def test_running_out_of_descriptors_is_survived(setup):
    def few_files():
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
    server = setup.server(preexec=few_files)
    assert "maxclients is lowered" in server.log()
    with server.client() as client:
        client.call("PING")
        # More connections than descriptors are left, at once.
        crowd = []
        for _ in range(300):
            one = socket.socket()
            one.settimeout(20)
            one.connect(("127.0.0.1", server.port))
            crowd.append(one)
        assert client.call("PING") == "PONG"
        before = cpu_seconds(server)
        time.sleep(1)
        busy = cpu_seconds(server) - before
        assert busy < 0.5, "%.2f s of CPU in a second of waiting" % busy
        for one in crowd:
            one.close()
        wait_until(lambda: client.info("clients")["connected_clients"] == "1", "the crowd to be gone")
        with server.client() as another:
            assert another.call("PING") == "PONG"


def test_ten_thousand_idle_clients_are_cheap(setup):
    count = 10000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count + 200:
        raise Skip("only %d open files are allowed" % hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + 200), hard))
    server = setup.server("--maxclients", str(count + 10), "--appendonly", "no", "--save", "")
    with server.client() as client:
        client.call("PING")
        before = resident_bytes(server)
        crowd = []
        for _ in range(count):
            one = socket.create_connection(("127.0.0.1", server.port), timeout=20)
            one.sendall(b"PING\r\n")
            assert one.recv(16) == b"+PONG\r\n"
            crowd.append(one)
        each = (resident_bytes(server) - before) / count
        assert client.info("clients")["connected_clients"] == str(count + 1)
        started = cpu_seconds(server)
        time.sleep(1)
        idle = cpu_seconds(server) - started
        print("%d bytes a connection, %.0f ms of CPU in an idle second" % (each, idle * 1000))
        for one in crowd:
            one.close()
        wait_until(lambda: client.info("clients")["connected_clients"] == "1", "all to be gone", 60)
        if not is_sanitized(server):
            assert each <= 1536, each
            assert idle < 0.2, idle


if __name__ == "__main__":
    run(globals())
