"""What rules and _init_ select: names of tensors, by glob, type and local name."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from functools import cached_property

from torch import nn

from modelzoo.errors import nearest
from modelzoo.init.ledger import Entry, Home, type_name
from modelzoo.init.lookup import Lookup
from modelzoo.language import runtime
from modelzoo.modules.skeleton import Skeleton
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
        return _grouped(self.found(pattern, start))

    def selected(self, rule: Rule) -> Grouped:
        found = self.found("*" if rule.pattern is None else rule.pattern)
        return _grouped(each for each in found if _selects(self.skeleton, rule, *each))

    def found(self, pattern: str, start: str = "") -> list[tuple[Entry, Home]]:
        self.operations.spend(self.lookup.looked_at(pattern, start))
        if pattern == "*" and not start:
            return self.all
        return [self.all[each] for each in self.lookup.matching(pattern, start)]


Grouped = Iterator[tuple[Entry, list[Home]]]


def _grouped(found: Iterable[tuple[Entry, Home]]) -> Grouped:
    """Tensors with those of their homes that were found, which come one after the other."""
    for _, group in itertools.groupby(found, key=lambda each: id(each[0])):
        pairs = list(group)
        yield pairs[0][0], [home for _, home in pairs]


def _selects(skeleton: Skeleton, rule: Rule, entry: Entry, home: Home) -> bool:
    """Whether a rule means a name that fits its glob."""
    if entry.kind == "buffer" and rule.pattern != home.name:
        return False
    if rule.param is not None and rule.param != home.local:
        return False
    return not rule.layers or bool({each.rpartition(".")[2] for each in rule.layers} & types(skeleton, home.owner))


def types(skeleton: Skeleton, module: nn.Module) -> set[str]:
    """The names by which a rule may select what a module owns: its type, what that derives from, its block."""
    names = {each.__name__ for each in type(module).__mro__}
    instance = skeleton.instances.get(module)
    if instance is not None and instance.block is not None:
        names.add(instance.block.name)
    return names


def nearest_selector(homes: Homes, rule: Rule) -> str:
    """What may have been meant by a rule that selects nothing."""
    if rule.pattern is not None:
        return nearest(rule.pattern, (home.name for _, home in homes.all))
    unknown = [name for name in rule.layers if name.rpartition(".")[2] not in homes.types]
    if unknown:
        return nearest(unknown[0], homes.type_names)
    return nearest(rule.param or "", homes.local_names)


def selector(rule: Rule) -> str:
    """What a rule selects by, as it was written."""
    parts = {"layer": ", ".join(rule.layers), "param": rule.param, "name": rule.pattern}
    return ", ".join(f"{name}: {value}" for name, value in parts.items() if value)
