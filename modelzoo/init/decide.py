"""Who fills each tensor: torch's defaults, its own fill, the rules, `_init_`; decided per unique tensor, done once."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from numbers import Complex, Real
from types import CodeType
from typing import Any

import torch
from torch import Tensor, nn

from modelzoo import streams
from modelzoo.catalog import catalog, fills, torch_init
from modelzoo.errors import ConfigError, Path, Problem, Problems, first_line, nearest
from modelzoo.init.lookup import Lookup
from modelzoo.language import compiler, runtime, syntax
from modelzoo.modules import construct
from modelzoo.modules.failures import depends_on_data
from modelzoo.modules.strict import expands, strictly
from modelzoo.spec.evaluation import Evaluation
from modelzoo.spec.instances import Recipe, Scope
from modelzoo.spec.nodes import FILL_INPUTS, Fill, Formula, Rule, assigned_in, fill_names

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
        return bool(self.program) and Fill(program=self.program).reads_value

    def translated(self) -> tuple[dict[str, Any], CodeType]:
        """The code of its text, and the values of the names that it reads."""
        values = {name: each for name, each in self.values.items() if name not in FILL_INPUTS}
        translation = compiler.translate(self.program, fill_names(frozenset(values)), "fill")
        if translation.code is None:
            raise translation.errors[0]
        return {name: values[name] for name in translation.names}, translation.code

    def content(self) -> Hashable:
        """Equal ones give tensors of one shape the same, but for what they draw."""
        if self.fill is not None:
            return self.fill.name, repr(self.arguments)
        return id(self.value) if self.value is not None else (self.program, repr(self.translated()[0]))

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
    """A unique tensor with all its homes, and the fills that will be computed; `computed` is what a try gave."""

    tensor: Tensor
    kind: str = "buffer"
    key: Path = _ROOT
    owner: str = ""
    homes: list[Home] = field(default_factory=list)
    chain: tuple[Decision, ...] = ()
    matched: tuple[str, ...] = ()
    disputed: tuple[str, ...] = ()
    computed: Tensor | None = None

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


def entries(skeleton: construct.Skeleton, modules: Named, decided: Decided) -> list[Entry]:
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


def type_name(skeleton: construct.Skeleton, module: nn.Module) -> str:
    """A layer's type, or the name of the block that a module was made from."""
    instance = skeleton.instances.get(id(module))
    if instance is None or instance.block is None:
        return type(module).__name__
    return "Sequential" if instance.block.forward is None else instance.block.name


def decide(
    skeleton: construct.Skeleton, rules: tuple[Rule, ...], root_values: Mapping[str, Any], seed: int
) -> tuple[list[Entry], list[Problem]]:
    """The fills of every tensor, weakest first, and warnings about rules without effect.

    Texts are tried: each once for tensors of one shape and dtype.

    Raises:
        ConfigError: a tensor nobody fills, a fill that cannot apply, rules that disagree or select nothing.
    """
    problems, warnings = Problems(), Problems()
    modules = _named(skeleton.root, "", [])
    table = entries(skeleton, modules, _torch_defaults(skeleton, modules))
    _own_fills(skeleton, table, problems)
    homes = _Homes(skeleton, table)
    try:
        hits = _rules(homes, rules, root_values, problems)
        _inits(homes, modules, problems)
    except runtime.EndlessError as error:
        problems.add(Path(("init",)), f"{error}.", "Write fewer of them.")
        raise ConfigError(problems.found) from error
    for entry in table:
        if len(entry.homes) == len(entry.homes[0].decisions) == 1:
            entry.chain = entry.homes[0].decisions
        else:
            _settle(entry, problems)
    _unused(homes, rules, hits, problems, warnings)
    _check(table, seed, skeleton.max_steps, problems)
    problems.check()
    return table, warnings.found


def _torch_defaults(skeleton: construct.Skeleton, modules: Named) -> Decided:
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
        for dotted, (name, arguments) in torch_init.defaults(module).items():
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


def _own_fills(skeleton: construct.Skeleton, table: list[Entry], problems: Problems) -> None:
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
    fill: Fill,
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
    elif any(isinstance(value, Formula) and _fans_in(value.tree) for _, value in fill.arguments):
        what = f"{rule} cannot fill '{entry.name}': fan_in and fan_out need at least 2 dimensions, not {len(shape)}."
        problems.add(fill.key, what, "" if strength < 2 else "Write param: weight.")
        return None
    evaluation = Evaluation(problems)
    scope = Scope(values=known, origins={}, blocks={})
    before = len(problems.found)
    arguments = {name: evaluation.value(value, scope, fill.key / name) for name, value in fill.arguments}
    if len(problems.found) > before:
        return None
    return Decision(
        rule=rule, strength=strength, fill=fills.FILLS[fill.name], arguments=arguments, key=fill.key, exact=exact
    )


