"""Neighbours that are equal, or that count, become copies of one."""

from __future__ import annotations

import ast
import itertools
import re
from dataclasses import replace
from typing import Any

from modelzoo.importing.trees import Block, Call, Count, Reference, Repeat, Sequenced, described, sequence, skeleton

LEAST = 2
"""The fewest copies."""

COUNTED = 3
"""The fewest copies whose numbers count."""


def compressed(tree: Sequenced) -> Sequenced:
    """A sequence with its runs as repeats."""
    items = list(tree.items)
    found: list[tuple[str, Any]] = []
    start = 0
    while start < len(items):
        run, item = _run(items[start:])
        pattern = "" if tree.listed else _pattern([name for name, _ in run])
        whole = len(run) == len(items)
        if len(run) < LEAST or (not tree.listed and (pattern is None or not whole)):
            found.append(items[start])
            start += 1
            continue
        found.append((run[0][0], Repeat(count=len(run), item=item, pattern=pattern or "")))
        start += len(run)
    return Sequenced(items=tuple(found), listed=tree.listed)


def packed(tree: Block) -> Block:
    """A block whose layers are copies of one, if its text goes over them and names none."""
    if not isinstance(tree.forward, list):
        return tree
    inside = [node for each in tree.forward for node in ast.walk(each)]
    single = [each for each in inside if isinstance(each, ast.Subscript) and not isinstance(each.slice, ast.Slice)]
    names = {each.id for each in inside if isinstance(each, ast.Name)}
    if names & tree.layers.keys() or any(ast.unparse(each.value) == "layers" for each in single):
        return tree
    items = compressed(sequence(tree.layers)).items
    return replace(tree, layers={"copies": items[0][1]}) if len(items) == 1 < len(tree.layers) else tree


def _run(items: list[tuple[str, Any]]) -> tuple[list[tuple[str, Any]], Any]:
    """The first items that are equal, or at least three layers of which the numbers count; and what each of them is."""
    first = items[0][1]
    if isinstance(first, Reference):
        return items[:1], first
    equal = list(itertools.takewhile(lambda each: described(each[1]) == described(first), items))
    if len(equal) > 1 or not isinstance(first, Call):
        return equal, first
    alike = list(itertools.takewhile(lambda each: skeleton(each[1]) == skeleton(first), items))
    for length in range(len(alike), COUNTED - 1, -1):
        counted = _counted([each for _, each in alike[:length]])
        if counted is not None:
            return alike[:length], counted
    return equal, first


def _counted(calls: list[Call]) -> Call | None:
    """A call whose numbers are formulas of `i`, which gives these calls one after the other, or None."""
    arguments: dict[str, Any] = {}
    for name in calls[0].arguments:
        values = [each.arguments[name] for each in calls]
        if all(described(each) == described(values[0]) for each in values):
            arguments[name] = values[0]
        elif all(type(each) is int for each in values) and _is_even(values):
            arguments[name] = Count(values[0], values[1] - values[0])
        else:
            return None
    return replace(calls[0], arguments=arguments)


def _is_even(values: list[int]) -> bool:
    return all(b - a == values[1] - values[0] for a, b in itertools.pairwise(values))


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
