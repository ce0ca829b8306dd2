"""Calls of the layers of a container, one after the other, become a loop over it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from modelzoo.importing.graph import Loop, Node, Path, Ref, mapped, refs

LEAST = 3
"""The fewest turns, unless a loop goes over all layers of its container."""


def rolled(given: Sequence[Node], used: Sequence[Any], children: dict[Path, int]) -> tuple[list[Node], list[Any]]:
    """The operations of a block with loops, and its results.

    Args:
        given: all operations, in their order.
        used: what is returned, and what else uses values of them.
        children: how many layers each container has.
    """
    nodes, results = list(given), list(used)
    start = 0
    while start < len(nodes):
        found = _loop_at(nodes, start, results, children)
        if found is None:
            start += 1
            continue
        begin, end, node, instead = found

        def moved(value: Any, instead: dict[Ref, Ref] = instead) -> Any:
            return _replaced(value, instead)

        for each in nodes[end:]:
            each.args, each.named = moved(each.args), moved(dict(each.named))
        results = moved(results)
        nodes[begin:end] = [node]
        start = begin + 1
    return nodes, results


def _replaced(value: Any, instead: dict[Ref, Ref]) -> Any:
    def one(each: Any) -> Any:
        if not isinstance(each, Ref):
            return each
        for cut in range(len(each.path) + 1):
            known = instead.get(Ref(each.node, each.path[:cut]))
            if known is not None:
                return Ref(known.node, (*known.path, *each.path[cut:]))
        if each.node.kind in ("size", "number"):
            each.node.args = _replaced(each.node.args, instead)
        return each

    return mapped(value, one)


def _loop_at(
    nodes: list[Node], place: int, results: Sequence[Any], children: dict[Path, int]
) -> tuple[int, int, Node, dict[Ref, Ref]] | None:
    """A loop whose first turn calls the layer that is called at a place."""
    first = nodes[place]
    for depth, step in enumerate(first.path if first.kind == "layer" else ()):
        if not str(step).isdecimal() or depth == 0:
            continue
        container, number = first.path[:depth], int(step)
        following = (*container, str(number + 1), *first.path[depth + 1 :])
        later = (at for at in range(place + 1, len(nodes)) if nodes[at].kind == "layer" and nodes[at].path == following)
        second = next(later, None)
        if second is None:
            continue
        length = second - place
        for begin in range(place, max(place - length, -1), -1):
            turns = Turns(nodes, begin, length)
            count = turns.count()
            whole = number == 0 and count == children.get(container)
            if count >= LEAST or (whole and count > 1):
                made = turns.loop(count, results, children)
                if made is not None:
                    return begin, begin + count * length, *made
    return None


@dataclass
class Turns:
    """Stretches of operations of one length that do the same with one layer after the other."""

    nodes: list[Node]
    begin: int
    length: int
    containers: dict[Path, int] = field(default_factory=dict)  # those that the turns go over, with the first number
    carried: dict[tuple[int, Path], Ref] = field(default_factory=dict)

    def count(self) -> int:
        """How many turns there are."""
        turn = 1
        while self.begin + (turn + 1) * self.length <= len(self.nodes) and self.is_alike(turn):
            turn += 1
        return turn

    def is_alike(self, turn: int) -> bool:
        """Whether a turn does what the first one does."""
        carried = dict(self.carried)
        offsets = {self.nodes[self.begin + at]: at for at in range(self.length)}
        here = {self.nodes[self.begin + turn * self.length + at]: at for at in range(self.length)}
        before = {self.nodes[self.begin + (turn - 1) * self.length + at]: at for at in range(self.length)}

        def ref(first: Ref, other: Ref) -> bool:
            if first.node in offsets:
                return here.get(other.node) == offsets[first.node] and first.path == other.path
            if other.node in before:
                key = before[other.node], other.path
                return carried.setdefault(key, first) == first
            if first.node.kind in ("size", "number", "tensor") and other.node.kind == first.node.kind:
                same = (first.node.name, first.node.path) == (other.node.name, other.node.path)
                return first == other or (
                    first.node.kind != "tensor" and same and alike(first.node.args, other.node.args)
                )
            return first == other and other not in carried.values()

        def alike(first: Any, other: Any) -> bool:
            if isinstance(first, Ref) and isinstance(other, Ref):
                return ref(first, other)
            if type(first) is not type(other):
                return False
            if isinstance(first, (tuple, list)):
                return len(first) == len(other) and all(map(alike, first, other))
            if isinstance(first, dict):
                return first.keys() == other.keys() and all(alike(first[name], other[name]) for name in first)
            if isinstance(first, slice):
                return alike((first.start, first.stop, first.step), (other.start, other.stop, other.step))
            return bool(repr(first) == repr(other))

        for node, at in offsets.items():
            other = self.nodes[self.begin + turn * self.length + at]
            if (node.kind, node.name, node.form) != (other.kind, other.name, other.form):
                return False
            if node.kind == "layer" and not self.goes_on(node.path, other.path, turn):
                return False
            if not alike(node.args, other.args) or not alike(dict(node.named), dict(other.named)):
                return False
        self.carried = carried
        return True

    def goes_on(self, first: Path, other: Path, turn: int) -> bool:
        """Whether a turn calls the same layer as the first one, or the one that follows in a container."""
        if first == other:
            return not any(first[: len(each)] == each for each in self.containers)
        depth = next((at for at, (a, b) in enumerate(zip(first, other, strict=False)) if a != b), 0)
        if not depth or first[depth + 1 :] != other[depth + 1 :] or not str(first[depth]).isdecimal():
            return False
        number = int(first[depth])
        return str(other[depth]) == str(number + turn) and self.containers.setdefault(first[:depth], number) == number

    def path(self, path: Path) -> Path:
        """The path of a layer from the layer of the turn."""
        for number, (container, start) in enumerate(self.containers.items()):
            if path[: len(container) + 1] == (*container, str(start)):
                return (f"*{number}", *path[len(container) + 1 :])
        return path

    def loop(self, count: int, results: Sequence[Any], children: dict[Path, int]) -> tuple[Node, dict[Ref, Ref]] | None:
        """The node of a loop, and what stands for the values that are used behind it; None if others are used there."""
        end = self.begin + count * self.length
        inside = {node: place for place, node in enumerate(self.nodes[self.begin : end])}
        last = {node: place % self.length for node, place in inside.items() if place >= (count - 1) * self.length}
        keys = list(self.carried)
        made = Node(kind="loop")
        instead = {
            Ref(node, path): Ref(made, (keys.index((offset, path)),))
            for node, offset in last.items()
            for at, path in keys
            if at == offset
        }
        used = [*_all_refs([(node.args, dict(node.named)) for node in self.nodes[end:]]), *_all_refs(results)]
        for each in used:
            if each.node in inside and not any(
                Ref(each.node, each.path[:cut]) in instead for cut in range(len(each.path) + 1)
            ):
                return None
        if not keys:
            return None
        marks = [Node(kind="carried", value=_value(self.carried[key])) for key in keys]
        body = self.nodes[self.begin : self.begin + self.length]
        starts = {self.carried[key]: Ref(mark) for key, mark in zip(keys, marks, strict=True)}
        if len(starts) < len(keys):
            return None
        for node in body:
            node.args, node.named = _replaced(node.args, starts), _replaced(dict(node.named), starts)
            if node.kind == "layer":
                node.path = self.path(node.path)
        made.loop = Loop(
            containers=[
                (path, start, None if start + count == children.get(path) else start + count)
                for path, start in self.containers.items()
            ],
            body=body,
            marks=marks,
            ends=[Ref(body[offset], path) for offset, path in keys],
        )
        made.args = tuple(self.carried[key] for key in keys)
        made.value = tuple(mark.value for mark in marks)
        return made, instead


def _value(ref: Ref) -> Any:
    value = ref.node.value
    for step in ref.path:
        value = value[step]
    return value


def _all_refs(values: Any) -> Iterator[Ref]:
    """All references, those in sizes too."""
    for each in refs(values):
        yield each
        if each.node.kind in ("size", "number"):
            yield from _all_refs(each.node.args)
