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

    from modelzoo.catalog import laws
    from modelzoo.catalog.laws import Law
else:
    torch, init, laws = late.Module("torch"), late.Module("torch.nn.init"), late.Module("modelzoo.catalog.laws")

Fans = tuple[int, int]
"""How many elements feed one output, and how many outputs one input feeds: `fan_in` and `fan_out`."""


Sampler = Callable[["Tensor", "torch.Generator | None"], object]
"""Fills a contiguous float32 or float64 tensor on the CPU from one stream, or from none if nothing is drawn."""


def constant(_: Fans | None, value: float) -> Sampler:
    """Every element is one number."""
    return lambda tensor, _: tensor.fill_(value)


def uniform(_: Fans | None, a: float, b: float) -> Law:
    """From the uniform distribution on [a, b)."""
    return laws.uniform(a, b)


def normal(_: Fans | None, mean: float, std: float) -> Law:
    """From the normal distribution."""
    return laws.normal(mean, std)


def trunc_normal(_: Fans | None, mean: float, std: float, a: float, b: float) -> Law:
    """By inversion: the normal quantile of a uniform number between the quantiles' levels at `a` and `b`."""
    if std == 0:
        return laws.point(min(max(mean, a), b))
    one_sided = (a - mean) / std > 2 or (b - mean) / std < -2
    return (laws.normal_tail if one_sided else laws.trunc_normal)(mean, std, a, b)


def xavier_std(fans: Fans, gain: float) -> float:
    """Glorot and Bengio (2010)."""
    return gain * math.sqrt(2 / sum(fans))


def kaiming_std(fans: Fans, a: float, mode: str, nonlinearity: Any) -> float:
    """He et al. (2015)."""
    return init.calculate_gain(nonlinearity, a) / math.sqrt(fans[MODES.index(mode)])


def uniform_of(std: Callable[..., float]) -> Callable[..., Law]:
    """A uniform distribution around zero of the given standard deviation."""

    def law(fans: Fans, **arguments: Any) -> Law:
        bound = math.sqrt(3) * std(fans, **arguments)
        return laws.uniform(-bound, bound)

    return law


def normal_of(std: Callable[..., float]) -> Callable[..., Law]:
    """A normal distribution around zero of the given standard deviation."""
    return lambda fans, **arguments: laws.normal(0.0, std(fans, **arguments))


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
