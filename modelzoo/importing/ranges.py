"""Over which dimension a loop goes: the one of which each turn takes another item."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from modelzoo.importing.graph import Node, Ref
from modelzoo.importing.turns import Counted, Item, Turns


class Bound(NamedTuple):
    """The size of the dimension, and the first item."""

    size: Node
    start: int


def bound_of(turns: Turns) -> Bound | None:
    """The dimension whose last item the last turn takes, or the first turn where the loop goes backwards."""
    for (args, _), node in zip(turns.common, turns.nodes[turns.begin :], strict=False):
        for owner, dimension, number in (*_taken(args, node), *_items(args)):
            sized = _size(owner, dimension)
            if sized is None or not turns.is_before(owner):
                continue
            if number.step == 1 and number.start + turns.count == sized.value:
                return Bound(sized, number.start)
            if number.step == -1 and number.start + 1 == turns.count == sized.value:
                return Bound(sized, 0)
    return None


def _taken(args: Any, node: Node) -> Iterator[tuple[Ref, int, Counted]]:
    """What an index counts: `x[i]`, `x[:, i]`, `x[:, i : i + 1]`."""
    if node.name == "select" and len(args) == 3 and isinstance(args[0], Ref) and isinstance(args[2], Counted):
        yield args[0], args[1], args[2]
    if node.name != "__getitem__" or not isinstance(args[0], Ref):
        return
    places = args[1] if type(args[1]) is tuple else (args[1],)
    for dimension, each in enumerate(places):
        number = each.start if isinstance(each, slice) else each
        if isinstance(number, Counted):
            yield args[0], dimension, number
        if not isinstance(each, (slice, Counted, int)) or isinstance(each, bool):
            return


def _items(args: Any) -> Iterator[tuple[Ref, int, Counted]]:
    """What is an item of a tensor that was taken apart: `for each in x`."""
    if isinstance(args, Item):
        whole = taken_apart(args.owner)
        if whole is not None:
            yield *whole, args.number
    elif isinstance(args, (tuple, list)) and not isinstance(args, Ref):
        for each in args:
            yield from _items(each)


def taken_apart(ref: Ref) -> tuple[Ref, int] | None:
    """The tensor whose items these are, and along which dimension; None for other values."""
    node = ref.node
    if node.name != "unbind" or ref.path or not isinstance(node.args[0], Ref):
        return None
    dimension = node.args[1] if node.args[1:] else node.named.get("dim", 0)
    return node.args[0], dimension % (node.value[0].ndim + 1)


def _size(owner: Ref, dimension: int) -> Node | None:
    """The size of a dimension of what is computed before; None for tensors whose sizes are numbers."""
    value = owner.node.value
    for step in owner.path:
        value = value[step]
    if not isinstance(value, Tensor) or owner.node.kind in ("tensor", "constant") or dimension >= value.ndim:
        return None
    dimension = dimension % value.ndim
    return Node(kind="size", args=(owner, dimension), fixed=True, value=int(torch.Size(value.shape)[dimension]))
