"""Fills that are measured: tensors scaled by what their layers return for the example inputs, when all have values."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from modelzoo import streams
from modelzoo.errors import ConfigError, Path, Problem, Problems
from modelzoo.init.computation import Wrong
from modelzoo.init.decisions import Decision, NamedFill
from modelzoo.init.ledger import Entry
from modelzoo.modules.gradients import tensors
from modelzoo.modules.inputs import call_with
from modelzoo.modules.modes import measuring

TURNS = 10
"""How often a tensor is scaled at most, as in Mishkin and Matas (2016)."""

TOLERANCE = 0.01
"""By how much of itself the standard deviation may miss what it is to be."""

Example = Callable[[], Mapping[str, Tensor]]
"""Makes the example inputs."""


def measured_in(chain: Sequence[Decision]) -> NamedFill | None:
    """The last fill that measures, if there is one."""
    return next((each for each in reversed(chain) if isinstance(each, NamedFill) and each.fill.measured), None)


def check(table: Sequence[Entry], inputs: bool, problems: Problems) -> None:
    """What cannot be measured, as far as that is known without values.

    Args:
        table: with the fills that count.
        inputs: whether there are example inputs.
        problems: gets what is wrong.
    """
    refused: dict[tuple[Path, Wrong], list[Entry]] = {}
    for entry in table:
        wrong = _refused(entry, inputs)
        if wrong is not None:
            refused.setdefault((entry.chain[-1].key, wrong), []).append(entry)
    for (key, wrong), entries in refused.items():
        problems.note(wrong.problem(entries[0].chain[-1].rule, key, *(each.name for each in entries)))


def _refused(entry: Entry, inputs: bool) -> Wrong | None:
    if entry.original is not None and measured_in(entry.original.chain) is not None:
        return Wrong(how=f", a copy of '{entry.original.name}': it would be copied before that is measured.")
    found = measured_in(entry.chain)
    if found is None:
        return None
    name = found.fill.name
    if not inputs:
        hint = "It takes a config with inputs: {x: [32, 8]}."
        return Wrong(how=f": {name} measures what layers return for the example inputs, and there are none.", hint=hint)
    if not entry.tensor.is_floating_point():
        return Wrong(how=f": {name} scales real numbers.")
    if found is not entry.chain[-1]:
        return Wrong(how=f", which {found.rule} fills with {name}: that has to come last.", hint="Swap the two rules.")
    return None


def measure(root: nn.Module, filled: Sequence[tuple[Entry, Tensor]], example: Example, seed: int) -> None:
    """Scales tensors one after the other, in the order in which their layers are called for the first time.

    Layers work as in evaluation, but those that normalise use the batch. All is computed in one thread, so that equal
    seeds give equal values.

    Args:
        root: the model, with values.
        filled: the tensors that stand in it, with what fills them.
        example: makes the example inputs.
        seed: of what the model itself draws.

    Raises:
        ConfigError: a layer is not called, or what it returns does not follow its tensor.
    """
    waiting: dict[nn.Module, list[_Scaling]] = {}
    for entry, tensor in filled:
        found = measured_in(entry.chain)
        if found is not None and not tensor.is_meta:
            each = _Scaling(entry=entry, tensor=tensor.detach(), decision=found)
            for owner in dict.fromkeys(home.owner for home in entry.homes if found in home.decisions):
                waiting.setdefault(owner, []).append(each)
    if not waiting:
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ExitStack() as stack:
            for owner, scalings in waiting.items():
                hook = owner.register_forward_hook(partial(_called, scalings), with_kwargs=True)
                stack.callback(hook.remove)
            stack.enter_context(torch.no_grad())
            stack.enter_context(measuring(root, [one.tensor for scalings in waiting.values() for one in scalings]))
            stack.enter_context(streams.instead(seed, "measured"))
            call_with(root, dict(example()))
    finally:
        torch.set_num_threads(threads)
    problems = Problems()
    for each in dict.fromkeys(one for scalings in waiting.values() for one in scalings):
        if not each.done:
            problems.note(each.problem(f": nothing calls '{each.layer}' for the example inputs."))
    problems.check()


def _called(scalings: Sequence[_Scaling], owner: nn.Module, given: Any, named: Any, output: Any) -> Any:
    for each in scalings:
        if not each.done:
            output = each.scaled(output, partial(owner.forward, *given, **named))
    return output


@dataclass(slots=True, kw_only=True, eq=False)
class _Scaling:
    """A tensor that is scaled until what its layer returns has a standard deviation."""

    entry: Entry
    tensor: Tensor
    decision: NamedFill
    done: bool = False

    @property
    def layer(self) -> str:
        return self.entry.name.rpartition(".")[0] or "the model"

    def scaled(self, output: Any, again: Callable[[], Any]) -> Any:
        """What the layer returns once its tensor is scaled."""
        wanted, self.done = float(self.decision.arguments["std"]), True
        std = _std(output)
        for _ in range(TURNS):
            if not 0 < std < math.inf:
                break
            if abs(std / wanted - 1) <= TOLERANCE:
                return output
            self.tensor.mul_(wanted / std)
            output = again()
            std = _std(output)
        if abs(std / wanted - 1) <= TOLERANCE:
            return output
        how = f": what '{self.layer}' returns for the example inputs has a standard deviation of {std:.3g}"
        raise ConfigError([self.problem(f"{how}, and no scale of it makes that {wanted:g}.")])

    def problem(self, how: str) -> Problem:
        decision = self.decision
        return Wrong(how=how).problem(decision.rule, decision.key or self.entry.key, self.entry.name)


def _std(output: Any) -> float:
    """Of the first tensor of real numbers that a layer returns; no number where there is none."""
    found = next((each for each in tensors(output) if each.is_floating_point()), None)
    return math.nan if found is None or found.numel() < 2 else float(found.double().std())