def _fans_in(tree: ast.expr) -> bool:
    return any(each.id in ("fan_in", "fan_out") for each in syntax.formula_names(tree))


class _Homes:
    """Every name of every tensor, as rules and `_init_` select them."""

    def __init__(self, skeleton: construct.Skeleton, table: list[Entry]) -> None:
        self.skeleton, self.table = skeleton, table
        self.all = [(entry, home) for entry in table for home in entry.homes]
        self.operations = runtime.Operations("rules and _init_")

    @cached_property
    def lookup(self) -> Lookup:
        return Lookup([home.name for _, home in self.all])

    @cached_property
    def types(self) -> set[str]:
        return {name for _, home in self.all for name in _types(self.skeleton, home.owner)}

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


def _rules(
    homes: _Homes,
    rules: tuple[Rule, ...],
    values: Mapping[str, Any],
    problems: Problems,
) -> dict[str, int]:
    hits = {rule.name: 0 for rule in rules}
    for rule in rules:
        own = assigned_in(rule.fill.program)  # a rule is written for many models, whatever their args are called
        seen = {name: value for name, value in values.items() if name not in own} if own else values
        decisions: dict[tuple[torch.Size, bool], Decision | None] = {}  # tensors of one shape share them
        for entry, reached in homes.selected(rule):
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


def _selects(skeleton: construct.Skeleton, rule: Rule, entry: Entry, home: Home) -> bool:
    """Whether a rule means a name that fits its glob."""
    if entry.kind == "buffer" and rule.pattern != home.name:
        return False
    if rule.param is not None and rule.param != home.local:
        return False
    return not rule.layers or bool({each.rpartition(".")[2] for each in rule.layers} & _types(skeleton, home.owner))


def _types(skeleton: construct.Skeleton, module: nn.Module) -> set[str]:
    """The names by which a rule may select what a module owns: its type, what that derives from, its block."""
    names = {each.__name__ for each in type(module).__mro__}
    instance = skeleton.instances.get(id(module))
    if instance is not None and instance.block is not None:
        names.add(instance.block.name)
    return names


def _inits(homes: _Homes, modules: Named, problems: Problems) -> None:
    """`_init_`, outer nodes first, so that the innermost wins."""
    nodes = [
        (prefix, instance)
        for prefix, module in modules
        if (instance := homes.skeleton.instances.get(id(module))) is not None and instance.init
    ]
    for prefix, instance in sorted(nodes, key=lambda each: each[0].count(".") + bool(each[0])):
        start = f"{prefix}." if prefix else ""
        for pattern, fill, values in instance.init:
            found = False
            for entry, reached in homes.matching(pattern, start):
                found = True
                decision = decision_of(fill, values, "_init_", 3, problems, entry, exact=True)
                if decision is not None:
                    entry.matched += (f"_init_ of {prefix or 'the model'}",)
                    for home in reached:
                        home.decisions += (decision,)
            if not found:
                hint = nearest(pattern, homes.lookup.below(start))
                problems.add(instance.key / "_init_" / pattern, f"_init_ finds no tensor '{pattern}' here.", hint)


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
    homes: _Homes,
    rules: tuple[Rule, ...],
    hits: dict[str, int],
    problems: Problems,
    warnings: Problems,
) -> None:
    if not rules:
        return
    used = {decision.rule for entry in homes.table for decision in entry.chain}
    used.update(rule for entry in homes.table for rule in entry.disputed)
    for rule in rules:
        collector = warnings if rule.pattern is None else problems
        if not hits[rule.name]:
            what = f"the rule '{rule.name}' ({_selector(rule)}) selects no tensor of this model."
            collector.add(rule.key, what, _nearest_selector(homes, rule))
        elif f"init.{rule.name}" not in used:
            collector.add(
                rule.key,
                f"later fills overwrite everything that the rule '{rule.name}' fills.",
                "Remove it, or move it down.",
            )


