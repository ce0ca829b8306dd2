"""Rules on a module that is there already: decided as for a model of ours, carried out in place, and reported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import nn

from modelzoo import bounds, parts
from modelzoo.errors import Path, Problem, Problems
from modelzoo.init import decide, filling, measured, sharded
from modelzoo.init.decisions import Copied, Kept, NamedFill
from modelzoo.init.examples import example_tensors
from modelzoo.init.foreign import KEPT, RESTS, Chains, Foreign, check, foreign
from modelzoo.init.ledger import Entry
from modelzoo.init.selection import Homes, nameless
from modelzoo.modules.homes import named_in
from modelzoo.modules.recording import Record
from modelzoo.plans import ambient, options, origins
from modelzoo.plans.origins import Origin, origin_of
from modelzoo.plans.records import ModuleRecord, TensorRecord, module_records, tensors
from modelzoo.plans.rows import rows
from modelzoo.plans.summary import Summary
from modelzoo.plans.table import totals
from modelzoo.spec import parser
from modelzoo.spec.resolve import values_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of each tensor of a module that was initialised. It prints as a table.

    Attributes:
        modules, tensors: as in a `Plan`; the `rule` of a tensor that no rule selected is "kept" or "torch".
        seed: of all random values.
        warnings: rules without effect.

    >>> import modelzoo
    >>> print(modelzoo.initialize(nn.Linear(4, 2), {"weights": {"param": "weight", "fill": "normal(std=0.02)"}}))
    name      layer   shape   parameters  fill
    model     Linear                  10
      weight          [2, 4]           8  normal(mean=0.0, std=0.02)
      bias            [2]              2  kept
    <BLANKLINE>
    10 parameters (10 trainable, 0 frozen), 0 in buffers, 40 bytes
    init.weights: 1 tensor; kept: 1 tensor
    """

    modules: tuple[ModuleRecord, ...]
    tensors: tuple[TensorRecord, ...]
    seed: int = 0
    warnings: tuple[Problem, ...] = ()

    @property
    def rules(self) -> dict[str, tuple[str, ...]]:
        """The tensors that each rule decided, by their first names; "kept" and "torch" are rules too."""
        found: dict[str, tuple[str, ...]] = {}
        for each in self.tensors:
            found[each.rule] = (*found.get(each.rule, ()), each.name)
        return found

    def summary(self) -> Summary:
        """The report as a table, with the number of tensors that each rule decided, and warnings."""
        counts = [f"{rule}: {len(names)} tensor{'s' * (len(names) != 1)}" for rule, names in self.rules.items()]
        messages = ["; ".join(counts)] * bool(counts) + [f"warning: {problem}" for problem in self.warnings]
        found = rows(self)
        return Summary(rows=found, totals=totals(found), messages=tuple(messages))

    def __str__(self) -> str:
        return self.summary().text()

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return self.summary()._repr_html_()


@ambient.kept()
def initialized(module: nn.Module, init: Any, args: Mapping[str, Any], *, seed: int, rest: str) -> Report:
    """Fills the tensors of a module that rules select.

    Args:
        module: any; it is filled only where nothing is wrong.
        init: the rules as plain data.
        args: what they may read by name, beside the args of a model that `build` made.
        seed, rest: as for `initialize`.

    Raises:
        ConfigError: all problems found.
    """
    problems = Problems()
    options.check({"seed": seed}, problems)
    if rest not in RESTS:
        problems.add(Path(("rest",)), f"rest is keep, torch or error, not {rest!r}.", "Write rest='keep'.")
    check(module, problems)
    origin = origin_of(module)
    block_of = nameless if origin is None else origin.block_of
    known = {**({} if origin is None else origin.args), **args}
    parsed = parser.parse_init(init, frozenset(known), problems)
    if parsed.base:
        problems.add(Path(("init", "base")), "a module that is there has no base.", "Build it with these rules.")
    problems.check()
    told, decided = ({}, {}) if origin is None else (origin.fills(), origin.decided())
    own = {tensor: chain for tensor, chain in decided.items() if chain[-1].strength < 2}
    found = foreign(module, rest, told, own, bounds.STEPS)
    insisted = {tensor: chain for tensor, chain in decided.items() if chain[-1].strength == 3}
    homes = Homes(named_in(module), found.table, block_of)

    def stronger() -> None:
        for entry in found.table:
            for home in entry.homes:
                home.decisions += insisted.get(entry.tensor, ())
        _refuse(found, rest, problems)

    values = values_of(parsed.args, known, problems)
    warnings = decide.ruled(homes, parsed.rules, values, seed, problems, stronger, bounds.STEPS)
    example = _example(module, origin, seed)
    _refuse_measured(found, example is not None, problems)
    _fill(found, seed)
    if example is not None:
        measured.measure(module, [(each, each.tensor) for each in found.table], example, seed)
    _remember(module, found, origin, decided)
    return Report(
        modules=module_records(found.skeleton, Record()),
        tensors=tensors(found.table, seed, {}, {}),
        seed=seed,
        warnings=tuple(warnings),
    )


