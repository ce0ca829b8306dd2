"""What is kept of one call of a block."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from modelzoo.importing.graph import Node, Ref, Size, sizes, tensors, whole


@dataclass(eq=False, slots=True, kw_only=True)
class Record:
    """One call of a block.

    Attributes:
        module: the block.
        inputs: what it was given that has tensors, by name.
        nodes: what it computed, in order.
        result: what it returned, with references in the place of tensors.
        names: what the author calls values.
        lists: what the author calls a list that ends with a value.
        problems: what cannot be said, each with the line of the source.
        parts: of what an index gave, by its identity, the tensor that it is a part of, and where.
    """

    module: nn.Module
    inputs: dict[str, Node] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    result: Any = None
    names: dict[Ref, str] = field(default_factory=dict)
    lists: dict[Ref, str] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)
    known: dict[int, Ref] = field(default_factory=dict)
    given: dict[int, Size] = field(default_factory=dict)  # its own sizes, by the identity of those that it was given
    sizes: dict[tuple[Ref, int], Size] = field(default_factory=dict)
    parts: dict[int, tuple[Tensor, Any]] = field(default_factory=dict)

    def several(self, values: Sequence[Any]) -> Ref | None:
        """The value of which a list or tuple has all items, if it is one."""
        refs = [self.known.get(id(each)) for each in values]
        found = None if None in refs else whole(refs)
        return found if isinstance(found, Ref) else None


def bound(module: nn.Module, args: tuple[Any, ...], named: Mapping[str, Any]) -> dict[str, Any]:
    """What a forward is given, by the names of its parameters; starred ones one by one."""
    if type(module).forward is nn.Sequential.forward and len(args) == 1:
        return {"x": args[0]}
    signature = inspect.signature(module.forward)
    try:
        given = signature.bind(*args, **named).arguments
    except TypeError:
        return {f"x{index}": each for index, each in enumerate(args)} | dict(named)
    found: dict[str, Any] = {}
    for name, value in given.items():
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            found |= {f"{name}{index}": each for index, each in enumerate(value)}
        elif kind is inspect.Parameter.VAR_KEYWORD:
            found |= value
        else:
            found[name] = value
    return found


def has_values(value: Any) -> bool:
    """Whether something holds a tensor, or is a size that is known."""
    return next(sizes(value), None) is not None or next(tensors(value), None) is not None


def line_of(cls: type[nn.Module]) -> str:
    """Where the source has the forward of a class."""
    code = getattr(cls.forward, "__code__", None)
    return cls.__module__ if code is None else f"{code.co_filename}:{code.co_firstlineno}"
