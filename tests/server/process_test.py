"""How the server behaves as a process: starting, refusing to start, files, signals, settings of the process."""

import os
import signal
import socket
import stat

from harness import Client, Skip, free_port, run, wait_until


def test_an_unknown_directive_is_refused_with_its_line(setup):
    path = setup.write("bad.conf", "# fine\nport 0\nappendfsnyc always\n")
    code, output = setup.run(path)
    assert code == 1, output
    assert "at line 3" in output and ">>> 'appendfsnyc always'" in output, output
    assert "Did you mean 'appendfsync'?" in output, output


def test_check_config_says_good_or_bad(setup):
    good = setup.write("good.conf", "port 7001\nmaxmemory 1gb\nsave \"\"\n")
    assert setup.run(good, "--check-config") == (0, "the configuration is good\n")
    code, output = setup.run(good, "--maxmemory", "lots", "--check-config")
    assert code == 1 and "must be a memory value" in output, output


def test_version_and_help(setup):
    code, output = setup.run("--version")
    assert code == 0 and output.startswith("Quorate server v="), output
    code, output = setup.run("--help")
    assert code == 0 and "--check-config" in output, output


def test_a_missing_configuration_file_is_an_error(setup):
    code, output = setup.run(os.path.join(setup.folder, "nowhere.conf"))
    assert code == 1 and "No such file or directory" in output, output


def test_the_command_line_overrides_file_and_standard_input(setup):
    path = setup.write("some.conf", "maxmemory 1mb\nhz 50\ntimeout 5\n")
    server = setup.server("--hz", "60", base=[path])
    with server.client() as client:
        assert [client.config(name) for name in ("maxmemory", "hz", "timeout")] == ["1048576", "60", "5"]
    server.stop()
    server = setup.server(base=["-"], stdin=b"maxmemory 2mb\n")
    with server.client() as client:
        assert client.config("maxmemory") == "2097152"


def test_two_servers_cannot_share_a_directory(setup):
    setup.server()
    second = setup.server(wait=False)
    assert second.wait_end() == 1
    assert "is in use by another server" in second.log()


def test_a_taken_port_is_refused(setup):
    with socket.socket() as taken:
        port = free_port()
        taken.bind(("127.0.0.1", port))
        taken.listen()
        server = setup.server(port=port, wait=False)
        assert server.wait_end() == 1
        assert "address already in use" in server.log(), server.log()


def test_a_port_without_room_for_the_clusters_is_refused(setup):
    code, output = setup.run("--port", "60000", "--check-config")
    assert code == 1 and "port 60000 leaves no room for the default of cluster-port" in output, output
    assert setup.run("--port", "60000", "--cluster-port", "0", "--check-config")[0] == 0
    assert setup.run("--port", "60000", "--cluster-port", "9000", "--check-config")[0] == 0


def test_a_join_that_names_no_place_is_refused(setup):
    code, output = setup.run("--join", "127.0.0.1", "--check-config")
    assert code == 1 and "'127.0.0.1' is not host:port" in output, output
    code, output = setup.run("--join", "127.0.0.1:7001", "--cluster-port", "0", "--check-config")
    assert code == 1 and "it can have no company" in output, output


def test_a_taken_cluster_port_is_refused(setup):
    with socket.socket() as taken:
        port = free_port()
        taken.bind(("127.0.0.1", port + 10000))
        taken.listen()
        server = setup.server(port=port, wait=False)
        assert server.wait_end() == 1
        assert "could not listen on 127.0.0.1 port %d: address already in use -> cluster-port names another" % (
            port + 10000) in server.log(), server.log()
        server = setup.server("--cluster-port", "0", port=port)
        assert "no cluster-port -> this server stays alone" in server.log(), server.log()


def _listens(host, port):
    try:
        socket.create_connection((host, port), timeout=20).close()
        return True
    except ConnectionError:
        return False


def test_other_nodes_are_awaited_at_each_address_and_nowhere_else(setup):
    server = setup.server("--bind", "127.0.0.1", "127.0.0.2")
    peers = server.port + 10000
    assert "listening for other nodes on 127.0.0.1:%d, 127.0.0.2:%d" % (peers, peers) in server.log(), server.log()
    assert [_listens("127.0.0.%d" % last, peers) for last in (1, 2, 3)] == [True, True, False]
    with server.client() as client:
        assert client.call("CONFIG", "SET", "bind", "127.0.0.1 127.0.0.3") == "OK"
        assert [_listens("127.0.0.%d" % last, peers) for last in (1, 2, 3)] == [True, False, True]
        # The port of the peers stays where it was chosen.
        assert client.call("CONFIG", "SET", "port", free_port()) == "OK"
        assert _listens("127.0.0.1", peers)
    assert server.stop() == 0, server.log()


