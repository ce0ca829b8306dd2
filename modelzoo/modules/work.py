"""How much an operation does, asked before it is done: what would take too long on the CPU is looked at on meta."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves, tree_map

from modelzoo.modules import flops
from modelzoo.modules.torch_layers import TooLargeError

MOST = 2**33
"""What all operations of a run on the CPU may do: so many elements read, which takes some seconds."""

GUESSED = 2**28
"""So many elements may be made by operations of which only the greatest number that they may make is known."""

FRESH = 4
"""A byte of a new tensor counts as so many elements: two gigabytes are the most that a run may take."""

FUSED = 8
"""So many floating-point operations of a product of matrices take as long as one element of anything else."""


class Frugal(TorchFunctionMode):
    """While it lasts, operations on the CPU that together do more than `MOST` raise TooLargeError, before they do it.

    >>> with Frugal():
    ...     torch.zeros(1).expand(2**40).sum()
    Traceback (most recent call last):
    modelzoo.modules.torch_layers.TooLargeError
    """

    def __init__(self, floored: Callable[[], None] = lambda: None, taken: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.left, self.guesses = MOST, float(GUESSED)
        self.floored, self.taken = floored, taken

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in _FLOORS and any(isinstance(each, Tensor) and each.is_floating_point() for each in args):
            self.floored()
        if name != "__get__":
            most = 0 if name in OF_VALUES else greatest(name, args, kwargs)
            if name not in OF_VALUES and most <= self.guesses:
                self.guesses -= most
            else:
                self.left -= of(func, args, kwargs)
                if self.left < 0:
                    raise TooLargeError
        asked = name in _CONVERSIONS
        if not _holds_number(args, asked) and not _holds_number(kwargs.values(), asked):
            return func(*args, **kwargs)
        with _Taking() as taking:  # type: ignore[no-untyped-call]
            result = func(*args, **kwargs)
        if taking.taken:
            self.taken()
        return result


class _Taking(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notices whether torch reads a number out of a tensor."""

    taken = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.taken |= func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def _holds_number(values: Iterable[Any], asked: bool) -> bool:
    """Whether a tensor that may stand for a number is among arguments, or in a list of them.

    Args:
        values: the arguments.
        asked: whether the text asks for the number of a tensor itself; one that floats is no dimension or size then.
    """
    for each in values:
        if isinstance(each, Tensor):
            if each.numel() == 1 and not (asked and each.is_floating_point()):
                return True
        elif type(each) in (list, tuple) and _holds_number(each, asked):
            return True
    return False


_CONVERSIONS = frozenset({"__bool__", "__float__", "__int__", "item"})


def greatest(name: str, args: Any, kwargs: Any) -> float:
    """No less than what a call would make, for the price of a look at sizes and numbers.

    >>> greatest("relu", (torch.zeros(8, 8),), {}), greatest("expand", (torch.zeros(1), 2**40), {})
    (64.0, 1099511627776.0)
    """
    largest, second, product, numbers = 1, 1, 1.0, 1.0  # floats become infinite where integers would grow
    shape: Any = None
    waiting = [*args, *kwargs.values()]
    if name in _SPATIAL:  # a number alone counts in each of three dimensions
        waiting += [each for each in waiting if type(each) in (int, float)] * 2
    while waiting:
        value = waiting.pop()
        kind = type(value)
        if kind is int or kind is float:
            size = abs(value)
            if size > 1:
                numbers *= size
            elif 0 < size < 1 and name in _STEPS:
                numbers /= max(size, 1e-300)
        elif kind is tuple or kind is list:
            waiting.extend(value)
        elif isinstance(value, Tensor):
            count = value.numel()
            product *= max(count, 1)
            if value.shape == shape:
                continue
            if count > largest:
                largest, second, shape = count, largest, value.shape
            elif count > second:
                second = count
    if name in _SQUARES:
        return product * numbers * product * numbers
    if name in _NORMS:
        return float(largest)
    return (product if name in _PRODUCTS else largest * second) * numbers


def of(func: Callable[..., Any], args: Any, kwargs: Any) -> int:
    """About how much a call would do, in elements read; 0 where only the call itself can tell.

    >>> of(torch.add, (torch.zeros(100, 100), 1), {}), of(torch.mm, (torch.zeros(100, 100),) * 2, {})
    (180000, 440000)
    """
    asked = OF_VALUES.get(getattr(func, "__name__", ""))
    if asked is not None:
        try:
            return asked(*args, **kwargs)
        except Exception:  # what is wrong with it the call itself will tell
            return 0
    counting = _Counting()
    try:
        with _disable_current_modes(), torch.no_grad():
            positional, named = tree_map(_without_values, args), tree_map(_without_values, kwargs)
            with counting:
                func(*positional, **named)
    except Exception:  # what is wrong with it, or depends on values, the call itself will tell
        pass
    return counting.done


