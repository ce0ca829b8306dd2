"""Functions that make a tensor from nothing, and the dtype that it gets where a text writes none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

import torch
from torch import Tensor

from modelzoo.catalog.checks import words_of

_Given = TypeVar("_Given")

FLOATING = frozenset(words_of("eye linspace ones rand randn zeros"))
"""These make floating tensors."""

DECIDING: Mapping[str, Sequence[str]] = MappingProxyType(
    {"arange": ("start", "end", "step"), "full": ("", "fill_value"), "tensor": ("data",)}
)
"""These make one where a value is floating: the arguments that are looked at, by position and by name."""


def deciding(name: str, positional: Sequence[_Given], named: Mapping[str, _Given]) -> list[_Given]:
    """The arguments that decide whether a tensor of `DECIDING` is floating.

    >>> deciding("full", [(2, 3)], {"fill_value": 1.0})
    [1.0]
    """
    given = {**named, **dict(zip(DECIDING[name], positional, strict=False))}
    return [given[each] for each in DECIDING[name] if each and each in given]


def of_values(name: str, call: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A function of `DECIDING`, with one argument more: the dtype that the tensor gets if it is floating.

    >>> of_values("full", torch.full)((2,), 1.5, _floating=torch.float16).dtype
    torch.float16
    >>> of_values("full", torch.full)((2,), 1, _floating=torch.float16).dtype
    torch.int64
    """

    def made(*positional: Any, _floating: torch.dtype | None = None, **named: Any) -> Tensor:
        if _floating is not None and is_floating(deciding(name, positional, named)):
            return call(*positional, dtype=_floating, **named)
        return call(*positional, **named)

    made.__name__ = made.__qualname__ = name
    made.__doc__ = call.__doc__
    return made


def is_floating(value: Any) -> bool:
    """Whether a value, or one of several, is a floating number or tensor."""
    if isinstance(value, (tuple, list)):
        return any(is_floating(each) for each in value)
    if isinstance(value, Tensor):
        return value.is_floating_point()
    return isinstance(value, (float, torch.SymFloat))
