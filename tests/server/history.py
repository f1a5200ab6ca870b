"""What clients did and were told, and whether one store could have told them so.

A history is the list of operations on one key, each with the time before it was sent and the time after it was answered (monotonic
seconds of one machine).  What nobody knows (-UNCERTAIN, a broken connection, no answer) has no end: it may take effect at any later time,
once or never.  What was refused (-TRYAGAIN ...) must never take effect.  Each check is exact for its type where it says so, takes
n log n, and raises Violation with the operations that contradict each other.
"""

import dataclasses
import enum
import math

NEVER = math.inf


class Violation(Exception):
    """No order of the operations explains what clients were told."""


class Outcome(enum.Enum):
    DONE = 1        # answered; the result is known
    UNKNOWN = 2     # done once, now or later, or never
    REFUSED = 3     # certainly not done, now or ever


@dataclasses.dataclass
class Operation:
    """One request on one key.  `argument`: what is written; None for a read."""
    client: str
    is_read: bool
    argument: object
    start: float
    end: float = NEVER
    result: object = None
    outcome: Outcome = Outcome.UNKNOWN
    sequence: int = 0               # in the order in which its connection sent

    def __str__(self):
        what = "read" if self.is_read else "write %r" % (self.argument,)
        return "%s: %s -> %s %s [%.6f, %.6f]" % (
            self.client, what, self.outcome.name, shortened(self.result), self.start, self.end)


def shortened(value):
    text = repr(value)
    return text if len(text) < 100 else "%s ... %s" % (text[:40], text[-40:])


def contradiction(text, *operations):
    raise Violation("; ".join([text] + [str(operation) for operation in operations]))


def known_reads(operations):
    return [o for o in operations if o.is_read and o.outcome is Outcome.DONE]


# -- registers ---------------------------------------------------------------------------------------------------------


class Zone:
    """All that speaks of one value: from when to when it must have been, or can only have been, the register's."""

    def __init__(self, write):
        self.write, self.operations = write, []
        self.first_end, self.last_start = NEVER, -NEVER

    def add(self, operation):
        self.operations.append(operation)
        self.first_end = min(self.first_end, operation.end)
        self.last_start = max(self.last_start, operation.start)

    @property
    def is_forward(self):
        """The value was there all the time between the two."""
        return self.first_end < self.last_start


def check_register(operations):
    """Exact (Gibbons and Korach), since no value is written twice: a value that must have been there from one moment to a
    later one leaves no room in between for another such value, nor for a whole operation on another one."""
    writes = {o.argument: o for o in operations if not o.is_read}
    zones = {}
    nothing = Operation("the beginning", False, None, -NEVER, -NEVER, outcome=Outcome.DONE)
    for operation in [nothing] + [o for o in operations if not o.is_read and o.outcome is Outcome.DONE]:
        zones[operation.argument] = Zone(operation)
        zones[operation.argument].add(operation)
    for read in known_reads(operations):
        zone = zones.get(read.result)
        if zone is None:
            write = writes.get(read.result)
            if write is None:
                contradiction("a value that nobody wrote", read)
            if write.outcome is Outcome.REFUSED:
                contradiction("a refused write took effect", write, read)
            zone = zones[read.result] = Zone(write)     # an unknown write that nobody read may never have been
            zone.add(write)
        if read.end < zone.write.start:
            contradiction("read before it was written", zone.write, read)
        zone.add(read)
    check_zones(zones.values())


def check_zones(zones):
    forward = sorted((z for z in zones if z.is_forward), key=lambda z: z.first_end)
    for one, other in zip(forward, forward[1:]):
        if other.first_end < one.last_start:
            contradiction("two values at the same time", *extremes(one), *extremes(other))
    at = 0
    for zone in sorted((z for z in zones if not z.is_forward), key=lambda z: z.last_start):
        while at < len(forward) and forward[at].last_start <= zone.last_start:
            at += 1
        if at < len(forward) and forward[at].first_end < zone.last_start and zone.first_end < forward[at].last_start:
            contradiction("an older or newer value in between", *extremes(forward[at]), *zone.operations[:2])


def extremes(zone):
    return (min(zone.operations, key=lambda o: o.end), max(zone.operations, key=lambda o: o.start))


# -- what only grows: counters and lists ---------------------------------------------------------------------------------


def check_order(positions):
    """`positions`: pairs (position, operation).  Nothing ends before something begins that stands at a smaller position."""
    groups = {}
    for position, operation in positions:
        groups.setdefault(position, []).append(operation)
    first = None                    # of all that stand later, the one that ended first
    for position in sorted(groups, reverse=True):
        for operation in groups[position]:
            if first is not None and first.end < operation.start:
                contradiction("ended before the other began, and yet saw more", first, operation)
        for operation in groups[position]:
            if first is None or operation.end < first.end:
                first = operation


