"""What is not alike in two models, as values: one for each kind of change and all the places that it has."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from modelzoo.diff import canonical
from modelzoo.diff.pairing import Pairs
from modelzoo.diff.snapshots import BLOCK, Part, Snapshot

NOTHING = "nothing"
"""Stands for the value of what is not there."""

LISTED = 8
"""Names and numbers that are told in one line."""

SHAPES = 2
"""Shapes that are told of a layer with other arguments; of others the number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change.

    Attributes:
        kind: "added", "removed", "replaced", "moved", "renamed", "arguments", "shape", "shared", "tied", "forward",
            "fill", "drawn", "values", "trainable", "group", "dtype", "state", "input", "seed" or "scheme".
        names: where: names in the second model, and in the first one of what was removed; "" is the root.
        what: what it is, in words.
        lines: those of a text that went, with `-` before them, and those that came, with `+`.
        sizes: of arguments and shapes, the numbers before and after.
    """

    kind: str
    names: tuple[str, ...]
    what: str
    lines: tuple[str, ...] = ()
    sizes: tuple[tuple[str, str], ...] = ()


def together(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Changes that say the same, as one with all their places."""
    found: dict[tuple[str, str, tuple[str, ...]], Change] = {}
    for each in changes:
        key = each.kind, each.what, each.lines
        names = (*found[key].names, *each.names) if key in found else each.names
        found[key] = Change(kind=each.kind, names=names, what=each.what, lines=each.lines, sizes=each.sizes)
    return tuple(found.values())


def module_changes(before: Snapshot, after: Snapshot, pairs: Pairs) -> Iterator[Change]:
    """What is not alike in the modules of two models."""
    for name in pairs.removed:
        yield Change(kind="removed", names=(name,), what=described(before, name))
    for name in pairs.added:
        yield Change(kind="added", names=(name,), what=described(after, name))
    for old, new, _ in pairs.wrapped:
        what = f"from {old or 'the model'}: there is a block around it now"
        yield Change(kind="moved", names=(new,), what=what)
    for old, new, _ in pairs.unwrapped:
        yield Change(kind="moved", names=(new,), what=f"from {old}: the block around it is gone")
    for old, new in pairs.moved:
        (owner, _, local), beside = old.rpartition("."), new.rpartition(".")[0]
        near = pairs.after.get(owner) == beside
        yield Change(kind="moved", names=(new,), what=f"from {local if near else old}")
    for name, locals_ in pairs.renamed.items():
        what = listed(f"{old} -> {new}" for old, new in locals_)
        yield Change(kind="renamed", names=(name,), what=what)
    for name, whose in pairs.shared:
        yield Change(kind="shared", names=(name,), what=f"now the same module as {whose}")
    for name, whose in pairs.parted:
        yield Change(kind="shared", names=(name,), what=f"no longer the same module as {whose}")
    for other in after.parts:
        if other in pairs.before:
            yield from _own(before, after, pairs, pairs.before[other], other)


def listed(told: Iterable[str]) -> str:
    """Some things, and how many more there are.

    >>> listed(map(str, range(10)))
    '0, 1, 2, 3, 4, 5, 6, 7 and 2 more'
    """
    every = [*told]
    more = f" and {len(every) - LISTED} more" if len(every) > LISTED else ""
    return ", ".join(every[:LISTED]) + more


def described(whole: Snapshot, name: str) -> str:
    """A module for people: a layer as it is called, a block with what it holds."""
    part = whole.parts[name]
    parameters = whole.below[name]
    held = f", {parameters:,} parameters" if parameters else ""
    if part.leaf:
        return part.label + held
    inside = len(part.children)
    return f"{part.label} of {inside} layer{'s' * (inside != 1)}{held}"


def _own(before: Snapshot, after: Snapshot, pairs: Pairs, name: str, other: str) -> Iterator[Change]:
    """What is not alike in two modules themselves."""
    one, two = before.parts[name], after.parts[other]
    if one.type != two.type and not {one.type, two.type} <= {"Sequential", BLOCK}:
        what = f"{described(before, name)} -> {described(after, other)}"
        yield Change(kind="replaced", names=(other,), what=what)
        return
    if one.lines[1] != two.lines[1]:
        lines = tuple(_lines(one, two, dict(_names(pairs, one, two))))
        yield Change(kind="forward", names=(other,), what=_how(one, two), lines=lines)
    changed = dict(one.arguments).items() ^ dict(two.arguments).items()
    if changed:
        yield _arguments(before, after, one, two)


def _how(one: Part, two: Part) -> str:
    if one.type == two.type:
        return ""
    return "layers one after the other -> a forward" if two.type == BLOCK else "a forward -> layers one after the other"


def _names(pairs: Pairs, one: Part, two: Part) -> Iterator[tuple[str, str]]:
    """Old and new names of what two blocks own."""
    places = {name: local for local, name in two.children if name}
    for local, name in one.children:
        if pairs.after.get(name) in places:
            yield local, places[pairs.after[name]]
    slots = [part.in_order(part.tensors) for part in (one, two)]
    if len(slots[0]) == len(slots[1]):
        yield from ((old, new) for (old, _), (new, _) in zip(*slots, strict=True) if old not in dict(two.tensors))


def _lines(one: Part, two: Part, names: dict[str, str]) -> Iterator[str]:
    """The lines of one text that are not in the other, whatever layers are called in them now."""
    old, new = replace(one, text=canonical.renamed(one.text, names)).lines[0], two.lines[0]
    if not (old and new):
        old, new = old[1:], new[1:]  # there is nothing to compare what it takes with
    for tag, i, end, j, last in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal":
            yield from (f"- {each}" for each in old[i:end])
            yield from (f"+ {each}" for each in new[j:last])


def _arguments(before: Snapshot, after: Snapshot, one: Part, two: Part) -> Change:
    """The arguments of a layer that are others now, and what that makes of the shapes of its tensors."""
    old, new, tensors = dict(one.arguments), dict(two.arguments), dict(two.tensors)
    changed = [each for each in {**old, **new} if old.get(each) != new.get(each)]
    sizes = [(old.get(each, NOTHING), new.get(each, NOTHING)) for each in changed]
    told = [f"{each} {a} -> {b}" for each, (a, b) in zip(changed, sizes, strict=True)]
    shapes = [
        (local, str(list(before.tensors[name].shape)), str(list(after.tensors[tensors[local]].shape)))
        for local, name in one.tensors
        if local in tensors and before.tensors[name].shape != after.tensors[tensors[local]].shape
    ]
    shown = [f"{local} {a} -> {b}" for local, a, b in shapes]
    told += shown if len(shown) <= SHAPES else [f"{len(shown)} tensors of other shapes"]
    sizes += [(a, b) for _, a, b in shapes]
    return Change(kind="arguments", names=(two.name,), what=f"{two.type}: {', '.join(told)}", sizes=tuple(sizes))
