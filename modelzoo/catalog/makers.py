"""Functions that make a tensor from nothing, and the dtype that it gets where a text writes none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

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
