#!/usr/bin/env python3
"""The habits of the tree that a machine can check; the test `tidy`.

  tests/tidy.py              checks the tree; prints each finding as file:line: text
  tests/tidy.py --self-test  checks the checks, with the bad snippets of tidy_test.py
  tests/tidy.py --lengths    also prints long lines, functions and files (never a failure)

Exit status: 0 nothing found, 1 something found, 2 usage.
"""

import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# Who may include whom: folder of src/ -> folders it may use beside itself (docs/ARCHITECTURE.md).
ALL_LAYERS = {"util", "resp", "store", "persist", "cluster", "commands", "node"}
INCLUDES = {
    "util": set(),
    "resp": {"util"},
    "store": {"util"},
    "persist": {"util"},
    "cluster": {"util"},
    "commands": {"store", "resp", "util"},
    "node": ALL_LAYERS - {"node"},
    "script": ALL_LAYERS - {"node", "persist", "cluster"},
    "http": set(ALL_LAYERS),
    "server": ALL_LAYERS | {"http", "script"},
    "client": {"util"},
    "cli": {"client", "util", "resp"},
}
# These may use sockets, files, clocks and threads.
IMPURE = {"server", "client", "cli"}

# Headers outside the C++ library that a pure layer may include.
PURE_LIBRARIES = {"xxhash.h", "openssl/crypto.h", "openssl/evp.h", "openssl/hmac.h", "lzf.h",
                  "liblzf/lzf.h", "jemalloc/jemalloc.h", "malloc.h", "immintrin.h", "nmmintrin.h", "emmintrin.h", "smmintrin.h", "tmmintrin.h", "x86intrin.h", "arm_neon.h", "lua.h",
                  "luajit.h", "lualib.h", "lauxlib.h", "lua.hpp"}
C_HEADERS = {"assert.h", "errno.h", "math.h", "stddef.h", "stdint.h", "stdlib.h", "string.h", "stdio.h"}
# Headers of the C++ library that would bring in time, threads, files or chance.
IMPURE_STANDARD = {"chrono", "ctime", "thread", "mutex", "shared_mutex", "condition_variable", "future",
                   "iostream", "fstream", "filesystem", "random", "semaphore", "latch", "barrier",
                   "stop_token", "csignal"}
BANNED_ANYWHERE = {"iostream": "write into a Buffer or use std::snprintf", "regex": "glob_match or a parser",
                   "random": "Prng"}

# pattern, what to use instead, where ("src": everywhere below src/, "pure": not in src/server and the
# other impure folders, "all": tests too; bench/ is free: it links nothing of ours)
BANNED_WORDS = [
    (r"\bstd::sto(i|l|ll|ul|ull|f|d|ld)\b", "parse_int or parse_double (util/number.h)", "all"),
    (r"\bato(i|l|ll|f)\s*\(", "parse_int or parse_double (util/number.h)", "all"),
    (r"\busing namespace\b", "the name in full, or a using-declaration", "all"),
    (r"\bFIXME\b|\bXXX\b", "an issue number, or mend it", "all"),
    (r"\bTODO\b(?!\(#?\d+\))", "TODO(issue number)", "all"),
    (r"\bdynamic_cast\b|\btypeid\s*\(", "an interface: there is no RTTI", "src"),
    (r"\btry\s*\{|\bcatch\s*\(|\bthrow\b", "Result, Status and TRY: there are no exceptions", "src"),
    (r"\bstd::(cout|cerr|clog|cin|endl)\b", "src/server logs; others return what they know", "src"),
    (r"\bstd::(s?rand|random_device|mt19937(_64)?|default_random_engine)\b|(?<![\w.:>])s?rand\s*\(",
     "Prng (util/prng.h)", "src"),
    (r"\bstd::(strcpy|strcat|sprintf)\b|(?<![\w.:>])(strcpy|strcat|sprintf|vsprintf|gets)\s*\(",
     "a bounded call", "all"),
    (r"::now\s*\(", "the Instant you were given", "pure"),
    (r"\bstd::chrono\b", "Instant (util/time.h)", "pure"),
    (r"\buv_\w+", "src/server is the only place of libuv", "pure"),
    # Not where a type stands before it: that declares a function of ours.
    (r"(?<![\w.:>])(?<![\w>&*] )(time|clock|gettimeofday|clock_gettime|localtime(_r)?|gmtime(_r)?)\s*\((?!\))",
     "the Instant you were given", "pure"),
    (r"\breturn (time|clock)\s*\(", "the Instant you were given", "pure"),
    (r"\bgetenv\s*\(", "a setting, passed in", "pure"),
    (r"\bstd::(thread|jthread|mutex|shared_mutex|condition_variable\w*|async|future)\b",
     "src/server: everything else is one thread", "pure"),
    (r"\bthread_local\b", "state that its owner passes in", "pure"),
    (r"\b(std::)?(exit|_exit|quick_exit)\s*\(", "an Error; only main ends the process", "pure"),
    (r"\bf(re)?open\s*\(", "src/server (or the abstract Disk)", "pure"),
]
# Files that are the place of what is banned elsewhere.
EXEMPT = {
    ("src/util/memory.cc", "thread_local"),
    ("src/util/memory.cc", "sys/mman.h"),
    ("src/util/memory.cc", "unistd.h"),
    ("src/util/block.cc", "thread_local"),
}

