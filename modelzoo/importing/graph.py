"""What one call of a module computed: operations in their order, each with what it was given."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

Path = tuple[str | int, ...]


@dataclass(eq=False, repr=False, slots=True, kw_only=True)
class Node:
    """A value of a forward, and how it came about.

    Attributes:
        kind: "input", "tensor" (one of the module's own or of a child), "constant", "function", "layer", "size" (of a
            dimension), "number" (computed from sizes), "loop", or "carried" (what a turn of a loop leaves).
        name: of an input; of a function, a method or an operator.
        form: of a function whether it is a "function", a "method" or an "attribute".
        path: of a layer, or of a tensor, from the module.
        args, named: what it was given; `Ref` stands for values of other nodes.
        fixed: whether it depends on sizes alone, not on values.
        value: what came out, which keeps it alive.
        line: where the source has it.
        loop: of a loop what it does.
        sets: the buffer of the block that holds the value from then on.
    """

    kind: str
    name: str = ""
    form: str = ""
    path: Path = ()
    args: tuple[Any, ...] = ()
    named: Mapping[str, Any] = field(default_factory=dict)
    fixed: bool = False
    value: Any = None
    line: str = ""
    loop: Loop | None = None
    sets: str = ""


@dataclass(eq=False, repr=False, slots=True, kw_only=True)
class Loop:
    """A loop over the layers of a container, or over numbers.

    Attributes:
        containers: the paths of the containers that it goes over, each with the number of the first layer, and of the
            one behind the last; without that it goes to the end.
        body: what a turn does; the layers of the turn are called "*0", "*1", ...
        marks: what stands for the values that the turn before left.
        ends: what a turn leaves of each.
        index: what stands for the number of the turn, where that is asked for.
        start, stop: the first number, and the one behind the last, which may be the size of a dimension.
    """

    containers: list[tuple[Path, int, int | None]]
    body: list[Node]
    marks: list[Node]
    ends: list[Ref]
    index: Node | None = None
    start: int = 0
    stop: Any = None


class Ref(NamedTuple):
    """A value that a node computed, or an item of it."""

    node: Node
    path: Path = ()


class Choice(NamedTuple):
    """What is one thing in training and another in evaluation."""

    training: Any
    evaluation: Any


def refs(value: Any) -> Iterator[Ref]:
    """The references in arguments, in their order."""
    if isinstance(value, Ref):
        yield value
    elif isinstance(value, (tuple, list)):
        for each in value:
            yield from refs(each)
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from refs(each)
    elif isinstance(value, slice):
        yield from refs((value.start, value.stop, value.step))


def all_refs(value: Any) -> Iterator[Ref]:
    """The references in arguments, those in sizes and numbers too."""
    for each in refs(value):
        yield each
        if each.node.kind in ("size", "number"):
            yield from all_refs(each.node.args)


def mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    """A value with something else in the place of each part that is no tuple, list, mapping or slice."""
    if isinstance(value, (Ref, Choice)):
        return change(value)
    if isinstance(value, list):
        return [mapped(each, change) for each in value]
    if isinstance(value, tuple):
        items = tuple(mapped(each, change) for each in value)
        if all(new is old for new, old in zip(items, value, strict=True)):
            return value
        is_shape = type(value) is torch.Size and all(isinstance(each, int) for each in items)
        return torch.Size(items) if is_shape else items
    if isinstance(value, slice):
        return slice(*(mapped(each, change) for each in (value.start, value.stop, value.step)))
    if type(value) in (dict, OrderedDict):
        return type(value)((name, mapped(each, change)) for name, each in value.items())
    return change(value)


def parts(value: Any, change: Callable[[Any], Any]) -> Any:
    """A tuple, list, mapping or slice with something else in the place of each item; other values as they are."""
    if type(value) in (tuple, list):
        return type(value)(map(change, value))
    if isinstance(value, dict):
        return {name: change(each) for name, each in value.items()}
    if isinstance(value, slice):
        return slice(*map(change, (value.start, value.stop, value.step)))
    return value


class Size(int):
    """The size of a dimension: a number, of which is known how it is computed."""

    node: Node

    def __new__(cls, value: int, node: Node) -> Size:
        made = super().__new__(cls, value)
        made.node = node
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return int, (int(self),)

    def __deepcopy__(self, memo: Any) -> int:
        return int(self)


def _arithmetic(symbol: str, function: Callable[[int, int], int], swapped: bool) -> Callable[[Size, Any], Any]:
    def method(self: Size, other: Any) -> Any:
        if type(other) is not int and not isinstance(other, Size):
            return NotImplemented
        pair = (other, self) if swapped else (self, other)
        made = function(int(pair[0]), int(pair[1]))
        args = tuple(Ref(each.node) if isinstance(each, Size) else each for each in pair)
        return Size(made, Node(kind="number", name=symbol, args=args, fixed=True, value=made))

    return method


for _symbol, _name in {"+": "add", "-": "sub", "*": "mul", "//": "floordiv", "%": "mod"}.items():
    setattr(Size, f"__{_name}__", _arithmetic(_symbol, getattr(operator, _name), False))
    setattr(Size, f"__r{_name}__", _arithmetic(_symbol, getattr(operator, _name), True))


def sizes(value: Any, path: Path = ()) -> Iterator[tuple[Path, Size]]:
    """The sizes in a value that know where they come from, each with its place."""
    if isinstance(value, Size):
        yield path, value
    elif isinstance(value, (tuple, list)):
        for index, each in enumerate(value):
            yield from sizes(each, (*path, index))


def tensors(value: Any, path: Path = ()) -> Iterator[tuple[Path, Tensor]]:
    """The tensors in a value, each with its place."""
    if isinstance(value, Tensor):
        yield path, value
    elif isinstance(value, (tuple, list)):
        for index, each in enumerate(value):
            yield from tensors(each, (*path, index))
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from tensors(each, (*path, name))


def plain(value: Any) -> Any:
    """A value without sizes that know where they come from."""
    return mapped(value, lambda each: int(each) if isinstance(each, Size) else each)


def whole(given: Any) -> Any:
    """Arguments in which a list or tuple that is handed on as it is counts as one value."""
    if isinstance(given, dict):
        return {name: whole(each) for name, each in given.items()}
    if isinstance(given, Ref) or not isinstance(given, (tuple, list)):
        return given
    given = type(given)(map(whole, given)) if type(given) in (tuple, list) else given
    if not given or not all(isinstance(each, Ref) and each.path for each in given):
        return given
    owner = Ref(given[0].node, given[0].path[:-1])
    if [*given] != [Ref(owner.node, (*owner.path, number)) for number in range(len(given))]:
        return given
    value = owner.node.value
    for step in owner.path:
        value = value[step]
    return owner if isinstance(value, (tuple, list)) and len(value) == len(given) else given
