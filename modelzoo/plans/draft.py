"""The way of a config on one page: parsed, resolved, constructed, run dry, decided; then filled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor, nn

from modelzoo import bounds, streams
from modelzoo.catalog import functions
from modelzoo.config.config import Config
from modelzoo.errors import ConfigError, Path, Problem, Problems
from modelzoo.init import decide, filling, ledger, measured
from modelzoo.init.examples import Examples, example_tensors, examples_of, try_examples
from modelzoo.modules import chains, dry_run, recording
from modelzoo.modules import construct as building
from modelzoo.modules.skeleton import Skeleton
from modelzoo.plans import advice, ambient, further, origins, reading, records
from modelzoo.plans.budget import check
from modelzoo.plans.options import Options
from modelzoo.plans.plan import Plan
from modelzoo.plans.reading import Read
from modelzoo.plans.records import module_records
from modelzoo.plans.sized import base_shapes
from modelzoo.plans.trial import dry
from modelzoo.spec import nodes
from modelzoo.spec.instances import args_of
from modelzoo.spec.provenance import Provenance


@dataclass(frozen=True, kw_only=True)
class Draft:
    """Everything that is decided about a model, and its modules, still without values.

    Attributes:
        source: the model as plain data.
        given: what the example inputs are made from.
        provenance: what each node of the config became.
        values: the args of the root, with their values.
        loaded: where the other values stand that tensors got, as in "x.safetensors#fc.weight", by their names.
        grouped: the group of an optimiser that has each tensor, and its options.
    """

    source: Any
    skeleton: Skeleton
    record: recording.Record
    table: list[ledger.Entry]
    given: Examples
    provenance: Provenance
    init: nodes.Init
    values: dict[str, Any]
    seed: int
    dtype: str
    warnings: tuple[Problem, ...]
    loaded: Mapping[str, str] = field(default_factory=dict)
    grouped: records.Grouped = field(default_factory=dict)

    @cached_property
    def plan(self) -> Plan:
        """All that as plain values, written out when it is asked for: a build alone does not need it."""
        return Plan(
            modules=module_records(self.skeleton, self.record),
            tensors=records.tensors(self.table, self.seed, self.loaded, self.grouped),
            inputs=self.given.shapes,
            seed=self.seed,
            dtype=self.dtype,
            scheme=streams.SCHEME,
            warnings=self.warnings,
            notes=tuple(self.record.notes),
            activations=self.record.activations,
            flops=self.record.flops,
        )

    @property
    def base_shapes(self) -> origins.BaseShapes:
        """What tells the shapes of all tensors of the same model with other args."""
        return partial(base_shapes, self.source, seed=self.seed, dtype=self.dtype)

    @property
    def bytes(self) -> int:
        """Of all tensors."""
        return sum(each.tensor.nbytes for each in self.table)


def drafted(
    config: Config,
    chosen: Options,
    *,
    device: str | torch.device = "cpu",
    count: bool = False,
    wrong: Iterable[Problem] = (),
    read: Read | None = None,
) -> Draft:
    """The draft of a config with its options; what is wrong with these is told together with the rest.

    Args:
        device, count, wrong, read: as for `draft`.
    """
    return draft(
        config.model,
        config.init,
        seed=chosen.seed,
        dtype=chosen.dtype,
        device=device,
        max_steps=chosen.max_steps,
        training=chosen.training,
        count=count,
        wrong=(*chosen.wrong, *wrong),
        read=read,
    )


@ambient.kept()
def draft(
    model: Any,
    init: Any = None,
    *,
    seed: int = 0,
    dtype: str = "float32",
    device: str | torch.device = "cpu",
    max_steps: int = bounds.STEPS,
    count: bool = False,
    planned: bool = True,
    training: bool = False,
    wrong: Iterable[Problem] = (),
    read: Read | None = None,
) -> Draft:
    """Decides everything about plain data, and makes its modules.

    Args:
        model, init, seed, dtype, device, max_steps: as for `build`.
        count: whether the plan knows the floating-point operations; it always does on meta.
        planned: whether the plan will be asked for what the modules return.
        training: whether that is what they return in training; an example that is too small for it is a mistake.
        wrong: what is wrong beside it, to be told together.
        read: what was read of all that, if it was.
    """
    given: dict[str, Any] = {"seed": seed, "dtype": dtype, "max_steps": max_steps, "training": training, "wrong": wrong}
    try:
        return _drafted(model, init, device=device, count=count, planned=planned, read=read, **given)
    except ConfigError as error:
        if not any(each.repairs for each in error.problems):
            raise
        attempt = partial(_drafted, device="meta", count=False, planned=False, **given)
        problems = advice.advised(error.problems, model, init, attempt)
        raise ConfigError(problems).with_traceback(error.__traceback__) from error.__cause__


def _drafted(
    model: Any,
    init: Any,
    *,
    seed: int,
    dtype: str,
    device: str | torch.device,
    max_steps: int,
    count: bool,
    planned: bool,
    training: bool,
    wrong: Iterable[Problem],
    read: Read | None = None,
) -> Draft:
    if read is None:
        read = reading.read(model, init, seed=seed, dtype=dtype, max_steps=max_steps, training=training, wrong=wrong)
    further.look(read, seed=seed)
    instance, parsed, problems = read.resolved(), read.init, read.problems
    if parsed.base:
        parsed = replace(parsed, shapes=base_shapes(model, parsed.base, Path(("init", "base")), seed=seed, dtype=dtype))
    values = args_of(instance)
    inputs, examples = examples_of(read.root, values, dtype)
    given = Examples(inputs=inputs, shapes=examples, values=values, seed=seed, max_steps=max_steps)
    try_examples(given)
    count = count or (planned and torch.device(device).type == "meta")
    run = partial(dry_run.dry_run, count=count, recorded=planned, training=training)
    skeleton, record = dry(instance, given, parsed, torch.device(device), functions.DTYPES[dtype], run)
    building.finish(skeleton, problems)
    table, warnings = decide.decide(skeleton, parsed, values, seed, problems)
    measured.check(table, bool(given.shapes), problems)
    problems.check()
    warnings += [] if given.shapes else chains.broken_chains(skeleton)
    return Draft(
        source=model,
        skeleton=skeleton,
        record=record,
        table=table,
        given=given,
        provenance=read.provenance,
        init=parsed,
        values=values,
        seed=seed,
        dtype=dtype,
        warnings=tuple(warnings),
    )


def fill(
    draft: Draft, device: str | torch.device, threads: int | None = None, budget: int | str | None = None
) -> nn.Module:
    """The model of a draft, with values, if it fits into memory."""
    return filled(draft, device, threads, budget).skeleton.root


@ambient.kept()
def filled(
    draft: Draft, device: str | torch.device, threads: int | None = None, budget: int | str | None = None
) -> Draft:
    """Gives the modules of a draft their storage and values; where they had to be constructed again, it is another."""
    target = torch.device(device)
    if target.type == "cpu" or budget is not None:
        check(draft.bytes, lambda: draft.plan, budget, draft.record.largest)
    if target.type != "meta":
        draft = constructed(draft)
    building.materialise(draft.skeleton, target)
    if target.type != "meta":
        filling.fill(draft.skeleton, draft.table, draft.seed, threads)
        ready = zip(draft.table, filling.filled(draft.skeleton, draft.table), strict=True)
        measured.measure(draft.skeleton.root, [*ready], partial(example_tensors, draft.given, target), draft.seed)
    remember(draft)
    return draft


def remember(draft: Draft) -> None:
    """Keeps what a model was made from, for those who ask later."""
    chains = [entry.chain if entry.padding is None else entry.fills for entry in draft.table]
    tensors = filling.filled(draft.skeleton, draft.table)
    blocks = ((module, each.block.name) for module, each in draft.skeleton.blocks if each.sequence)
    origins.remember(draft.skeleton.root, tensors, chains, draft.given, draft.values, blocks, draft.base_shapes)


def constructed(draft: Draft) -> Draft:
    """On the CPU what was checked on meta: a user's layer may hold on to every tensor that its constructor saw."""
    skeleton = draft.skeleton
    if skeleton.device.type != "meta" or not building.has_registered(skeleton):
        return draft
    made = building.construct(
        skeleton.instances[skeleton.root],
        torch.device("cpu"),
        functions.DTYPES[draft.dtype],
        max_steps=skeleton.max_steps,
        seed=draft.seed,
    )
    building.finish(made, Problems())
    table, _ = decide.decide(made, draft.init, draft.values, draft.seed, Problems())
    before, after = (each.root.named_modules(remove_duplicate=False) for each in (skeleton, made))
    record = draft.record.renamed({one: other for (_, one), (_, other) in zip(before, after, strict=True)})
    return replace(draft, skeleton=made, table=table, record=record)


def example_inputs(draft: Draft, device: str | torch.device) -> dict[str, Tensor]:
    """The example inputs, each from its own stream: standard normal, zeros for integers, or as its `fill` says."""
    return example_tensors(draft.given, device)
