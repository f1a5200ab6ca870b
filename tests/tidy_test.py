#!/usr/bin/env python3
"""The test of tidy.py: bad snippets, each with a word of the finding it must cause, and good ones, which must
pass.  Registered in ctest as tidy.self."""

import sys

import tidy

# path, text, what a finding says (None: there must be none)
SNIPPETS = [
    ("src/util/a.cc", '// A.\n#include "resp/reply.h"\n', "may not include resp/reply.h"),
    ("src/resp/a.cc", '// A.\n#include "store/db.h"\n', "may not include"),
    ("src/store/a.cc", '// A.\n#include "util/buffer.h"\n#include <vector>\n', None),
    ("src/commands/a.cc", '// A.\n#include "node/session.h"\n', "may not include"),
    ("src/node/a.cc", '// A.\n#include "cluster/ring.h"\n#include "persist/log.h"\n', None),
    ("src/node/a.cc", '// A.\n#include "server/loop.h"\n', "may not include"),
    ("src/server/a.cc", '// A.\n#include <uv.h>\n#include <sys/socket.h>\n#include "node/shard.h"\n', None),
    ("src/node/a.cc", "// A.\n#include <uv.h>\n", "belongs to src/server"),
    ("src/persist/a.cc", "// A.\n#include <unistd.h>\n", "belongs to src/server"),
    ("src/util/a.cc", "// A.\n#include <chrono>\n", "belongs to src/server"),
    ("src/server/a.cc", "// A.\n#include <regex>\n", "is banned"),
    ("src/util/a.cc", "// A.\n#include <xxhash.h>\n", None),
    ("src/new/a.cc", "// A.\n", "include table"),
    ("src/util/a.cc", '// A.\n#include "check.h"\n', "say the folder"),
    ("src/util/a.cc", "// A.\nint f() { return std::stoi(x); }\n", "parse_int"),
    ("src/util/a.cc", "// A.\nint f() { return atoi(x); }\n", "parse_int"),
    ("tests/unit/util/a_test.cc", "// A.\nusing namespace std;\n", "using namespace"),
    ("src/util/a.cc", "// A.  FIXME later\n", "FIXME"),
    ("src/util/a.cc", "// A.  TODO: later\n", "TODO"),
    ("src/util/a.cc", "// A.  TODO(17): later\n", None),
    ("src/util/a.cc", "// A.\nvoid f() { throw 1; }\n", "exceptions"),
    ("src/util/a.cc", "// A.  We throw nothing and try { nothing }.\n", None),
    ("src/util/a.cc", '// A.\nconst char* f() { return "rand() and std::stoi"; }\n', None),
    ("src/util/a.cc", "// A.\nint f() { return rand(); }\n", "Prng"),
    ("src/util/a.cc", "// A.\nint f(P& p) { return p.rand(); }\n", None),
    ("src/util/a.cc", "// A.\nauto f() { return std::chrono::steady_clock::now(); }\n", "the Instant"),
    ("src/server/a.cc", "// A.\nauto f() { return std::chrono::steady_clock::now(); }\n", None),
    ("src/node/a.cc", "// A.\nvoid f() { uv_close(nullptr, nullptr); }\n", "src/server"),
    ("src/node/a.cc", "// A.\nint f() { return time(nullptr); }\n", "the Instant"),
    ("src/node/a.cc", "// A.\nvoid f() { x = time(nullptr); }\n", "the Instant"),
    ("src/node/a.cc", "// A.\nint f(C& c) { return c.time(); }\n", None),
    ("src/node/a.cc", "// A.\nStatus time(NodeContext& cx) { return done(); }\n", None),
    ("src/store/a.cc", "// A.\nvoid f() { g(fopen(name, mode)); }\n", "the abstract Disk"),
    ("src/node/a.cc", '// A.\nchar* f() { return getenv("X"); }\n', "setting"),
    ("src/node/a.cc", "// A.\nstd::mutex m;\n", "one thread"),
    ("src/node/a.cc", "// A.\nthread_local int x;\n", "its owner"),
    ("src/util/memory.cc", "// A.\nthread_local int x;\n", None),
    ("src/util/a.cc", "// A.\nvoid f(char* a, char* b) { strcpy(a, b); }\n", "bounded"),
    ("src/store/a.cc", "// A.\n#define TWICE(x) x x\n", "macro TWICE"),
    ("src/util/a.h", "// A.\n#pragma once\n#define TRY(x) x\n", None),
    ("src/store/a.cc", "// A.\nint f(E e) {\n  switch (e) {\n    case E::kOne: return 1;\n    default: return 2;\n  }\n}\n",
     "name each case"),
    ("src/store/a.cc", "// A.\nint f(int e) {\n  switch (e) {\n    case 1: return 1;\n    default: return 2;\n  }\n}\n", None),
    ("src/store/a.cc", "#include <vector>\n", "what the file is for"),
    ("tools/thing", "#!/usr/bin/env bash\nset -e\n", "what the file is for"),
    ("tools/thing", "#!/usr/bin/env bash\n# Does a thing.\nset -e\n", None),
    ("tests/thing.py", '#!/usr/bin/env python3\n"""Does a thing."""\n', None),
    ("src/util/a.h", "// A.\nint f();\n", "#pragma once"),
    ("docs/A.md", "# One\n\n# Two\n", "one title"),
    ("docs/A.md", "Text\n", "begins with its title"),
    ("docs/A.md", "# One\n\n```\n# a comment\n```\n\n## Two\n", None),
    ("README.md", "# One\n\nsee /ro" + "ot/x\n", "path of one machine"),
]

