"""Which fill gives a tensor that a module has: exactly, or where nothing is written down of it, about."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from modelzoo import bounds

LITERAL = 300
"""The most numbers that a fill writes one by one."""


def exact(value: Tensor) -> float | str | None:
    """The fill that gives exactly these values, or None.

    >>> exact(torch.ones(3)), exact(torch.arange(6).view(1, 6)), exact(torch.ones(4, 4).tril())
    (1, 'arange(6).view(1, 6)', 'tril(ones(4, 4))')
    """
    value = value.detach().cpu()
    if value.is_complex():
        return None
    if value.numel() == 0:
        return 0
    first = value.flatten()[0]
    if bool((value == first).all()):
        return number(first.item()) if math.isfinite(first.item()) else f"full({shape(value)}, float('{first.item()}'))"
    return _triangle(value) or _counted(value) or _rotary(value) or _literal(value)


def about(value: Tensor) -> float | str:
    """A fill of the same spread, for values that were drawn or trained.

    >>> about(torch.zeros(3)), about(torch.linspace(-0.1, 0.1, 100))
    (0, 'uniform(-0.1, 0.1)')
    """
    given = value.detach().float().cpu()
    if bool((given == given.flatten()[:1]).all()):
        return number(value.flatten()[0].item())
    std, most = float(given.std(correction=0)), float(given.abs().max())
    if most < 1.9 * std and given.numel() > 8:
        return f"uniform(-{most:.2g}, {most:.2g})"
    mean = float(given.mean())
    return f"normal(std={std:.1g})" if abs(mean) < std / 2 else f"normal({mean:.2g}, {std:.1g})"


def number(value: Any) -> float:
    """A number as short as it can be written.

    >>> number(1.0), number(0.5), number(True), number(torch.tensor(1e-5).item())
    (1, 0.5, 1, 1e-05)
    """
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        if value == int(value) and abs(value) < 1e15:
            return int(value)
        short = float(f"{value:.7g}")
        return short if torch.tensor(short).item() == value else value
    return value  # type: ignore[no-any-return]


def shape(value: Tensor) -> str:
    """The sizes of a tensor as a tuple."""
    return f"({', '.join(map(str, value.shape))}{',' * (value.ndim == 1)})"


def _sizes(value: Tensor) -> str:
    return ", ".join(map(str, value.shape))


def _triangle(value: Tensor) -> str | None:
    if value.ndim < 2 or value.shape[-1] != value.shape[-2]:
        return None
    ones = torch.ones_like(value)
    for name in ("tril", "triu"):
        for diagonal in (0, 1, -1):
            if torch.equal(value, getattr(torch, name)(ones, diagonal)):
                return f"{name}(ones({_sizes(value)}){f', {diagonal}' if diagonal else ''})"
    return None


def _counted(value: Tensor) -> str | None:
    """Values that count in every dimension by steps of their own: an index, or the positions of a window."""
    if not torch.equal(value, value.round()) or value.abs().max() > 2**24:
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
    start = int(flat[0])
    terms = []
    for place, (length, step) in enumerate(digits):
        ones = len(digits) - place - 1
        count = f"arange({length})" + (f".view({', '.join([str(length), *'1' * ones])})" if ones else "")
        if step:
            terms.append((step < 0, count if abs(step) == 1 else f"{abs(step)} * {count}"))
    text = "".join(f" {'-' if negative else '+'} {term}" for negative, term in terms)
    text = f"{start}{text}" if start else text.removeprefix(" + ")
    if len(digits) == 1 == value.ndim and start == 0:
        return text
    return f"({text}).view({_sizes(value)})" if len(terms) > 1 or start else f"{text}.view({_sizes(value)})"


def _rotary(value: Tensor) -> str | None:
    """The frequencies of rotary positions."""
    if value.ndim != 1 or value.numel() < 2 or value[0] != 1 or not value.is_floating_point() or value[1] <= 0:
        return None
    dim = 2 * value.numel()
    base = round(float(value[1].double()) ** (-dim / 2), -2)
    if base < 100 or base > 1e9:
        return None
    made = 1.0 / float(base) ** (torch.arange(0, dim, 2).float() / dim)
    return f"1.0 / {float(base)} ** (arange(0, {dim}, 2) / {dim})" if torch.equal(made, value) else None


def _literal(value: Tensor) -> str | None:
    if value.numel() > LITERAL:
        return None
    text = f"tensor({_listed(value.tolist())})"
    return text if len(text) < bounds.TEXT else None


def _listed(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_listed, value))}]"
    if isinstance(value, float) and not math.isfinite(value):
        return f"float('{value}')"
    return repr(value)
