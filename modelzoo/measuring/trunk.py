"""The trunk of a model: the calls that follow each other from the input to the output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from modelzoo.measuring.observed import Seen


def trunk(calls: Sequence[Seen]) -> list[Seen]:
    """The calls in the model, in what passes on what each child returns to the next, and in what has several blocks.

    A block that adds, multiplies or acts on what its layers return is one call, unless blocks of one type are in it.

    Args:
        calls: in the order in which they ended; the last is that of the model.
    """
    below: dict[Seen, list[Seen]] = {}
    holding: set[Seen] = set()
    for each in calls:
        if each in below and (_has_copies(below, below[each]) or not holding.isdisjoint(below[each])):
            holding.add(each)
        if each.above is not None:
            below.setdefault(each.above, []).append(each)
    found: list[Seen] = []
    waiting = list(calls[-1:])
    while waiting:
        each = waiting.pop()
        if each in below and (each.pure or each in holding or each.above is None):
            waiting += reversed(below[each])
        elif each.output is not None:
            found.append(each)
    return found


def _has_copies(below: Mapping[Seen, list[Seen]], calls: Sequence[Seen]) -> bool:
    """Whether two of them are of blocks of one type."""
    types = [type(each.module) for each in calls if each in below]
    return len(set(types)) < len(types)


def inside(call: Seen, calls: Sequence[Seen]) -> list[Seen]:
    """A call and those that it made, in the order in which they ended."""
    known = {call}
    for each in reversed(calls):  # what was called ends before
        if each.above in known:
            known.add(each)
    return [each for each in calls if each in known]
