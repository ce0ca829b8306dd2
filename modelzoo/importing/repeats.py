"""Neighbours that are equal, or that count, become copies of one."""

from __future__ import annotations

import re
from typing import Any

from modelzoo.importing.trees import Reference, Repeat, Sequenced, described

LEAST = 2
"""The fewest copies."""


def compressed(tree: Sequenced) -> Sequenced:
    """A sequence with its runs as repeats."""
    items = list(tree.items)
    found: list[tuple[str, Any]] = []
    start = 0
    while start < len(items):
        end = start + 1
        while end < len(items) and not isinstance(items[end][1], Reference) and _together(items[start : end + 1]):
            end += 1
        run = items[start:end]
        names = [name for name, _ in run]
        pattern = "" if tree.listed else _pattern(names)
        whole = len(run) == len(items)
        if len(run) < LEAST or (not tree.listed and (pattern is None or not whole)):
            found.append(items[start])
            start += 1
            continue
        found.append(
            (names[0], Repeat(count=len(run), item=_counted([each for _, each in run]), pattern=pattern or ""))
        )
        start = end
    return Sequenced(items=tuple(found), listed=tree.listed)


def _together(run: list[tuple[str, Any]]) -> bool:
    trees = [each for _, each in run]
    return described(trees[0]) == described(trees[-1]) and not isinstance(trees[0], Reference)


def _counted(trees: list[Any]) -> Any:
    return trees[0]


def _pattern(names: list[str]) -> str | None:
    """How names count.

    >>> _pattern(["layer1", "layer2"]), _pattern(["a", "b"]), _pattern(["0", "1"])
    ('layer{i + 1}', None, '')
    """
    if names == [str(each) for each in range(len(names))]:
        return ""
    parts = [re.fullmatch(r"(.*?)([0-9]+)", each) for each in names]
    first = parts[0]
    if first is None:
        return None
    prefix, start = first[1], int(first[2])
    if names != [f"{prefix}{start + each}" for each in range(len(names))]:
        return None
    return f"{prefix}{{i + {start}}}" if start else f"{prefix}{{i}}"
