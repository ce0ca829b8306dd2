"""The way of a config on one page: parsed, resolved, constructed, run dry, decided; then filled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor, nn

from modelzoo import bounds, streams
from modelzoo.catalog import functions
from modelzoo.config.config import Config
from modelzoo.errors import ConfigError, Problem, Problems, fail
from modelzoo.init import decide, filling, ledger
from modelzoo.init.examples import Examples, example_tensors, examples_of, try_examples
from modelzoo.language import runtime
from modelzoo.modules import chains, dry_run, memory, reads, recording
from modelzoo.modules import construct as building
from modelzoo.modules.failures import lacks_kernel
from modelzoo.modules.inputs import example
from modelzoo.modules.skeleton import Skeleton
from modelzoo.modules.torch_layers import TooLargeError
from modelzoo.plans import advice, ambient, further, options, origins, records
from modelzoo.plans.budget import check
from modelzoo.plans.options import Options
from modelzoo.plans.plan import Plan
from modelzoo.plans.records import module_records
from modelzoo.spec import nodes, parser
from modelzoo.spec.instances import Instance, args_of
from modelzoo.spec.provenance import Provenance
from modelzoo.spec.resolve import resolve

SMALL = 64 * 2**20
"""Up to this many bytes of parameters the dry run works on zeros of the CPU, above it on meta."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """Everything that is decided about a model, and its modules, still without values.

    Attributes:
        given: what the example inputs are made from.
        provenance: what each node of the config became.
        values: the args of the root, with their values.
        loaded: where the other values stand that tensors got, as in "x.safetensors#fc.weight", by their names.
        grouped: the group of an optimiser that has each tensor, and its options.
    """

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
) -> Draft:
    """The draft of a config with its options; what is wrong with these is told together with the rest.

    Args:
        device, count, wrong: as for `draft`.
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
) -> Draft:
    """Decides everything about plain data, and makes its modules.

    Args:
        model, init, seed, dtype, device, max_steps: as for `build`.
        count: whether the plan knows the floating-point operations; it always does on meta.
        planned: whether the plan will be asked for what the modules return.
        training: whether that is what they return in training; an example that is too small for it is a mistake.
        wrong: what is wrong beside it, to be told together.
    """
    given: dict[str, Any] = {"seed": seed, "dtype": dtype, "max_steps": max_steps, "training": training, "wrong": wrong}
    try:
        return _drafted(model, init, device=device, count=count, planned=planned, **given)
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
) -> Draft:
    problems = Problems()
    problems.found += wrong
    options.check({"seed": seed, "dtype": dtype, "max_steps": max_steps, "training": training}, problems)
    node = parser.parse(model, problems)
    root = node if isinstance(node, nodes.Block) else nodes.Block(key=node.key)
    provenance = Provenance()
    instance = resolve(node, problems, provenance)
    parsed = parser.parse_init(init, frozenset(each.name for each in root.args), problems)
    further.look(node, parsed, problems, seed=seed)
    problems.check()
    if instance is None:
        fail(node.key, "nothing is left of the model: its _if_ is false.", "Remove _if_, or make it true.")
    values = args_of(instance)
    inputs, examples = examples_of(root, values, dtype)
    given = Examples(inputs=inputs, shapes=examples, values=values, seed=seed, max_steps=max_steps)
    try_examples(given)
    count = count or (planned and torch.device(device).type == "meta")
    run = partial(dry_run.dry_run, count=count, recorded=planned, training=training)
    skeleton, record = _dry(instance, given, parsed, torch.device(device), functions.DTYPES[dtype], run)
    building.finish(skeleton, problems)
    table, warnings = decide.decide(skeleton, parsed, values, seed, problems)
    warnings += [] if given.shapes else chains.broken_chains(skeleton)
    return Draft(
        skeleton=skeleton,
        record=record,
        table=table,
        given=given,
        provenance=provenance,
        init=parsed,
        values=values,
        seed=seed,
        dtype=dtype,
        warnings=tuple(warnings),
    )


