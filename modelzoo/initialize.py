"""Who fills each tensor: torch's defaults, its own fill, the rules, `_init_`; decided per unique tensor, done once."""

from __future__ import annotations

import ast
import fnmatch
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from modelzoo import construct as building
from modelzoo import defaults, fills, language, spec, streams
from modelzoo import plans as planned
from modelzoo.errors import Path, Problem, Problems, nearest
from modelzoo.resolve import Resolver, Scope

_ROOT = Path()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One fill that reaches a tensor, and who asked for it.

    Attributes:
        rule: "torch", "constructor" (of a registered layer), a config key, "init.NAME" or "_init_".
        strength: 0 torch or a constructor, 1 the tensor's own fill, 2 rules, 3 `_init_`.
        exact: a name that decides alone where the homes of a shared tensor disagree.
        value: what the constructor of a registered layer left.
    """

    rule: str
    strength: int
    fill: fills.Fill | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    program: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    key: Path = Path()
    exact: bool = False
    value: Tensor | None = None

    @property
    def reads_value(self) -> bool:
        return bool(self.program) and spec.Fill(program=self.program).reads_value

    def text(self) -> str:
        if self.fill is not None:
            return self.fill.text(self.arguments)
        if self.value is not None:
            return "as constructed"
        lines = self.program.strip().lstrip("= ").splitlines()
        return "; ".join(line.strip() for line in lines)


@dataclass(slots=True)
class Home:
    """One name of a tensor."""

    name: str
    owner: nn.Module
    local: str
    decisions: tuple[Decision, ...] = ()


@dataclass(slots=True)
class Entry:
    """A unique tensor with all its homes, and the fills that will be computed."""

    tensor: Tensor
    kind: str = "buffer"
    key: Path = _ROOT
    owner: str = ""
    homes: list[Home] = field(default_factory=list)
    chain: tuple[Decision, ...] = ()
    matched: tuple[str, ...] = ()
    disputed: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.homes[0].name

    @property
    def persistent(self) -> bool:
        """Whether it is in the state dict."""
        home = self.homes[0]
        return self.kind == "parameter" or home.local not in home.owner._non_persistent_buffers_set


Named = list[tuple[str, nn.Module]]
"""Every module under each of its names."""

Decided = Mapping[int, Mapping[str, tuple[Decision, ...]]]
"""What fills the tensors of modules, by a module's id and a tensor's local name."""


def entries(skeleton: building.Skeleton, modules: Named, decided: Decided) -> list[Entry]:
    """Every unique parameter and buffer in the order of `named_parameters()` and `named_buffers()`."""
    found: dict[int, Entry] = {}
    for kind in ("parameter", "buffer"):
        for prefix, module in modules:
            own = module._parameters if kind == "parameter" else module._buffers
            if not own:
                continue
            instance, owner = skeleton.instances.get(id(module)), type_name(skeleton, module)
            key, fills_of = _ROOT if instance is None else instance.key, decided.get(id(module), {})
            for local, tensor in own.items():
                if tensor is None:
                    continue
                name, known = f"{prefix}.{local}" if prefix else local, found.get(id(tensor))
                if known is None:
                    home = Home(name, module, local, fills_of.get(local, ()))
                    found[id(tensor)] = Entry(tensor, kind, key, owner, [home])
                else:
                    known.homes.append(Home(name, module, local, known.homes[0].decisions))
    for each, (source, local) in skeleton.tied.items():
        for home in found[each].homes if each in found else ():
            home.decisions = decided.get(source, {}).get(local, ())  # of a tie, the right-hand side's
    return list(found.values())


def _named(module: nn.Module, prefix: str, found: Named) -> Named:
    """As `named_modules(remove_duplicate=False)`, in a third of the time."""
    found.append((prefix, module))
    start = f"{prefix}." if prefix else ""
    for name, child in module._modules.items():
        if child is not None:
            _named(child, start + name, found)
    return found


def type_name(skeleton: building.Skeleton, module: nn.Module) -> str:
    """A layer's type, or the name of the block that a module was made from."""
    instance = skeleton.instances.get(id(module))
    if instance is None or instance.block is None:
        return type(module).__name__
    return "Sequential" if instance.block.forward is None else instance.block.name