# How a comment begins: in C++, elsewhere.
COMMENT_START_CODE, COMMENT_START_TEXT = ("//", "/*"), ("#", '"""')
TEXT_SUFFIXES = (".cc", ".h", ".py", ".rt", ".sh", ".md", ".txt", ".cmake", "")
LINE_MAX, FUNCTION_MAX, FILE_MAX, HEADER_MAX = 100, 70, 900, 400


class Finding:
    def __init__(self, path, line, text):
        self.path, self.line, self.text = path, line, text

    def __str__(self):
        return "%s:%d: %s" % (self.path, self.line, self.text)


def strip_code(text):
    """The text with comments and the insides of literals blanked, so that only code is left; line breaks stay."""
    pattern = re.compile(
        r'//[^\n]*|/\*.*?\*/|R"([^()\\ ]{0,16})\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![0-9A-Fa-f])\'(?:\\.|[^\'\\\n])+\'',
        re.DOTALL)

    def blank(match):
        piece = match.group(0)
        kept = '""' if piece[0] in '"R' else ("''" if piece[0] == "'" else "")
        return kept + "\n" * piece.count("\n")
    return pattern.sub(blank, text)


def layer_of(path):
    parts = path.split("/")
    return parts[1] if len(parts) > 2 and parts[0] == "src" else None


def check_includes(path, text):
    layer = layer_of(path)
    if layer is None:
        return
    if layer not in INCLUDES:
        yield Finding(path, 1, "folder src/%s is not in the include table of tests/tidy.py" % layer)
        return
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if not match:
            continue
        quoted, name = match.group(1) == '"', match.group(2)
        if quoted:
            folder = name.split("/")[0] if "/" in name else None
            if folder is None:
                yield Finding(path, number, 'say the folder: "%s/%s"' % (layer, name))
            elif folder != layer and folder not in INCLUDES[layer]:
                yield Finding(path, number, "src/%s may not include %s" % (layer, name))
            continue
        if name in BANNED_ANYWHERE:
            yield Finding(path, number, "<%s> is banned; use %s" % (name, BANNED_ANYWHERE[name]))
        elif layer not in IMPURE and (path, name) not in EXEMPT:
            is_system = name.endswith((".h", ".hpp")) and name not in PURE_LIBRARIES and name not in C_HEADERS
            if name in IMPURE_STANDARD or is_system:
                yield Finding(path, number, "<%s> belongs to src/server: this layer is pure" % name)


def check_words(path, text):
    layer = layer_of(path)
    if path.startswith("bench/"):
        return
    code = strip_code(text).splitlines()
    comments = text.splitlines()
    for pattern, instead, where in BANNED_WORDS:
        if where != "all" and layer is None or where == "pure" and layer in IMPURE:
            continue
        in_comments = "FIXME" in pattern or "TODO" in pattern
        for number, line in enumerate(comments if in_comments else code, 1):
            match = re.search(pattern, line)
            if match and (path, match.group(0).strip()) not in EXEMPT:
                yield Finding(path, number, "'%s' is banned; use %s" % (match.group(0).strip(), instead))


