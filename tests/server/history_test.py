"""The checks of histories: bad ones are noticed, and small ones are judged as by trying every order."""

import itertools
import random

from harness import run
from history import NEVER, Operation, Outcome, Violation, check_counter, check_list, check_register, check_set

CHECKS = {"register": check_register, "counter": check_counter}


def write(value, start, end=NEVER, result="OK", outcome=None, client="w", sequence=0):
    return Operation(client, False, value, start, end, result,
                     outcome or (Outcome.DONE if end < NEVER else Outcome.UNKNOWN), sequence)


def read(result, start, end):
    return Operation("r", True, None, start, end, result, Outcome.DONE)


def refuses(check, *arguments):
    try:
        check(*arguments)
    except Violation:
        return True
    return False


def test_registers(_):
    assert not refuses(check_register, [write(1, 0, 1), read(1, 2, 3), write(2, 2, 5), read(2, 4, 6), read(1, 2, 5)])
    assert refuses(check_register, [write(1, 0, 1), write(2, 2, 3), read(1, 4, 5)]), "a stale read"
    assert refuses(check_register, [write(1, 0, 1), read(None, 2, 3)]), "a lost write"
    assert refuses(check_register, [write(1, 0, 1), write(2, 2), read(2, 3, 4), read(1, 5, 6)]), "read, then not there"
    assert refuses(check_register, [read(7, 0, 1)]), "from nowhere"
    assert refuses(check_register, [write(1, 2, 3), read(1, 0, 1)]), "from the future"
    assert refuses(check_register, [write(1, 0, 1, outcome=Outcome.REFUSED), read(1, 2, 3)]), "refused and done"
    assert not refuses(check_register, [write(1, 0, 1), write(2, 2), read(1, 3, 4), read(2, 5, 6)]), "done late"
    assert not refuses(check_register, [write(1, 0, 1), write(2, 2), read(1, 3, 4)]), "done never"


def test_counters(_):
    assert not refuses(check_counter, [write(1, 0, 2, 2), write(1, 0, 2, 1), read(2, 3, 4)])
    assert refuses(check_counter, [write(1, 0, 1, 1), write(1, 2, 3, 1)]), "the same sum twice"
    assert refuses(check_counter, [write(1, 0, 1, 2), write(1, 2, 3, 1)]), "backwards"
    assert refuses(check_counter, [write(1, 0, 1, 1), read(0, 2, 3)]), "lost"
    assert refuses(check_counter, [write(1, 0, 1, 1), read(2, 2, 3)]), "done twice"
    assert not refuses(check_counter, [write(1, 0, 1, 1), write(1, 0), read(2, 2, 3)])
    assert refuses(check_counter, [write(1, 0, 1, 1), read(2, 2, 3), write(1, 4)]), "before it was sent"


def test_lists(_):
    good = [write("a", 0, 1, 1), write("b", 2), write("c", 2, 4, 3), read(["a"], 1, 3), read(["a", "b"], 2, 4)]
    assert not refuses(check_list, good, ["a", "b", "c"])
    assert refuses(check_list, good, ["a", "c"]), "an acknowledged push has moved"
    assert refuses(check_list, good, ["a", "b", "c", "b"]), "twice"
    assert refuses(check_list, good, ["a", "b", "c", "d"]), "a stranger"
    assert refuses(check_list, [write("a", 0, 1, 1), read([], 2, 3)], ["a"]), "a stale read"
    assert refuses(check_list, [write("a", 0, 1, None, Outcome.REFUSED)], ["a"]), "refused and done"
    pair = [write("a", 0, sequence=1), write("b", 0, sequence=2)]
    assert not refuses(check_list, pair, ["b"])
    assert refuses(check_list, pair, ["b", "a"]), "overtaken"


def test_sets(_):
    adds = [write("a", 0, 1, 1), write("b", 2, 3, 1), write("c", 2)]
    assert not refuses(check_set, adds + [read({"a"}, 1, 2), read({"a", "b"}, 3, 4), read({"a", "b", "c"}, 5, 6)])
    assert refuses(check_set, adds + [read({"a"}, 4, 5)]), "lost"
    assert refuses(check_set, adds + [read({"b"}, 2, 3)]), "the earlier one is missing"
    assert refuses(check_set, adds + [read({"a", "b", "c"}, 3, 4), read({"a", "b"}, 5, 6)]), "seen, then not there"
    assert refuses(check_set, adds + [read({"a", "d"}, 3, 4)]), "a stranger"
    assert refuses(check_set, adds + [read({"a", "b"}, 2, 9), read({"a", "c"}, 2, 3)]), "neither holds the other"
    assert refuses(check_set, adds + [read({"a", "c"}, 0, 1)]), "before it was sent"


# -- against trying every order --------------------------------------------------------------------------------------------


def steps(kind, state, operation):
    """The state afterwards, or None if the operation cannot have seen this state."""
    if operation.is_read:
        return state if operation.outcome is not Outcome.DONE or operation.result == state else None
    if kind == "register":
        return operation.argument
    total = (state or 0) + 1
    return total if operation.outcome is not Outcome.DONE or operation.result == total else None


def explained(kind, operations):
    """Is there an order?  Unknown writes may be left out."""
    unknown = [o for o in operations if o.outcome is Outcome.UNKNOWN]
    certain = [o for o in operations if o.outcome is Outcome.DONE]
    for count in range(len(unknown) + 1):
        for some in itertools.combinations(unknown, count):
            if search(kind, None, certain + list(some)):
                return True
    return False


def search(kind, state, left):
    if not left:
        return True
    for operation in left:
        if any(other.end < operation.start for other in left):
            continue
        after = steps(kind, state, operation)
        if after is not None or (operation.is_read and state is None and operation.result is None):
            if search(kind, after, [o for o in left if o is not operation]):
                return True
    return False


def random_history(kind, chance):
    """Four to six operations whose results are right or nearly right."""
    operations, number = [], 0
    for _ in range(chance.randint(3, 6)):
        start = chance.randint(0, 12)
        end = start + chance.randint(1, 5)
        number += 1
        if chance.random() < 0.5:
            operations.append(read(chance.choice([None, 1, 2, 3, 4][:4 if kind == "counter" else 5]), start, end))
        else:
            is_known = chance.random() < 0.7
            operations.append(write(number, start, end if is_known else NEVER, chance.randint(1, 3)))
    return operations


def test_small_histories_are_judged_as_by_trying_every_order(_):
    chance, accepted = random.Random(1), {"register": 0, "counter": 0}
    for round_number in range(20000):
        kind = "register" if round_number % 2 else "counter"
        operations = random_history(kind, chance)
        expected = explained(kind, operations)
        accepted[kind] += expected
        assert expected == (not refuses(CHECKS[kind], operations)), "%s, expected %s:\n%s" % (
            kind, expected, "\n".join(str(o) for o in operations))
    assert min(accepted.values()) > 200, accepted


if __name__ == "__main__":
    run(globals())
