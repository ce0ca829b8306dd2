"""The functions of the front page: `load`, `plan`, `build`, over spec, resolve, build, shapes and initialize."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor, nn

from modelzoo import bounds, streams
from modelzoo.catalog import fills, functions
from modelzoo.catalog.fill import problem_with
from modelzoo.config import config
from modelzoo.errors import ConfigError, Path, Problem, Problems, fail, located, nearest
from modelzoo.init import attempt, decide, filling, ledger
from modelzoo.language import runtime
from modelzoo.modules import construct as building
from modelzoo.modules import dry_run, memory, reads, recording
from modelzoo.modules.blocks import loops
from modelzoo.modules.failures import lacks_kernel
from modelzoo.modules.inputs import Input, example
from modelzoo.modules.skeleton import Skeleton
from modelzoo.modules.torch_layers import TooLargeError
from modelzoo.plans import ambient, origins, records
from modelzoo.plans.plan import Plan
from modelzoo.plans.records import ModuleRecord
from modelzoo.spec import nodes, parser
from modelzoo.spec.evaluation import Evaluation
from modelzoo.spec.instances import Instance, Scope
from modelzoo.spec.resolve import resolve

SMALL = 64 * 2**20
"""Up to this many bytes of parameters the dry run works on zeros of the CPU, above it on meta."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """All that decides the example inputs: their texts and shapes, and the args that the texts may read."""

    inputs: tuple[nodes.Input, ...]
    shapes: tuple[Input, ...]
    values: dict[str, Any]
    seed: int
    max_steps: int


@dataclass(frozen=True, kw_only=True)
class Draft:
    """Everything that is decided about a model, and its modules, still without values.

    Attributes:
        given: what the example inputs are made from.
        values: the args of the root, with their values.
    """

    skeleton: Skeleton
    record: recording.Record
    table: list[ledger.Entry]
    given: Examples
    rules: tuple[nodes.Rule, ...]
    values: dict[str, Any]
    seed: int
    dtype: str
    warnings: tuple[Problem, ...]

    @cached_property
    def plan(self) -> Plan:
        """All that as plain values, written out when it is asked for: a build alone does not need it."""
        return Plan(
            modules=_modules(self.skeleton, self.record),
            tensors=records.tensors(self.table, self.seed),
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


@contextmanager
def _uncollected() -> Iterator[None]:
    """Pauses the cyclic garbage collector of Python: a build makes next to no garbage, and a search takes longer."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@_uncollected()
def plan(model: config.Source, init: config.Source | None = None, *, seed: int = 0, dtype: str = "float32") -> Plan:
    """Decides everything about a model without filling a tensor.

    Args:
        model: the path of a model file, a mapping, or a DictConfig.
        init: rules: a mapping, a DictConfig or a path; they replace the model file's own.
        seed: of all random values.
        dtype: of floating parameters, buffers and inputs that name none.

    Returns:
        a value that prints as a table.

    Raises:
        ConfigError: all problems found.

    >>> plan({"inputs": {"x": [2, 4]}, "layers": ["Linear(4, 8)", "ReLU"]}).parameters
    40
    """
    given = config.from_mapping(model, init)
    with located(given.locate):
        return draft(given.model, given.init, seed=seed, dtype=dtype, count=True).plan.placed(given.locate)


@_uncollected()
def build(
    model: config.Source,
    init: config.Source | None = None,
    *,
    seed: int = 0,
    device: str | torch.device = "cpu",
    dtype: str = "float32",
    max_steps: int = bounds.STEPS,
    memory: int | str | None = None,
) -> nn.Module:
    """Builds an ordinary module in training mode, every tensor filled once.

    Args:
        model, init, seed, dtype: as for `plan`.
        device: where the tensors are made.
        max_steps: how often a loop of a `forward` text may turn.
        memory: how much the tensors may take: bytes, or a text as in "4GB"; by default what the machine has free.

    Raises:
        ConfigError: all problems found.

    >>> build({"layers": ["Linear(4, 8)", "ReLU", "Linear(8, 1)"]})[2]
    Linear(in_features=8, out_features=1, bias=True)
    """
    given = config.from_mapping(model, init)
    with located(given.locate):
        made = draft(given.model, given.init, seed=seed, dtype=dtype, device=device, max_steps=max_steps, planned=False)
        return fill(made, device, budget=memory)


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
) -> Draft:
    """Decides everything about plain data, and makes its modules.

    Args:
        model, init, seed, dtype, device, max_steps: as for `build`.
        count: whether the plan knows the floating-point operations; it always does on meta.
        planned: whether the plan will be asked for what the modules return.
        training: whether that is what they return in training; an example that is too small for it is a mistake.
    """
    problems = Problems()
    _check_options(seed, dtype, max_steps, training, problems)
    node = parser.parse(model, problems)
    root = node if isinstance(node, nodes.Block) else nodes.Block(key=node.key)
    instance = resolve(node, problems)
    rules = parser.parse_rules(init, frozenset(each.name for each in root.args), problems)
    problems.check()
    if instance is None:
        fail(node.key, "nothing is left of the model: its _if_ is false.", "Remove _if_, or make it true.")
    values = dict(instance.values)
    inputs, examples = _examples(root, values, dtype)
    given = Examples(inputs=inputs, shapes=examples, values=values, seed=seed, max_steps=max_steps)
    _try_examples(given)
    count = count or (planned and torch.device(device).type == "meta")
    run = partial(dry_run.dry_run, count=count, recorded=planned, training=training)
    skeleton, record = _dry(instance, given, rules, torch.device(device), functions.DTYPES[dtype], run)
    building.finish(skeleton, problems)
    table, warnings = decide.decide(skeleton, rules, values, seed)
    return Draft(
        skeleton=skeleton,
        record=record,
        table=table,
        given=given,
        rules=rules,
        values=values,
        seed=seed,
        dtype=dtype,
        warnings=tuple(warnings),
    )