def decide(
    skeleton: building.Skeleton, rules: tuple[spec.Rule, ...], root_values: Mapping[str, Any]
) -> tuple[list[Entry], list[Problem]]:
    """The fills of every tensor, weakest first, and warnings about rules without effect.

    Raises:
        ConfigError: a tensor nobody fills, a fill that cannot apply, rules that disagree or select nothing.
    """
    problems, warnings = Problems(), Problems()
    modules = _named(skeleton.root, "", [])
    table = entries(skeleton, modules, _torch_defaults(skeleton, modules))
    _own_fills(skeleton, table, problems)
    hits = _rules(skeleton, table, rules, root_values, problems)
    _inits(skeleton, modules, table, problems)
    for entry in table:
        if len(entry.homes) == len(entry.homes[0].decisions) == 1:
            entry.chain = entry.homes[0].decisions
        else:
            _settle(entry, problems)
    _unused(skeleton, rules, table, hits, problems, warnings)
    _check(table, problems)
    problems.check()
    return table, warnings.found


def _torch_defaults(skeleton: building.Skeleton, modules: Named) -> Decided:
    """What torch's constructors would do, and what those of registered layers left."""
    found: dict[int, dict[str, tuple[Decision, ...]]] = {}
    equal: dict[int, dict[str, tuple[Decision, ...]]] = {}  # by the id of arguments, which equal layers share
    shared: dict[tuple[str, int], tuple[Decision, ...]] = {}  # layers with the same default share its decision
    changed = {id(place) for place, _ in skeleton.kept}
    sources = {place for place, _ in skeleton.tied.values()}  # a user's layer may keep the tensors of one it dropped
    beside = [each for each in skeleton.made.values() if id(each) in sources] if sources else []
    for module in itertools.chain((each for _, each in modules), beside):
        instance = skeleton.instances.get(id(module))
        if instance is None or instance.layer is None or instance.layer.registered or id(module) in found:
            continue
        known = equal.get(id(instance.arguments))
        if known is not None and id(module) not in changed:
            found[id(module)] = known
            continue
        for dotted, (name, arguments) in defaults.defaults(module).items():
            owners, _, local = dotted.rpartition(".")
            owner = module.get_submodule(owners) if owners else module
            if (name, id(arguments)) not in shared:
                decision = Decision(rule="torch", strength=0, fill=fills.FILLS[name], arguments=arguments)
                shared[name, id(arguments)] = (decision,)
            found.setdefault(id(owner), {})[local] = shared[name, id(arguments)]
        if not module._modules and id(module) not in changed:
            equal[id(instance.arguments)] = found.setdefault(id(module), {})
    for (place, local), value in skeleton.kept.items():
        kept = Decision(rule="constructor", strength=0, value=value)
        found[id(place)] = {**found.get(id(place), {}), local: (kept,)}
    return found


def _own_fills(skeleton: building.Skeleton, table: list[Entry], problems: Problems) -> None:
    own = {
        (id(module), each.name): (each, instance)
        for module, instance in skeleton.blocks
        if instance.block is not None
        for each in (*instance.block.tensors, *instance.block.buffers)
    }
    for entry in table if own else ():
        for home in entry.homes:
            tensor, instance = own.get((id(home.owner), home.local), (None, None))
            if tensor is None or instance is None:
                continue
            entry.key = tensor.key
            if tensor.fill is not None:
                decision = decision_of(tensor.fill, instance.values, str(tensor.key), 1, problems, entry)
                if decision is not None:
                    home.decisions += (decision,)


def decision_of(
    fill: spec.Fill,
    values: Mapping[str, Any],
    rule: str,
    strength: int,
    problems: Problems,
    entry: Entry,
    exact: bool = False,
) -> Decision | None:
    """A fill with its formulas computed for one tensor, or None where that is a problem."""
    if fill.program:
        return Decision(rule=rule, strength=strength, program=fill.program, values=values, key=fill.key, exact=exact)
    shape = tuple(entry.tensor.shape)
    known = dict(values)
    if len(shape) >= 2:
        known["fan_in"], known["fan_out"] = fills.fans_of(shape)
    elif any(isinstance(value, spec.Formula) and _fans_in(value.tree) for _, value in fill.arguments):
        what = f"{rule} cannot fill '{entry.name}': fan_in and fan_out need at least 2 dimensions, not {len(shape)}."
        problems.add(fill.key, what, "" if strength < 2 else "Write param: weight.")
        return None
    resolver = Resolver(problems)
    scope = Scope(values=known, origins={}, blocks={})
    before = len(problems.found)
    arguments = {name: resolver.value(value, scope, fill.key / name) for name, value in fill.arguments}
    if len(problems.found) > before:
        return None
    return Decision(
        rule=rule, strength=strength, fill=fills.FILLS[fill.name], arguments=arguments, key=fill.key, exact=exact
    )


def _fans_in(tree: ast.expr) -> bool:
    return any(each.id in ("fan_in", "fan_out") for each in language.formula_names(tree))


