"""What torch refuses on the CPU and lets pass on meta."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from modelzoo.catalog.sizes import expands
from modelzoo.errors import first_line
from modelzoo.modules.failures import is_of_dtypes, lacks_kernel
from modelzoo.modules.uncompiled import uncompiled
from modelzoo.modules.work import Frugal, greatest

LONGEST = 8
"""No size of a piece on which dtypes are tried is larger."""

LARGE = 2**30
"""A tensor of fewer bytes is not asked about: it fits."""

SMALL = 2**16
"""An operation on nothing is tried as it is where the other tensors have no more elements."""

PIECE = 2**26
"""An operation is not tried on a piece where it might make more elements: its other arguments are as they are."""


class Strict(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it lasts, operations on meta raise what they would raise on the CPU.

    Meta does not check a few shapes, takes everything that is empty, and compares no dtypes: on tensors of several
    dtypes, or of one that does not float, an operation is tried once on small zeros. There are no values on meta, so
    that an index out of range still passes.

    >>> with Strict():
    ...     torch.zeros(2, 3, device="meta").softmax(2)
    Traceback (most recent call last):
    IndexError: Dimension out of range (expected to be in range of [-2, 1], but got 2)
    """

    def __init__(
        self, floored: Callable[[], None] = lambda: None, largest: Callable[[int], None] = lambda size: None
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.tried: set[Hashable] = set()
        self.floored, self.largest = floored, largest
        self.size = LARGE

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        check = CHECKS.get(func.overloadpacket.__name__)
        if check is not None:
            check(*args, **kwargs)
        if func.overloadpacket.__name__ == "floor_divide" and any(map(_floats, args)):
            self.floored()
        result = func(*args, **kwargs)
        size = max(map(_bytes, tree_leaves(result) if type(result) is not Tensor else [result]), default=0)
        if size > self.size:
            self.size = size
            self.largest(size)
        tensors = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        if any(0 in each.shape for each in tensors):
            zeros, named = tree_map(_zeros, args), tree_map(_zeros, kwargs)
            small = greatest(func.overloadpacket.__name__, zeros, named) <= PIECE
            if small and sum(each.numel() for each in tensors) <= SMALL:
                func(*zeros, **named)
            return result
        dtypes = tuple(each.dtype for each in tensors)
        told = len({*dtypes}) == 1 and dtypes[0].is_floating_point  # meta knows what comes of one that floats
        if dtypes and not told and (func, dtypes) not in self.tried:
            _try_piece(func, args, kwargs)
            self.tried.add((func, dtypes))
        return result


@contextmanager
def strictly(
    device: torch.device,
    floored: Callable[[], None] = lambda: None,
    taken: Callable[[], None] = lambda: None,
    largest: Callable[[int], None] = lambda size: None,
) -> Iterator[None]:
    """While it lasts, meta refuses what the CPU refuses, and the CPU what meta is for.

    Args:
        device: what is run on.
        floored: called by each `//` of a tensor that floats, whose gradient torch does not know.
        largest: called on meta with the bytes of a tensor larger than all before, from a gigabyte on.
        taken: called on the CPU where torch reads a dimension or a size out of a tensor; meta has none to read.
    """
    with uncompiled(), Strict(floored, largest) if device.type == "meta" else Frugal(floored, taken):
        yield


def _bytes(value: Any) -> int:
    """What a tensor takes; a view as much as what it is of, and an expanded one no more."""
    return value.untyped_storage().nbytes() if isinstance(value, Tensor) else 0


def _floats(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def _try_piece(func: Any, args: Any, kwargs: Any) -> None:
    args, kwargs = tree_map(_piece, args), tree_map(_piece, kwargs)
    if greatest(func.overloadpacket.__name__, args, kwargs) > PIECE:
        return
    try:
        func(*args, **kwargs)
    except Exception as error:  # what is said of the shapes of pieces is not true of the whole
        if is_of_dtypes(error) and not lacks_kernel(error):
            raise RuntimeError(first_line(error)) from error


def _zeros(value: Any, longest: int = SMALL) -> Any:
    if isinstance(value, Tensor):
        return torch.zeros([min(size, longest) for size in value.shape], dtype=value.dtype, device="cpu")
    return torch.device("cpu") if isinstance(value, torch.device) else value


def _piece(value: Any) -> Any:
    return _zeros(value, LONGEST)


# -- shapes and numbers ----------------------------------------------------------------------------------------------


def _has_dim(value: Tensor, dim: int = -1, *_: Any, **named: Any) -> None:
    rank, dim = max(value.ndim, 1), named.get("dim", dim)
    if type(dim) is int and not -rank <= dim < rank:
        place = f"expected to be in range of [{-rank}, {rank - 1}], but got {dim}"
        raise IndexError(f"Dimension out of range ({place})")


def _convolution(value: Tensor, weight: Tensor, *more: Any, **_: Any) -> None:
    if more[4] and value.ndim == weight.ndim and value.shape[1] != weight.shape[0]:
        given = f"weight of size {list(weight.shape)}, expected input{list(value.shape)}"
        raise RuntimeError(
            f"Given transposed=1, {given} to have {weight.shape[0]} channels, but got {value.shape[1]} channels instead"
        )


def _index_select(value: Tensor, dim: int, index: Tensor, *_: Any, **__: Any) -> None:
    if index.ndim > 1 or index.is_floating_point():
        raise IndexError("Index is supposed to be a vector of integers")


def _index_add(value: Tensor, dim: int, index: Tensor, source: Tensor, *_: Any, **__: Any) -> None:
    _index_select(value, dim, index)
    mine, theirs = ([n for i, n in enumerate(each.shape) if i != dim % each.ndim] for each in (value, source))
    if mine != theirs:
        what = f"source has shape {list(source.shape)} and self {list(value.shape)}"
        raise RuntimeError(f"{what}: they may differ in dimension {dim} only")


def _bernoulli(value: Tensor, p: Any = 0, *_: Any, **__: Any) -> None:
    if isinstance(p, (int, float)) and not 0 <= p <= 1:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p:g}")


def _celu(value: Tensor, alpha: float = 1, *_: Any, **__: Any) -> None:
    if alpha == 0:
        raise ZeroDivisionError("alpha cannot be 0 for CELU")


def _smooth_l1_loss(value: Tensor, target: Tensor, reduction: int = 1, beta: float = 1, *_: Any, **__: Any) -> None:
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta")


def _multinomial(value: Tensor, count: int, replacement: bool = False, **_: Any) -> None:
    if count <= 0:
        raise RuntimeError("cannot sample n_sample <= 0 samples")
    if not replacement and value.ndim and count > value.shape[-1]:
        raise RuntimeError("cannot sample n_sample > prob_dist.size(-1) samples without replacement")


def _addmm(bias: Tensor, left: Tensor, right: Tensor, *_: Any, **__: Any) -> None:
    if left.ndim == right.ndim == 2:
        _check_expands(bias.shape, (left.shape[0], right.shape[1]))


def _nll_loss2d(value: Tensor, target: Tensor, *_: Any, **__: Any) -> None:
    if value.ndim == 4 and target.ndim == 3 and value.shape[2:] != target.shape[1:]:
        raise RuntimeError(f"size mismatch (got input: {list(value.shape)}, target: {list(target.shape)}")


def _soft_margin_loss(value: Tensor, target: Tensor, *_: Any, **__: Any) -> None:
    _check_expands(target.shape, value.shape)


def _check_expands(shape: Sequence[int], wanted: Sequence[int]) -> None:
    if not expands(shape, wanted):
        raise RuntimeError(f"a tensor of shape {list(shape)} does not expand to the shape {list(wanted)}")


CHECKS: Mapping[str, Callable[..., None]] = MappingProxyType(
    {
        **dict.fromkeys(("_softmax", "sort", "argsort"), _has_dim),
        "convolution": _convolution,
        "index_select": _index_select,
        "index_add": _index_add,
        "bernoulli": _bernoulli,
        "celu": _celu,
        "multinomial": _multinomial,
        "addmm": _addmm,
        "nll_loss2d_forward": _nll_loss2d,
        "smooth_l1_loss": _smooth_l1_loss,
        "soft_margin_loss": _soft_margin_loss,
    }
)
"""The operations whose shapes and numbers meta does not check as the CPU does."""
