"""`signals`: what a model does to a signal and to its gradient at the start, as a value that prints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from modelzoo.errors import Problems
from modelzoo.init.decisions import Decision
from modelzoo.init.examples import Examples
from modelzoo.measuring import batch as batches
from modelzoo.measuring.findings import Evidence, Finding, findings
from modelzoo.measuring.limits import Limits
from modelzoo.measuring.lines import table
from modelzoo.measuring.observed import Call, Weight, call_of
from modelzoo.measuring.passing import Loss, Pass, first, passed
from modelzoo.measuring.repairs import advised
from modelzoo.modules.inputs import call_with
from modelzoo.plans import ambient
from modelzoo.plans.origins import origin_of


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Signals:
    """What `signals` returns. It prints as two lines over depth and the findings.

    Attributes:
        calls: of each module, in the order in which they ended.
        weights: the parameters that are trained.
        findings: what is wrong with the start.
        notes: what could not be done as it was asked for.
    """

    calls: tuple[Call, ...]
    weights: tuple[Weight, ...]
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def trunk(self) -> tuple[Call, ...]:
        """The calls that follow each other from the input to the output."""
        return tuple(each for each in self.calls if each.trunk)

    @property
    def signal_min(self) -> float | None:
        """The smallest std in the trunk."""
        return min((each.std for each in self.trunk), default=None)

    @property
    def signal_max(self) -> float | None:
        """The largest std in the trunk."""
        return max((each.std for each in self.trunk), default=None)

    @property
    def gradient_ratio(self) -> float | None:
        """The std of the gradient of the first output in the trunk by that of the last."""
        found = [each.gradient for each in self.trunk if each.gradient is not None]
        return found[0] / found[-1] if found and found[-1] else None

    def __str__(self) -> str:
        return "\n".join(table(self.trunk, self.findings, self.notes))

    __repr__ = __str__


def signals(
    model: nn.Module,
    inputs: Tensor | Sequence[Any] | Mapping[str, Any] | None = None,
    *,
    batch: int = batches.BATCH,
    loss: Loss | None = None,
    limits: Mapping[str, float] | None = None,
    advice: bool = True,
    seed: int = 0,
) -> Signals:
    """Measures what a model does to a signal, and to its gradient, in one forward and one backward pass.

    Layers work as in evaluation, but those that normalise use the batch, as in the first step of training. What is
    differentiated is the sum of what the model returns, each value with a sign of its own, since of a normalisation
    the plain sum is always the same. Nothing of the model changes.

    Args:
        model: any module; one that `build` made has the example inputs of its config.
        inputs: what to call it with: a tensor, several by position, or a mapping by name. By default example inputs
            with `batch` rows; integers that look up a table, and have no `fill`, are drawn evenly from its rows.
        batch: how many rows those have.
        loss: makes one number of what the model returns, to be differentiated instead.
        limits: what counts as wrong, by the names of `Limits`.
        advice: whether to look for rules that repair what is found; each that is tried takes as long as all the rest.
        seed: of the batch and of the signs.

    Raises:
        TypeError: it is no module, or has no example inputs and was given none.
        ConfigError: there is no such limit.

    >>> import modelzoo
    >>> deep = {"inputs": {"x": [2, 64]}, "layers": [{"layers": ["Linear(64, 64)", "Tanh"], "_repeat_": 8}]}
    >>> rules = {"small": {"param": "weight", "fill": "normal(std=0.01)"}}
    >>> print(signals(modelzoo.build(deep, rules)))
    forward   ...
    backward  ...
    vanishes: the signal vanishes from '0.0.0' to '0.7.0': its size goes from 0.998 to 1.98e-09.
      init.small fills '0.0.0.weight'.
      With this rule in place of 'small' it is gone: repair: {name: '*.*.*.weight', fill: normal(std=fan_in ** -0.5)}
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"signals takes a module, not {type(model).__name__}: build(...) makes a module.")
    problems = Problems()
    given_limits = Limits.of(limits, problems)
    problems.check()
    origin = origin_of(model)
    examples = None if origin is None else origin.given
    if inputs is None and (examples is None or not examples.inputs):
        raise TypeError("this module has no example inputs: write signals(module, inputs).")
    decided = {} if origin is None else origin.decided()
    given: dict[str, Any] = {"limits": given_limits, "advice": advice, "seed": seed}
    if inputs is None:
        assert examples is not None
        aim = None if loss is None else lambda output, _: loss(output)
        return of_examples(model, examples, decided, batch=batch, aim=aim, **given)
    return measured(model, partial(_called, inputs), inputs, decided, loss=loss, **given)


