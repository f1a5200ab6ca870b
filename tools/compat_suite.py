"""Plays the part of the Redis Tcl suite's own test server, against any server.

The suite's runner is made for a server that nearly always passes: one Tcl
exception ends the whole run, and a hanging test waits for twenty minutes.  Here
the suite's unmodified worker (`tclsh tests/test_helper.tcl --client PORT ...`)
connects to us instead, is handed one test file, and reports every test as it
starts and ends.  So each file runs in a process of its own, a hanging test is
cut off and left out on the next try, a crashed server is started again, and a
file that dies half-way still yields the tests before it.

Used by tools/compat; not a program.  Standard library only.
"""

import dataclasses
import os
import re
import select
import signal
import socket
import subprocess
import tempfile
import time

# Files with at least one test that can run against an external server and that
# is about what a client sees.
UNITS = """
unit/auth unit/protocol unit/keyspace unit/scan unit/info unit/info-command
unit/type/string unit/type/incr unit/type/list unit/type/list-2
unit/type/list-3 unit/type/set unit/type/zset unit/type/hash
unit/type/hash-field-expire unit/type/stream unit/type/stream-cgroups
unit/sort unit/expire unit/other unit/multi unit/quit unit/acl unit/acl-v2
unit/latency-monitor unit/pubsub unit/pubsubshard unit/slowlog unit/scripting
unit/functions unit/maxmemory unit/introspection unit/introspection-2
unit/limits unit/obuf-limits unit/bitops unit/bitfield unit/geo
unit/hyperloglog unit/lazyfree unit/dump unit/wait unit/pause unit/querybuf
unit/tracking unit/client-eviction unit/replybufsize unit/networking
unit/cluster-scripting unit/cluster/scripting unit/cluster/pubsub
unit/cluster/sharded-pubsub unit/cluster/misc unit/cluster/multi-slot-operations
unit/violations
""".split()

# Sent to the worker for a tolerant run: our replacement of the step that prepares an
# external server, which ignores errors of the preparation (FUNCTION FLUSH is unknown to
# a server without functions).  The wrappers let a file go on when a command between two
# tests fails; inside a test an error counts as ever.  A case that failed within MULTI is
# followed by DISCARD: the cases behind it would only see QUEUED.
TOLERANT = r"""
set ::tol_depth 0
rename test tol_test
proc test args {
    incr ::tol_depth
    set failed $::num_failed
    set c [catch {uplevel 1 [list tol_test {*}$args]} e o]
    incr ::tol_depth -1
    if {$::num_failed > $failed} {catch {[srv 0 client] discard}}
    return -options $o $e
}
foreach p [concat r s [info procs assert*]] {
    rename $p tol_$p
    proc $p args [string map [list @ tol_$p] {
        if {$::tol_depth > 0} {return [uplevel 1 [list @ {*}$args]]}
        if {[catch {uplevel 1 [list @ {*}$args]} e]} {return {}}
        return $e
    }]
}
proc run_external_server_test {code overrides} {
    if {[info commands ::redis] ne {}} {set mk ::redis} else {set mk ::valkey}
    set c [$mk $::host $::port 0 $::tls]
    if {!$::singledb} {catch {$c select 9}}
    lappend ::servers [dict create host $::host port $::port client $c \
        config [dict create port $::port]]
    catch {$c flushall}
    catch {$c function flush}
    set before {}
    foreach {k v} $overrides {
        catch {dict set before $k [lindex [$c config get $k] 1]}
        catch {$c config set $k $v}
        if {$k eq {appendonly} && $v eq {yes}} {catch {waitForBgrewriteaof $c}}
    }
    if {[catch {uplevel 2 $code} e]} {
        send_data_packet $::test_server_fd err $e\n$::errorInfo
    }
    dict for {k v} $before {catch {r config set $k $v}}
    set ::servers [lrange $::servers 0 end-1]
    catch {$c close}
}
"""

