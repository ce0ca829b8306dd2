"""Tables of numbers that a constructor computed, as short texts that give them: positions in windows, mostly."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

CHANNELS = 4
"""The most tables side by side."""

LITERAL = 300
"""The most numbers that a text writes one by one."""

FEW = 16
"""So many are written one by one rather than composed."""

EXACT = 2**24
"""Up to here float32 has every integer."""


def table(value: Tensor) -> str | None:
    """An expression that gives these values, of this shape; None where none is found.

    >>> table(torch.tensor([[0, 1, 2], [1, 0, 1], [2, 1, 0]]))
    'abs(arange(3).view(3, 1) - arange(3).view(1, 3))'
    """
    if value.numel() <= FEW:
        return plain(value) or listed(value)
    return plain(value) or along(value) or beside(value) or _inside(value) or summed(value) or listed(value)


def plain(value: Tensor) -> str | None:
    """What one formula gives: a number, counts, and what is their absolute value, their square, or a place of ones."""
    if bool((value == value.flatten()[0]).all()):
        return f"full({_shape(value)}, {_number(value.flatten()[0])})"
    return counted(value) or _absolute(value) or _square(value) or _places(value)


def counted(value: Tensor) -> str | None:
    """Values that count in every dimension by steps of their own: an index, or the positions of a window."""
    if not _is_whole(value):
        return None
    flat = value.flatten().to(torch.int64)
    digits: list[tuple[int, int]] = []
    rest = flat
    while rest.numel() > 1:
        step = int(rest[1] - rest[0])
        length = 2
        while length < rest.numel() and int(rest[length] - rest[length - 1]) == step:
            length += 1
        while rest.numel() % length:
            length -= 1
        if length < 2 or len(digits) > 6:
            return None
        rows = rest.view(-1, length)
        if not torch.equal(rows, rows[:, :1] + step * torch.arange(length)):
            return None
        digits.insert(0, (length, step))
        rest = rows[:, 0]
    return _counts(value, int(flat[0]), digits)


def _counts(value: Tensor, start: int, digits: list[tuple[int, int]]) -> str:
    terms = []
    for place, (length, step) in enumerate(digits):
        ones = len(digits) - place - 1
        count = f"arange({length})" + (f".view({', '.join([str(length), *'1' * ones])})" if ones else "")
        if step:
            terms.append((step < 0, count if abs(step) == 1 else f"{abs(step)} * {count}"))
    text = "".join(f" {'-' if negative else '+'} {term}" for negative, term in terms)
    text = f"{start}{text}" if start else text.removeprefix(" + ")
    text = f"-{text[3:]}" if text.startswith(" - ") else text
    if len(digits) == 1 == value.ndim and start == 0:
        return text
    if not all(step for _, step in digits):
        sizes = tuple(length for length, _ in digits)
        whole = f"broadcast_to({text}, {sizes})"
        return whole if sizes == value.shape else f"{whole}.reshape({_sizes(value)})"
    return f"({text}).view({_sizes(value)})" if len(terms) > 1 or start else f"{text}.view({_sizes(value)})"


def _absolute(value: Tensor) -> str | None:
    """Distances of rows and columns that start together."""
    if value.ndim != 2 or min(value.shape) < 2 or value[0, 0] != 0 or not _is_whole(value):
        return None
    rows, columns = value.shape
    down, across = int(value[1, 0]), int(value[0, 1])
    made = down * torch.arange(rows).view(rows, 1) - across * torch.arange(columns).view(1, columns)
    if not torch.equal(made.abs(), value.to(torch.int64)):
        return None
    first = f"{_times(down)}arange({rows}).view({rows}, 1)"
    return f"abs({first} - {_times(across)}arange({columns}).view(1, {columns}))"


def _square(value: Tensor) -> str | None:
    if not _is_whole(value) or value.min() < 0 or value.max() < 2:
        return None
    root = value.double().sqrt().round().to(torch.int64)
    text = _absolute(root) if torch.equal(root * root, value.to(torch.int64)) else None
    return None if text is None else f"square({text})"


def _places(value: Tensor) -> str | None:
    """A one in every row, and zeros else."""
    if value.ndim < 2 or value.shape[-1] < 2 or not _is_whole(value):
        return None
    ones = value == 1
    if bool(((value != 0) & ~ones).any()) or bool((ones.sum(-1) != 1).any()):
        return None
    text = counted(ones.to(torch.int8).argmax(-1))
    return None if text is None else f"one_hot({text}, {value.shape[-1]})"


def along(value: Tensor) -> str | None:
    """Values that are the same along a dimension."""
    first = value
    for dim in range(value.ndim):
        one = first.narrow(dim, 0, 1)
        first = one if first.shape[dim] > 1 and bool((first == one).all()) else first
    if first.shape == value.shape:
        return None
    text = table(first)
    return None if text is None else f"broadcast_to({text}, {_shape(value)})"


def _inside(value: Tensor) -> str | None:
    """The only item of a table that has one."""
    if value.ndim < 2 or value.shape[0] != 1:
        return None
    text = table(value[0])
    return None if text is None else f"{text}.unsqueeze(0)"


def beside(value: Tensor) -> str | None:
    """Few tables side by side."""
    if value.ndim < 2 or not 1 < value.shape[-1] <= CHANNELS:
        return None
    texts = [table(each) for each in value.unbind(-1)]
    return None if None in texts else f"stack([{', '.join(map(str, texts))}], -1)"


def summed(value: Tensor) -> str | None:
    """A table of places by places in a plane, each the sum of what is of their rows and of their columns."""
    if value.ndim != 2 or not _is_whole(value):
        return None
    whole = value.to(torch.int64)
    for (a, b), (c, d) in _planes(*value.shape):
        parts = whole.view(a, b, c, d)
        rows, columns = parts[:, :1, :, :1], parts[:1, :, :1, :] - parts[0, 0, 0, 0]
        if not torch.equal(rows + columns, parts):
            continue
        texts = [plain(each) or listed(each) for each in (rows.reshape(a, c), columns.reshape(b, d))]
        if None not in texts:
            return f"({texts[0]}.view({a}, 1, {c}, 1) + {texts[1]}.view(1, {b}, 1, {d})).view({_sizes(value)})"
    return None


def _planes(rows: int, columns: int) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """How places of rows and columns may lie in planes; square ones first."""

    def sides(size: int) -> list[tuple[int, int]]:
        found = [(each, size // each) for each in range(2, size // 2 + 1) if size % each == 0]
        return sorted(found, key=lambda each: abs(math.log(each[0] / each[1])))[:6]

    for first in sides(rows):
        for second in sides(columns):
            yield first, second


def bordered(value: Tensor) -> str | None:
    """The text of a fill for a table with a row and a column before it, that are each of one number."""
    if value.ndim != 2 or min(value.shape) < 4:
        return None
    inner, row, column = value[1:, 1:], value[0, 1:], value[1:, 0]
    if bool((row != row[0]).any()) or bool((column != column[0]).any()):
        return None
    text = plain(inner) or summed(inner)
    if text is None:
        return None
    start = f"w = full({_shape(value)}, {_number(value[0, 0])})"
    lines = [start, f"w[0, 1:] = {_number(row[0])}", f"w[1:, 0] = {_number(column[0])}", f"w[1:, 1:] = {text}"]
    return "\n".join([*lines, "return w", ""])


def masked(value: Tensor) -> str | None:
    """The text of a fill for one number where two places of a window are of one region, and another one elsewhere."""
    if value.ndim != 3 or value.shape[1] != value.shape[2] or len(numbers := torch.unique(value)) != 2:
        return None
    same = value[0, 0, 0]
    regions = (value == same).to(torch.int8).argmax(-1)
    if not torch.equal(regions[:, :, None] == regions[:, None, :], value == same):
        return None
    text, other = table(regions), numbers[numbers != same][0]
    if text is None:
        return None
    chosen = f"where(region.unsqueeze(1) == region.unsqueeze(2), {_number(same)}, {_number(other)})"
    return f"region = {text}\nreturn {chosen}\n"


def listed(value: Tensor) -> str | None:
    """The numbers one by one."""
    return f"tensor({_listed(value.tolist())})" if value.numel() <= LITERAL else None


def _listed(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_listed, value))}]"
    if isinstance(value, float) and not math.isfinite(value):
        return f"float('{value}')"
    return repr(value)


def _is_whole(value: Tensor) -> bool:
    return bool(torch.equal(value, value.round()) and value.abs().max() <= EXACT)


def _times(factor: int) -> str:
    return "" if factor == 1 else f"{factor} * "


def _number(value: Tensor) -> str:
    number = value.item()
    return _listed(int(number) if isinstance(number, float) and number.is_integer() else number)


def _shape(value: Tensor) -> str:
    return f"({_sizes(value)}{',' * (value.ndim == 1)})"


def _sizes(value: Tensor) -> str:
    return ", ".join(map(str, value.shape))