def _nearest_selector(homes: _Homes, rule: Rule) -> str:
    """What may have been meant by a rule that selects nothing."""
    if rule.pattern is not None:
        return nearest(rule.pattern, (home.name for _, home in homes.all))
    unknown = [name for name in rule.layers if name.rpartition(".")[2] not in homes.types]
    if unknown:
        return nearest(unknown[0], homes.type_names)
    return nearest(rule.param or "", homes.local_names)


def _selector(rule: Rule) -> str:
    parts = {"layer": ", ".join(rule.layers), "param": rule.param, "name": rule.pattern}
    return ", ".join(f"{name}: {value}" for name, value in parts.items() if value)


def _check(table: list[Entry], seed: int, max_steps: int, problems: Problems) -> None:
    wrong: dict[Hashable, list[Wrong]] = {}
    operations = runtime.Operations("fills")
    refused: dict[tuple[Path, str, Wrong], list[str]] = {}
    for entry in table:
        chain, tensor = entry.chain, entry.tensor
        if not chain or chain[0].reads_value:
            what = f"'{entry.name}' has no fill and no rule fills it."
            problems.add(entry.key, what, "Write fill: zeros beside its shape, or a rule.")
            continue
        shape = tensor.shape if chain[-1].strength else None  # torch's defaults fit their shapes
        case = (*map(id, chain), shape, tensor.dtype)
        if case not in wrong:
            wrong[case] = list(_wrong(chain, tensor))
            if not wrong[case] and any(each.program for each in chain):
                same = (*(each.content() for each in chain), shape, tensor.dtype)
                if same not in wrong:
                    wrong[same] = attempt(entry, seed, max_steps, operations)
                wrong[case] = wrong[same]
        for each in wrong[case]:
            decision = chain[each.place]
            refused.setdefault((decision.key or entry.key, decision.rule, each), []).append(entry.name)
    for (key, rule, each), names in refused.items():
        problems.note(each.problem(rule, key, *names))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """Why a fill gives a tensor nothing that it can hold.

    Attributes:
        place: which one it is in the chain.
        does, how: what the fill does to the tensor, before and after its name.
        hint: what to type.
        line: of its text; 0 if it has none.
    """

    place: int = 0
    does: str = "cannot fill"
    how: str
    hint: str = ""
    line: int = 0

    def problem(self, rule: str, key: Path, name: str, *others: str) -> Problem:
        """As a problem of the tensors with these names; `rule` says who asked for the fill."""
        more = f" and {len(others)} more" if others else ""
        what = f"{rule} {self.does} '{name}'{more}{self.how}"
        return Problem(path=str(key), key=key, what=what, hint=self.hint, line=self.line, column=min(self.line, 1))


def _wrong(chain: tuple[Decision, ...], tensor: Tensor) -> Iterator[Wrong]:
    """Which named fills cannot apply to a tensor, and why."""
    for place, each in enumerate(chain):
        wrong = each.fill and fills.problem_with(each.fill, each.arguments, tensor.shape, tensor.dtype)
        if each.fill is not None and wrong:
            yield Wrong(place=place, how=f": {each.fill.name} {wrong}{'' if wrong.endswith('?') else '.'}")


TRIED = 2**22
"""Up to so many elements a text is tried as it will be computed; beyond, on meta, where it has no values."""


def attempt(
    entry: Entry, seed: int, max_steps: int, operations: runtime.Operations | None = None, finite: bool = True
) -> list[Wrong]:
    """Computes the texts of a tensor, keeps what they give, and says what goes wrong if anything does.

    Args:
        operations: counts what they do, with what others do.
        finite: whether values that are not are wrong.
    """
    device = "cpu" if entry.tensor.numel() <= TRIED else "meta"
    tensor = torch.empty(entry.tensor.shape, dtype=entry.tensor.dtype, device=device)
    try:
        operations = operations or runtime.Operations("fills")
        program = Program(tensor, entry.chain, entry.name, seed, max_steps, operations)
        with strictly(tensor.device):
            fills.run([fills.Task(0, program.fill)], threads=1)
    except UnfillableError as error:
        return [] if depends_on_data(error.__cause__) else [error.wrong]
    if finite and not _is_finite(tensor):
        return [Wrong(place=len(entry.chain) - 1, does="fills", how=_NOT_FINITE)]
    entry.computed = None if tensor.is_meta else tensor
    return []


_NOT_FINITE = " with values that are not finite."


def _is_finite(tensor: Tensor) -> bool:
    return tensor.is_meta or not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())


