"""What rules and _init_ select: names of tensors, by glob, type and local name."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property

from torch import nn

from modelzoo.errors import Path, nearest
from modelzoo.init.ledger import Entry, Home
from modelzoo.init.lookup import Lookup
from modelzoo.language import runtime
from modelzoo.modules.homes import Named
from modelzoo.modules.skeleton import Skeleton
from modelzoo.spec.instances import BlockInstance
from modelzoo.spec.nodes import Selector


class Homes:
    """Every name of every tensor, as rules and `_init_` select them."""

    def __init__(
        self, modules: Named, table: list[Entry], block_of: Callable[[nn.Module], str], who: str = "rules and _init_"
    ) -> None:
        """Takes modules under each of their names, their tensors, what says from which block each was made, and who."""
        self.modules, self.table, self.block_of = modules, table, block_of
        self.all = [(entry, home) for entry in table for home in entry.homes]
        self.operations = runtime.Operations(who)

    @cached_property
    def lookup(self) -> Lookup:
        return Lookup([home.name for _, home in self.all])

    @cached_property
    def types(self) -> set[str]:
        return {name for _, home in self.all for name in self.types_of(home.owner)}

    @cached_property
    def type_names(self) -> list[str]:
        return sorted({type(home.owner).__name__ for _, home in self.all})

    @cached_property
    def named(self) -> dict[str, nn.Module]:
        return dict(self.modules)

    @cached_property
    def holders(self) -> dict[str, frozenset[str]]:
        """The names of the types of each module and of all that it lies in, by its name."""
        found: dict[str, frozenset[str]] = {}
        for name, module in self.modules:  # what holds a module comes before it
            around = found[name.rpartition(".")[0]] if name else frozenset[str]()
            found[name] = around | self.types_of(module)
        return found

    @cached_property
    def local_names(self) -> list[str]:
        return sorted({home.local for _, home in self.all})

    def matching(self, pattern: str, start: str = "") -> Grouped:
        """The tensors with names that begin so and go on as a glob says, with these names."""
        return _grouped(self.all[each] for each in self.places(pattern, start))

    def types_of(self, module: nn.Module) -> set[str]:
        return types(module, self.block_of(module))

    def selected(self, rule: Selector) -> Grouped:
        places = [self.places(each) for each in rule.patterns or ("*",)]
        found = places[0] if len(places) == 1 else sorted({*itertools.chain(*places)})
        return _grouped(self.all[each] for each in found if self.selects(rule, *self.all[each]))

    def selects(self, rule: Selector, entry: Entry, home: Home) -> bool:
        """Whether a rule means a name that fits its glob."""
        if entry.kind == "buffer" and home.name not in rule.patterns:
            return False
        if (rule.params and home.local not in rule.params) or (
            rule.dimensions and entry.tensor.ndim not in rule.dimensions
        ):
            return False
        if rule.blocks and self.holders[home.name.rpartition(".")[0]].isdisjoint(map(last, rule.blocks)):
            return False
        return not rule.layers or not self.types_of(home.owner).isdisjoint(map(last, rule.layers))

    def places(self, pattern: str, start: str = "") -> Sequence[int]:
        self.operations.spend(self.lookup.looked_at(pattern, start))
        if pattern == "*" and not start:
            return range(len(self.all))
        return self.lookup.matching(pattern, start)


def types(module: nn.Module, block: str) -> set[str]:
    """The names by which a rule may select what a module owns: its type, what that derives from, its block."""
    names = {each.__name__ for each in type(module).__mro__}
    return {*names, block} if block else names


def block_of(skeleton: Skeleton) -> Callable[[nn.Module], str]:
    """What says which block of the config a module was made from; "" for none."""

    def name(module: nn.Module) -> str:
        instance = skeleton.instances.get(module)
        return instance.block.name if isinstance(instance, BlockInstance) else ""

    return name


def nameless(_: nn.Module) -> str:
    """The block that a module was made from, where none is known."""
    return ""


def last(name: str) -> str:
    """The name of a type without where it comes from: `torch.nn.Linear` is `Linear`."""
    return name.rpartition(".")[2]


Grouped = Iterator[tuple[Entry, list[Home]]]


def _grouped(found: Iterable[tuple[Entry, Home]]) -> Grouped:
    """Tensors with those of their homes that were found, which come one after the other."""
    for _, group in itertools.groupby(found, key=lambda each: each[0]):
        pairs = list(group)
        yield pairs[0][0], [home for _, home in pairs]


def nearest_selector(homes: Homes, rule: Selector) -> str:
    """What may have been meant by a rule that selects nothing."""
    unknown = [name for name in rule.layers if last(name) not in homes.types]
    holders = frozenset[str]().union(*homes.holders.values()) if rule.blocks else frozenset[str]()
    outside = [name for name in rule.blocks if last(name) not in holders]
    named = next(iter((*rule.patterns, *unknown)), "")
    if named and any(home.name.startswith(f"{named}.") for _, home in homes.all):
        return f"'{named}' is the name of a layer: write name: {named}.*"
    if rule.patterns:
        return nearest(rule.patterns[0], (home.name for _, home in homes.all))
    if unknown:
        return nearest(unknown[0], homes.type_names)
    if outside:
        held = {homes.block_of(module) or type(module).__name__ for name, module in homes.modules if name}
        return nearest(outside[0], sorted(held))
    if rule.dimensions and not rule.params:
        dimensions = {entry.tensor.ndim for entry, _ in homes.all}
        return nearest(str(rule.dimensions[0]), map(str, sorted(dimensions)))
    return nearest(next(iter(rule.params), ""), homes.local_names)


def selector(rule: Selector) -> str:
    """What a rule selects by, as it was written."""
    parts = {"layer": rule.layers, "param": rule.params, "name": rule.patterns, "block": rule.blocks}
    parts["ndim"] = tuple(map(str, rule.dimensions))
    return ", ".join(f"{name}: {', '.join(names)}" for name, names in parts.items() if names)


def without_match(homes: Homes, rule: Selector, found: bool) -> Iterator[tuple[Path, str, str]]:
    """The names of a rule that are those of no tensor, each with its place and what may have been meant.

    Args:
        found: whether the rule as a whole selects something.
    """
    for key, one in alone(rule):
        if not (any(homes.selected(one)) if one is not rule else found):
            yield key, f"({selector(one)}) selects no tensor of this model.", nearest_selector(homes, one)


def alone(rule: Selector) -> Iterator[tuple[Path, Selector]]:
    """A rule for each of its names by itself, with its place: each is of some tensor, or misspelt."""
    if len(rule.patterns) < 2:
        yield rule.key, rule
        return
    for index, each in enumerate(rule.patterns):
        yield rule.key / "name" / index, replace(rule, patterns=(each,))