@ambient.kept()
def sized(root: nodes.Block, provenance: Provenance, *, seed: int, dtype: str) -> Instance:
    """What a block is resolved to, with the sizes that the example inputs decide.

    Args:
        root: the block.
        provenance: gets notes of what each node in it became.
        seed, dtype: as for `build`.

    Raises:
        ConfigError: all problems found.
    """
    problems = Problems()
    instance = resolve(root, problems, provenance)
    problems.check()
    assert instance is not None
    values = args_of(instance)
    inputs, examples = examples_of(root, values, dtype)
    given = Examples(inputs=inputs, shapes=examples, values=values, seed=seed, max_steps=bounds.STEPS)
    run = partial(dry_run.dry_run, count=False, recorded=False, for_sizes=True)
    skeleton, _ = _dry(instance, given, nodes.Init(), torch.device("cpu"), functions.DTYPES[dtype], run)
    building.finish(skeleton, problems)
    problems.check()
    return instance


def _dry(
    instance: Instance,
    given: Examples,
    init: nodes.Init,
    device: torch.device,
    dtype: torch.dtype,
    run: Callable[[Skeleton, dict[str, Tensor]], recording.Record],
) -> tuple[Skeleton, recording.Record]:
    """Constructs and checks: on the CPU where that is cheap and can be done in the dtype, else on meta."""
    notes: list[str] = []
    if device.type != "meta":
        try:
            return _on_cpu(instance, given, init, dtype, run)
        except TooLargeError:
            pass
        except ConfigError as error:
            if not lacks_kernel(error.__cause__):
                raise
            notes += map(dry_run.not_here, error.problems)
    meta = torch.device("meta")
    skeleton = _checked(building.construct(instance, meta, dtype, max_steps=given.max_steps, seed=given.seed))
    record = run(skeleton, example(given.shapes, meta))
    record.notes += notes
    return skeleton, record


def _on_cpu(
    instance: Instance,
    given: Examples,
    init: nodes.Init,
    dtype: torch.dtype,
    run: Callable[[Skeleton, dict[str, Tensor]], recording.Record],
) -> tuple[Skeleton, recording.Record]:
    """A dry run on zeros. What fails there must fail on values too: they may be what it is about."""
    cpu = torch.device("cpu")
    if sum(each.bytes for each in given.shapes) > SMALL:
        raise TooLargeError
    zeroed = bool(given.shapes)
    construct = partial(
        building.construct,
        instance,
        cpu,
        dtype,
        max_steps=given.max_steps,
        zeroed=zeroed,
        limit=SMALL if zeroed else memory.available(),
        seed=given.seed,
    )
    skeleton = _checked(construct())
    try:
        return skeleton, run(skeleton, example(given.shapes, cpu))
    except ConfigError as error:
        exhausted = type(error.__cause__) is runtime.EndlessError  # one loop may end on other values
        if error.__cause__ is None or exhausted or lacks_kernel(error.__cause__):
            raise
        skeleton = _checked(construct())
        try:
            problems = Problems()
            building.finish(skeleton, problems)
            table, _ = decide.decide(skeleton, init, given.values, given.seed, problems)
            filling.fill(skeleton, table, given.seed)
            inputs = example_tensors(given, cpu)
        except ConfigError:
            raise error from error.__cause__
        try:
            return skeleton, run(skeleton, inputs)
        except ConfigError as again:  # by now every size is known, and none is said to have been left out
            same = str(again.__cause__) == str(error.__cause__)
            raise (error if same else again) from again.__cause__


def _checked(skeleton: Skeleton) -> Skeleton:
    problems = Problems()
    reads.check_reads(skeleton, problems)
    problems.check()
    return skeleton


@ambient.kept()
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
    if draft.skeleton.device.type == "meta" != target.type and building.has_registered(draft.skeleton):
        draft = _constructed_again(draft)
    building.materialise(draft.skeleton, target)
    if target.type != "meta":
        filling.fill(draft.skeleton, draft.table, draft.seed, threads)
    chains = [entry.chain if entry.padding is None else entry.fills for entry in draft.table]
    tensors = filling.filled(draft.skeleton, draft.table)
    blocks = ((module, each.block.name) for module, each in draft.skeleton.blocks if each.sequence)
    origins.remember(draft.skeleton.root, tensors, chains, partial(example_tensors, draft.given), draft.values, blocks)
    return draft


def _constructed_again(draft: Draft) -> Draft:
    """On the CPU what was checked on meta: a user's layer may hold on to every tensor that its constructor saw."""
    skeleton = draft.skeleton
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