# Sent to the worker for a traced run: writes one line for each test with the commands it
# sent through the suite's client (`config|set|name`, `debug|object`), and one for what
# came between two tests.
TRACE = r"""
array set ::trc {}
set ::trc_file [open {@FILE@} a]
proc trc_flush {kind name status} {
    puts $::trc_file [join [list {@UNIT@} $kind $status \
        [string map [list \t { } \n { }] $name] [lsort [array names ::trc]]] \t]
    flush $::trc_file
    array unset ::trc
    array set ::trc {}
}
foreach ns {redis valkey} {
    if {[info commands ::${ns}::__dispatch__raw__] eq {}} continue
    rename ::${ns}::__dispatch__raw__ ::${ns}::trc_raw
    proc ::${ns}::__dispatch__raw__ {id method argv} \
            [string map [list @ ::${ns}::trc_raw % ::${ns}::__method__] {
        if {[info commands %$method] eq {}} {
            set c [string tolower $method]
            if {$c in {config object debug client function script xgroup xinfo cluster
                       command acl latency slowlog memory pubsub module}} {
                append c | [string tolower [lindex $argv 0]]
                if {$c in {config|set config|get}} {
                    append c | [string tolower [lindex $argv 1]]
                }
            }
            if {$c eq {info}} {append c | [string tolower [lindex $argv 0]]}
            if {$c ne {debug|log}} {set ::trc([string map {{ } _} $c]) 1}
        }
        uplevel 1 [list @ $id $method $argv]
    }]
}
rename test trc_test
proc test {name args} {
    trc_flush outside {} -
    set before $::num_passed
    set c [catch {uplevel 1 [list trc_test $name {*}$args]} e o]
    trc_flush test $name [expr {$::num_passed > $before ? {ok} : {no}}]
    return -options $o $e
}
"""


@dataclasses.dataclass
class Options:
    """What every file of one run has in common."""
    suite: str                       # folder that holds tests/test_helper.tcl
    host: str = "127.0.0.1"
    port: int = 0
    deny: tuple = ("slow",)          # tags of the suite that are not run
    flags: tuple = ()                # --ignore-encoding, --singledb, --cluster-mode, ...
    skip_tests: tuple = ()
    tolerant: bool = False
    trace: str = ""                  # file to which the commands of each test are appended
    test_timeout: float = 60
    file_timeout: float = 600
    fresh: bool = False              # a new server for each file
    tries: int = 8                   # of one file, each without the tests that hung before
    tclsh: str = "tclsh"


def tcl_backslash(text, k):
    """The character that the backslash at text[k] stands for, and the index after it."""
    plain = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
    c = text[k + 1] if k + 1 < len(text) else "\\"
    for letter, pattern, base, skip in (("x", r"[0-9a-fA-F]{1,2}", 16, 2),
                                        ("u", r"[0-9a-fA-F]{1,4}", 16, 2),
                                        ("", r"[0-7]{1,3}", 8, 1)):
        m = re.match(pattern, text[k + skip:]) if c == letter or not letter else None
        if m:
            return chr(int(m.group(), base)), k + skip + m.end()
    return plain.get(c, c), k + 2


def tcl_braced(text, i):
    """The word in braces at text[i], and the index after it."""
    depth, k, n = 1, i + 1, len(text)
    while k < n and depth:
        if text[k] == "\\":
            k += 1
        elif text[k] == "{":
            depth += 1
        elif text[k] == "}":
            depth -= 1
        k += 1
    return text[i + 1:k - 1], k


def tcl_list(text):
    """The elements of a Tcl list (enough of its quoting for what Tcl itself writes)."""
    out, i, n = [], 0, len(text)
    while i < n:
        if text[i].isspace():
            i += 1
            continue
        if text[i] == "{":
            word, i = tcl_braced(text, i)
            out.append(word)
            continue
        quoted = text[i] == '"'
        k, word = i + quoted, []
        while k < n and not (text[k] == '"' if quoted else text[k].isspace()):
            if text[k] == "\\":
                c, k = tcl_backslash(text, k)
                word.append(c)
            else:
                word.append(text[k])
                k += 1
        out.append("".join(word))
        i = k + quoted
    return out


