"""Which modules of one model are which of another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from modelzoo.diff.alignment import aligned, stem
from modelzoo.diff.similar import ALIKE, SAME, Kinds
from modelzoo.diff.snapshots import BLOCK, Part, Snapshot

MOSTLY = 0.9
"""From here on a layer that stands in another may be what stood in its place before."""


@dataclass(frozen=True, slots=True)
class Place:
    """A layer where it stands: its name in the block around it, and the first name of its module."""

    local: str
    name: str


@dataclass(slots=True, kw_only=True)
class Pairs:
    """Which modules are which, by their first names.

    Attributes:
        after, before: of each module in the first model the one in the second, and the other way round.
        added, removed: modules that only the second or only the first has, the outermost ones.
        renamed: by the block of the second model around them, the old and new local names of layers.
        moved: the old and new names of modules that stand elsewhere.
        wrapped: the old name of a module, the new one, and what was put around it.
        unwrapped: the same, and what was taken from around it.
        shared: names in the second model of places that have another's module now, and whose.
        parted: names of places that have a module of their own now, and whose they had.
    """

    after: dict[str, str] = field(default_factory=dict)
    before: dict[str, str] = field(default_factory=dict)
    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    renamed: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    moved: list[tuple[str, str]] = field(default_factory=list)
    wrapped: list[tuple[str, str, str]] = field(default_factory=list)
    unwrapped: list[tuple[str, str, str]] = field(default_factory=list)
    shared: list[tuple[str, str]] = field(default_factory=list)
    parted: list[tuple[str, str]] = field(default_factory=list)


def paired(before: Snapshot, after: Snapshot) -> Pairs:
    """The pairs of two models: layers are the same that are built alike, are called alike or stand at one place.

    >>> from modelzoo.diff.snapshots import Part
    >>> def model(*types):
    ...     parts = {str(i): Part(name=str(i), type=each, label=each) for i, each in enumerate(types)}
    ...     root = Part(name="", type="Sequential", label="Sequential", children=tuple((name, name) for name in parts))
    ...     return Snapshot(parts={"": root, **parts}, tensors={})
    >>> found = paired(model("Linear", "ReLU"), model("Linear", "Dropout", "ReLU"))
    >>> found.added, found.after
    (['1'], {'': '', '0': '0', '1': '2'})
    """
    pairing = _Pairing(before, after)
    pairing.pair("", "")
    pairing.look_elsewhere()
    return pairing.found


class _Pairing:
    def __init__(self, before: Snapshot, after: Snapshot) -> None:
        self.sides, self.kinds, self.found = (before, after), Kinds(before, after), Pairs()

    def part(self, side: int, name: str) -> Part:
        return self.sides[side].parts[name]

    def places(self, side: int, name: str) -> list[Place]:
        part = self.part(side, name)
        return [Place(*each) for each in part.in_order(part.children) if each[1]]

    def pair(self, name: str, other: str) -> None:
        """Two modules are one, and so are those of their layers that are alike."""
        inside = self.within(1, other, name)
        if inside:
            self.found.wrapped.append((name, inside, other))
            self.found.added += [each.name for each in self.places(1, other) if each.name != inside]
            self.pair(name, inside)
            return
        inside = self.within(0, name, other)
        if inside:
            self.found.unwrapped.append((inside, other, name))
            self.found.removed += [each.name for each in self.places(0, name) if each.name != inside]
            self.pair(inside, other)
            return
        self.found.after[name], self.found.before[other] = other, name
        if not (self.part(0, name).leaf or self.part(1, other).leaf):
            self.pair_children(name, other)

    def within(self, side: int, name: str, whole: str) -> str:
        """The layer of a block that is all of what stood in the block's place; empty if none is."""

        def alike(each: str) -> float:
            return self.kinds.alike(whole, each) if side else self.kinds.alike(each, whole)

        likeness = alike(name)
        if likeness == SAME:
            return ""
        known = self.found.before if side else self.found.after
        found = {each.name: alike(each.name) for each in self.places(side, name) if each.name not in known}
        least = SAME if likeness >= ALIKE else MOSTLY
        return next((each for each, as_much in found.items() if as_much >= least), "")

    def pair_children(self, name: str, other: str) -> None:
        mine, others = self.places(0, name), self.places(1, other)
        pairs = self.children(self.part(0, name), self.part(1, other), mine, others)
        left, new = _rest(mine, others, pairs)
        renumbered = len(mine) != len(others) or bool(left)
        moved = [*self.alike_of(left, new)]
        for one, two in pairs:
            silent = renumbered and stem(one.local) == stem(two.local) != two.local
            if one.local != two.local and not silent:
                self.found.renamed.setdefault(other, []).append((one.local, two.local))
        for one, two in pairs:
            self.meet(one, two, f"{other}.{two.local}" if other else two.local)
        for one, two in moved:
            self.found.moved.append((one.name, two.name))
            self.pair(one.name, two.name)
        gone, came = ({each[side] for each in moved} for side in (0, 1))
        self.found.removed += [each.name for each in left if each not in gone and each.name not in self.found.after]
        self.found.added += [each.name for each in new if each not in came and each.name not in self.found.before]

    def meet(self, one: Place, two: Place, at: str) -> None:
        """Two places are one: so are their modules, unless one of these is another already."""
        found = self.found
        if one.name not in found.after and two.name not in found.before:
            self.pair(one.name, two.name)
        elif found.after.get(one.name) == two.name:
            return
        elif two.name in found.before:
            found.shared.append((at, two.name))
        else:
            found.parted.append((at, found.after[one.name]))

    def children(self, one: Part, two: Part, mine: list[Place], others: list[Place]) -> list[tuple[Place, Place]]:
        """Which layers of two blocks are which."""
        slots = one.in_order(one.children), two.in_order(two.children)
        if one.type == two.type == BLOCK and one.lines[1] == two.lines[1] and len(slots[0]) == len(slots[1]):
            both = zip(*slots, strict=True)
            return [(Place(*left), Place(*right)) for left, right in both if left[1] and right[1]]
        if one.type in _LISTS and two.type in _LISTS:
            found = self.aligned(mine, others)
        else:
            found = []
        taken = {each.local for each, _ in found}, {each.local for _, each in found}
        named = {each.local: each for each in others if each.local not in taken[1] and stem(each.local) == each.local}
        found += [(each, named[each.local]) for each in mine if each.local in named and each.local not in taken[0]]
        if one.type in _LISTS and two.type in _LISTS:
            return found
        left, new = _rest(mine, others, found)
        return found + [pair for pair in self.aligned(left, new) if self.similar(*pair) >= ALIKE]

    def aligned(self, mine: list[Place], others: list[Place]) -> list[tuple[Place, Place]]:
        names, new = [each.local for each in mine], [each.local for each in others]
        found = aligned(names, new, lambda i, j: self.similar(mine[i], others[j]))
        return [(mine[i], others[j]) for i, j in found]

    def similar(self, one: Place, two: Place) -> float:
        return self.kinds.alike(one.name, two.name)

    def alike_of(self, left: list[Place], new: list[Place]) -> Iterator[tuple[Place, Place]]:
        """What is left on both sides and is built alike."""
        waiting: dict[int, list[Place]] = {}
        for two in new:
            if two.name not in self.found.before:
                waiting.setdefault(self.kinds.kind(1, two.name), []).append(two)
        for one in left:
            same = [] if one.name in self.found.after else waiting.get(self.kinds.kind(0, one.name), [])
            if same:
                at = next((index for index, each in enumerate(same[:100]) if each.local == one.local), 0)
                yield one, same.pop(at)

    def look_elsewhere(self) -> None:
        """Finds what was removed in what was added, and the other way round, if it has tensors or layers."""
        for side, gone, came in ((0, self.found.removed, self.found.added), (1, self.found.added, self.found.removed)):
            places: dict[int, list[str]] = {}
            for name in came:
                for each in self.below(1 - side, name):
                    places.setdefault(self.kinds.kind(1 - side, each), []).append(each)
            for name in list(gone):
                part = self.part(side, name)
                known = self.found.before if side == 0 else self.found.after
                fit = [each for each in places.get(self.kinds.kind(side, name), ()) if each not in known]
                if not fit or not (part.tensors or part.children):
                    continue
                local = name.rpartition(".")[2]
                other = next((each for each in fit if each.rpartition(".")[2] == local), fit[0])
                gone.remove(name)
                if other in came:
                    came.remove(other)
                pair = (name, other) if side == 0 else (other, name)
                self.found.moved.append(pair)
                self.pair(*pair)

    def below(self, side: int, name: str) -> Iterator[str]:
        """A module and all that is in it, but what is known to be another."""
        if name in (self.found.before if side else self.found.after):
            return
        yield name
        for each in self.places(side, name):
            yield from self.below(side, each.name)


_LISTS = ("Sequential", "ModuleList")


def _rest(mine: list[Place], others: list[Place], pairs: list[tuple[Place, Place]]) -> tuple[list[Place], list[Place]]:
    """What is in no pair."""
    known = {one for one, _ in pairs}, {two for _, two in pairs}
    return [each for each in mine if each not in known[0]], [each for each in others if each not in known[1]]