# -- filling ----------------------------------------------------------------------------------------------------------


def fill(skeleton: construct.Skeleton, table: list[Entry], seed: int, threads: int | None = None) -> None:
    """Fills every tensor once, in parallel; the values do not depend on the number of threads."""
    fills.run(_tasks(skeleton, table, seed), threads)
    problems = Problems()
    for entry, tensor in zip(table, filled(skeleton, table), strict=True):
        last = entry.chain[-1]
        if last.program and not _is_finite(tensor):
            wrong = Wrong(does="fills", how=_NOT_FINITE)
            problems.note(wrong.problem(last.rule, last.key, entry.name))
    problems.check()


def filled(skeleton: construct.Skeleton, table: list[Entry]) -> list[Tensor]:
    """The tensors of the table that stand in the model now."""
    placed = skeleton.placed
    return [placed.get(entry.tensor, entry.tensor) if placed else entry.tensor for entry in table]


def fill_one(entry: Entry, seed: int, max_steps: int) -> None:
    """Fills a tensor that belongs to no model."""
    fills.run(_tasks_of(entry, entry.tensor, seed, max_steps, {}, runtime.Operations("fills")))


def _tasks(skeleton: construct.Skeleton, table: list[Entry], seed: int) -> Iterator[fills.Task]:
    fillings: Fillings = {}
    operations = runtime.Operations("fills")
    for entry, tensor in zip(table, filled(skeleton, table), strict=True):
        yield from _tasks_of(entry, tensor, seed, skeleton.max_steps, fillings, operations)


Fillings = dict[tuple[int, torch.Size], fills.Filling]
"""Of a fill, by its decision's id, and a shape: tensors of one shape share them."""


