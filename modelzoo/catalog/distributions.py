"""How each fill of torch draws its values."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from modelzoo import late

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import init
else:
    torch, init = late.Module("torch"), late.Module("torch.nn.init")

Fans = tuple[int, int]
"""How many elements feed one output, and how many outputs one input feeds: `fan_in` and `fan_out`."""


Sampler = Callable[["Tensor", "torch.Generator | None"], object]
"""Fills a contiguous float32 or float64 tensor on the CPU from one stream, or from none if nothing is drawn."""


def constant(_: Fans | None, value: float) -> Sampler:
    """Every element is one number."""
    return lambda tensor, _: tensor.fill_(value)


def uniform(_: Fans | None, a: float, b: float) -> Sampler:
    """From the uniform distribution on [a, b)."""
    # Never above b: in a + x * (b - a) torch's x is at most 1 - ulp / 2, which outweighs the rounding of b - a.
    return lambda tensor, generator: tensor.uniform_(a, b, generator=generator)


def normal(_: Fans | None, mean: float, std: float) -> Sampler:
    """From the normal distribution."""
    return lambda tensor, generator: tensor.normal_(mean, std, generator=generator)


def trunc_normal(_: Fans | None, mean: float, std: float, a: float, b: float) -> Sampler:
    """By inversion: the normal quantile of a uniform number between the quantiles' levels at `a` and `b`."""
    if std == 0:
        return constant(None, min(max(mean, a), b))
    low, high = (a - mean) / std, (b - mean) / std
    if low > 2 or high < -2:
        return _normal_tail(mean, std, a, b)
    level_a, level_b = math.erf(low / math.sqrt(2)), math.erf(high / math.sqrt(2))

    def sample(tensor: Tensor, generator: torch.Generator | None) -> None:
        # Levels that round to -1 or 1 have infinite quantiles: those stop where the next level would lie.
        reach = std * (5.4 if tensor.dtype == torch.float32 else 8.2)
        tensor.uniform_(level_a, level_b, generator=generator).erfinv_()
        tensor.mul_(std * math.sqrt(2)).add_(mean).clamp_(max(a, mean - reach), min(b, mean + reach))

    return sample


def _normal_tail(mean: float, std: float, a: float, b: float) -> Sampler:
    """Between bounds on one side of the mean, far out: float64 levels of the lower tail, which are exact near zero."""
    side = 1 if b < mean else -1
    low, high = sorted((side * (a - mean) / std, side * (b - mean) / std))
    levels = math.erfc(-low / math.sqrt(2)) / 2, math.erfc(-high / math.sqrt(2)) / 2

    def sample(tensor: Tensor, generator: torch.Generator | None) -> None:
        drawn = torch.empty(tensor.shape, dtype=torch.float64, device="cpu").uniform_(*levels, generator=generator)
        torch.special.ndtri(drawn, out=drawn)
        tensor.copy_(drawn.mul_(side * std).add_(mean)).clamp_(a, b)

    return sample


def xavier_std(fans: Fans, gain: float) -> float:
    """Glorot and Bengio (2010)."""
    return gain * math.sqrt(2 / sum(fans))


def kaiming_std(fans: Fans, a: float, mode: str, nonlinearity: Any) -> float:
    """He et al. (2015)."""
    return init.calculate_gain(nonlinearity, a) / math.sqrt(fans[MODES.index(mode)])


def uniform_of(std: Callable[..., float]) -> Callable[..., Sampler]:
    """A uniform distribution around zero of the given standard deviation."""

    def sampler(fans: Fans, **arguments: Any) -> Sampler:
        bound = math.sqrt(3) * std(fans, **arguments)
        return uniform(None, -bound, bound)

    return sampler


def normal_of(std: Callable[..., float]) -> Callable[..., Sampler]:
    """A normal distribution around zero of the given standard deviation."""
    return lambda fans, **arguments: normal(None, 0.0, std(fans, **arguments))


def orthogonal(_: Fans | None, gain: float) -> Sampler:
    """A (semi-)orthogonal matrix, as `torch.nn.init.orthogonal_` makes it."""
    return lambda tensor, generator: init.orthogonal_(tensor, gain, generator=generator)


def sparse(_: Fans | None, sparsity: float, std: float) -> Sampler:
    """As `torch.nn.init.sparse_`, which takes the places of the zeros from the global generator."""

    def sample(tensor: Tensor, generator: torch.Generator | None) -> None:
        tensor.normal_(0, std, generator=generator)
        ranks = torch.empty_like(tensor).uniform_(generator=generator).argsort(dim=0, stable=True)
        tensor.scatter_(0, ranks[: math.ceil(sparsity * len(tensor))], 0)

    return sample


def fans_of(shape: Sequence[int]) -> Fans:
    """`(fan_in, fan_out)` of a weight, as `torch.nn.init` counts them in its layout as it is.

    >>> fans_of((64, 16, 3, 3))
    (144, 576)
    """
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


MODES = ("fan_in", "fan_out")


NONLINEARITIES = (
    "linear",
    *(f"conv{transposed}{n}d" for transposed in ("", "_transpose") for n in (1, 2, 3)),
    *("sigmoid", "tanh", "relu", "leaky_relu", "selu"),
)


def dtype_of_draws(dtype: torch.dtype) -> torch.dtype:
    """The dtype of the draws for a tensor; float32 has too few bits for integers."""
    narrow = dtype.is_complex or (dtype.is_floating_point and dtype != torch.float64)
    return torch.float32 if narrow else torch.float64