def check_macros(path, text):
    """Macros are CHECK, DCHECK and TRY, which live in src/util with their parts."""
    if layer_of(path) in (None, "util"):
        return
    for number, line in enumerate(strip_code(text).splitlines(), 1):
        match = re.match(r"\s*#\s*define\s+(\w+)", line)
        if match:
            yield Finding(path, number, "macro %s: the macros are CHECK, DCHECK and TRY" % match.group(1))


def check_switches(path, text):
    """A switch over an enum class names each case; `default:` would hide a new one."""
    if layer_of(path) is None:
        return
    code = strip_code(text)
    for match in re.finditer(r"\bswitch\s*\(", code):
        body = block_after(code, match.end())
        if body is None:
            continue
        start, end = body
        inside = code[start:end]
        over_enum = re.search(r"\bcase\s+(\w+::)+k[A-Z]\w*\s*:", inside)
        default = re.search(r"\bdefault\s*:", inside)
        if over_enum and default:
            line = code.count("\n", 0, start + default.start()) + 1
            yield Finding(path, line, "'default:' in a switch over an enum class; name each case")


def block_after(code, position):
    """The extent of the next { ... } block from `position` on, or None."""
    start = code.find("{", position)
    if start < 0:
        return None
    depth = 0
    for at in range(start, len(code)):
        if code[at] == "{":
            depth += 1
        elif code[at] == "}":
            depth -= 1
            if depth == 0:
                return start, at
    return None


def check_first_line(path, text):
    if not path.endswith((".cc", ".h", ".py", ".rt")) and not path.startswith("tools/"):
        return
    lines = text.splitlines()
    at = 1 if lines and lines[0].startswith("#!") else 0
    first = lines[at].strip() if len(lines) > at else ""
    starts = COMMENT_START_CODE if path.endswith((".cc", ".h")) else COMMENT_START_TEXT
    if not first.startswith(starts):
        yield Finding(path, at + 1, "begin with a comment that says what the file is for")


def check_header(path, text):
    if path.endswith(".h") and path.startswith(("src/", "tests/")) and "#pragma once" not in text:
        yield Finding(path, 1, "a header needs #pragma once")


def check_title(path, text):
    if not path.endswith(".md"):
        return
    outside = re.sub(r"^```.*?^```", lambda m: "\n" * m.group(0).count("\n"), text, flags=re.M | re.S)
    titles = [n for n, line in enumerate(outside.splitlines(), 1) if re.match(r"# \S", line)]
    if not text.startswith("# "):
        yield Finding(path, 1, "a page begins with its title: '# ...'")
    for number in titles[1:]:
        yield Finding(path, number, "a page has one title")


def check_machine_paths(path, text):
    # In two halves so that this file does not hold what it looks for.
    pattern = r"(^|[^\w.])/(?:wo" + r"rk|fa" + r"rm|ro" + r"ot)/"
    for number, line in enumerate(text.splitlines(), 1):
        if re.search(pattern, line):
            yield Finding(path, number, "a path of one machine")


FILE_CHECKS = (check_includes, check_words, check_macros, check_switches, check_first_line, check_header,
               check_title, check_machine_paths)


def check_file(path, text):
    for check in FILE_CHECKS:
        if path.endswith((".cc", ".h")) or check in (check_first_line, check_title, check_machine_paths):
            yield from check(path, text)


# ---- checks of the tree as a whole ---------------------------------------------------------------

def check_registered(files, cmake):
    """CMake finds tests by folder: a test elsewhere would never run."""
    layers = set(re.search(r"foreach\(layer ([\w ]+)\)", cmake).group(1).split())
    for path in files:
        name = os.path.basename(path)
        if name.endswith("_test.cc"):
            match = re.match(r"tests/unit/(\w+)/[^/]+$", path)
            if not match or match.group(1) not in layers:
                yield Finding(path, 1, "not registered: unit tests live in tests/unit/<layer>/")
        elif name.endswith("_fuzz.cc") and os.path.dirname(path) != "tests/fuzz":
            yield Finding(path, 1, "not registered: fuzzers live in tests/fuzz/")
        elif name.endswith(".rt") and os.path.dirname(path) != "tests/scripts":
            yield Finding(path, 1, "not registered: scripts live in tests/scripts/")
        elif path.startswith("tests/fuzz/") and name.endswith(".cc") and name != "driver.cc" and \
                not name.endswith("_fuzz.cc"):
            yield Finding(path, 1, "a fuzzer's name ends in _fuzz.cc")