def _rules(
    skeleton: building.Skeleton,
    table: list[Entry],
    rules: tuple[spec.Rule, ...],
    values: Mapping[str, Any],
    problems: Problems,
) -> dict[str, int]:
    hits = {rule.name: 0 for rule in rules}
    for rule in rules:
        own = spec.assigned_in(rule.fill.program)  # a rule is written for many models, whatever their args are called
        seen = {name: value for name, value in values.items() if name not in own} if own else values
        decisions: dict[tuple[torch.Size, bool], Decision | None] = {}  # tensors of one shape share them
        for entry in table:
            reached = [home for home in entry.homes if _selects(skeleton, rule, entry, home)]
            if not reached:
                continue
            exact = rule.pattern is not None and len(reached) < len(entry.homes)
            case = (entry.tensor.shape, exact)
            if case not in decisions:
                decisions[case] = decision_of(rule.fill, seen, f"init.{rule.name}", 2, problems, entry, exact)
            decision = decisions[case]
            if decision is None:
                continue
            hits[rule.name] += 1
            entry.matched += (decision.rule,)
            for home in reached:
                home.decisions += (decision,)
    return hits


def _selects(skeleton: building.Skeleton, rule: spec.Rule, entry: Entry, home: Home) -> bool:
    if entry.kind == "buffer" and rule.pattern != home.name:
        return False
    if rule.param is not None and rule.param != home.local:
        return False
    if rule.pattern is not None and not _glob(rule.pattern)(home.name):
        return False
    return not rule.layers or bool({each.rpartition(".")[2] for each in rule.layers} & _types(skeleton, home.owner))


@cache
def _glob(pattern: str) -> Callable[[str], Any]:
    return re.compile(fnmatch.translate(pattern)).match


def _types(skeleton: building.Skeleton, module: nn.Module) -> set[str]:
    """The names by which a rule may select what a module owns: its type, what that derives from, its block."""
    names = {each.__name__ for each in type(module).__mro__}
    instance = skeleton.instances.get(id(module))
    if instance is not None and instance.block is not None:
        names.add(instance.block.name)
    return names


def _inits(skeleton: building.Skeleton, modules: Named, table: list[Entry], problems: Problems) -> None:
    """`_init_`, outer nodes first, so that the innermost wins."""
    nodes = [
        (prefix, instance)
        for prefix, module in modules
        if (instance := skeleton.instances.get(id(module))) is not None and instance.init
    ]
    for prefix, instance in sorted(nodes, key=lambda each: each[0].count(".") + bool(each[0])):
        start = f"{prefix}." if prefix else ""
        for pattern, fill, values in instance.init:
            found = False
            for entry in table:
                reached = [h for h in entry.homes if h.name.startswith(start) and _glob(pattern)(h.name[len(start) :])]
                if not reached:
                    continue
                found = True
                decision = decision_of(fill, values, "_init_", 3, problems, entry, exact=True)
                if decision is not None:
                    entry.matched += (f"_init_ of {prefix or 'the model'}",)
                    for home in reached:
                        home.decisions += (decision,)
            if not found:
                names = [h.name[len(start) :] for entry in table for h in entry.homes if h.name.startswith(start)]
                problems.add(
                    instance.key / "_init_" / pattern,
                    f"_init_ finds no tensor '{pattern}' here.",
                    nearest(pattern, names),
                )


def _settle(entry: Entry, problems: Problems) -> None:
    """The chain of fills that is computed: the last that does not build on what came before, and all after it."""
    if len(entry.homes) == 1:
        entry.chain = _chain(entry.homes[0].decisions)
        return
    last: dict[tuple[str, str, int], Home] = {}
    for home in entry.homes:
        if home.decisions:
            final = home.decisions[-1]  # a shared module repeats its decisions under each of its names
            last.setdefault((final.rule, final.text(), id(final.values) if final.program else 0), home)
    if not last:
        return
    homes = list(last.values())
    chosen = homes[0]
    if len(homes) > 1:
        strongest = max(home.decisions[-1].strength for home in homes)
        own = [home for home in homes if home.decisions[-1].strength == 3] if strongest == 3 else []
        exact = own or [home for home in homes if home.decisions[-1].strength == 2 and home.decisions[-1].exact]
        ruled = [home for home in homes if home.decisions[-1].strength >= 1]
        same = {(home.decisions[-1].text(), home.decisions[-1].program) for home in homes}
        if len(same) == 1:
            chosen = max(homes, key=lambda home: home.decisions[-1].strength)
        elif len(exact) == 1:
            chosen = exact[0]
        elif len(ruled) == 1:
            chosen = ruled[0]
        else:
            shown = "; ".join(
                f"{h.decisions[-1].rule} fills {h.name} with {h.decisions[-1].text()}" for h in (exact or ruled)[:2]
            )
            key = (exact or ruled)[1].decisions[-1].key
            what = f"{entry.homes[0].name} and {entry.homes[-1].name} are one tensor, and two fills disagree: {shown}."
            hint = f"Write a rule with name: {entry.homes[0].name}." if len(exact) < 2 else "Remove one of them."
            problems.add(key, what, hint)
            entry.disputed = tuple(home.decisions[-1].rule for home in exact or ruled)
    entry.chain = _chain(chosen.decisions)