def tcl_word(text):
    """Text as one Tcl list element."""
    def escape(m):
        return "\\n" if m.group(1) == "\n" else "\\" + m.group(1)
    return re.sub(r'([\\{}\[\]$";\s#])', escape, text) or "{}"


def normal_name(name):
    """A test's name without what differs from run to run."""
    name = re.sub(r"0x[0-9a-fA-F]{6,}", "0xN", name)
    name = re.sub(r"\b\d+\.\d{3,}\b", "F", name)
    return " ".join(name.split())


class Server:
    """One server process, started from a command line in a folder of its own."""

    def __init__(self, argv, port, host="127.0.0.1", log=""):
        self.argv, self.port, self.host, self.log = argv, port, host, log
        self.process, self.starts = None, 0

    def alive(self, wait=0.0):
        """True when something answers PING with a RESP status or error line."""
        end = time.time() + wait
        while True:
            try:
                with socket.create_connection((self.host, self.port), 2) as s:
                    s.settimeout(3)
                    s.sendall(b"*1\r\n$4\r\nPING\r\n")
                    if s.recv(1) in (b"+", b"-"):
                        return True
            except OSError:
                pass
            if time.time() >= end or (self.process and self.process.poll() is not None):
                return False
            time.sleep(0.05)

    def stop(self):
        if self.process and self.process.poll() is None:
            try:
                os.killpg(self.process.pid, signal.SIGTERM)
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
            except ProcessLookupError:
                pass
        self.process = None

    def start(self):
        self.stop()
        out = open(self.log, "ab") if self.log else subprocess.DEVNULL
        try:
            self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=subprocess.STDOUT, start_new_session=True)
        finally:
            if self.log:
                out.close()
        self.starts += 1
        return self.alive(20)


class Worker:
    """One run of one file in one Tcl process."""

    def __init__(self, options, unit, skip):
        self.options, self.unit, self.skip = options, unit, skip
        self.tests = []          # (name, 'ok'|'err', detail)
        self.skipped = self.ignored = 0
        self.blocks = []         # errors outside a test
        self.current = None
        self.end = "done"        # done | exception | eof | hang | setup-hang | file-timeout
        self.detail = ""

    def arguments(self, port):
        o = self.options
        argv = [o.tclsh, "tests/test_helper.tcl", "--host", o.host, "--port", str(o.port),
                "--durable", "--no-latency", "--timeout", "100000"]
        if o.deny:
            argv += ["--tags", " ".join("-" + t for t in o.deny)]
        argv += o.flags
        for name in [*self.skip, *o.skip_tests]:
            argv += ["--skiptest", name]
        return argv + ["--client", str(port)]

    def run(self):
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        out = tempfile.TemporaryFile()
        process = subprocess.Popen(self.arguments(listener.getsockname()[1]),
                                   cwd=self.options.suite, stdin=subprocess.DEVNULL, stdout=out,
                                   stderr=subprocess.STDOUT, start_new_session=True)
        connection = None
        try:
            listener.settimeout(20)
            try:
                connection, _ = listener.accept()
            except socket.timeout:
                self.end, self.detail = "exception", "the suite's worker did not start"
                return self
            self.talk(connection)
        finally:
            if connection:
                connection.close()
            listener.close()
            try:
                os.killpg(process.pid, signal.SIGKILL)   # the worker and its own helpers
            except ProcessLookupError:
                pass
            process.wait()
            out.seek(0)
            text = out.read()[-2000:].decode("latin-1").strip()
            if text and not self.detail:
                self.detail = text
        return self

    def errands(self):
        """What the worker is told to do, in order."""
        errands = []
        if self.options.trace:
            code = TRACE.replace("@FILE@", os.path.abspath(self.options.trace))
            errands.append(("run_code", "{trace none {%s}}" % code.replace("@UNIT@", self.unit)))
        if self.options.tolerant:
            errands.append(("run_code", "{tolerant none {%s}}" % TOLERANT))
        return errands + [("run", tcl_word(self.unit))]

    def talk(self, connection):
        errands = self.errands()
        hard = time.time() + self.options.file_timeout
        last = time.time()
        buf, cr = b"", b""
        while True:
            now = time.time()
            limit = min(hard, last + self.options.test_timeout)
            if now >= limit:
                hang = "hang" if self.current is not None else "setup-hang"
                self.end = "file-timeout" if now >= hard else hang
                return
            if not select.select([connection], [], [], min(1.0, limit - now))[0]:
                continue
            try:
                data = connection.recv(65536)
            except OSError:
                data = b""
            if not data:
                self.end = "eof"
                return
            # A Tcl socket writes \n as \r\n by default, lengths count it as one.
            data = cr + data
            cr = b"\r" if data.endswith(b"\r") else b""
            buf += data[:len(data) - len(cr)].replace(b"\r\n", b"\n")
            while True:
                newline = buf.find(b"\n")
                if newline < 0:
                    break
                if not buf[:newline].isdigit():
                    self.end, self.detail = "exception", "bad message frame %r" % buf[:80]
                    return
                size = int(buf[:newline])
                if len(buf) < newline + 1 + size:
                    break
                message = buf[newline + 1:newline + 1 + size].decode("latin-1")
                buf = buf[newline + 1 + size:]
                last = time.time()
                if not self.receive(connection, message, errands):
                    return

    def receive(self, connection, message, errands):
        """Handles one message of the worker; False when the conversation is over."""
        status, text = (tcl_list(message) + ["", ""])[:2]
        if status in ("ready", "done"):
            if not errands:
                return False
            command, data = errands.pop(0)
            payload = tcl_word(command) + " " + data
            connection.sendall(("%d\n%s" % (len(payload), payload)).encode("latin-1"))
        elif status == "testing":
            self.current = text
        elif status == "ok":
            self.tests.append((text, "ok", ""))
            self.current = None
        elif status == "err" and self.current is not None:
            self.tests.append((self.current, "err", text))
            self.current = None
        elif status == "err":
            self.blocks.append(text)
        elif status == "skip":
            self.skipped += 1
        elif status == "ignore":
            self.ignored += 1
        elif status == "exception":
            self.end, self.detail = "exception", text
            return False
        return True


