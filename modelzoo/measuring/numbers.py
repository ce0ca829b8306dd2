"""What one tensor of a pass looks like, in numbers."""

from __future__ import annotations

import math

import torch
from torch import Tensor

SAME = 1e-6
"""Values that differ by less, relative to the largest, are one."""

NOTHING = 1e-7
"""What a block adds is nothing if it is smaller, relative to what it is added to: float32 knows no less."""

INFORMED = 1e-3
"""By less than this, relative to the largest value, examples do not differ enough to tell what a layer does with it."""

ROWS, COLUMNS = 64, 2**14
"""The rank is that of so many rows and columns at most."""


def moments(values: Tensor) -> tuple[float, float, float]:
    """The mean, the standard deviation as `Tensor.std()` gives it, and the largest magnitude.

    >>> moments(torch.tensor([1.0, 2.0, 3.0]))
    (2.0, 1.0, 3.0)
    """
    real = values.detach() if values.dtype in (torch.float32, torch.float64) else values.detach().float()
    low, high = (each.item() for each in real.aminmax())
    largest = max(abs(low), abs(high))
    if low == high or real.numel() == 1:  # equal values have no spread at all, whatever their mean is rounded to
        return low, 0.0, largest
    std, mean = torch.std_mean(real)
    return mean.item(), std.item(), largest


def share(mask: Tensor) -> float:
    """The share of values that are true.

    >>> share(torch.tensor([True, False]))
    0.5
    """
    return mask.float().mean().item() if mask.numel() else 0.0


def rank(features: Tensor) -> float:
    """The effective rank of the rows of a batch: the exponential of the entropy of their singular values.

    Rows that are all alike have 1, and as many as there are that share no direction, their number:

    >>> round(rank(torch.eye(4)), 3), round(rank(torch.ones(4, 3)), 3)
    (4.0, 1.0)
    """
    rows = features.detach()[:ROWS].flatten(1)
    rows = rows[:, :: max(rows.shape[1] // COLUMNS, 1)].double().cpu()
    if rows.numel() == 0 or not bool(rows.isfinite().all()):
        return 0.0
    values = torch.linalg.eigvalsh(rows @ rows.T).clamp(min=0).sqrt()
    total = values.sum()
    if total == 0:
        return 0.0
    shares = values / total
    return math.exp(float(-torch.special.xlogy(shares, shares).sum()))


def varies(values: Tensor, least: float = SAME) -> bool:
    """Whether the examples of a batch differ, by so much relative to the largest value.

    >>> varies(torch.ones(3, 2)), varies(torch.eye(2))
    (False, True)
    """
    if values.ndim == 0 or len(values) < 2 or not values.numel():
        return False
    if not values.is_floating_point():
        return bool((values[1:] != values[:1]).any())
    scale = values.abs().max()
    return bool(((values[1:] - values[:1]).abs() > least * scale).any())


def signal(values: Tensor) -> float:
    """How far examples are from what they have in common: the root of the mean variance over the first dimension.

    >>> signal(torch.tensor([[5.0, 2.0], [5.0, 0.0]]))
    1.0
    """
    if values.ndim < 2 or len(values) < 2 or not values.is_floating_point():
        return 0.0
    return math.sqrt(values.float().var(0).mean().item())


def dead(activations: Tensor, axis: int) -> float:
    """The share of units that are zero for every example and at every place.

    >>> dead(torch.tensor([[0.0, 1.0], [0.0, 0.0]]), 1)
    0.5
    """
    if activations.ndim < 2 or not activations.numel():
        return 0.0
    axis %= activations.ndim
    others = [each for each in range(activations.ndim) if each != axis]
    return share(activations.abs().amax(dim=others) == 0)


def entropy(weights: Tensor) -> float:
    """The mean entropy of distributions along the last dimension, as a share of that of the even one.

    >>> round(entropy(torch.full((2, 4), 0.25)), 6), entropy(torch.eye(4))
    (1.0, 0.0)
    """
    if weights.shape[-1] < 2:
        return 1.0
    return abs(float(torch.special.xlogy(weights, weights).sum(-1).mean())) / math.log(weights.shape[-1])


def surprise(logits: Tensor, classes: int) -> tuple[float, float]:
    """The cross-entropy of classes drawn evenly, and what an even guess would have: the logarithm of their number.

    >>> loss, even = surprise(torch.zeros(5, 10), 10)
    >>> round(loss - even, 6)
    0.0
    """
    rows = logits.detach().double().reshape(-1, classes)
    return (rows.logsumexp(-1) - rows.mean(-1)).mean().item(), math.log(classes)
