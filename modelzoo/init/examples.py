"""The example inputs: what decides them, and their values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from modelzoo.catalog import fills, functions
from modelzoo.catalog.fill import problem_with
from modelzoo.errors import ConfigError, Problems, fail
from modelzoo.init import attempt, filling, ledger
from modelzoo.init.decisions import NamedFill, Program
from modelzoo.modules import memory
from modelzoo.modules.inputs import Input
from modelzoo.spec import nodes
from modelzoo.spec.evaluation import Evaluation
from modelzoo.spec.instances import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """All that decides the example inputs: their texts and shapes, and the args that the texts may read."""

    inputs: tuple[nodes.Input, ...]
    shapes: tuple[Input, ...]
    values: dict[str, Any]
    seed: int
    max_steps: int


def examples_of(
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


def example_tensors(examples: Examples, device: str | torch.device) -> dict[str, Tensor]:
    """The values of all example inputs, each from its own stream.

    Raises:
        ConfigError: one does not fit into memory, or cannot be filled.
    """
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
    decision = ledger.decision_of(named, values, str(given.key), 1, problems, entry, ledger.fans_of(tensor, home))
    problems.check()
    assert decision is not None
    if decision.reads_value:
        fail(decision.key, "an example has no value before its fill.", "Write normal(), or a number.")
    if isinstance(decision, NamedFill):
        what = problem_with(decision.fill, decision.arguments, each.shape, tensor.dtype)
        if what is not None and decision.fill.name != "constant":  # an example may be infinite: to see what happens
            fail(given.key, f"{decision.fill.name} {what}.")
    entry.chain = (decision,)
    return entry


def try_examples(examples: Examples) -> None:
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
        if isinstance(decision, Program):  # a named fill was checked; an example may be infinite
            for wrong in attempt.attempt(entry, examples.seed, examples.max_steps, finite=False):
                problems.note(wrong.problem(decision.rule, decision.key, entry.name))
    problems.check()
