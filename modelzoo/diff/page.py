"""A difference as a page: the changes, and both pictures in which they are marked."""

from __future__ import annotations

from collections.abc import Iterator

from modelzoo.diff import written
from modelzoo.diff.changes import Change
from modelzoo.diff.difference import Difference
from modelzoo.diff.snapshots import Snapshot
from modelzoo.export import pages
from modelzoo.export.graph import dataflow, svg
from modelzoo.plans.draft import Draft

KINDS = {"+": "added", "-": "removed", "~": "changed"}
"""Signs of changes, and their classes on the page."""


def page(found: Difference, drafts: tuple[Draft, Draft], names: tuple[str, str]) -> str:
    """The page of two models.

    Args:
        found: what they differ in.
        drafts: both, from which the pictures are drawn.
        names: what they are called.
    """
    marks = [dict(_marks(found, side)) for side in (0, 1)]
    told = [written.same(found), *found.notes] if found.equal else [written.costs(found), written.weights(found)]
    return pages.page(
        "diff.html",
        before=names[0],
        after=names[1],
        told=[each for each in told if each],
        lines=written.lines(found),
        kinds=KINDS,
        pictures=[svg.svg(dataflow.drawn(each), own) for each, own in zip(drafts, marks, strict=True)],
    )


def _marks(found: Difference, side: int) -> Iterator[tuple[str, str]]:
    """What is marked in the picture of one model, and how."""
    whole = (found.before, found.after)[side]
    for change in found.changes:
        sign = written.SIGNS.get(change.kind, "~")
        if sign == ("+", "-")[side]:
            continue
        for name in _names(change, found, side):
            yield _drawn(name, whole), KINDS[sign]


def _names(change: Change, found: Difference, side: int) -> Iterator[str]:
    for name in change.names:
        owner, _, local = name.rpartition(".")
        if side or change.kind == "removed":
            yield name
        elif name in found.pairs.before:
            yield found.pairs.before[name]
        elif owner in found.pairs.before:
            before = found.pairs.before[owner]
            yield f"{before}.{local}" if before else local


def _drawn(name: str, whole: Snapshot) -> str:
    """The part of a model that has a name, or that owns what has it."""
    while name and name not in whole.parts:
        name = name.rpartition(".")[0]
    return name
