"""What texts do not give to functions of torch that would end the process on it, or never return."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from modelzoo import bounds
from modelzoo.catalog.functions import Function
from modelzoo.catalog.sizes import expands


def function(of: Function) -> Callable[..., Any]:
    """What a text calls where it names a function: the function itself, or its guard before it.

    >>> from modelzoo.catalog.functions import find_function
    >>> function(find_function("max_pool1d"))(torch.zeros(1, 4, 6), 2**32)
    Traceback (most recent call last):
    ValueError: a size of max_pool1d is at most 16,777,216, not 4294967296
    """
    guard = FUNCTIONS.get(of.name)
    return of.call if guard is None else _guarded(of.name, of.call, guard)


def method(name: str) -> Callable[..., Any]:
    """What a text calls where it names one of `METHODS`; the tensor is its first argument."""

    def call(value: Any, *positional: Any, **named: Any) -> Any:
        return getattr(value, name)(*positional, **named)

    return _guarded(name, call, METHODS[name])


def _guarded(name: str, call: Callable[..., Any], guard: Callable[..., None]) -> Callable[..., Any]:
    @functools.wraps(call)
    def guarded(*positional: Any, **named: Any) -> Any:
        guard(name, *positional, **named)
        return call(*positional, **named)

    return guarded


# -- what guards a call ------------------------------------------------------------------------------------------------


def _windows(name: str, *positional: Any, **named: Any) -> None:
    """Kernels count windows in 32 bits, and go over all of a window's padding one by one."""
    for each in (*positional, *named.values()):
        _check(f"a size of {name}", each, bounds.WINDOW)


def _convolution(
    name: str, input: Any = None, weight: Any = None, bias: Any = None, stride: Any = 1, *more: Any, **named: Any
) -> None:
    """oneDNN crashes on large strides: in the forward of transposed convolutions, in the backward of others."""
    _check(f"a stride of {name}", stride, bounds.STRIDE)
    _windows(name, *more, **named)


def _check(what: str, sizes: Any, most: int) -> None:
    for size in sizes if isinstance(sizes, (list, tuple)) else [sizes]:
        if type(size) is int and abs(size) > most:
            raise ValueError(f"{what} is at most {most:,}, not {size}")


def _pad(name: str, _: Any = None, pad: Any = (), *__: Any, **___: Any) -> None:
    _windows(name, pad)


def _repeats(name: str, input: Any = None, repeats: Any = None, *_: Any, **__: Any) -> None:
    """The kernel adds the counts up without a look at overflow, and writes as many items as each says."""
    counts = input if repeats is None else repeats
    if not isinstance(counts, Tensor) or counts.is_meta or counts.is_complex():
        return
    if counts.sum(dtype=torch.float64) > bounds.ELEMENTS:
        raise ValueError(f"{name} makes at most {bounds.ELEMENTS:,} items: the counts are too large")


def _differences(name: str, input: Any = None, n: Any = 1, *_: Any, **__: Any) -> None:
    """It takes differences one after the other, as often as the dimension is long."""
    _check(f"n of {name}", n, bounds.BRANCHES)


def _sections(name: str, input: Any = None, *given: Any, **named: Any) -> None:
    """It makes as many tensors as it is told to, however few elements there are."""
    for each in (*given[:1], *(value for key, value in named.items() if key != "dim")):
        if isinstance(each, Tensor):
            each = each.numel() + 1 if each.ndim or each.is_meta else int(each)
        if type(each) is int:
            _check(f"a number of parts of {name}", each, bounds.ITEMS)


def _attention(
    name: str, query: Any = None, key: Any = None, _: Any = None, attn_mask: Any = None, *__: Any, **___: Any
) -> None:
    """Where a mask is larger than what it masks, some kernels refuse it and others return more than was asked."""
    if not all(isinstance(each, Tensor) and each.ndim > 1 for each in (query, key, attn_mask)):
        return
    weights = (*query.shape[:-2], query.shape[-2], key.shape[-2])
    if query.shape[:-2].numel() >= key.shape[:-2].numel() and not expands(attn_mask.shape, weights):
        raise ValueError(f"a mask of shape {list(attn_mask.shape)} does not expand to the weights' {list(weights)}")


def _quotients(name: str, value: Any, other: Any = None, *, rounding_mode: Any = None) -> None:
    """A processor divides the smallest integer by -1 with a signal."""
    if rounding_mode != "trunc" or not isinstance(value, Tensor) or value.device.type != "cpu":
        return
    negated, dtype = other == -1, torch.result_type(value, other)
    if dtype not in (torch.int32, torch.int64) or not (negated.any() if isinstance(other, Tensor) else negated):
        return
    if (value == torch.iinfo(dtype).min).any():
        raise ValueError(f"the smallest {dtype} divided by -1 is too large".replace("torch.", ""))


FUNCTIONS: Mapping[str, Callable[..., None]] = MappingProxyType(
    {
        **dict.fromkeys((f"conv{each}{n}d" for each in ("", "_transpose") for n in (1, 2, 3)), _convolution),
        **dict.fromkeys((f"{each}_pool{n}d" for each in ("avg", "max") for n in (1, 2, 3)), _windows),
        **dict.fromkeys((f"adaptive_{each}_pool{n}d" for each in ("avg", "max") for n in (1, 2, 3)), _windows),
        **dict.fromkeys(("fold", "unfold", "interpolate", "local_response_norm"), _windows),
        "diff": _differences,
        "pad": _pad,
        "repeat_interleave": _repeats,
        "scaled_dot_product_attention": _attention,
        "tensor_split": _sections,
    }
)
"""By the name of a function: what raises ValueError, given the name and the arguments of a call."""

METHODS: Mapping[str, Callable[..., None]] = MappingProxyType({"div": _quotients, "repeat_interleave": _repeats})
"""The same for methods; the tensor is the first argument."""
