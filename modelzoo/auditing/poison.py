"""What fresh memory holds while it is looked for: what torch itself puts there where it works deterministically."""

from __future__ import annotations

import cmath
from functools import cache

import torch
from torch import Tensor


@cache
def value_of(dtype: torch.dtype) -> float | int | bool:
    """The value that stands for nothing: no number, the largest integer, true.

    >>> value_of(torch.float32), value_of(torch.int8)
    (nan, 127)
    """
    if dtype.is_floating_point or dtype.is_complex:
        return float("nan")
    return True if dtype == torch.bool else torch.iinfo(dtype).max


def poison(tensor: Tensor) -> None:
    """Gives a tensor without a gradient the value that stands for nothing."""
    if not (tensor.is_meta or tensor.is_sparse or tensor.is_quantized):
        tensor.fill_(value_of(tensor.dtype))


def memory_like(tensor: Tensor) -> Tensor:
    """What `torch.empty_like(tensor, device="cpu")` is, with the value that stands for nothing.

    Of a tensor on meta torch takes long to find out how it is laid out, so what is laid out as usual is not asked.

    >>> memory_like(torch.empty(2, device="meta"))
    tensor([nan, nan])
    """
    if tensor.layout is torch.strided and not tensor.is_quantized and tensor.is_contiguous():
        return torch.full(tensor.shape, value_of(tensor.dtype), dtype=tensor.dtype, device="cpu")
    made = torch.empty_like(tensor, device="cpu")
    poison(made)
    return made


def left(tensor: Tensor, certain: bool) -> int:
    """How many elements hold what stands for nothing.

    Args:
        tensor: of any dtype.
        certain: whether it is known that nobody wrote the whole of it; values of a few bits mean little otherwise.

    >>> left(torch.tensor([1.0, float("nan")]), certain=False), left(torch.tensor([127], dtype=torch.int8), False)
    (1, 0)
    """
    if tensor.is_meta or tensor.is_sparse or tensor.is_quantized:
        return 0
    tensor = tensor.detach()
    if tensor.is_floating_point() or tensor.is_complex():
        wide = tensor if tensor.element_size() > 1 else tensor.float()
        return 0 if cmath.isfinite(wide.sum().item()) else int(wide.isnan().sum())
    if not certain and tensor.element_size() == 1:
        return 0
    return int((tensor == value_of(tensor.dtype)).sum())