@ambient.kept()
def sized(root: nodes.Block, *, seed: int, dtype: str) -> Instance:
    """What a block is resolved to, with the sizes that the example inputs decide.

    Raises:
        ConfigError: all problems found.
    """
    problems = Problems()
    instance = resolve(root, problems)
    problems.check()
    assert instance is not None
    values = dict(instance.values)
    inputs, examples = _examples(root, values, dtype)
    given = Examples(inputs=inputs, shapes=examples, values=values, seed=seed, max_steps=bounds.STEPS)
    run = partial(dry_run.dry_run, count=False, recorded=False)
    skeleton, _ = _dry(instance, given, (), torch.device("cpu"), functions.DTYPES[dtype], run)
    building.finish(skeleton, problems)
    problems.check()
    return instance


def _check_options(seed: Any, dtype: Any, max_steps: Any, training: Any, problems: Problems) -> None:
    if type(seed) is not int or seed < 0:
        problems.add(Path(("seed",)), f"seed must be an integer of 0 or more, not {seed!r}.", "Type seed=0.")
    if dtype not in ("float32", "float64", "float16", "bfloat16"):
        problems.add(
            Path(("dtype",)),
            f"there is no floating dtype {dtype!r}.",
            nearest(str(dtype), ("float32", "float64", "float16", "bfloat16")),
        )
    if type(max_steps) is not int or max_steps < 1:
        problems.add(
            Path(("max_steps",)), f"max_steps must be a positive integer, not {max_steps!r}.", "Type max_steps=10000."
        )
    if not isinstance(training, bool):
        problems.add(Path(("training",)), f"training must be true or false, not {training!r}.", "Type training=true.")


def _examples(
    root: nodes.Block, values: dict[str, Any], dtype: str
) -> tuple[tuple[nodes.Input, ...], tuple[Input, ...]]:
    """The inputs that have an example, with their shapes computed."""
    problems = Problems()
    evaluation, scope = Evaluation(problems), Scope(values=values, origins={}, blocks={})
    given = tuple(each for each in root.inputs if each.shape is not None)
    found = tuple(
        Input(name=each.name, shape=evaluation.shape(each.shape or (), scope, each.key), dtype=each.dtype or dtype)
        for each in given
    )
    problems.check()
    return given, found


def _dry(
    instance: Instance,
    given: Examples,
    rules: tuple[nodes.Rule, ...],
    device: torch.device,
    dtype: torch.dtype,
    run: Callable[[Skeleton, dict[str, Tensor]], recording.Record],
) -> tuple[Skeleton, recording.Record]:
    """Constructs and checks: on the CPU where that is cheap and can be done in the dtype, else on meta."""
    if device.type != "meta":
        try:
            return _on_cpu(instance, given, rules, dtype, run)
        except TooLargeError:
            pass
        except ConfigError as error:
            if not lacks_kernel(error.__cause__):
                raise
    meta = torch.device("meta")
    skeleton = _checked(building.construct(instance, meta, dtype, max_steps=given.max_steps, seed=given.seed))
    return skeleton, run(skeleton, example(given.shapes, meta))


