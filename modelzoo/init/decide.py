"""Who fills each tensor: torch's defaults, its own fill, the rules, `_init_`; decided per unique tensor, done once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterator, Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn

from modelzoo.catalog import fills, torch_init
from modelzoo.catalog.fill import problem_with
from modelzoo.errors import Code, ConfigError, Path, Problem, Problems, nearest
from modelzoo.init import copies
from modelzoo.init.attempt import attempt
from modelzoo.init.computation import Wrong
from modelzoo.init.decisions import Copied, Decision, Kept, NamedFill, Program
from modelzoo.init.ledger import Decided, Entry, Home, decision_of, entries, fans_of, padding_of
from modelzoo.init.selection import Homes, block_of, without_match
from modelzoo.init.widths import Widths
from modelzoo.language import runtime
from modelzoo.modules.homes import Named, named_in, tensors_of
from modelzoo.modules.skeleton import Skeleton
from modelzoo.spec.forgotten import as_formula
from modelzoo.spec.instances import LayerInstance
from modelzoo.spec.nodes import Init, Rule
from modelzoo.spec.resolve import values_of
from modelzoo.spec.visible import assigned_in


def decide(
    skeleton: Skeleton, init: Init, root_values: Mapping[str, Any], seed: int, problems: Problems
) -> tuple[list[Entry], list[Problem]]:
    """The fills of every tensor, weakest first, and warnings about rules without effect.

    Texts are tried: each once for tensors of one shape and dtype.

    Args:
        skeleton: the modules.
        init: the rules of the model file, or of `init`, and their args.
        root_values: the args of the root, which the rules may read.
        seed: of what texts draw while they are tried.
        problems: ties and rules that are wrong; what they would have filled is not said to be without a fill.

    Raises:
        ConfigError: these, a tensor nobody fills, a fill that cannot apply, rules that disagree or select nothing.
    """
    complete = not problems.found
    modules = named_in(skeleton.root)
    table = entries(skeleton, modules, _torch_defaults(skeleton, modules))
    _own_fills(skeleton, table, problems)
    homes = Homes(modules, table, block_of(skeleton))
    values = values_of(init.args, root_values, problems)
    stronger = partial(_inits, homes, skeleton, problems)
    widths = _widths(skeleton, init, problems)
    return table, ruled(homes, init.rules, values, seed, problems, stronger, skeleton.max_steps, complete, widths)


def _widths(skeleton: Skeleton, init: Init, problems: Problems) -> Widths | None:
    """How much wider the tensors are than those of the base."""
    if not init.base:
        return None
    shapes = {name: tuple(each.shape) for name, each in tensors_of(skeleton.root, every=True).items()}
    widths = Widths(shapes=shapes, base=init.shapes, key=Path(("init", "base")))
    widths.check(problems)
    problems.check()
    return widths


def ruled(
    homes: Homes,
    rules: tuple[Rule, ...],
    values: Mapping[str, Any],
    seed: int,
    problems: Problems,
    stronger: Callable[[], object],
    max_steps: int,
    complete: bool = True,
    widths: Widths | None = None,
) -> list[Problem]:
    """The fills of tensors whose homes know what is weaker than rules; warnings about rules without effect.

    Args:
        homes: of the tensors.
        rules, values: the rules, and what their fills may read.
        seed, problems: as for `decide`.
        stronger: adds to the homes what is stronger than rules.
        max_steps: how often a loop of a text may turn.
        widths: what rules read that follow the width.
        complete: whether a tensor that nothing fills is a mistake of its own.

    Raises:
        ConfigError: as for `decide`.
    """
    table, warnings = homes.table, Problems(fatal=False)
    try:
        hits = _rules(homes, rules, values, problems, widths)
        stronger()
    except runtime.EndlessError as error:
        problems.add(Path(("init",)), f"{error}.", "Write fewer of them.")
        raise ConfigError(problems.found) from error
    for entry in table:
        if len(entry.homes) == len(entry.homes[0].decisions) == 1:
            entry.chain = entry.homes[0].decisions
        else:
            _settle(entry, problems)
        if entry.chain and entry.chain[-1].strength >= 2:
            entry.padding = next((row for row in map(padding_of, entry.homes) if row is not None), None)
    copies.follow(table, problems)
    _unused(homes, rules, hits, problems, warnings)
    _check(table, seed, max_steps, problems, complete)
    problems.check()
    return warnings.found


def _torch_defaults(skeleton: Skeleton, modules: Named) -> Decided:
    """What torch's constructors would do, and what those of registered layers left."""
    found: dict[nn.Module, dict[str, tuple[Decision, ...]]] = {}
    equal: dict[int, dict[str, tuple[Decision, ...]]] = {}  # by the id of arguments, which equal layers share
    shared: dict[tuple[str, int], tuple[Decision, ...]] = {}  # layers with the same default share its decision
    changed = {place for place, _ in skeleton.kept}
    sources = {place for place, _ in skeleton.tied.values()}  # a user's layer may keep the tensors of one it dropped
    beside = [each for each in skeleton.made.values() if each in sources] if sources else []
    for module in itertools.chain((each for _, each in modules), beside):
        instance = skeleton.instances.get(module)
        if not isinstance(instance, LayerInstance) or instance.layer.registered or module in found:
            continue
        known = equal.get(id(instance.arguments))
        if known is not None and module not in changed:
            found[module] = known
            continue
        for dotted, (name, arguments) in torch_init.defaults(module).items():
            owners, _, local = dotted.rpartition(".")
            owner = module.get_submodule(owners) if owners else module
            if (name, id(arguments)) not in shared:
                decision = NamedFill(rule="torch", strength=0, fill=fills.FILLS[name], arguments=arguments)
                shared[name, id(arguments)] = (decision,)
            found.setdefault(owner, {})[local] = shared[name, id(arguments)]
        if not module._modules and module not in changed:
            equal[id(instance.arguments)] = found.setdefault(module, {})
    for (place, local), value in skeleton.kept.items():
        kept = Kept(rule="constructor", strength=0, value=value)
        found[place] = {**found.get(place, {}), local: (kept,)}
    return found


