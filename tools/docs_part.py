"""Replaces the written-by-a-tool part of a page and keeps what people wrote around it.

Used by tools/compat and tools/bench.py; not a program.
"""

import os


def write(path, tool, title, text):
    """Puts `text` between the marks of `tool` in the page at `path`; a new page gets `title`."""
    begin, end = "<!-- %s: begin -->" % tool, "<!-- %s: end -->" % tool
    page = "# %s\n" % title
    if os.path.exists(path):
        with open(path, encoding="utf-8") as f:
            page = f.read()
    if begin not in page or end not in page:
        page = page.rstrip() + "\n\n%s\n%s\n" % (begin, end)
    head, rest = page.split(begin, 1)
    tail = rest.split(end, 1)[1]
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(head + begin + "\n" + text.rstrip() + "\n" + end + tail)