def score(worker):
    return (sum(t[1] == "ok" for t in worker.tests), len(worker.tests))


def ready(server, fresh):
    """True when the server answers; it is started when it is down or a fresh one is wanted."""
    return (not fresh and server.process is not None and server.alive()) or server.start()


def run_unit(options, server, unit):
    """All tries of one file; the merged result.  The server stays up for the next file, as it
    does for the suite's own runner; after a crash or a hang it is started again."""
    skip, notes, best = [], [], None
    forced = []                        # tests that hung or killed the server
    began = time.time()
    for attempt in range(options.tries):
        if not ready(server, fresh=options.fresh or attempt > 0):
            notes.append("server not reachable")
            break
        worker = Worker(options, unit, skip).run()
        if best is None or score(worker) >= score(best):
            best = worker
        if worker.end == "done":
            break
        crashed = not server.alive(1.0)
        notes.append(worker.end + (" (server down)" if crashed else "") +
                     (": " + worker.current if worker.current else ""))
        culprit = worker.current
        if culprit is None and crashed and worker.tests:
            culprit = worker.tests[-1][0]
        if culprit is None or culprit in skip or time.time() - began > options.file_timeout:
            break
        skip.append(culprit)
        forced.append((culprit, "err", worker.end + (", server down" if crashed else "")))
    else:
        notes.append("gave up after %d tries" % options.tries)
    result = {"unit": unit, "tests": [], "notes": notes, "ignored": 0, "skipped": 0,
              "blocks": [], "end": "none", "seconds": round(time.time() - began, 1)}
    if best:
        seen = {t[0] for t in best.tests}
        result["tests"] = [[n, s, d[:600]] for n, s, d in
                           best.tests + [f for f in forced if f[0] not in seen]]
        result["ignored"], result["skipped"] = best.ignored, best.skipped
        result["blocks"] = [b[:600] for b in best.blocks]
        result["end"] = best.end
        if best.end != "done":
            result["detail"] = best.detail[:1500]
    return result
