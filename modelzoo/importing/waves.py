"""Tables of sines and cosines, as transformers have them of positions: short texts that give them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

BASES = (10000.0, 500000.0, 1000000.0)
"""How much slower the last wave is than the first one, as published models have it."""

Angles = Callable[[int, int, float], Tensor]
"""The angles of so many positions and waves, with a base."""


def _positions(count: int) -> Tensor:
    return torch.arange(count).view(count, 1)


ANGLES: Mapping[str, Angles] = {
    "arange({n}).view({n}, 1) * exp(arange(0, {d}, 2) * (-log({base}) / {d}))": lambda n, w, base: (
        _positions(n) * torch.exp(torch.arange(0, 2 * w, 2) * (-math.log(base) / (2 * w)))
    ),
    "arange({n}).view({n}, 1) * (1.0 / {base} ** (arange(0, {d}, 2) / {d}))": lambda n, w, base: (
        _positions(n) * (1.0 / base ** (torch.arange(0, 2 * w, 2) / (2 * w)))
    ),
    "arange({n}).view({n}, 1) / {base} ** (arange(0, {d}, 2) / {d})": lambda n, w, base: (
        _positions(n) / base ** (torch.arange(0, 2 * w, 2) / (2 * w))
    ),
    "arange({n}).view({n}, 1) * exp(arange({w}) * (-log({base}) / ({w} - 1)))": lambda n, w, base: (
        _positions(n) * torch.exp(torch.arange(w) * (-math.log(base) / max(w - 1, 1)))
    ),
}
"""Angles of positions by waves, as they are published: they differ in their last bits."""

PLACED: Mapping[str, tuple[int, Callable[[Tensor], Tensor]]] = {
    "stack([sin({0}), cos({0})], -1).flatten(1)": (2, lambda a: torch.stack([a.sin(), a.cos()], -1).flatten(1)),
    "cat([sin({0}), cos({0})], 1)": (2, lambda a: torch.cat([a.sin(), a.cos()], 1)),
    "cat([cos({0}), sin({0})], 1)": (2, lambda a: torch.cat([a.cos(), a.sin()], 1)),
    "cat([cos({0}), cos({0})], 1)": (2, lambda a: torch.cat([a.cos(), a.cos()], 1)),
    "cat([sin({0}), sin({0})], 1)": (2, lambda a: torch.cat([a.sin(), a.sin()], 1)),
    "cos({0})": (1, torch.cos),
    "sin({0})": (1, torch.sin),
}
"""How the waves of an angle lie in a row, and how many values each has there."""


def waves(value: Tensor) -> str | None:
    """The text of a fill for sines and cosines of positions, rows of zeros among them; None for other values."""
    sizes = [each for each in value.shape if each > 1]
    if len(sizes) != 2 or not value.is_floating_point() or not bool((value.abs() <= 1).all()):
        return None
    table = value.reshape(sizes)
    zeros = [] if len(table) < 3 else (table == 0).all(1).nonzero().flatten().tolist()
    kept = [row for row in range(len(table)) if row not in zeros]
    if len(zeros) > 2 or len(kept) < 2:
        return None
    for text, made in _candidates(table, kept[1]):
        if torch.equal(made[kept].to(value.dtype), table[kept]):
            lines = [f"angles = {text[0]}", f"w = {text[1]}", *(f"w[{row}] = 0" for row in zeros)]
            shape = "" if value.ndim == 2 else f".view({', '.join(map(str, value.shape))})"
            return "\n".join([*lines, f"return w{shape}", ""])
    return None


def _candidates(table: Tensor, row: int) -> Iterator[tuple[tuple[str, str], Tensor]]:
    """Tables that are like one in one row, each with the texts of its angles and of how it is made of them."""
    count, width = table.shape
    for placed, (each, place) in PLACED.items():
        if width % each or width < 4:
            continue
        for base in BASES:
            for text, angles in ANGLES.items():
                one = place(angles(row + 1, width // each, base)[row:])
                if torch.allclose(one, table[row : row + 1].float(), rtol=0, atol=1e-3):
                    number = width // each
                    said = text.format(n=count, d=2 * number, w=number, base=base)
                    yield (said, placed.format("angles")), place(angles(count, number, base))