def _own_fills(skeleton: Skeleton, table: list[Entry], problems: Problems) -> None:
    own = {
        (module, each.name): (each, instance)
        for module, instance in skeleton.blocks
        for each in (*instance.block.tensors, *instance.block.buffers)
    }
    for entry in table if own else ():
        for home in entry.homes:
            tensor, instance = own.get((home.owner, home.local), (None, None))
            if tensor is None or instance is None:
                continue
            entry.key = tensor.key
            if tensor.fill is not None:
                fans = fans_of(entry.tensor, home)
                decision = decision_of(tensor.fill, instance.values, str(tensor.key), 1, problems, entry, fans)
                if decision is not None:
                    home.decisions += (decision,)


def _rules(
    homes: Homes,
    rules: tuple[Rule, ...],
    values: Mapping[str, Any],
    problems: Problems,
    widths: Widths | None,
) -> dict[str, int]:
    hits = {rule.name: 0 for rule in rules}
    for rule in rules:
        own = assigned_in(rule.fill.program)  # a rule is written for many models, whatever their args are called
        seen = {name: value for name, value in values.items() if name not in own} if own else values
        decisions: dict[Hashable, Decision | None] = {}  # tensors of one shape share them
        for entry, reached in homes.selected(rule):
            exact = bool(rule.patterns) and len(reached) < len(entry.homes)
            fans = fans_of(entry.tensor, reached[0])
            fill = copies.fill_of(rule, reached[0].name)
            wider = {} if widths is None else widths.of(entry.name)
            case = (entry.tensor.shape, fans, exact, fill.original, *wider.values())
            if case not in decisions:
                known = {**seen, **wider}
                decisions[case] = decision_of(fill, known, rule.decides, 2, problems, entry, fans, exact)
            decision = decisions[case]
            hits[rule.name] += 1
            if decision is None:
                entry.disputed += (rule.decides,)
                continue
            entry.matched += (decision.rule,)
            for home in reached:
                home.decisions += (decision,)
    return hits


def _inits(homes: Homes, skeleton: Skeleton, problems: Problems) -> None:
    """`_init_`, outer nodes first, so that the innermost wins."""
    nodes = [
        (prefix, instance)
        for prefix, module in homes.modules
        if (instance := skeleton.instances.get(module)) is not None and instance.init
    ]
    for prefix, instance in sorted(nodes, key=lambda each: each[0].count(".") + bool(each[0])):
        start = f"{prefix}." if prefix else ""
        for pattern, fill, values in instance.init:
            found = False
            for entry, reached in homes.matching(pattern, start):
                found = True
                fans = fans_of(entry.tensor, reached[0])
                decision = decision_of(fill, values, "_init_", 3, problems, entry, fans, exact=True)
                if decision is not None:
                    entry.matched += (f"_init_ of {prefix or 'the model'}",)
                    for home in reached:
                        home.decisions += (decision,)
            if not found:
                hint = nearest(pattern, homes.lookup.below(start))
                problems.add(fill.key, f"_init_ finds no tensor '{pattern}' here.", hint)