def check_counter(operations):
    """Exact: every write adds one and is told the sum; a read is told the sum, or None for a counter that is not there."""
    positions, numbers = [], {}
    for operation in operations:
        if operation.outcome is not Outcome.DONE:
            continue
        if operation.is_read:
            positions.append(((operation.result or 0, 1), operation))
            continue
        if operation.result in numbers:
            contradiction("two increments gave the same sum", numbers[operation.result], operation)
        numbers[operation.result] = operation
        positions.append(((operation.result, 0), operation))
    check_order(positions)
    last = max((position[0] for position, _ in positions), default=0)
    missing = [number for number in range(1, last + 1) if number not in numbers]
    unknown = sorted((o for o in operations if not o.is_read and o.outcome is Outcome.UNKNOWN), key=lambda o: o.start)
    if len(missing) > len(unknown):
        raise Violation("the counter is at %d: %d increments were acknowledged, %d may have been done" % (
            last, len(numbers), len(unknown)))
    check_gaps(missing, unknown, positions)


def check_gaps(missing, unknown, positions):
    """Each missing number was one of the unknown increments, which had begun before anybody was told of that or a larger sum."""
    ends = sorted(positions, key=lambda p: p[0])
    first_end, earliest = [], NEVER
    for _, operation in reversed(ends):
        earliest = min(earliest, operation.end)
        first_end.append(earliest)
    first_end.reverse()
    at = 0
    for number, operation in zip(missing, unknown):
        while ends[at][0] < (number, 0):
            at += 1
        if first_end[at] < operation.start:
            contradiction("the sum %d was told at %.6f, before enough increments had begun" % (number, first_end[at]), operation)


def check_list(operations, final):
    """Exact, given what is in the list at the end: every write pushes a value of its own to the right and is told the length;
    a read is told the whole list.  Pushes of one connection keep their order."""
    place = {value: index + 1 for index, value in enumerate(final)}
    if len(place) != len(final):
        twice = next(v for i, v in enumerate(final) if place[v] != i + 1)
        raise Violation("%r is in the list twice" % (twice,))
    pushes, positions = {}, []
    for operation in operations:
        if operation.is_read:
            if operation.outcome is Outcome.DONE:
                if operation.result != final[:len(operation.result)]:
                    contradiction("a read that is no beginning of the list at the end", operation)
                positions.append(((len(operation.result), 1), operation))
            continue
        at = place.get(operation.argument)
        pushes[operation.argument] = operation
        if operation.outcome is Outcome.DONE and at != operation.result:
            contradiction("an acknowledged push is at place %r" % at, operation)
        if operation.outcome is Outcome.REFUSED and at is not None:
            contradiction("a refused push is at place %d" % at, operation)
        if at is not None:
            positions.append(((at, 0), operation))
    strangers = [value for value in final if value not in pushes]
    if strangers:
        raise Violation("in the list, and nobody pushed it: %r" % strangers[:3])
    check_order(positions)
    check_sessions([pushes[value] for value in final])


def check_sessions(pushes):
    """What one connection sent stands in the order in which it sent it."""
    last = {}
    for push in pushes:
        before = last.get(push.client)
        if before is not None and before.sequence > push.sequence:
            contradiction("one connection's pushes have overtaken each other", before, push)
        last[push.client] = push


# -- sets that only grow -----------------------------------------------------------------------------------------------


def check_set(operations):
    """Every write adds a member of its own; a read is told all members.  Reads include each other in the order of time; a member is
    in all reads that begin after it was acknowledged or seen, and in none that ended before it was sent."""
    adds = {o.argument: o for o in operations if not o.is_read}
    reads = known_reads(operations)
    for read in reads:
        for member in read.result:
            add = adds.get(member)
            if add is None:
                contradiction("member %r that nobody added" % (member,), read)
            if add.outcome is Outcome.REFUSED:
                contradiction("a refused member was added", add, read)
            if read.end < add.start:
                contradiction("a member was read before it was sent", add, read)
        check_absent(adds, read)
    reads.sort(key=lambda read: len(read.result))
    for one, other in zip(reads, reads[1:]):
        if not one.result <= other.result:
            contradiction("two reads of which neither holds the other", one, other)
    check_order([((len(read.result), 0), read) for read in reads])


def check_absent(adds, read):
    """What is not in the read can have been added after all that is in it."""
    newest = max((adds[member] for member in read.result), key=lambda add: add.start, default=None)
    for member, add in adds.items():
        if add.outcome is Outcome.DONE and member not in read.result:
            if add.end < read.start:
                contradiction("an acknowledged member is missing", add, read)
            if newest is not None and add.end < newest.start:
                contradiction("a later member is there and an earlier one is not", add, newest, read)
