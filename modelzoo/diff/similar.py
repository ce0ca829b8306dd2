"""How much two parts of models are alike, whatever they are called."""

from __future__ import annotations

from collections import Counter
from typing import Any

from modelzoo.diff.snapshots import BLOCK, Snapshot

SAME = 1.0
"""How much parts are alike that differ in names, fills, dtypes and sharing at most."""

ALIKE = 0.5
"""From here on a part may be another with changes in it."""


class Kinds:
    """What two models are made of: what is built alike has one number in both."""

    def __init__(self, before: Snapshot, after: Snapshot) -> None:
        self.sides = before, after
        self._numbers: dict[Any, int] = {}
        self._made: tuple[dict[str, int], dict[str, int]] = ({}, {})
        self._inside: dict[int, tuple[Counter[int], Counter[str]]] = {}
        self._alike: dict[tuple[int, int], float] = {}

    def kind(self, side: int, name: str) -> int:
        """The number of all that a part is, but its name, its fills and who shares it."""
        made = self._made[side]
        if name not in made:
            whole = self.sides[side]
            part = whole.parts[name]
            children = tuple(self.kind(side, each) for _, each in part.in_order(part.children) if each)
            shapes = tuple(whole.tensors[each].shape for _, each in part.in_order(part.tensors))
            keys = tuple(name for name, _ in part.children) if part.type == "ModuleDict" else ()
            found = (part.type, part.arguments, part.lines[1], shapes, children, keys)
            made[name] = self._numbers.setdefault(found, len(self._numbers))
        return made[name]

    def alike(self, name: str, other: str) -> float:
        """How much a part of the first model and one of the second are alike, from 0 to `SAME`."""
        pair = self.kind(0, name), self.kind(1, other)
        if pair[0] == pair[1]:
            return SAME
        if pair not in self._alike:
            self._alike[pair] = self._compared(name, other)
        return self._alike[pair]

    def _compared(self, name: str, other: str) -> float:
        one, two = self.sides[0].parts[name], self.sides[1].parts[other]
        if one.leaf and two.leaf:
            if one.type != two.type:
                return 0.0
            return ALIKE + 0.4 * _share(Counter(one.arguments), Counter(two.arguments))
        if one.leaf or two.leaf:
            return 0.0
        (kinds, types), (others, other_types) = self.inside(0, name), self.inside(1, other)
        own = one.type == two.type and one.lines[1] == two.lines[1]
        return 0.5 * _share(types, other_types) + 0.3 * _share(kinds, others) + 0.15 * own

    def inside(self, side: int, name: str) -> tuple[Counter[int], Counter[str]]:
        """How often each kind, and each type of layer, stands in a part."""
        kind = self.kind(side, name)
        if kind not in self._inside:
            part = self.sides[side].parts[name]
            kinds, types = Counter[int](), Counter[str]()
            for _, each in part.children:
                if each:
                    more, other = self.inside(side, each)
                    kinds.update(more)
                    types.update(other)
            kinds[kind] += 1
            types[part.text if part.type == BLOCK else part.type] += 1
            self._inside[kind] = kinds, types
        return self._inside[kind]


def _share(one: Counter[Any], two: Counter[Any]) -> float:
    """How much of both is in both."""
    return 2 * (one & two).total() / max(one.total() + two.total(), 1)