def command_rows(files):
    """(path, line, name) of each row of the command tables."""
    for path, text in files.items():
        if re.match(r"src/(commands|node/commands|script)/[^/]+\.cc$", path):
            for number, line in enumerate(text.splitlines(), 1):
                for match in re.finditer(r'\.name\s*=\s*"([a-z0-9_|.-]+)"', line):
                    yield path, number, match.group(1)


def script_words(files):
    """What the scripts send, lower case: {first word} and {first word|second word}."""
    words = set()
    for path, text in files.items():
        if path.startswith("tests/scripts/") and path.endswith(".rt"):
            for line in text.splitlines():
                match = re.match(r"\s*(?:\w[\w-]*)?>\s+(\S+)(?:\s+(\S+))?", line)
                if match:
                    first, second = match.group(1).lower(), (match.group(2) or "").lower()
                    words.add(first)
                    words.add(first + "|" + second)
    return words


def check_commands(files):
    sent = script_words(files)
    seen = {}
    for path, number, name in command_rows(files):
        if name in seen:
            yield Finding(path, number, "command '%s' has a row in %s already" % (name, seen[name]))
        seen[name] = path
        if name not in sent:
            yield Finding(path, number, "no script sends '%s': add lines to tests/scripts/" % name.replace("|", " "))


# ---- lengths, for information --------------------------------------------------------------------

def function_lengths(text):
    """(line, lines) of each function body: a block at the indentation of its own closing brace, begun by ') ... {'."""
    lines = strip_code(text).splitlines()
    opened = []
    for number, line in enumerate(lines, 1):
        indent = len(line) - len(line.lstrip())
        if re.search(r"\)[^;={}]*\{\s*$", line) and not re.match(r"\s*(if|for|while|switch|else|do|return|\})\b", line):
            opened.append((indent, number))
        elif line.strip().startswith("}") and opened and opened[-1][0] == indent:
            yield opened[-1][1], number - opened.pop()[1] + 1


def print_lengths(files):
    for path, text in sorted(files.items()):
        if not path.endswith((".cc", ".h")):
            continue
        lines = text.splitlines()
        limit = HEADER_MAX if path.endswith(".h") else FILE_MAX
        if len(lines) > limit:
            print("long file: %s (%d lines, limit %d)" % (path, len(lines), limit))
        wide = [n for n, line in enumerate(lines, 1) if len(line) > LINE_MAX]
        if wide:
            print("long lines: %s: %d, the first in line %d" % (path, len(wide), wide[0]))
        for number, length in function_lengths(text):
            if length > FUNCTION_MAX:
                print("long function: %s:%d (%d lines)" % (path, number, length))


# ---- the run -------------------------------------------------------------------------------------

def tree_files():
    """path -> text of every file of the tree that git tracks or would track."""
    try:
        listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard"], check=True,
                                capture_output=True, text=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        # A tree without git (a source archive): the folders of ours.
        listed = [os.path.relpath(os.path.join(folder, name), ROOT)
                  for top in ("src", "tests", "tools", "docs", "bench")
                  for folder, _, names in os.walk(os.path.join(ROOT, top)) for name in names]
    files = {}
    for path in sorted(set(listed)):
        full = os.path.join(ROOT, path)
        if os.path.splitext(path)[1] in TEXT_SUFFIXES and os.path.isfile(full) and \
                not path.startswith("tests/fuzz/corpus/"):
            with open(full, encoding="utf-8", errors="replace") as file:
                files[path] = file.read()
    return files


def check_tree(files):
    for path, text in files.items():
        if path not in ("tests/tidy.py", "tests/tidy_test.py"):
            yield from check_file(path, text)
    yield from check_registered(files, files["tests/CMakeLists.txt"])
    yield from check_commands(files)


def main(arguments):
    if arguments == ["--self-test"]:
        import tidy_test
        return tidy_test.run()
    if arguments not in ([], ["--lengths"]):
        print(__doc__, file=sys.stderr)
        return 2
    files = tree_files()
    findings = list(check_tree(files))
    for finding in findings:
        print(finding)
    if arguments:
        print_lengths(files)
    print("tidy: %d files, %d findings" % (len(files), len(findings)))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
