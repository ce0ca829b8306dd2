"""A difference as text for a terminal, as markdown and as JSON."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from modelzoo.diff.changes import Change, listed
from modelzoo.diff.difference import Difference
from modelzoo.diff.spans import globs, told
from modelzoo.escapes import printable
from modelzoo.modules.memory import shown

SIZES = 4
"""Lines of sizes that are told one by one; more of them are one line with all numbers."""

LINES = 100
"""Changes that are told; of more the number."""

SIGNS = {"added": "+", "removed": "-"}
STYLES = {"+": "green", "-": "red", "~": "yellow"}

_OF_TENSORS = ("fill", "trainable", "group", "dtype", "state", "values")
"""Kinds of changes whose names are those of tensors, which may be all of a layer."""

_WORDS = {each: f"{each}: " for each in ("added", "removed", "replaced", "renamed", "fill", "group")}
_WORDS |= {"drawn": "drawn as "} | {each: f"{each} " for each in ("moved", "shape", "dtype", "input")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One change as it is shown: a sign, where it is, what it is, and lines of a text below it."""

    sign: str
    where: str
    what: str
    below: tuple[str, ...] = ()


def lines(found: Difference, every: bool = False) -> list[Line]:
    """The changes of two models.

    Args:
        every: whether to tell all, however many there are, and all sizes one by one.
    """
    sized = [each for each in found.changes if _numbers(each)]
    folded = sized if len(sized) > SIZES and not every else []
    hidden = {id(each) for each in folded}
    told_lines = [_line(each, found) for each in found.changes if id(each) not in hidden]
    told_lines += [_sizes(folded)] if folded else []
    if every or len(told_lines) <= LINES:
        return told_lines
    more = Line(sign="~", where="...", what=f"and {len(told_lines) - LINES} more changes (--all tells each)")
    return [*told_lines[:LINES], more]


def _line(change: Change, found: Difference) -> Line:
    names: Any = change.names
    if change.kind in _OF_TENSORS:
        held = found.after.tensors.values()
        every = [each for each in held if each.kind == "parameter"] if change.kind == "trainable" else held
        names = globs(names, [name for each in every for name in each.homes])
    where = "all tensors" if list(names) == ["*"] else told(names)
    what = f"{_WORDS.get(change.kind, '')}{change.what}"
    if change.kind == "forward":
        what = f"forward: {change.what}".rstrip(": ")
    return Line(sign=SIGNS.get(change.kind, "~"), where=where, what=what, below=change.lines)


def _numbers(change: Change) -> list[tuple[str, str]]:
    """The numbers that are others in arguments or shapes, if that is all that is."""
    found = []
    for old, new in change.sizes:
        numbers = [re.findall(r"\d+", each) for each in (old, new)]
        same_but_for_them = re.sub(r"\d+", "#", old) == re.sub(r"\d+", "#", new)
        if not same_but_for_them:
            return []
        found += [(one, two) for one, two in zip(*numbers, strict=True) if one != two]
    return found


def _sizes(changes: list[Change]) -> Line:
    pairs = sorted({pair for each in changes for pair in _numbers(each)}, key=lambda pair: tuple(map(int, pair)))
    owners = {name for each in changes for name in each.names}
    what = listed(f"{old} -> {new}" for old, new in pairs)
    return Line(sign="~", where=f"{len(owners):,} layers and tensors", what=f"sizes {what} (--all tells each)")


def costs(found: Difference) -> str:
    """What is more or less now, in one line; empty if nothing is."""
    told_costs = []
    for name, (old, new) in found.costs.items():
        if name == "trainable" and found.costs.get("parameters") == (old, new):
            continue
        number = shown if name.startswith("bytes") else "{:,}".format
        told_costs.append(f"{_COSTS.get(name, name)} {number(old)} -> {number(new)}")
    return ", ".join(told_costs)


_COSTS = {"bytes": "tensors", "bytes of activations": "activations"}


def weights(found: Difference) -> str:
    """What a checkpoint of the first model is to the second; empty if they are equal."""
    carried = found.weights
    if carried is None or not carried.of:
        return ""
    count = f"all {carried.of}" if carried.fit == carried.of else f"{carried.fit} of {carried.of}"
    if not carried.fit:
        return f"weights: none of {carried.of} tensors of an old checkpoint fits"
    fits = f"weights: {count} tensors of an old checkpoint fit"
    return f"{fits}: {carried.line}" if carried.line else f"{fits}, and no line is known that carries them over"


def same(found: Difference) -> str:
    """What to say of equal models."""
    after = found.after
    parts, numbers = len(after.parts), after.totals["parameters"]
    return f"no difference: {parts:,} layer{'s' * (parts != 1)} and block{'s' * (parts != 1)}, {numbers:,} parameters"


def text(found: Difference, every: bool = False) -> list[tuple[str, str]]:
    """The lines for a terminal, each with its style."""
    if found.equal:
        return [(same(found), ""), *((f"note: {each}", "") for each in found.notes)]
    rows = lines(found, every)
    width = min(max((len(each.where) for each in rows), default=0), 40)
    out: list[tuple[str, str]] = []
    for each in rows:
        out.append((printable(f"{each.sign} {each.where:<{width}}  {each.what}", lines=False), STYLES[each.sign]))
        out += [(printable(f"    {line}", lines=False), STYLES[line[0]]) for line in each.below]
    out += [(printable(each, lines=False), "") for each in (costs(found), weights(found)) if each]
    return out


def markdown(found: Difference, before: str, after: str, every: bool = False) -> str:
    """The difference for a pull request."""
    head = f"### {_code(before)} \N{RIGHTWARDS ARROW} {_code(after)}\n"
    if found.equal:
        return "\n".join([head, f"{same(found)[0].upper()}{same(found)[1:]}.", *found.notes])
    rows = lines(found, every)
    table = ["| | where | what |", "| --- | --- | --- |"]
    table += [f"| {each.sign} | {_code(each.where)} | {_code(each.what)} |" for each in rows]
    texts = [f"\n{_code(each.where)}\n\n```diff\n{_fenced(each.below)}\n```" for each in rows if each.below]
    end = [f"\n{_code(each)}" for each in (costs(found), weights(found)) if each]
    return "\n".join([head, *table, *texts, *end])


def _code(text: str) -> str:
    """A text that markdown shows as it is, also in a cell of a table."""
    return f"`{printable(text, lines=False).replace('`', chr(39)).replace('|', chr(92) + '|')}`"


def _fenced(rows: tuple[str, ...]) -> str:
    return "\n".join(printable(each, lines=False).replace("```", "'''") for each in rows)


def data(found: Difference, before: str, after: str) -> dict[str, Any]:
    """The difference as plain data."""
    return {
        "equal": found.equal,
        "before": before,
        "after": after,
        "changes": [_change(each) for each in found.changes],
        "costs": {name: {"before": old, "after": new} for name, (old, new) in found.costs.items()},
        "weights": None if found.weights is None else _carried(found),
        "notes": list(found.notes),
    }


def _change(each: Change) -> dict[str, Any]:
    return {"kind": each.kind, "names": list(each.names), "what": each.what, "lines": list(each.lines)}


def _carried(found: Difference) -> dict[str, Any]:
    assert found.weights is not None
    return {"fit": found.weights.fit, "of": found.weights.of, "line": found.weights.line}
