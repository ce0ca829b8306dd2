"""A forward pass, and the layer that made the first value that is not finite."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from modelzoo.errors import ConfigError
from modelzoo.modules import explain, gradients
from modelzoo.modules.inputs import call_with
from modelzoo.modules.recording import calls
from modelzoo.plans.draft import Draft
from modelzoo.terminal import say


def forward(draft: Draft, model: nn.Module, inputs: dict[str, Tensor], gradients: bool) -> Any:
    """Calls a model with its example inputs.

    Raises:
        ConfigError: the layer or line that failed, on what.
    """
    with torch.set_grad_enabled(gradients):
        try:
            return call_with(model, inputs)
        except Exception as error:
            raise ConfigError([explain.explain(draft.skeleton, error)]) from error


def is_finite(value: Any) -> bool:
    """Whether every value of an output is."""
    return all(bool(torch.isfinite(each).all()) for each in gradients.tensors(value) if each.is_floating_point())


def explain_non_finite(draft: Draft, model: nn.Module, inputs: dict[str, Tensor], output: Any) -> None:
    """Says which layer made a value that is not finite first, if the output has one."""
    if is_finite(output):
        return
    first: list[str] = []
    names = {module: name or "the model" for name, module in model.named_modules()}

    def after(module: nn.Module, _: Any, made: Any) -> None:
        if not first and module in names and not is_finite(made):
            first.append(names[module])

    with calls(after):
        forward(draft, model, inputs, False)
    by = f"'{first[0]}' made it first" if first else "no layer made it alone"
    given = "" if is_finite(tuple(inputs.values())) else "; the input has one already"
    say(f"warning: the output has a value that is not finite: {by}{given}")
