"""What rules and _init_ select: names of tensors, by glob, type and local name."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property

from torch import nn

from modelzoo.errors import Path, nearest
from modelzoo.init.ledger import Entry, Home, type_name
from modelzoo.init.lookup import Lookup
from modelzoo.language import runtime
from modelzoo.modules.skeleton import Skeleton
from modelzoo.spec.instances import BlockInstance
from modelzoo.spec.nodes import Rule


class Homes:
    """Every name of every tensor, as rules and `_init_` select them."""

    def __init__(self, skeleton: Skeleton, table: list[Entry]) -> None:
        self.skeleton, self.table = skeleton, table
        self.all = [(entry, home) for entry in table for home in entry.homes]
        self.operations = runtime.Operations("rules and _init_")

    @cached_property
    def lookup(self) -> Lookup:
        return Lookup([home.name for _, home in self.all])

    @cached_property
    def types(self) -> set[str]:
        return {name for _, home in self.all for name in types(self.skeleton, home.owner)}

    @cached_property
    def type_names(self) -> list[str]:
        return sorted({type_name(self.skeleton, home.owner) for _, home in self.all})

    @cached_property
    def local_names(self) -> list[str]:
        return sorted({home.local for _, home in self.all})

    def matching(self, pattern: str, start: str = "") -> Grouped:
        """The tensors with names that begin so and go on as a glob says, with these names."""
        return _grouped(self.all[each] for each in self.places(pattern, start))

    def selected(self, rule: Rule) -> Grouped:
        places = [self.places(each) for each in rule.patterns or ("*",)]
        found = places[0] if len(places) == 1 else sorted({*itertools.chain(*places)})
        return _grouped(self.all[each] for each in found if _selects(self.skeleton, rule, *self.all[each]))

    def places(self, pattern: str, start: str = "") -> Sequence[int]:
        self.operations.spend(self.lookup.looked_at(pattern, start))
        if pattern == "*" and not start:
            return range(len(self.all))
        return self.lookup.matching(pattern, start)


Grouped = Iterator[tuple[Entry, list[Home]]]


def _grouped(found: Iterable[tuple[Entry, Home]]) -> Grouped:
    """Tensors with those of their homes that were found, which come one after the other."""
    for _, group in itertools.groupby(found, key=lambda each: each[0]):
        pairs = list(group)
        yield pairs[0][0], [home for _, home in pairs]


def _selects(skeleton: Skeleton, rule: Rule, entry: Entry, home: Home) -> bool:
    """Whether a rule means a name that fits its glob."""
    if entry.kind == "buffer" and home.name not in rule.patterns:
        return False
    if rule.params and home.local not in rule.params:
        return False
    return not rule.layers or bool({each.rpartition(".")[2] for each in rule.layers} & types(skeleton, home.owner))


def types(skeleton: Skeleton, module: nn.Module) -> set[str]:
    """The names by which a rule may select what a module owns: its type, what that derives from, its block."""
    names = {each.__name__ for each in type(module).__mro__}
    instance = skeleton.instances.get(module)
    if isinstance(instance, BlockInstance):
        names.add(instance.block.name)
    return names


def nearest_selector(homes: Homes, rule: Rule) -> str:
    """What may have been meant by a rule that selects nothing."""
    unknown = [name for name in rule.layers if name.rpartition(".")[2] not in homes.types]
    named = next(iter((*rule.patterns, *unknown)), "")
    if named and any(home.name.startswith(f"{named}.") for _, home in homes.all):
        return f"'{named}' is the name of a layer: write name: {named}.*"
    if rule.patterns:
        return nearest(rule.patterns[0], (home.name for _, home in homes.all))
    if unknown:
        return nearest(unknown[0], homes.type_names)
    return nearest(next(iter(rule.params), ""), homes.local_names)


def selector(rule: Rule) -> str:
    """What a rule selects by, as it was written."""
    parts = {"layer": rule.layers, "param": rule.params, "name": rule.patterns}
    return ", ".join(f"{name}: {', '.join(names)}" for name, names in parts.items() if names)


def alone(rule: Rule) -> Iterator[tuple[Path, Rule]]:
    """A rule for each of its names by itself, with its place: each is of some tensor, or misspelt."""
    if len(rule.patterns) < 2:
        yield rule.key, rule
        return
    for index, each in enumerate(rule.patterns):
        yield rule.key / "name" / index, replace(rule, patterns=(each,))
