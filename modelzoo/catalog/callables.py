"""What the functions of the catalog call: torch's own, and what stands before a few of them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from modelzoo.catalog import makers


def of_torch(home: str, name: str) -> Callable[..., Any]:
    """A function of one of torch's modules.

    >>> of_torch("torch.fft", "rfft") is torch.fft.rfft
    True
    """
    call = getattr(importlib.import_module(home), name)
    return of_values(name, call) if name in makers.DECIDING else call


def on_both(name: str, on_numbers: Callable[..., Any]) -> Callable[..., Any]:
    """torch's meaning where the first argument is a tensor, Python's elsewhere."""
    on_tensor = getattr(torch, name)

    def call(value: Any, /, *rest: Any, **options: Any) -> Any:
        if isinstance(value, Tensor):
            return on_tensor(value, *rest, **options)
        return on_numbers(value, *rest, **options)

    call.__name__ = call.__qualname__ = name
    return call


def of_values(name: str, call: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A function of `makers.DECIDING`, with one argument more: the dtype that the tensor gets if it is floating.

    >>> of_values("full", torch.full)((2,), 1.5, _floating=torch.float16).dtype
    torch.float16
    >>> of_values("full", torch.full)((2,), 1, _floating=torch.float16).dtype
    torch.int64
    """

    def made(*positional: Any, _floating: torch.dtype | None = None, **named: Any) -> Tensor:
        if _floating is not None and is_floating(makers.deciding(name, positional, named)):
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