CMAKE = "foreach(layer util resp)\n"

# files of a tree, what a finding says
TREES = [
    ({"tests/unit/a_test.cc": ""}, "not registered"),
    ({"tests/unit/other/a_test.cc": ""}, "not registered"),
    ({"tests/unit/util/a_test.cc": ""}, None),
    ({"tests/a_fuzz.cc": ""}, "not registered"),
    ({"tests/fuzz/parser.cc": ""}, "ends in _fuzz.cc"),
    ({"tests/fuzz/parser_fuzz.cc": "", "tests/fuzz/driver.cc": ""}, None),
    ({"tests/other/a.rt": ""}, "not registered"),
    ({"src/commands/a.cc": '{.name = "get"},'}, "no script sends 'get'"),
    ({"src/commands/a.cc": '{.name = "get"},', "tests/scripts/a.rt": "> GET k\n"}, None),
    ({"src/commands/a.cc": '{.name = "get"},', "tests/scripts/a.rt": "second> get k\n"}, None),
    ({"src/node/commands/a.cc": '{.name = "client|list"},', "tests/scripts/a.rt": "> CLIENT ID\n"},
     "no script sends 'client list'"),
    ({"src/node/commands/a.cc": '{.name = "client|list"},', "tests/scripts/a.rt": "> CLIENT LIST\n"}, None),
    ({"src/commands/a.cc": '{.name = "get"},', "src/commands/b.cc": '{.name = "get"},', "tests/scripts/a.rt": "> GET k\n"},
     "has a row in"),
]


def verdict(findings, expected):
    texts = [str(finding) for finding in findings]
    if expected is None:
        return not texts
    return any(expected in text for text in texts)


def run():
    failed = 0
    for path, text, expected in SNIPPETS:
        findings = list(tidy.check_file(path, text))
        if not verdict(findings, expected):
            failed += 1
            print("%s: expected %r, found %r\n%s" % (path, expected, [str(f) for f in findings], text))
    for files, expected in TREES:
        findings = list(tidy.check_registered(files, CMAKE)) + list(tidy.check_commands(files))
        if not verdict(findings, expected):
            failed += 1
            print("%s: expected %r, found %r" % (sorted(files), expected, [str(f) for f in findings]))
    lengths = list(tidy.function_lengths("void f() {\n" + "  x;\n" * 80 + "}\n"))
    if lengths != [(1, 82)]:
        failed += 1
        print("function_lengths: found %r" % lengths)
    print("tidy.self: %d snippets, %d wrong" % (len(SNIPPETS) + len(TREES) + 1, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(run())