def _tasks_of(
    entry: Entry,
    tensor: Tensor,
    seed: int,
    max_steps: int,
    fillings: Fillings,
    operations: runtime.Operations,
) -> Iterable[fills.Task]:
    chain = entry.chain
    decision = chain[0]
    if entry.computed is not None:
        computed, entry.computed = entry.computed, None
        return [fills.Task(tensor.numel() // 16, partial(tensor.detach().copy_, computed))]
    if len(chain) > 1 or decision.fill is None:
        if len(chain) == 1 and decision.value is tensor:
            return []
        return [fills.Task(tensor.numel(), Program(tensor, chain, entry.name, seed, max_steps, operations))]
    case = (id(decision), tensor.shape)
    filling = fillings.get(case)
    if filling is None:
        filling = fillings[case] = fills.Filling(decision.fill, decision.arguments, tensor.shape)
    if decision.fill.name in fills.TORCHS:
        return filling.begin(tensor, seed, entry.name)
    tasks = filling.tasks(tensor, seed, entry.name)
    return [fills.Task(each.cost, partial(_told, each.call, decision, entry)) for each in tasks]


def _told(fill: Callable[[], object], decision: Decision, entry: Entry) -> None:
    """A user's own fill may raise anything."""
    try:
        fill()
    except Exception as error:
        wrong = Wrong(how=f": {first_line(error).rstrip('.')}.")
        raise ConfigError([wrong.problem(decision.rule, decision.key or entry.key, entry.name)]) from error


class UnfillableError(Exception):
    """A fill failed, or gave what the tensor cannot hold."""

    def __init__(self, wrong: Wrong) -> None:
        self.wrong = wrong
        super().__init__(wrong)


@dataclass(slots=True)
class Program:
    """Computes a tensor by fills that build on each other, and texts.

    On meta it has no values: what can be known without them is found there.
    """

    tensor: Tensor
    chain: Sequence[Decision]
    name: str
    seed: int
    max_steps: int
    operations: runtime.Operations = field(default_factory=lambda: runtime.Operations("fills"))
    drawn: int = 0

    def __call__(self) -> None:
        try:
            self.fill()
        except UnfillableError as error:
            decision = self.chain[error.wrong.place]
            problem = error.wrong.problem(decision.rule, decision.key, self.name)
            raise ConfigError([problem]) from error.__cause__

    def fill(self) -> None:
        """Raises an UnfillableError where a fill fails."""
        value: Any = None
        for place, each in enumerate(self.chain):
            try:
                value = self.value(each, value)
            except Exception as error:
                raise UnfillableError(self.wrong(place, each, error)) from error
            wrong = _no_value(value, self.tensor)
            if wrong is not None:
                raise UnfillableError(replace(wrong, place=place))
            if isinstance(value, Tensor):
                value = value.expand(self.tensor.shape)
        try:
            with torch.no_grad():
                self.tensor.detach().copy_(value) if isinstance(value, Tensor) else self.tensor.detach().fill_(value)
        except Exception as error:
            raise UnfillableError(self.wrong(len(self.chain) - 1, self.chain[-1], error)) from error

    def value(self, decision: Decision, value: Any) -> Any:
        """What a fill gives, where the one before gave `value`."""
        if decision.fill is not None:
            return self.draw(decision.fill.name, **decision.arguments)
        if decision.value is not None:
            return decision.value.to(self.tensor.device)
        values, code = decision.translated()
        function = compiler.link(code, values, self.max_steps, turned=self.worked)
        self.worked(len(decision.program) // 10 + 1)
        shape = tuple(self.tensor.shape)
        fans = fills.fans_of(shape) if len(shape) >= 2 else (None, None)
        start = value.clone() if isinstance(value, Tensor) else value
        with streams.instead(self.seed, self.name) if _is_random(code) else nullcontext():
            return function(self.owner(), self.draw, shape, *fans, start)

    def worked(self, count: int, *_: Any) -> None:
        self.operations.spend(count * (runtime.ON_META if self.tensor.is_meta else 1))

    def owner(self) -> nn.Module | None:
        """Whose device tensors get that a text makes from nothing; None: the CPU, where all is drawn."""
        if not self.tensor.is_meta:
            return None
        owner = nn.Module()
        owner.register_buffer("tensor", self.tensor)
        return owner

    def draw(self, name: str, *positional: Any, **named: Any) -> Tensor:
        fill = fills.find_fill(name)
        assert fill is not None
        arguments = fills.bind(fill, positional, named)
        shape, dtype = tuple(self.tensor.shape), self.tensor.dtype
        what = fills.problem_with(fill, arguments, shape, dtype)
        if what is not None:
            raise ValueError(f"{name} {what}")
        number, self.drawn = self.drawn, self.drawn + 1
        if self.tensor.is_meta:
            return torch.empty(shape, dtype=fills.dtype_of_draws(dtype), device="meta")
        return fills.draw(fill, arguments, shape, dtype, seed=self.seed, name=self.name, number=number)

    def wrong(self, place: int, decision: Decision, error: Exception) -> Wrong:
        """What an exception says, and in which line of the text."""
        line, what, hint = next((line for _, line in compiler.texts(error)), 0), first_line(error), ""
        if isinstance(error, runtime.LoopError):
            what, hint = error.what, "Set max_steps=... if it should turn more often."
        elif self.tensor.ndim < 2 and "'NoneType'" in what:
            what = f"fan_in and fan_out need at least 2 dimensions, not {self.tensor.ndim}."
        return Wrong(place=place, how=f": {what.rstrip('.')}.", hint=hint, line=line)


def _is_random(code: CodeType) -> bool:
    """Whether a text may draw from torch's own generator."""
    called = {name.removeprefix("_call_") for name in code.co_names if name.startswith("_call_")}
    return not called.isdisjoint(catalog.RANDOM) or not called <= catalog.FUNCTIONS.keys()


def _no_value(value: Any, tensor: Tensor) -> Wrong | None:
    """Why a tensor cannot be what a fill gives; None if it can."""
    dtype, shape = str(tensor.dtype).removeprefix("torch."), list(tensor.shape)
    if isinstance(value, Tensor):
        if value.is_complex() and not tensor.is_complex():
            return Wrong(does="gives", how=f" complex numbers, which {dtype} cannot hold.")
        fits = expands(value.shape, tensor.shape)
        return None if fits else Wrong(does="gives", how=f" shape {list(value.shape)} instead of {shape}.")
    if isinstance(value, bool) and tensor.dtype != torch.bool:
        return Wrong(does="gives", how=f" {str(value).lower()} instead of a number.")
    if isinstance(value, Complex if tensor.is_complex() else Real):
        return None
    return Wrong(does="gives", how=f" {_shown(value)} instead of a number or a tensor.")


def _shown(value: Any) -> str:
    if value is None or isinstance(value, (str, complex)):
        return "null" if value is None else repr(value)
    if isinstance(value, (tuple, list)):
        return "several values"
    kind = "layer" if isinstance(value, Recipe) else type(value).__name__
    return f"a {kind}"