def test_a_stranger_at_the_cluster_port_does_no_harm(setup):
    server = setup.server()
    with socket.create_connection(("127.0.0.1", server.port + 10000), timeout=20) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n" * 10)
        try:
            while stranger.recv(1000):
                pass                 # what it is told before it is closed
        except ConnectionError:
            pass
    with server.client() as client, socket.create_connection(("127.0.0.1", server.port + 10000)):
        assert client.call("PING") == "PONG"
        assert server.stop() == 0, server.log()


def test_a_directory_that_is_none_is_refused(setup):
    path = setup.write("file", "")
    server = setup.server(directory=path, wait=False)
    assert server.wait_end() == 1
    assert "Not a directory" in server.log(), server.log()


def test_sigterm_and_sigint_end_it_with_exit_code_0(setup):
    for number in (signal.SIGTERM, signal.SIGINT):
        server = setup.server()
        with server.client() as client:
            client.call("SET", "key", "value")
            server.signal(number)
            assert server.wait_end() == 0, server.log()
            assert client.at_end()
        assert "bye bye" in server.log(), server.log()


def test_what_was_written_is_there_after_an_orderly_end(setup):
    for args in ((), ("--appendonly", "no"), ("--appendonly", "no", "--save", "3600", "1")):
        directory = os.path.join(setup.folder, "data%d" % len(args))
        server = setup.server(*args, directory=directory)
        with server.client() as client:
            client.call("SET", "key", "value")
        assert server.stop() == 0
        server = setup.server(*args, directory=directory)
        with server.client() as client:
            assert client.call("GET", "key") == b"value", args
        server.stop()


def test_shutdown_nosave_and_its_errors(setup):
    server = setup.server()
    with server.client() as client:
        assert client.error("SHUTDOWN", "SAVE", "NOSAVE") == "ERR syntax error"
        assert client.error("SHUTDOWN", "ABORT") == "ERR No shutdown in progress."
        client.socket.sendall(b"SHUTDOWN NOSAVE\r\n")
        assert client.at_end()
    assert server.wait_end() == 0


def test_sighup_does_no_harm(setup):
    server = setup.server()
    server.signal(signal.SIGHUP)
    with server.client() as client:
        assert client.call("PING") == "PONG"


def test_the_log_file_can_be_rotated(setup):
    path = os.path.join(setup.folder, "quorate.log")
    server = setup.server("--logfile", path, wait=False)
    wait_until(lambda: os.path.exists(path) and "Ready to accept" in open(path).read(), "the log")
    os.rename(path, path + ".1")
    assert server.stop() == 0
    assert "bye bye" in open(path).read()


def test_pid_file_and_unix_socket(setup):
    pid_file = os.path.join(setup.folder, "quorate.pid")
    path = os.path.join(setup.folder, "quorate.sock")
    server = setup.server("--pidfile", pid_file, "--unixsocket", path, "--unixsocketperm", "700")
    assert int(open(pid_file).read()) == server.process.pid
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o700
    with Client(path) as client:
        assert client.call("PING") == "PONG"
    assert server.stop() == 0
    assert not os.path.exists(pid_file)
    assert not os.path.exists(path)


def test_daemonize(setup):
    pid_file = os.path.join(setup.folder, "quorate.pid")
    log = os.path.join(setup.folder, "log")
    server = setup.server("--daemonize", "yes", "--pidfile", pid_file, "--logfile", log, wait=False)
    assert server.wait_end() == 0
    wait_until(lambda: os.path.exists(pid_file), "the pid file")
    pid = int(open(pid_file).read())
    try:
        wait_until(lambda: "Ready to accept" in open(log).read(), "the daemon")
        with server.client() as client:
            assert client.call("PING") == "PONG"
            client.socket.sendall(b"SHUTDOWN\r\n")
            assert client.at_end()
    finally:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def _refused(server):
    try:
        server.client().close()
        return False
    except ConnectionError:
        return True