def _on_cpu(
    instance: Instance,
    given: Examples,
    rules: tuple[nodes.Rule, ...],
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
            building.finish(skeleton, Problems())
            table, _ = decide.decide(skeleton, rules, given.values, given.seed)
            filling.fill(skeleton, table, given.seed)
            inputs = _example_inputs(given, cpu)
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


def _modules(skeleton: Skeleton, record: recording.Record) -> tuple[ModuleRecord, ...]:
    names: dict[int, list[str]] = {}
    modules: dict[int, nn.Module] = {}
    for name, module in skeleton.root.named_modules(remove_duplicate=False):
        names.setdefault(id(module), []).append(name)
        modules[id(module)] = module
    found = []
    for each, (name, *aliases) in names.items():
        instance = skeleton.instances.get(each)
        found.append(
            ModuleRecord(
                name=name,
                aliases=tuple(aliases),
                type=ledger.type_name(skeleton, modules[each]),
                call="" if instance is None or instance.layer is None else instance.call(),
                block=instance is not None and instance.layer is None,
                key=Path() if instance is None else instance.key,
                calls=record.calls.get(each, 0),
                output=record.outputs.get(each),
                loops=loops(modules[each]),
            )
        )
    return tuple(found)


@ambient.kept()
def fill(
    draft: Draft, device: str | torch.device, threads: int | None = None, budget: int | str | None = None
) -> nn.Module:
    """Gives the modules of a draft their storage and values, if they fit into memory."""
    target = torch.device(device)
    if target.type == "cpu" or budget is not None:
        memory.check(draft.bytes, lambda: draft.plan, budget)
    if draft.skeleton.device.type == "meta" != target.type and building.has_registered(draft.skeleton):
        _construct_again(draft)
    building.materialise(draft.skeleton, target)
    if target.type != "meta":
        filling.fill(draft.skeleton, draft.table, draft.seed, threads)
    chains = [entry.chain for entry in draft.table]
    tensors = filling.filled(draft.skeleton, draft.table)
    origins.remember(draft.skeleton.root, tensors, chains, partial(_example_inputs, draft.given))
    return draft.skeleton.root


def _construct_again(draft: Draft) -> None:
    """On the CPU what was checked on meta: a user's layer may hold on to every tensor that its constructor saw."""
    skeleton = draft.skeleton
    made = building.construct(
        skeleton.instances[id(skeleton.root)],
        torch.device("cpu"),
        functions.DTYPES[draft.dtype],
        max_steps=skeleton.max_steps,
        seed=draft.seed,
    )
    building.finish(made, Problems())
    draft.table[:], _ = decide.decide(made, draft.rules, draft.values, draft.seed)
    before, after = (each.root.named_modules(remove_duplicate=False) for each in (skeleton, made))
    draft.record.renumber({id(one): id(other) for (_, one), (_, other) in zip(before, after, strict=True)})
    skeleton.become(made)


def example_inputs(draft: Draft, device: str | torch.device) -> dict[str, Tensor]:
    """The example inputs, each from its own stream: standard normal, zeros for integers, or as its `fill` says."""
    return _example_inputs(draft.given, device)


def _example_inputs(examples: Examples, device: str | torch.device) -> dict[str, Tensor]:
    found = {}
    for given, each in zip(examples.inputs, examples.shapes, strict=True):
        free = memory.available()
        if each.bytes > free:
            needed = f"this example needs {memory.shown(each.bytes)} and {memory.shown(free)} are there."
            fail(given.key, needed, "Choose a smaller one.")
        entry = _example(given, each, examples.values)
        filling.fill_one(entry, examples.seed, examples.max_steps)
        found[each.name] = entry.tensor.to(device)
    return found


def _example(given: nodes.Input, each: Input, values: dict[str, Any], device: str = "cpu") -> ledger.Entry:
    """An example input without values, and its fill."""
    problems = Problems()
    tensor = torch.empty(each.shape, dtype=functions.DTYPES[each.dtype], device=device)
    if given.fill is None:
        default = "normal" if tensor.is_floating_point() else "zeros"
        named = nodes.Fill(
            name=default, arguments=tuple(fills.bind(fills.FILLS[default], [], {}).items()), key=given.key
        )
    else:
        named = given.fill
    home = ledger.Home(f"input {each.name}", nn.Module(), each.name)
    entry = ledger.Entry(tensor, key=given.key, homes=[home])
    decision = ledger.decision_of(named, values, str(given.key), 1, problems, entry)
    problems.check()
    assert decision is not None
    if decision.reads_value:
        fail(decision.key, "an example has no value before its fill.", "Write normal(), or a number.")
    if decision.fill is not None:
        what = problem_with(decision.fill, decision.arguments, each.shape, tensor.dtype)
        if what is not None and decision.fill.name != "constant":  # an example may be infinite: to see what happens
            fail(given.key, f"{decision.fill.name} {what}.")
    entry.chain = (decision,)
    return entry


def _try_examples(examples: Examples) -> None:
    """Computes the fills of example inputs as far as it tells whether they can be computed."""
    problems = Problems()
    for given, each in zip(examples.inputs, examples.shapes, strict=True):
        if given.fill is None:
            continue
        try:
            entry = _example(given, each, examples.values, "meta")
        except ConfigError as error:
            problems.found += error.problems
            continue
        decision = entry.chain[0]
        if decision.program:  # a named fill was checked; an example may be infinite
            for wrong in attempt.attempt(entry, examples.seed, examples.max_steps, finite=False):
                problems.note(wrong.problem(decision.rule, decision.key, entry.name))
    problems.check()
