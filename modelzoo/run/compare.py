"""Whether tensors differ and where, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def apart(one: Tensor, other: Tensor) -> Tensor:
    """Where two tensors of one shape and dtype differ in their bits."""
    bits = [each.detach().cpu().reshape(-1, 1).contiguous().view(torch.uint8) for each in (one, other)]
    return (bits[0] != bits[1]).any(-1).reshape(one.shape)


def identical(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors have one shape, one dtype and the same bits; on meta, whether they are one tensor."""
    if one.shape != other.shape or one.dtype != other.dtype or one.is_meta or other.is_meta:
        return one is other
    return not bool(apart(one, other).any())


def all_close(one: Tensor, other: Tensor, within: float) -> bool:
    """Whether no element of two tensors of one shape differs by more than `within`."""
    return bool(((one.detach() - other.detach()).abs() <= within).all())


def difference(found: Tensor, wanted: Tensor) -> str:
    """What is different between two tensors that are not identical.

    >>> difference(torch.tensor([1, 2]), torch.tensor([1, 3]))
    '1 of 2 different: at [1] 2 instead of 3'
    """
    if found.shape != wanted.shape or found.dtype != wanted.dtype:
        return f"{dtype(found)} {list(found.shape)} instead of {dtype(wanted)} {list(wanted.shape)}"
    return first_apart(found.detach().cpu(), wanted.detach().cpu(), apart(found, wanted))


def first_apart(found: Tensor, wanted: Tensor, apart: Tensor) -> str:
    """How many elements are apart, and the first of them."""
    count, total = int(apart.sum()), apart.numel()
    index = apart.nonzero()[0].tolist()
    at = f"at {index} " if index else ""
    one, other = found[tuple(index)].item(), wanted[tuple(index)].item()
    return f"{count} of {total} different: {at}{shown(one)} instead of {shown(other)}"


def is_close(found: float, wanted: float, within: float | None) -> bool:
    """Whether a number is within a distance, or within rounding where that is None."""
    return found == wanted or abs(found - wanted) <= (1e-5 + 1e-5 * abs(wanted) if within is None else within)


def not_finite(tensor: Tensor) -> int:
    """The number of elements that are infinite or no number."""
    return int((~torch.isfinite(tensor)).sum())


def dtype(tensor: Tensor) -> str:
    """The name of a tensor's dtype: "float32"."""
    return str(tensor.dtype).removeprefix("torch.")


def shown(value: Any) -> str:
    """A value as messages show it: six digits, and booleans as YAML writes them."""
    return f"{value:.6g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)


def kind(value: Any) -> str:
    """What an output is: a tensor with its shape, a dict with its keys, the length of a tuple."""
    match value:
        case Tensor():
            return f"a tensor {list(value.shape)}"
        case Mapping():
            return f"a dict with {', '.join(map(str, value))}"
        case tuple() | list():
            return f"{len(value)} outputs"
    return "nothing" if value is None else type(value).__name__
