"""The coordinate check: how large what each layer returns is, while a model makes its first steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from modelzoo.modules import gradients
from modelzoo.modules.recording import calls
from modelzoo.optim import optimisers, stepping
from modelzoo.optim.grouping import Grouping
from modelzoo.plans.draft import Draft
from modelzoo.plans.options import Options
from modelzoo.run.forward import forward
from modelzoo.terminal import say

STEPS = 4

FACT = "coordinates"
"""What a job says of its sizes to a sweep: no column of its table, but a picture."""

Sizes = dict[str, list[float]]
"""The mean size of what each layer returns, before the first step and after each."""


def measured(
    draft: Draft,
    model: nn.Module,
    inputs: dict[str, Tensor],
    aim: Callable[[Any], Any],
    grouping: Grouping,
    options: Options,
) -> dict[str, Sizes]:
    """Prints the sizes if that is asked, and returns them as what the job says of itself.

    Args:
        draft, model, inputs, aim, grouping: as for `coordinates`.
    """
    if not options.coordinates:
        return {}
    found = coordinates(draft, model, inputs, aim, grouping, optimisers.stepping(options.optimizer))
    say("\n".join(lines(found)))
    return {FACT: found}


def coordinates(
    draft: Draft,
    model: nn.Module,
    inputs: dict[str, Tensor],
    aim: Callable[[Any], Any],
    grouping: Grouping,
    kind: type[Optimizer],
) -> Sizes:
    """Makes the first steps of an optimiser on the example inputs; the values are put back.

    Args:
        aim: what of an output is differentiated.
        grouping, kind: the groups, and the class, of the optimiser.

    Returns:
        a list of `STEPS + 1` numbers for each layer and block with parameters of its own, by its first name.

    Raises:
        ConfigError: what cannot be computed, differentiated or stepped.
    """
    layers = {module: name or "model" for name, module in model.named_modules() if any(_own(module))}
    found: Sizes = {name: [] for name in layers.values()}
    optimizer = stepping.optimiser(model, grouping, kind)
    with stepping.kept(model):
        for step in range(STEPS + 1):
            seen: dict[str, list[float]] = {}

            def after(module: nn.Module, _: Any, made: Any, seen: dict[str, list[float]] = seen) -> None:
                if module in layers:
                    seen.setdefault(layers[module], []).extend(map(_size, gradients.tensors(made)))

            model.zero_grad()
            with calls(after):
                output = forward(draft, model, inputs, True)
            for name, sizes in found.items():
                sizes.append(sum(seen[name]) / len(seen[name]) if seen.get(name) else 0.0)
            if step < STEPS:
                gradients.backward(draft.skeleton, aim(output), lambda: aim(forward(draft, model, inputs, True)))
                stepping.step(optimizer)
    return {name: sizes for name, sizes in found.items() if any(sizes)}


def _own(module: nn.Module) -> list[bool]:
    return [each is not None for each in module._parameters.values()]


def _size(tensor: Tensor) -> float:
    return tensor.detach().abs().double().mean().item() if tensor.numel() else 0.0


def lines(found: Mapping[str, list[float]]) -> list[str]:
    """A table of the sizes."""
    rows = [("size after steps", *map(str, range(STEPS + 1)))]
    rows += [(name, *(f"{size:.3g}" for size in sizes)) for name, sizes in found.items()]
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([f"{name:<{wide[0]}}", *(f"{a:>{w}}" for a, w in zip(rest, wide[1:], strict=True))])
        for name, *rest in rows
    ]
