"""Which layers of a sequence are which of another, where some were put in, taken out or changed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

COMPARED = 250_000
"""Pairs of layers beyond which only names are compared, or places where there are as many on both sides."""

NAMED, PLACED, CHANGED = 0.4, 1e-3, 1e-2
"""What it counts that two have one name, or one number; and that two stand at one place and are not alike at all."""

Score = Callable[[int, int], float]


def stem(name: str) -> str:
    """A name without the number at its end: those of a list differ in nothing else.

    >>> stem("12"), stem("block12"), stem("conv")
    ('', 'block', 'conv')
    """
    return re.sub(r"\d+$", "", name)


def aligned(names: Sequence[str], others: Sequence[str], alike: Score) -> list[tuple[int, int]]:
    """Pairs of indices, both in order, so that those are together that are most alike.

    Args:
        names, others: what the layers are called.
        alike: how much two are alike, from 0 to 1, by their indices.

    >>> aligned(["0", "1", "2"], ["0", "1", "2", "3"], lambda i, j: float("abc"[i] == "axbc"[j]))
    [(0, 0), (1, 2), (2, 3)]
    """
    first = last = 0
    least = min(len(names), len(others))
    while first < least and stem(names[first]) == stem(others[first]) and alike(first, first) == 1:
        first += 1
    while last < least - first and stem(names[-1 - last]) == stem(others[-1 - last]):
        if alike(len(names) - 1 - last, len(others) - 1 - last) < 1:
            break
        last += 1
    rows, columns = range(first, len(names) - last), range(first, len(others) - last)
    if len(rows) * len(columns) > COMPARED:
        middle = _named(rows, columns, names, others)
    else:
        middle = _best(rows, columns, lambda i, j: _score(names[i], others[j], alike(i, j)))
    ends = [(len(names) - 1 - each, len(others) - 1 - each) for each in reversed(range(last))]
    return [*((each, each) for each in range(first)), *middle, *ends]


def _named(rows: range, columns: range, names: Sequence[str], others: Sequence[str]) -> list[tuple[int, int]]:
    if len(rows) == len(columns):
        return list(zip(rows, columns, strict=True))
    at = {others[column]: column for column in columns}
    found: list[tuple[int, int]] = []
    for row in rows:
        column = at.get(names[row], -1)
        if column > (found[-1][1] if found else -1):
            found.append((row, column))
    return found


def _score(name: str, other: str, alike: float) -> float:
    same = name == other
    return (alike or CHANGED) + same * (NAMED if stem(name) == name else PLACED)


def _best(rows: range, columns: range, score: Score) -> list[tuple[int, int]]:
    """The pairs, in order, whose scores together are the largest; of equal ones the first."""
    sums = [[0.0] * (len(columns) + 1) for _ in range(len(rows) + 1)]
    for i in reversed(range(len(rows))):
        for j in reversed(range(len(columns))):
            together = sums[i + 1][j + 1] + score(rows[i], columns[j])
            sums[i][j] = max(together, sums[i + 1][j], sums[i][j + 1])
    found, i, j = [], 0, 0
    while i < len(rows) and j < len(columns):
        if sums[i][j] == sums[i + 1][j + 1] + score(rows[i], columns[j]):
            found.append((rows[i], columns[j]))
            i, j = i + 1, j + 1
        elif sums[i][j] == sums[i + 1][j]:
            i += 1
        else:
            j += 1
    return found
