"""Which group each tensor is in, and with which options."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

from modelzoo.errors import Code, ConfigError, Path, Problems
from modelzoo.init.ledger import Entry, Home
from modelzoo.init.selection import Homes, nameless, without_match
from modelzoo.init.widths import Widths
from modelzoo.language import runtime
from modelzoo.modules.homes import Named, named_in
from modelzoo.optim import optimisers
from modelzoo.optim.grouping import Grouping, Part
from modelzoo.optim.repeats import Repeats
from modelzoo.spec.base import WIDTHS
from modelzoo.spec.evaluation import Evaluation
from modelzoo.spec.groups import INDEX, KEY, REST, names_read
from modelzoo.spec.instances import Recipe, Scope
from modelzoo.spec.nodes import Group, Groups

Chosen = Mapping[Entry, Group | None]
Selected = list[tuple[Entry, list[Home]]]


def grouped(
    model: nn.Module,
    groups: Groups,
    values: Mapping[str, Any],
    problems: Problems,
    *,
    optimizer: type[Optimizer] | None = None,
    block_of: Callable[[nn.Module], str] = nameless,
    base: Mapping[str, tuple[int, ...]] | None = None,
) -> Grouping:
    """Decides what an optimiser is to be given.

    Args:
        model: any module; it is only looked at.
        groups: what selects its tensors.
        values: what options may read.
        problems: what is wrong with the groups.
        optimizer: whose options they have; None for any of torch.
        block_of: says which block a module was made from.
        base: the shapes of all tensors of a base, by each of their names.

    Raises:
        ConfigError: all problems found.
    """
    warnings = Problems(fatal=False)
    modules = named_in(model)
    homes = Homes(modules, _parameters(modules), block_of, "groups")
    try:
        options, training = _chosen(homes, groups.rules, problems, warnings)
    except runtime.EndlessError as error:
        problems.add(KEY, f"{error}.", "Write fewer of them.")
        raise ConfigError(problems.found) from error
    named = ((name, each.key / name) for each in groups.rules for name, _ in each.options)
    optimisers.check_names(named, optimizer, problems)
    computed = _Computed(values, Repeats(homes.named, block_of), _widths(homes, base, problems), problems)
    trainable = {entry.name: computed.trainable(group, entry) for entry, group in training.items() if group is not None}
    trained = [entry for entry in homes.table if trainable.get(entry.name, entry.tensor.requires_grad)]
    parts = _parts(groups.rules, {entry: options[entry] for entry in trained}, computed)
    problems.check()
    optimisers.check_values([(part, KEY if group is None else group.key) for part, group in parts], optimizer, problems)
    problems.check()
    return Grouping(parts=tuple(part for part, _ in parts), trainable=trainable, warnings=tuple(warnings.found))


def _widths(homes: Homes, base: Mapping[str, tuple[int, ...]] | None, problems: Problems) -> Widths | None:
    """How much wider the tensors are than those of the base."""
    if base is None:
        return None
    shapes = {home.name: tuple(entry.tensor.shape) for entry, home in homes.all}
    widths = Widths(shapes=shapes, base=base, key=KEY / "base")
    widths.check(problems)
    problems.check()
    return widths


def _parameters(modules: Named) -> list[Entry]:
    """Every parameter once, with all its names, in the order of `named_parameters()`."""
    found: dict[Tensor, Entry] = {}
    for prefix, module in modules:
        for local, tensor in module._parameters.items():
            if tensor is None:
                continue
            name = f"{prefix}.{local}" if prefix else local
            if is_lazy(tensor):
                raise ValueError(f"'{name}' has no size yet: call the model once.")
            entry = found.setdefault(tensor, Entry(tensor, "parameter", owner=type(module).__name__))
            entry.homes.append(Home(name, module, local))
    return list(found.values())


def _chosen(homes: Homes, groups: tuple[Group, ...], problems: Problems, warnings: Problems) -> tuple[Chosen, Chosen]:
    """For each tensor the last group that has options for it, and the last that says whether it is trained."""
    selected = {each.name: list(homes.selected(each)) for each in groups}
    kinds = ([each for each in groups if each.decides_options], [each for each in groups if each.trainable is not None])
    options, training = (_last(homes.table, kind, selected, problems) for kind in kinds)
    for group in groups:
        collector = problems if group.patterns else warnings
        for key, what, hint in without_match(homes, group, bool(selected[group.name])):
            collector.add(key, f"the group '{group.name}' {what}", hint, code=Code.NO_TENSOR)
        others = [
            found[entry]
            for kind, found in zip(kinds, (options, training), strict=True)
            if group in kind
            for entry, _ in selected[group.name]
        ]
        if others and not any(each is not None and each.says == group.says for each in others):
            what = f"later groups have everything that '{group.name}' selects."
            collector.add(group.key, what, "Remove it, or move it down.")
    return options, training


def _last(
    table: Iterable[Entry], groups: Iterable[Group], selected: Mapping[str, Selected], problems: Problems
) -> Chosen:
    """The last of some groups that selects each tensor, through any of its names."""
    last: dict[str, Group] = {}
    exact: set[tuple[str, Entry]] = set()
    for group in groups:
        for entry, reached in selected[group.name]:
            last.update({home.name: group for home in reached})
            if group.patterns and len(reached) < len(entry.homes):
                exact.add((group.name, entry))
    return {entry: _settled(entry, last, exact, problems) for entry in table}


def _settled(
    entry: Entry, last: Mapping[str, Group], exact: set[tuple[str, Entry]], problems: Problems
) -> Group | None:
    """One group of a tensor with several names; a group that names one of them decides alone."""
    wanted = {last[home.name].name: (last[home.name], home.name) for home in entry.homes if home.name in last}
    if len(wanted) > 1:
        named = {name: each for name, each in wanted.items() if (name, entry) in exact}
        wanted = named if len(named) == 1 else wanted
    if any(group.says != next(iter(wanted.values()))[0].says for group, _ in wanted.values()):
        (one, first), (other, second), *_ = wanted.values()
        what = (
            f"{entry.homes[0].name} and {entry.homes[-1].name} are one tensor, and two groups have it: "
            f"{one.name} has {first}; {other.name} has {second}."
        )
        hint = f"Write name: {entry.homes[0].name} in a group below." if len(named) < 2 else "Remove one of them."
        problems.add(other.key, what, hint)
    return next((group for group, _ in wanted.values()), None)


class _Computed:
    """What groups say of tensors, with formulas computed."""

    def __init__(self, values: Mapping[str, Any], repeats: Repeats, widths: Widths | None, problems: Problems) -> None:
        self.values, self.repeats, self.widths, self.problems = values, repeats, widths, problems
        self.evaluation = Evaluation(problems)
        self.known: dict[tuple[Path, str], Any] = {}

    def trainable(self, group: Group, entry: Entry) -> bool:
        """Whether a tensor of a group that says so is trained."""
        found = self.value(group.trainable, group.key / "trainable", entry)
        if found is not None and not isinstance(found, bool):
            self.problems.add(group.key / "trainable", f"trainable must be true or false, not {found!r}.")
        return found is True

    def options(self, group: Group | None, entry: Entry) -> dict[str, Any]:
        """The options of an optimiser for a tensor."""
        given = () if group is None else group.options
        return {name: self.value(value, group.key / name, entry) for name, value in given if group is not None}

    def value(self, value: Any, key: Path, entry: Entry) -> Any:
        read, own = names_read(value), self.of(entry)
        for name in (read & {INDEX, *WIDTHS}) - own.keys():
            why = "stands in no repeat" if name == INDEX else "has no fan_in and no fan_out"
            what = f"'{entry.name}' {why}, so that there is no '{name}'."
            self.problems.add(key, what, "Select others, or write a number.")
            return None
        case = key, repr({name: own[name] for name in own if name in read})
        if case not in self.known:
            scope = Scope(values={**self.values, **own}, origins={}, blocks={})
            found = self.evaluation.value(value, scope, key)
            if isinstance(found, Recipe):
                self.problems.add(key, f"{found} is a layer, not a value.")
            self.known[case] = found
        return self.known[case]

    def of(self, entry: Entry) -> dict[str, Any]:
        """What formulas may read of a tensor."""
        index = self.repeats.index(entry.name)
        widths = {} if self.widths is None else self.widths.of(entry.name)
        return widths if index is None else {**widths, INDEX: index}


def _parts(groups: tuple[Group, ...], chosen: Chosen, computed: _Computed) -> list[tuple[Part, Group | None]]:
    """Tensors of a group with equal options together."""
    found: list[tuple[Part, Group | None]] = []
    for group in (None, *groups):
        alike: dict[str, tuple[dict[str, Any], list[str]]] = {}
        for entry, its in chosen.items():
            if its is group:
                options = computed.options(group, entry)
                alike.setdefault(repr(options), (options, []))[1].append(entry.name)
        for index, (options, names) in enumerate(alike.values()):
            name = REST if group is None else group.name
            name = f"{name}.{index}" if len(alike) > 1 else name
            found.append((Part(name=name, tensors=tuple(names), options=options), group))
    return found