def _chain(decisions: tuple[Decision, ...]) -> tuple[Decision, ...]:
    start = len(decisions) - 1
    while start > 0 and decisions[start].reads_value:
        start -= 1
    return decisions[start:] if start > 0 else decisions


def _unused(
    skeleton: building.Skeleton,
    rules: tuple[spec.Rule, ...],
    table: list[Entry],
    hits: dict[str, int],
    problems: Problems,
    warnings: Problems,
) -> None:
    if not rules:
        return
    used = {decision.rule for entry in table for decision in entry.chain}
    used.update(rule for entry in table for rule in entry.disputed)
    for rule in rules:
        collector = warnings if rule.pattern is None else problems
        if not hits[rule.name]:
            what = f"the rule '{rule.name}' ({_selector(rule)}) selects no tensor of this model."
            collector.add(rule.key, what, _nearest_selector(skeleton, rule, table))
        elif f"init.{rule.name}" not in used:
            collector.add(
                rule.key,
                f"later fills overwrite everything that the rule '{rule.name}' fills.",
                "Remove it, or move it down.",
            )


def _nearest_selector(skeleton: building.Skeleton, rule: spec.Rule, table: list[Entry]) -> str:
    """What may have been meant by a rule that selects nothing."""
    homes = [home for entry in table for home in entry.homes]
    if rule.pattern is not None:
        return nearest(rule.pattern, [home.name for home in homes])
    types = {name for home in homes for name in _types(skeleton, home.owner)}
    unknown = [name for name in rule.layers if name.rpartition(".")[2] not in types]
    if unknown:
        return nearest(unknown[0], sorted({type_name(skeleton, home.owner) for home in homes}))
    return nearest(rule.param or "", sorted({home.local for home in homes}))


def _selector(rule: spec.Rule) -> str:
    parts = {"layer": ", ".join(rule.layers), "param": rule.param, "name": rule.pattern}
    return ", ".join(f"{name}: {value}" for name, value in parts.items() if value)


def _check(table: list[Entry], problems: Problems) -> None:
    wrong: dict[tuple[int, torch.Size | None, torch.dtype], list[tuple[Decision, str]]] = {}
    refused: dict[tuple[Path, str, str], list[str]] = {}
    for entry in table:
        chain, tensor = entry.chain, entry.tensor
        if not chain or chain[0].reads_value:
            what = f"'{entry.name}' has no fill and no rule fills it."
            problems.add(entry.key, what, "Write fill: zeros beside its shape, or a rule.")
            continue
        shape = tensor.shape if chain[-1].strength else None  # torch's defaults fit their shapes
        case = id(chain[0] if len(chain) == 1 else chain), shape, tensor.dtype
        if case not in wrong:
            wrong[case] = list(_wrong(chain, tensor))
        for each, what in wrong[case]:
            refused.setdefault((each.key or entry.key, each.rule, what), []).append(entry.name)
    for (key, rule, what), (first, *others) in refused.items():
        more = f" and {len(others)} more" if others else ""
        problems.add(key, f"{rule} cannot fill '{first}'{more}: {what}")


def _wrong(chain: tuple[Decision, ...], tensor: Tensor) -> Iterator[tuple[Decision, str]]:
    """Which fills cannot apply to a tensor, and why."""
    for each in chain:
        wrong = each.fill and fills.problem_with(each.fill, each.arguments, tensor.shape, tensor.dtype)
        if each.fill is not None and wrong:
            yield each, f"{each.fill.name} {wrong}{'' if wrong.endswith('?') else '.'}"


def tensors(table: list[Entry], seed: int) -> tuple[planned.Tensor, ...]:
    """The ledger."""
    return tuple(
        planned.Tensor(
            name=entry.name,
            aliases=tuple(home.name for home in entry.homes[1:]),
            shape=tuple(entry.tensor.shape),
            dtype=str(entry.tensor.dtype).removeprefix("torch."),
            kind=entry.kind,
            persistent=entry.persistent,
            trainable=entry.kind == "parameter" and entry.tensor.requires_grad,
            owner=entry.owner,
            fill=" -> ".join(each.text() for each in entry.chain),
            rule=entry.chain[-1].rule,
            matched=entry.matched,
            erased=tuple(rule for rule in entry.matched if rule not in {each.rule for each in entry.chain}),
            stream=streams.label(seed, entry.name)
            if any(each.program or (each.fill and each.fill.draws) for each in entry.chain)
            else "",
            key=entry.key,
        )
        for entry in table
    )


