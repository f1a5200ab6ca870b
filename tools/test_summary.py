#!/usr/bin/env python3
"""Reads what ctest wrote and says it shortly: failures with their output, skips with their reason, and
the line "N passed, N failed[, N skipped]" at the end.  Used by tools/test.

  test_summary.py RESULTS.xml LOG STATUS     STATUS is ctest's exit status (124, 137: out of time)

Exit status as tools/test: 0 good, 1 wrong, 3 no progress (only time limits were missed).
"""

import sys
import xml.etree.ElementTree as ElementTree

OUT_OF_TIME = (124, 137)
OUTPUT_LINES_MAX = 200


def last_lines(text, count):
    lines = (text or "").rstrip().splitlines()
    cut = ["... %d lines before" % (len(lines) - count)] if len(lines) > count else []
    return cut + lines[-count:]


def skip_reason(case):
    """The line in which a test said why it was skipped: the last one that names it."""
    for line in reversed((case.findtext("system-out") or "").splitlines()):
        if "skipped:" in line:
            return line.split("skipped:", 1)[1].strip()
    return "no reason given"


def main():
    results, log, status = sys.argv[1], sys.argv[2], int(sys.argv[3])
    try:
        cases = ElementTree.parse(results).getroot().findall("testcase")
    except (OSError, ElementTree.ParseError):
        print("\n".join(last_lines(open(log, errors="replace").read(), OUTPUT_LINES_MAX)))
        print("no test results (ctest status %d)" % status)
        print("0 passed, 1 failed")
        return 3 if status in OUT_OF_TIME else 1

    passed, wrong, late, skipped = [], [], [], []
    for case in cases:
        kind = case.get("status")
        if kind == "run":
            passed.append(case)
        elif kind == "fail":
            failure = case.find("failure")
            is_late = failure is not None and "timeout" in (failure.get("message") or "").lower()
            (late if is_late else wrong).append(case)
        else:
            skipped.append(case)

    for case in wrong + late:
        print("==== %s: %s" % (case.get("name"), "no progress" if case in late else "failed"))
        print("\n".join(last_lines(case.findtext("system-out"), OUTPUT_LINES_MAX)))
    for case in skipped:
        print("skipped %s: %s" % (case.get("name"), skip_reason(case)))
    slow = sorted(cases, key=lambda case: -float(case.get("time") or 0))[:5]
    print("slowest: " + ", ".join("%s %.1f s" % (case.get("name"), float(case.get("time") or 0))
                                  for case in slow))
    if status in OUT_OF_TIME:
        print("the run was ended by its time limit")
    elif status != 0 and not wrong and not late:
        print("ctest ended with status %d; see %s" % (status, log))
    line = "%d passed, %d failed" % (len(passed), len(wrong) + len(late))
    print(line + (", %d skipped" % len(skipped) if skipped else ""))
    if wrong:
        return 1
    if late or status in OUT_OF_TIME:
        return 3
    return 0 if status == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
