"""Values on their way: what a name of a text stands for while the text is read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from torch import nn


@dataclass(frozen=True, slots=True)
class Wire:
    """Data that leaves a node: its shapes, and in which call of the node it was made."""

    node: str
    shape: Any = None
    call: int = 1


Value = Any
"""What a name of a text stands for: a tuple of wires, a list or dict of values, a module, a number, or None."""


def wires(value: Value) -> Iterator[Wire]:
    """All the data in a value."""
    if isinstance(value, Wire):
        yield value
    elif isinstance(value, (tuple, list)):
        for each in value:
            yield from wires(each)
    elif isinstance(value, dict):
        yield from wires(list(value.values()))


def shape_of(value: Value) -> Any:
    """The shape of the first data in a value, if that is known."""
    return next((each.shape for each in wires(value)), None)


def part(value: Value, index: Any) -> Value:
    """One element of a value, as far as it is known."""
    if isinstance(value, (list, dict)):
        with suppress(KeyError, IndexError, TypeError):
            return value[index]
    if isinstance(value, tuple):
        return tuple(replace(each, shape=_part_of_shape(each.shape, index)) for each in value)
    return value


def _part_of_shape(shape: Any, index: Any) -> Any:
    nested = isinstance(shape, (list, dict)) or (
        isinstance(shape, tuple) and not all(isinstance(n, int) for n in shape)
    )
    with suppress(KeyError, IndexError, TypeError):
        return shape[index] if nested else None
    return None


def with_shape(value: Value, shape: Any) -> Value:
    """Wires whose shape is not known get it from what was seen."""
    if isinstance(value, list) and isinstance(shape, (list, tuple)) and len(value) == len(shape):
        return [with_shape(*pair) for pair in zip(value, shape, strict=True)]
    if isinstance(value, dict) and isinstance(shape, dict):
        return {name: with_shape(each, shape.get(name)) for name, each in value.items()}
    if isinstance(value, tuple) and shape is not None:
        return tuple(each if each.shape is not None else replace(each, shape=shape) for each in value)
    return value


def merged(one: Value, other: Value) -> Value:
    """What a name stands for after two ways through a text."""
    if one is None or other is None or isinstance(one, (nn.Module, int)):
        return other if one is None else one
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [merged(left, right) for left, right in zip(one, other, strict=True)]
    return tuple(dict.fromkeys((*wires(one), *wires(other))))