# -- filling ----------------------------------------------------------------------------------------------------------


def fill(skeleton: building.Skeleton, table: list[Entry], seed: int, threads: int | None = None) -> None:
    """Fills every tensor once, in parallel; the values do not depend on the number of threads."""
    fills.run(_tasks(skeleton, table, seed), threads)
    problems = Problems()
    for entry, tensor in zip(table, filled(skeleton, table), strict=True):
        last = entry.chain[-1]
        if last.program and tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            problems.add(last.key, f"{last.rule} fills '{entry.name}' with values that are not finite.")
    problems.check()


def filled(skeleton: building.Skeleton, table: list[Entry]) -> list[Tensor]:
    """The tensors of the table that stand in the model now."""
    placed = skeleton.placed
    return [placed.get(entry.tensor, entry.tensor) if placed else entry.tensor for entry in table]


def _tasks(skeleton: building.Skeleton, table: list[Entry], seed: int) -> Iterator[fills.Task]:
    fillings: dict[tuple[int, torch.Size], fills.Filling] = {}  # tensors of one shape share them
    for entry, tensor in zip(table, filled(skeleton, table), strict=True):
        chain = entry.chain
        decision = chain[0]
        if len(chain) == 1 and decision.fill is not None:
            case = (id(decision), tensor.shape)
            filling = fillings.get(case)
            if filling is None:
                filling = fillings[case] = fills.Filling(decision.fill, decision.arguments, tensor.shape)
            yield from filling.begin(tensor, seed, entry.name)
        elif len(chain) > 1 or decision.value is not tensor:
            yield fills.Task(tensor.numel(), Program(tensor, chain, entry.name, seed, skeleton.max_steps))


@dataclass(slots=True)
class Program:
    """Computes a tensor by fills that build on each other, and texts."""

    tensor: Tensor
    chain: Sequence[Decision]
    name: str
    seed: int
    max_steps: int
    drawn: int = 0

    def draw(self, name: str, *positional: Any, **named: Any) -> Tensor:
        fill = fills.find_fill(name)
        assert fill is not None
        arguments = fills.bind(fill, positional, named)
        shape = tuple(self.tensor.shape)
        what = fills.problem_with(fill, arguments, shape, self.tensor.dtype)
        if what is not None:
            raise ValueError(f"{name} {what}")
        number, self.drawn = self.drawn, self.drawn + 1
        return fills.draw(fill, arguments, shape, self.tensor.dtype, seed=self.seed, name=self.name, number=number)

    def __call__(self) -> None:
        value: Any = None
        for each in self.chain:
            if each.fill is not None:
                value = self.draw(each.fill.name, **each.arguments)
            else:
                value = each.value if each.value is not None else self.program(each, value)
        with torch.no_grad():
            self.tensor.detach().copy_(value) if isinstance(value, Tensor) else self.tensor.detach().fill_(value)

    def program(self, decision: Decision, value: Any) -> Any:
        values = {name: each for name, each in decision.values.items() if name not in spec.FILL_INPUTS}
        names = spec.fill_names(frozenset(values))
        translation = language.translate(decision.program, names, "fill")
        problems = Problems()
        for error in translation.errors:
            problems.add_text(decision.key, error)
        problems.check()
        assert translation.code is not None
        function = language.link(translation.code, values, self.max_steps)
        shape = tuple(self.tensor.shape)
        fans = fills.fans_of(shape) if len(shape) >= 2 else (None, None)
        start = value.clone() if isinstance(value, Tensor) else value
        try:
            result = function(None, self.draw, shape, *fans, start)
        except Exception as error:
            what = str(error).splitlines()[0].removesuffix(", but expected one of:")
            if fans[0] is None and "'NoneType'" in what:
                what = f"fan_in and fan_out need at least 2 dimensions, not {len(shape)}."
            problems.add(decision.key, f"{decision.rule} cannot fill '{self.name}': {what}")
            problems.check()
        if isinstance(result, Tensor):
            try:
                return result.expand(shape)
            except RuntimeError:
                what = f"{decision.rule} gives '{self.name}' shape {list(result.shape)} instead of {list(shape)}."
                problems.add(decision.key, what)
                problems.check()
        return result