def _fill(found: Foreign, seed: int) -> None:
    """Fills what is not kept; of what this process holds a part of, that part."""
    filled = [entry for entry in found.table if not _is_kept(entry)]
    parted = [entry for entry in filled if parts.is_sharded(entry.tensor)]
    filling.fill(found.skeleton, [entry for entry in found.table if entry not in parted], seed)
    sharded.fill([(entry, entry.tensor) for entry in parted], seed, bounds.STEPS)
    with torch.no_grad():
        for entry in filled:
            if entry in found.assigned:
                found.assigned[entry]()


def _example(module: nn.Module, origin: Origin | None, seed: int) -> measured.Example | None:
    """Makes the example inputs of a model that `build` made from a config with some."""
    if origin is None or origin.given is None or not origin.given.shapes:
        return None
    device = next((each.device for each in module.parameters()), torch.device("cpu"))
    return partial(example_tensors, replace(origin.given, seed=seed), device)


def _refuse_measured(found: Foreign, inputs: bool, problems: Problems) -> None:
    """Tensors that cannot be measured, and those that several others make."""
    measured.check(found.table, inputs, problems)
    parted = [each.name for each in found.assigned if measured.measured_in(each.chain) is not None]
    if parted:
        what = f"{_listed(parted)}: a weight that several tensors make is not measured."
        problems.add(Path(("module",)), what, "Let the rule select others.")
    problems.check()


def _is_kept(entry: Entry) -> bool:
    return isinstance(entry.chain[-1], Kept)


def _refuse(found: Foreign, rest: str, problems: Problems) -> None:
    """Tensors that no rule selects where each must be, and those that hold nothing and would be filled."""
    selected = {each: any(home.decisions[-1].rule != KEPT for home in each.homes) for each in found.table}
    kept = [each.name for each in found.table if not selected[each] and each.kind == "parameter"]
    if rest == "error" and kept:
        what = f"no rule fills {_listed(kept)}."
        problems.add(Path(("rest",)), what, "Add a rule, or write rest='keep'.")
    _refuse_parted(found, selected, problems)
    empty = [each.name for each in found.table if selected[each] and each.tensor.is_meta]
    if empty:
        what = f"on meta there is nothing to fill in {_listed(empty)}."
        problems.add(Path(("module",)), what, "Call module.to_empty(device='cpu') before.")


def _refuse_parted(found: Foreign, selected: Mapping[Entry, bool], problems: Problems) -> None:
    """Fills that would need more of a tensor than the part that this process holds."""
    parted = {home.name for each in found.table if parts.is_sharded(each.tensor) for home in each.homes}
    read = []
    for entry in found.table if parted else ():
        first, *others = entry.homes[0].decisions
        reads = isinstance(first, Kept) and all(each.reads_value for each in others)
        measures = any(isinstance(each, NamedFill) and each.fill.measured for each in others)
        copies = [each for each in others[-1:] if isinstance(each, Copied)]
        own = entry.name in parted
        if own and parts.is_partial(entry.tensor):
            reads = True
        if selected[entry] and (
            (own and (reads or measures or copies)) or any(each.original in parted for each in copies)
        ):
            read.append(entry.name)
    if read:
        what = f"this process holds parts of tensors, and the fill of {_listed(read)} would read a whole."
        problems.add(Path(("module",)), what, "Initialise before the module is divided, or take a fill that draws.")
        problems.check()  # such a fill cannot be tried either


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if names[3:] else ""
    return ", ".join(f"'{each}'" for each in names[:3]) + more


def _remember(module: nn.Module, found: Foreign, origin: Origin | None, decided: Chains) -> None:
    """What filled the tensors is known to `summary`, and to the next one who initialises."""
    table = [entry for entry in found.table if entry not in found.assigned]
    chains = [decided.get(each.tensor, each.chain) if _is_kept(each) else each.chain for each in table]
    given = None if origin is None else origin.given
    args, blocks = ({}, ()) if origin is None else (origin.args, origin.blocks.items())
    base_shapes = None if origin is None else origin.base_shapes
    origins.remember(module, [each.tensor for each in table], chains, given, args, blocks, base_shapes)