def test_the_service_manager_is_told(setup):
    path = os.path.join(setup.folder, "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(20)
        server = setup.server("--supervised", "systemd", env=dict(os.environ, NOTIFY_SOCKET=path,
                                                                  WATCHDOG_USEC="200000"))
        seen = []
        while not any("WATCHDOG=1" in text for text in seen):
            seen.append(manager.recv(1000).decode())
        assert any("READY=1" in text for text in seen), seen
        server.stop()
        while not any("STOPPING=1" in text for text in seen):
            seen.append(manager.recv(1000).decode())


def test_a_crash_leaves_a_trace_in_the_log(setup):
    server = setup.server()
    server.signal(signal.SIGSEGV)
    assert server.wait_end() != 0
    if "AddressSanitizer" in server.log():
        raise Skip("the sanitizer has its own report")
    assert "QUORATE CRASHED: signal 11" in server.log(), server.log()


def test_several_addresses_and_optional_ones(setup):
    server = setup.server("--bind", "127.0.0.1", "127.0.0.2", "-10.255.255.1")
    for host in ("127.0.0.1", "127.0.0.2"):
        with Client((host, server.port)) as client:
            assert client.call("PING") == "PONG"
    server.stop()
    server = setup.server("--bind", "127.0.0.1", "10.255.255.1", wait=False)
    assert server.wait_end() == 1
    assert "could not listen on 10.255.255.1" in server.log()


def test_config_set_port_and_bind_move_the_listener(setup):
    server = setup.server()
    with server.client() as client:
        other = free_port()
        assert client.call("CONFIG", "SET", "port", other) == "OK"
        assert _refused(server)
        with Client(("127.0.0.1", other)) as moved:
            assert moved.config("port") == str(other)
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            text = client.error("CONFIG", "SET", "port", taken.getsockname()[1])
            assert text == ("ERR CONFIG SET failed (possibly related to argument 'port') - "
                            "Unable to listen on this port. Check server logs."), text
        assert client.config("port") == str(other)
        text = client.error("CONFIG", "SET", "bind", "10.255.255.1")
        assert "Failed to bind to specified addresses." in text, text
        with Client(("127.0.0.1", other)) as still:
            assert still.call("PING") == "PONG"
        assert client.call("CONFIG", "SET", "bind", "127.0.0.1 127.0.0.3") == "OK"
        with Client(("127.0.0.3", other)) as third:
            assert third.call("PING") == "PONG"


def test_config_rewrite_keeps_what_it_does_not_know(setup):
    text = "# a comment\nmaxmemory 1mb\n"
    path = setup.write("rewritten.conf", text)
    server = setup.server(base=[path])
    with server.client() as client:
        client.call("CONFIG", "SET", "maxmemory", "3mb", "hz", "33")
        assert client.call("CONFIG", "REWRITE") == "OK"
    rewritten = open(path).read()
    assert rewritten.startswith("# a comment\nmaxmemory 3145728\n# Generated by CONFIG REWRITE\n"), rewritten
    assert "\nhz 33\n" in rewritten and "\nport %d\n" % server.port in rewritten, rewritten
    server.stop()
    server = setup.server(base=[path])
    with server.client() as client:
        assert client.config("hz") == "33"
    server.stop()
    server = setup.server()
    with server.client() as client:
        assert client.error("CONFIG", "REWRITE") == "ERR The server is running without a config file"


def test_maxclients_is_held(setup):
    server = setup.server("--maxclients", "3")
    clients = [server.client() for _ in range(3)]
    for client in clients:
        client.call("PING")
    with server.client() as rejected:
        assert str(rejected.read()) == "ERR max number of clients reached"
        assert rejected.at_end()
    clients[0].close()
    wait_until(lambda: clients[1].info("clients")["connected_clients"] == "2", "the client to be forgotten")
    with server.client() as client:
        assert client.call("PING") == "PONG"


def test_info_tells_the_facts_of_the_process(setup):
    server = setup.server()
    with server.client() as client:
        info = client.info()
        assert info["process_id"] == str(server.process.pid)
        assert info["tcp_port"] == str(server.port)
        assert info["redis_version"] == "7.2.4" and info["server_name"] == "quorate"
        assert int(info["used_memory_rss"]) > 1 << 20
        assert float(info["used_cpu_sys"]) >= 0 and int(info["total_connections_received"]) == 1


def test_an_rdb_file_goes_in_and_out(setup):
    exported = os.path.join(setup.folder, "out.rdb")
    server = setup.server()
    with server.client() as client:
        client.call("SET", "key", "value")
        client.call("SET", "brief", "value", "PX", "1000000")
    code, output = setup.run("--dir", setup.directory, "--export-rdb", exported)
    assert code == 1 and "in use" in output, output
    server.stop()
    code, output = setup.run("--dir", setup.directory, "--export-rdb", exported)
    assert code == 0 and "2 keys" in output, output
    code, output = setup.run("--dir", setup.directory, "--import-rdb", exported)
    assert code == 1 and "not empty" in output, output
    for args in ((), ("--appendonly", "no")):
        other = os.path.join(setup.folder, "other%d" % len(args))
        code, output = setup.run("--dir", other, *args, "--import-rdb", exported)
        assert code == 0 and "2 keys" in output, output
        server = setup.server(*args, directory=other)
        with server.client() as client:
            assert client.call("GET", "key") == b"value" and client.call("DBSIZE") == 2
        server.stop()
    garbage = setup.write("garbage.rdb", "REDIS0010 this is none")
    other = os.path.join(setup.folder, "third")
    code, output = setup.run("--dir", other, "--import-rdb", garbage)
    assert code == 1, output


if __name__ == "__main__":
    run(globals())
