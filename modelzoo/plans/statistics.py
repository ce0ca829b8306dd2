"""What the values of a tensor look like, in five numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

CHUNK = 1 << 16  # elements that stay in the cache while several passes go over them


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What the values of a tensor look like.

    Attributes:
        mean: the mean.
        std: the standard deviation as `Tensor.std()` gives it (n - 1 below the line); 0 for one element.
        min, max: the smallest and the largest value; nan if there is one.
        finite: whether every value is; where it is false the other numbers may be nan or infinite.
    """

    mean: float
    std: float
    min: float
    max: float
    finite: bool


def describe(tensor: Tensor) -> Statistics | None:
    """Statistics of a tensor of any shape and dtype; None if it is empty or on meta. A complex one by its magnitude.

    >>> describe(torch.tensor([1, 2, 3]))
    Statistics(mean=2.0, std=1.0, min=1.0, max=3.0, finite=True)
    """
    if tensor.is_meta or not tensor.numel():
        return None
    flat = tensor.detach().reshape(-1)
    if flat.is_complex():
        flat = flat.abs()
    return pool([(len(chunk), _describe(chunk)) for chunk in torch.split(flat, CHUNK)])


def _describe(values: Tensor) -> Statistics:
    values = values.cpu().double()
    low, high = (each.item() for each in values.aminmax())
    finite = math.isfinite(low) and math.isfinite(high)
    # Equal values have no spread at all; the rounded mean of 0.1, 0.1, 0.1 would give them one.
    equal = finite and low == high
    mean = low if equal else values.mean().item()
    spread = 0.0 if equal else torch.linalg.vector_norm(values - mean).item()
    return Statistics(mean=mean, std=spread / math.sqrt(max(len(values) - 1, 1)), min=low, max=high, finite=finite)


def pool(parts: Sequence[tuple[int, Statistics]]) -> Statistics:
    """Statistics of several groups of values together, from (number of values, statistics) of each.

    >>> one, two = describe(torch.tensor([1.0, 2.0, 3.0])), describe(torch.tensor([2.0]))
    >>> pool([(3, one), (3, one), (1, two)])
    Statistics(mean=2.0, std=0.81649658..., min=1.0, max=3.0, finite=True)
    """
    if len(parts) == 1:
        return parts[0][1]
    count = sum(n for n, _ in parts)
    finite = all(part.finite for _, part in parts)
    # Of numbers with a nan, Python's min is whichever comes first.
    nan = any(math.isnan(part.min) for _, part in parts)
    low = math.nan if nan else min(part.min for _, part in parts)
    high = math.nan if nan else max(part.max for _, part in parts)
    if finite and low == high:
        return Statistics(mean=low, std=0.0, min=low, max=high, finite=True)
    mean = sum(n * part.mean for n, part in parts) / count
    square = sum((n - 1) * part.std * part.std + n * (part.mean - mean) * (part.mean - mean) for n, part in parts)
    return Statistics(mean=mean, std=math.sqrt(square / (count - 1)), min=low, max=high, finite=finite)