def _without_values(value: Any) -> Any:
    if isinstance(value, Tensor):
        return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")
    return torch.device("meta") if isinstance(value, torch.device) else value


class _Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up what operations on meta would do."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.done = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        made = _elements(result)
        self.done += made + _elements((args, kwargs))
        if not any(each.alias_info for each in func._schema.returns):
            self.done += sum(each.nbytes for each in tree_leaves(result) if isinstance(each, Tensor)) * FRESH
        name, operations = func.overloadpacket.__name__, flops.known(func, args, kwargs, result)
        if operations is not None:
            self.done += operations // FUSED
        elif name in _WINDOWS:
            sizes = args[1]
            self.done += made * math.prod(sizes) ** (_WINDOWS[name] // len(sizes))
        elif name == "_cdist_forward":
            self.done += made * args[0].shape[-1]
        return result


def _elements(value: Any) -> int:
    return sum(each.numel() for each in tree_leaves(value) if isinstance(each, Tensor))


_FLOORS = frozenset({"__floordiv__", "__ifloordiv__", "__rfloordiv__"})

_SQUARES = frozenset({"diag", "diag_embed", "eye"})
"""What may make the square of its size."""

_SPATIAL = frozenset({"conv", "fold", "interpolate", "unfold"})
_SPATIAL |= {
    f"{kind}{rank}d" for kind in ("conv_transpose", "adaptive_avg_pool", "adaptive_max_pool") for rank in (2, 3)
}
"""What takes one number for all of its dimensions."""

_STEPS = frozenset({"arange", "interpolate", "linspace"})
"""What makes more the smaller a number is."""

_NORMS = frozenset({"batch_norm", "group_norm", "instance_norm", "layer_norm", "rms_norm"})
"""What makes no more than it is given, whatever its numbers are."""

_PRODUCTS = frozenset(
    {"bilinear", "cat", "cdist", "einsum", "kron", "matmul", "meshgrid", "outer", "stack", "tensordot"}
)
_PRODUCTS |= {"scaled_dot_product_attention"}
"""What may make the product of all its sizes, of equal ones too."""

_WINDOWS = {"avg_pool2d": 2, "avg_pool3d": 3, "max_pool2d_with_indices": 2, "max_pool3d_with_indices": 3}


def _weighted(input: Tensor, weight: Tensor, bias: Any = None, *sizes: Any, **named: Any) -> int:
    """Of `linear` and `conv`: each item of the input is multiplied with its part of the weight, and the padding's."""
    items = input.numel() // max(weight.shape[1], 1)
    around = greatest("conv", (*sizes, *named.values()), {}) if sizes or named else 1
    return int(items * around) * (weight.numel() // FUSED + weight.shape[0] * 4 * FRESH)


def _attention(query: Tensor, key: Tensor, _: Tensor, width: int, heads: int, *__: Any, **___: Any) -> int:
    """Four projections, and of each head every item of the query with every item of the key."""
    items, others = (each.numel() // max(each.shape[-1], 1) for each in (query, key))
    pairs = items * key.shape[0] * heads
    return (items + others) * width * width * 2 // FUSED + pairs * (width // max(heads, 1) // FUSED + 8 * FRESH)


def _recurrent(value: Tensor, *others: Any) -> int:
    """On meta they go step by step."""
    return value.numel() // max(value.shape[-1], 1) * _elements(others) // FUSED


def _counted(value: Tensor, weights: Any = None, minlength: int = 0) -> int:
    return value.numel() + max(_largest(value), minlength) * 8 * FRESH


def _hot(value: Tensor, num_classes: int = -1) -> int:
    return value.numel() * max(_largest(value), num_classes) * 8 * FRESH


def _copies(value: Tensor, repeats: Any = None, dim: Any = None, **_: Any) -> int:
    counts = value if repeats is None else repeats
    each = counts * value.numel() if type(counts) is int else int(counts.sum(dtype=torch.float64))
    return each * (value.numel() if isinstance(repeats, Tensor) and dim is not None else 1) * 8 * FRESH


def _largest(values: Tensor) -> int:
    return 1 + int(values.max()) if values.numel() else 1


OF_VALUES: Mapping[str, Callable[..., int]] = MappingProxyType(
    {
        **dict.fromkeys(("gru", "lstm", "rnn_relu", "rnn_tanh"), _recurrent),
        **dict.fromkeys(("conv1d", "conv2d", "conv3d", "linear"), _weighted),
        "bincount": _counted,
        "multi_head_attention_forward": _attention,
        "one_hot": _hot,
        "repeat_interleave": _copies,
    }
)
"""What does as much as the values of a tensor say, takes longer on meta than on the CPU, or is called most often."""