def _called(inputs: Any, model: nn.Module) -> Any:
    if isinstance(inputs, Mapping):
        return model(**inputs)
    return model(inputs) if isinstance(inputs, Tensor) else model(*inputs)


Decided = Mapping[Tensor, tuple[Decision, ...]]
"""What filled tensors."""

Aim = Callable[[Any, dict[str, Tensor]], Tensor]
"""Makes one number of what a model returned, and of what it was called with."""


def of_examples(
    model: nn.Module,
    examples: Examples,
    decided: Decided,
    *,
    batch: int,
    aim: Aim | None = None,
    limits: Limits,
    advice: bool,
    seed: int,
) -> Signals:
    """Signals of a model of ours, whose example inputs are known; where a batch does not fit it, of these alone."""
    device = next((each.device for each in (*model.parameters(), *model.buffers())), torch.device("cpu"))

    def of(size: int, notes: tuple[str, ...] = ()) -> Signals:
        inputs = batches.drawn(examples, size, device, model)
        loss = None if aim is None else partial(_aimed, aim, inputs)
        given: dict[str, Any] = {"limits": limits, "advice": advice, "seed": seed, "notes": notes}
        return measured(model, partial(_by_name, inputs), inputs, decided, loss=loss, **given)

    try:
        return of(batch)
    except Exception:
        own = next((each.shape[0] for each in examples.shapes if each.shape), batch)
        return of(
            own, (f"the model does not take {batch} examples at once: this is of the example inputs as they are.",)
        )


def _aimed(aim: Aim, inputs: dict[str, Tensor], output: Any) -> Tensor:
    return aim(output, inputs)


def _by_name(inputs: dict[str, Tensor], model: nn.Module) -> Any:
    return call_with(model, inputs)


@ambient.kept()
def measured(
    model: nn.Module,
    call: Callable[[nn.Module], Any],
    inputs: Any,
    decided: Decided,
    *,
    loss: Loss | None,
    limits: Limits,
    advice: bool,
    seed: int,
    notes: tuple[str, ...] = (),
) -> Signals:
    """The pass and what it shows."""
    made = passed(model, partial(call, model), seed=seed, loss=loss)
    std = _std(inputs)

    def judge(other: nn.Module, its: Pass | None = None, known: Decided | None = None) -> list[Finding]:
        its = its or passed(other, partial(call, other), seed=seed, loss=loss)
        return findings(Evidence(model=other, made=its, input_std=std, decided=known or {}, limits=limits))

    evidence = Evidence(model=model, made=made, input_std=std, decided=decided, limits=limits)
    found = findings(evidence)
    if advice and found:
        rules = {
            evidence.names[tensor]: chain[-1].rule for tensor, chain in decided.items() if tensor in evidence.names
        }
        found = advised(model, found, judge, rules, seed)
    return Signals(calls=tuple(_calls(evidence)), weights=made.weights, findings=tuple(found), notes=notes)


def _std(inputs: Any) -> float:
    given = first(list(inputs.values()) if isinstance(inputs, Mapping) else inputs)
    if given is None or not given.is_floating_point() or given.numel() < 2:
        return 1.0
    return float(given.float().std()) or 1.0


def _calls(evidence: Evidence) -> list[Call]:
    trunk = set(evidence.trunk)
    found: list[Call] = []
    before: float | None = None
    for each in evidence.made.calls:
        if each.output is not None:
            found.append(call_of(each, before, each in trunk))
            before = each.output.std
    return found
