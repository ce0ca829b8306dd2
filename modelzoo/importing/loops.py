"""Operations that come again and again, of one layer after the other or one step after the other, become a loop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelzoo.importing.graph import Loop, Node, Path, Ref, mapped, parts
from modelzoo.importing.ranges import Bound, bound_of, taken_apart
from modelzoo.importing.records import Record
from modelzoo.importing.turns import (
    Before,
    Children,
    Counted,
    DifferentError,
    Grown,
    Inner,
    Item,
    Sized,
    Turns,
    place_in,
)

LEAST = 3
"""The fewest turns, unless a loop goes over all layers of its container, or over a whole dimension."""


def with_loops(record: Record, children: Children) -> None:
    """Makes loops of what a record has again and again.

    Args:
        record: what a block computed.
        children: the names of the layers of each container.
    """
    nodes, result, start = record.nodes, record.result, 0
    while start < len(nodes):
        places = {node: at for at, node in enumerate(nodes)}
        found = None
        while start < len(nodes) and found is None:
            found = _loop_at(nodes, places, start, result, children)
            start += found is None
        if found is not None:
            result = found.instead(result, kept=True)
            found.name_lists(record.lists)
            nodes[found.begin : found.end] = [found.node]
            start = found.begin + 1
    record.result = result


def _loop_at(
    nodes: list[Node], places: Mapping[Node, int], place: int, result: Any, children: Children
) -> Rolling | None:
    """A loop whose first turn calls the layer that is called at a place."""
    for length in _lengths(nodes, place, children):
        tried = []
        for begin in range(place, max(place - length, -1), -1):
            rolling = Rolling(Turns(nodes, places, begin, length, children))
            if rolling.count > 1:
                tried.append(rolling)
        for rolling in sorted(tried, key=lambda each: -each.count):
            if rolling.is_enough() and rolling.make(result):
                return rolling
    return None


def _lengths(nodes: Sequence[Node], place: int, children: Children) -> Iterator[int]:
    """How long a turn may be: up to the call of the next layer of a container, or of the same layer."""
    first = nodes[place]
    if first.kind != "layer":
        return
    wanted: list[Path] = []
    for depth in range(len(first.path)):
        number = place_in(children, first.path, depth)
        names = children.get(first.path[:depth], ())
        if number is not None and number + 1 < len(names):
            wanted.append((*first.path[:depth], names[number + 1], *first.path[depth + 1 :]))
    for path in (*wanted, first.path):
        later = (at for at in range(place + 1, len(nodes)) if nodes[at].kind == "layer" and nodes[at].path == path)
        second = next(later, None)
        if second is not None:
            yield second - place


@dataclass(eq=False, slots=True)
class Mark:
    """What a turn takes over from the turn before.

    Attributes:
        of: which operation left it, or which one's values are in a list.
        node: what stands for it.
    """

    of: Before | Grown
    node: Node


class Rolling:
    """Turns that do the same, as a loop.

    Attributes:
        count: how many turns there are.
        begin, end: the first operation, and the one behind the last.
        node: the loop, once it is made.
        counts: whether it asks for the number of the turn.
    """

    def __init__(self, turns: Turns) -> None:
        self.turns, self.children = turns, turns.children
        self.begin = turns.begin
        self.count, self.containers = turns.count, turns.containers
        self.end = self.begin + self.count * turns.length
        self.node = Node(kind="loop")
        self.index = Node(kind="carried", name="i", value=0)
        self.counts = False
        self.marks: list[Mark] = []
        self.moved: dict[Node, Any] = {}  # what sizes behind the loop are of
        self.bound: Bound | None = None
        if self.count > 1 and not self.containers:
            self.bound = bound_of(turns)

    def is_enough(self) -> bool:
        """Whether there are turns enough for a loop to be short."""
        containers = self.containers.items()
        whole = any(path and start == 0 and self.count == len(self.children[path]) for path, start in containers)
        return self.count >= LEAST or whole or self.bound is not None

    # -- the loop ------------------------------------------------------------------------------------------------------

    def make(self, result: Any) -> bool:
        """Makes the loop, unless something behind it uses what a loop does not leave."""
        turns = self.turns
        args = [(self._filled(args), self._filled(named)) for args, named in turns.common]
        later = turns.nodes[self.end :]
        try:
            outside = [(tuple(map(self.instead, node.args)), self.instead(dict(node.named))) for node in later]
            self.instead(result, kept=True)
        except DifferentError:
            return False
        if not self.marks:
            return False
        body = turns.nodes[self.begin : self.begin + turns.length]
        for node, (given, named) in zip((*body, *later), (*args, *outside), strict=True):
            node.args, node.named = given, named
        for node, moved in self.moved.items():
            node.args = moved
        for node in body:
            node.path = self._path(node.path) if node.kind == "layer" else node.path
        self.node.args = tuple(mark.of.start for mark in self.marks)
        self.node.value = tuple(mark.node.value for mark in self.marks)
        self.node.line = body[0].line
        self.node.loop = self._loop(body)
        return True

    def _loop(self, body: Sequence[Node]) -> Loop:
        starts = self.containers.items()
        containers: list[tuple[Path, int, int | None]] = [
            (path, start, None if start + self.count == len(self.children[path]) else start + self.count)
            for path, start in starts
        ]
        start = 0 if self.bound is None else self.bound.start
        stop = start + self.count if self.bound is None else Ref(self.bound.size)
        return Loop(
            containers=containers,
            body=[*body],
            marks=[mark.node for mark in self.marks],
            ends=[self._end(mark, body) for mark in self.marks],
            index=self.index if self.counts else None,
            start=start,
            stop=stop,
        )

    def _end(self, mark: Mark, body: Sequence[Node]) -> Ref:
        left = Ref(body[mark.of.place], mark.of.path)
        if isinstance(mark.of, Before):
            return left
        return Ref(Node(kind="number", name="+", args=(Ref(mark.node), [left]), value=mark.node.value))

    def name_lists(self, names: dict[Ref, str]) -> None:
        """What the author calls a list counts, whichever turn it was called so."""
        for mark in self.marks:
            if isinstance(mark.of, Grown):
                values = self.turns.values(mark.of, self.count)
                name = next((names[each] for each in values if each in names), "")
                names[values[0]] = name

    def _path(self, path: Path) -> Path:
        """The path of a layer from the layer of the turn."""
        for number, (container, start) in enumerate(self.containers.items()):
            if path[: len(container) + 1] == (*container, self.children[container][start]):
                return (f"*{number}", *path[len(container) + 1 :])
        return path

    def _mark(self, of: Before | Grown) -> Ref:
        """What stands for something that is taken over."""
        for mark in self.marks:
            if mark.of == of:
                return Ref(mark.node)
        values = of.start
        if isinstance(of, Grown):
            values = [*of.start, *self.turns.values(of, self.count)]
        self.marks.append(Mark(of, Node(kind="carried", value=mapped(values, _value))))
        return Ref(self.marks[-1].node)

    def _filled(self, common: Any) -> Any:
        """What stands in the body of the loop."""
        if isinstance(common, Inner):
            return Ref(self.turns.node(0, common.place), common.path)
        if isinstance(common, (Before, Grown)):
            return self._mark(common)
        if isinstance(common, Counted):
            return self._number(common)
        if isinstance(common, Item):
            return self._item(common.owner, self._number(common.number))
        if isinstance(common, Sized):
            node = common.node
            args = self._filled(common.args)
            return Ref(Node(kind=node.kind, name=node.name, args=args, fixed=True, value=node.value))
        return common if isinstance(common, Ref) else parts(common, self._filled)

    def _item(self, owner: Ref, number: Ref) -> Ref:
        """An item of what was taken apart before: of a tensor it is taken directly."""
        whole = taken_apart(owner)
        if whole is None:
            return Ref(Node(kind="number", name="[]", args=(owner, number)))
        tensor, dimension = whole
        place = (*[slice(None)] * dimension, number)
        args = (tensor, place if dimension else number)
        return Ref(Node(kind="function", name="__getitem__", form="method", args=args))

    def _number(self, counted: Counted) -> Ref:
        """A number that is another one in each turn."""
        self.counts = True
        if self.bound is not None and counted.step < 0 and counted.start == self.bound.size.value - 1:
            last = Ref(Node(kind="number", name="-", args=(Ref(self.bound.size), 1), fixed=True))
            return Ref(Node(kind="number", name="-", args=(last, Ref(self.index)), fixed=True))
        first = counted.start - counted.step * (0 if self.bound is None else self.bound.start)
        made = Ref(self.index)
        if abs(counted.step) != 1:
            made = Ref(Node(kind="number", name="*", args=(made, abs(counted.step)), fixed=True))
        if counted.step < 0:
            return Ref(Node(kind="number", name="-", args=(first, made), fixed=True))
        if first:
            sign = "+" if first > 0 else "-"
            return Ref(Node(kind="number", name=sign, args=(made, abs(first)), fixed=True))
        return made

    # -- behind it -----------------------------------------------------------------------------------------------------

    def instead(self, value: Any, kept: bool = False) -> Any:
        """What stands for a value behind the loop.

        Args:
            value: arguments, or what is returned.
            kept: whether a tuple must stay one, and not become a list.

        Raises:
            DifferentError: a loop does not leave it.
        """
        if isinstance(value, Ref):
            return self._instead(value)
        if type(value) is list or (type(value) is tuple and not kept):
            grown = self._list_of(value)
            if grown is not None:
                return grown
        return parts(value, lambda each: self.instead(each, kept))

    def _instead(self, ref: Ref) -> Ref:
        place = self._place(ref.node)
        if place is None:
            if ref.node.kind in ("size", "number") and ref.node not in self.moved:
                moved = self.instead(ref.node.args)
                self.moved[ref.node] = moved
            return ref
        turn, at = place
        for number, mark in enumerate(self.marks):
            cut = len(mark.of.path)
            left = isinstance(mark.of, Before) and (mark.of.place, mark.of.path) == (at, ref.path[:cut])
            if left and turn == self.count - 1:
                return Ref(self.node, (number, *ref.path[cut:]))
        raise DifferentError

    def _place(self, node: Node) -> tuple[int, int] | None:
        found = self.turns.turn_of(node)
        return found if found is not None and found[0] < self.count else None

    def _list_of(self, value: Sequence[Any]) -> Any:
        """A list that ends with what one operation computed in each turn, or None."""
        first = next((at for at, each in enumerate(value) if isinstance(each, Ref) and self._place(each.node)), None)
        if first is None:
            return None
        place = self._place(value[first].node)
        assert place is not None
        grown = Grown(place[1], value[first].path, list(value[:first]))
        end = first + self.count
        if list(value[first:end]) != self.turns.values(grown, self.count) or not self.turns.is_before(grown.start):
            return None
        self._mark(grown)
        number = next(at for at, mark in enumerate(self.marks) if mark.of == grown)
        made = Ref(self.node, (number,))
        if end == len(value):
            return made
        rest = self.instead(list(value[end:]))
        return Ref(Node(kind="number", name="+", args=(made, rest)))


def _value(value: Any) -> Any:
    if not isinstance(value, Ref):
        return value
    found = value.node.value
    for step in value.path:
        found = found[step]
    return found