def _settle(entry: Entry, problems: Problems) -> None:
    """The chain of fills that is computed: the last that does not build on what came before, and all after it."""
    if len(entry.homes) == 1:
        entry.chain = _chain(entry.homes[0].decisions)
        return
    last: dict[tuple[str, str, int], Home] = {}
    for home in entry.homes:
        if home.decisions:
            final = home.decisions[-1]  # a shared module repeats its decisions under each of its names
            last.setdefault((final.rule, final.text(), id(final.values) if isinstance(final, Program) else 0), home)
    if not last:
        return
    homes = _contenders(list(last.values()))
    chosen = max(homes, key=lambda home: home.decisions[-1].strength)
    other = next((home for home in homes if _written(home) != _written(homes[0])), None)
    if other is not None:
        one, *_ = homes
        shown = "; ".join(f"{h.decisions[-1].rule} fills {h.name} with {h.decisions[-1].text()}" for h in (one, other))
        what = f"{one.name} and {other.name} are one tensor, and two fills disagree: {shown}."
        hint = "Remove one of them." if one.decisions[-1].exact else f"Add a rule below with name: {entry.name}."
        problems.add(other.decisions[-1].key, what, hint)
    if len(homes) > 1:
        entry.disputed += tuple(home.decisions[-1].rule for home in homes)
    entry.chain = _chain(chosen.decisions)


def _contenders(homes: list[Home]) -> list[Home]:
    """The homes whose fills decide: by `_init_`, else by a rule for just this name, else by any rule, else by torch."""
    last = [(home, home.decisions[-1]) for home in homes]
    inner = [home for home, decision in last if decision.strength == 3]
    exact = [home for home, decision in last if decision.exact]
    ruled = [home for home, decision in last if decision.strength >= 1]
    return inner or exact or ruled or homes[:1]


def _written(home: Home) -> tuple[str, str]:
    """What tells fills apart: a text may be another one that looks the same in a line."""
    decision = home.decisions[-1]
    return decision.text(), decision.program if isinstance(decision, Program) else ""


def _chain(decisions: tuple[Decision, ...]) -> tuple[Decision, ...]:
    start = len(decisions) - 1
    while start > 0 and decisions[start].reads_value:
        start -= 1
    return decisions[start:] if start > 0 else decisions


def _unused(
    homes: Homes,
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
        collector = problems if rule.patterns else warnings
        for key, what, hint in without_match(homes, rule, hits[rule.name] > 0):
            collector.add(key, f"the rule '{rule.name}' {what}", hint, code=Code.NO_TENSOR)
        if hits[rule.name] and rule.decides not in used:
            collector.add(
                rule.key,
                f"later fills overwrite everything that the rule '{rule.name}' fills.",
                "Remove it, or move it down.",
            )


def _check(table: list[Entry], seed: int, max_steps: int, problems: Problems, complete: bool) -> None:
    wrong: dict[Hashable, list[Wrong]] = {}
    operations = runtime.Operations("fills")
    refused: dict[tuple[Path, str, Wrong], list[str]] = {}
    for entry in table:
        chain, tensor = entry.chain, entry.tensor
        if chain and isinstance(chain[0], Copied) and entry.original is None:
            continue  # it was told
        if not chain or chain[0].reads_value:
            if not complete or any(each.key.touches(entry.key) for each in problems.found):
                continue
            what = f"'{entry.name}' has no fill and no rule fills it."
            problems.add(entry.key, what, "Write fill: zeros beside its shape, or a rule.")
            continue
        shape = tensor.shape if chain[-1].strength else None  # torch's defaults fit their shapes
        case = (*map(id, chain), shape, tensor.dtype)
        if case not in wrong:
            wrong[case] = list(_wrong(chain, tensor))
            if not wrong[case] and any(isinstance(each, (Program, Copied)) for each in chain):
                same = (*(each.content() for each in chain), shape, tensor.dtype)
                if same not in wrong:
                    wrong[same] = attempt(entry, seed, max_steps, operations)
                wrong[case] = wrong[same]
        for each in wrong[case]:
            decision = chain[each.place]
            refused.setdefault((decision.key or entry.key, decision.rule, each), []).append(entry.name)
    for (key, rule, each), names in refused.items():
        problems.note(each.problem(rule, key, *names))


def _wrong(chain: tuple[Decision, ...], tensor: Tensor) -> Iterator[Wrong]:
    """Which named fills cannot apply to a tensor, and why."""
    for place, each in enumerate(chain):
        if not isinstance(each, NamedFill):
            continue
        wrong = problem_with(each.fill, each.arguments, tensor.shape, tensor.dtype)
        if wrong:
            given = [(each.key / name, value) for name, value in each.arguments.items()]
            repairs = tuple(repair for one in given for repair in as_formula(*one))
            how = f": {each.fill.name} {wrong}{'' if wrong.endswith('?') else '.'}"
            yield Wrong(place=place, how=how, repairs=repairs)
