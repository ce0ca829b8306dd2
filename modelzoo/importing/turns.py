"""What the turns of a loop have in common: what a value of the first turn is in each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelzoo.importing.graph import Node, Path, Ref, refs

Children = Mapping[Path, Sequence[str]]
"""The names of the layers of each container, by its path."""


def place_in(children: Children, path: Path, depth: int) -> int | None:
    """Where the layer that stands at a depth of a path comes in its container; None if it is in none."""
    names = children.get(path[:depth], ())
    return names.index(str(path[depth])) if depth < len(path) and path[depth] in names else None


class DifferentError(Exception):
    """Two turns do not do the same."""


@dataclass(frozen=True, slots=True)
class Inner:
    """What an operation of the same turn computed: the one at a place in the turn, or an item of it."""

    place: int
    path: Path


@dataclass(frozen=True, slots=True)
class Before:
    """What an operation of the turn before computed; in the first turn something else."""

    place: int
    path: Path
    start: Any


@dataclass(frozen=True, slots=True)
class Counted:
    """A number that grows from turn to turn."""

    start: int
    step: int


@dataclass(frozen=True, slots=True)
class Grown:
    """A list of what one operation computed in all turns before, behind what it starts with."""

    place: int
    path: Path
    start: Any


@dataclass(frozen=True, slots=True)
class Item:
    """An item of what was computed before the loop, another one in each turn."""

    owner: Ref
    number: Counted


@dataclass(frozen=True, slots=True)
class Sized:
    """A size, or a number computed from sizes, of something that is another one in each turn."""

    node: Node
    args: Any


class Turns:
    """Stretches of operations of one length, one behind the other.

    Args:
        nodes: all operations of a block.
        places: where each of them stands.
        begin: where the first turn starts.
        length: how long a turn is.
        children: the names of the layers of each container.

    Attributes:
        containers: those that the turns go over, each with the number of the first layer.
        common: what the arguments of each operation of a turn are.
        count: how many turns there are.
    """

    def __init__(
        self, nodes: Sequence[Node], places: Mapping[Node, int], begin: int, length: int, children: Children
    ) -> None:
        self.nodes, self.places, self.begin, self.length = nodes, places, begin, length
        self.children = children
        self.containers: dict[Path, int] = {}
        self.common: list[tuple[Any, Any]] = []
        self.count = self._count()

    def _count(self) -> int:
        if self.begin + 2 * self.length > len(self.nodes):
            return 0
        try:
            for place in range(self.length):
                first, second = self.node(0, place), self.node(1, place)
                if not self._is_alike(first, second, 1):
                    return 1
                if len(first.args) != len(second.args):
                    return 1
                args = tuple(map(self.shared, first.args, second.args))
                self.common.append((args, self.shared(dict(first.named), dict(second.named))))
        except DifferentError:
            return 1
        turn = 2
        while self.begin + (turn + 1) * self.length <= len(self.nodes) and self._fits(turn):
            turn += 1
        return turn

    def _fits(self, turn: int) -> bool:
        for place, (args, named) in enumerate(self.common):
            node = self.node(turn, place)
            if not self._is_alike(self.node(0, place), node, turn):
                return False
            if not self.fits(args, node.args, turn) or not self.fits(named, dict(node.named), turn):
                return False
        return True

    def _is_alike(self, first: Node, other: Node, turn: int) -> bool:
        if (first.kind, first.name, first.form) != (other.kind, other.name, other.form):
            return False
        if first.kind == "loop" or first.sets or other.sets:
            return False
        return first.kind != "layer" or self._goes_on(first.path, other.path, turn)

    def _goes_on(self, first: Path, other: Path, turn: int) -> bool:
        """Whether a turn calls the same layer as the first one, or the one that follows in a container."""
        if first == other:
            return not any(first[: len(each)] == each for each in self.containers)
        depth = next((at for at, (a, b) in enumerate(zip(first, other, strict=False)) if a != b), len(first))
        if first[depth + 1 :] != other[depth + 1 :]:
            return False
        container = first[:depth]
        number, there = place_in(self.children, first, depth), place_in(self.children, other, depth)
        if number is None or there != number + turn:
            return False
        return self.containers.setdefault(container, number) == number

    def node(self, turn: int, place: int) -> Node:
        """The operation at a place in a turn."""
        return self.nodes[self.begin + turn * self.length + place]

    def turn_of(self, node: Node) -> tuple[int, int] | None:
        """The turn of an operation and its place there; None for what is computed before."""
        at = self.places.get(node, -1) - self.begin
        return None if at < 0 else divmod(at, self.length)

    def is_before(self, value: Any) -> bool:
        """Whether a value is known before the first turn."""
        for each in refs(value):
            if self.turn_of(each.node) is not None:
                return False
            if each.node.kind in ("size", "number") and not self.is_before(each.node.args):
                return False
        return True

    def shared(self, first: Any, second: Any) -> Any:
        """What a value of the first turn and one of the second have in common.

        Raises:
            DifferentError: they are something else.
        """
        there = self.turn_of(second.node) if isinstance(second, Ref) else None
        if there is not None and there[0] == 0 and self.is_before(first):
            return Before(there[1], second.path, first)
        if isinstance(first, Ref) and isinstance(second, Ref):
            return self._common_value(first, second)
        if type(first) is not type(second):
            raise DifferentError
        if isinstance(first, (tuple, list)):
            return self._common_items(first, second)
        if isinstance(first, dict):
            if first.keys() != second.keys():
                raise DifferentError
            return {name: self.shared(first[name], second[name]) for name in first}
        if isinstance(first, slice):
            pairs = ((getattr(first, each), getattr(second, each)) for each in ("start", "stop", "step"))
            return slice(*(self.shared(a, b) for a, b in pairs))
        if type(first) is int and first != second:
            return Counted(first, second - first)
        if repr(first) != repr(second):
            raise DifferentError
        return first

    def _common_value(self, first: Ref, second: Ref) -> Any:
        here, there = self.turn_of(first.node), self.turn_of(second.node)
        if here is not None or there is not None:
            if here is None or here[0] or there != (1, here[1]) or first.path != second.path:
                raise DifferentError
            return Inner(here[1], first.path)
        if first == second:
            return first
        if first.node.kind in ("size", "number") and first.path == second.path == ():
            if not self._is_sized_alike(first.node, second.node):
                raise DifferentError
            return Sized(first.node, self.shared(first.node.args, second.node.args))
        if first.node is second.node and len(first.path) == len(second.path) > 0:
            number = self.shared(first.path[-1], second.path[-1])
            if first.path[:-1] == second.path[:-1] and isinstance(number, Counted):
                return Item(Ref(first.node, first.path[:-1]), number)
        raise DifferentError

    @staticmethod
    def _is_sized_alike(first: Node, second: Node) -> bool:
        """Whether two sizes are computed alike; of a dimension which one it is counts too."""
        same = (first.kind, first.name) == (second.kind, second.name)
        return same and (first.kind != "size" or first.args[1] == second.args[1])

    def _common_items(self, first: Any, second: Any) -> Any:
        if len(second) == len(first) + 1 and list(first) == list(second[:-1]) and isinstance(second[-1], Ref):
            there = self.turn_of(second[-1].node)
            if there is None or there[0] or not self.is_before(first):
                raise DifferentError
            return Grown(there[1], second[-1].path, list(first))
        if len(first) != len(second):
            raise DifferentError
        items = [self.shared(a, b) for a, b in zip(first, second, strict=True)]
        return items if isinstance(first, list) else tuple(items)

    def fits(self, common: Any, value: Any, turn: int) -> bool:
        """Whether a value of a turn is what the first two turns lead one to expect."""
        if isinstance(common, Inner):
            return bool(value == Ref(self.node(turn, common.place), common.path))
        if isinstance(common, Before):
            return bool(value == Ref(self.node(turn - 1, common.place), common.path))
        if isinstance(common, Counted):
            return type(value) is int and value == common.start + common.step * turn
        if isinstance(common, Grown):
            grown = [*common.start, *self.values(common, turn)]
            return isinstance(value, (list, tuple)) and not isinstance(value, Ref) and list(value) == grown
        if isinstance(common, Item):
            at = common.number.start + common.number.step * turn
            return bool(value == Ref(common.owner.node, (*common.owner.path, at)))
        if isinstance(common, Sized):
            same = isinstance(value, Ref) and not value.path
            same = same and self._is_sized_alike(common.node, value.node)
            return same and self.fits(common.args, value.node.args, turn)
        if isinstance(common, Ref) or isinstance(value, Ref):
            return bool(common == value)
        if isinstance(common, (tuple, list)):
            several = isinstance(value, type(common)) and len(common) == len(value)
            return several and all(self.fits(a, b, turn) for a, b in zip(common, value, strict=True))
        if isinstance(common, dict):
            same = isinstance(value, dict) and common.keys() == value.keys()
            return same and all(self.fits(common[name], value[name], turn) for name in common)
        if isinstance(common, slice):
            names = ("start", "stop", "step")
            return isinstance(value, slice) and all(
                self.fits(getattr(common, each), getattr(value, each), turn) for each in names
            )
        return repr(common) == repr(value)

    def values(self, of: Inner | Before | Grown, count: int) -> list[Ref]:
        """What an operation computed in the first turns."""
        return [Ref(self.node(turn, of.place), of.path) for turn in range(count)]
