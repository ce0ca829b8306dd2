"""Which fill gives a tensor that a module has: exactly, or where nothing is written down of it, about."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from modelzoo import bounds
from modelzoo.importing import tables, waves


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
    value = value.to(torch.int64) if value.dtype is torch.bool else value
    first = value.flatten()[0]
    if bool((value == first).all()):
        return number(first.item()) if math.isfinite(first.item()) else f"full({shape(value)}, float('{first.item()}'))"
    found = _triangle(value) or tables.counted(value) or _rotary(value)
    found = found or waves.waves(value) or tables.bordered(value) or tables.masked(value) or tables.table(value)
    return found if found is not None and len(found) < bounds.TEXT else None


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
