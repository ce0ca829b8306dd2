"""One step of an optimiser, and which tensors it moved."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from modelzoo.errors import ConfigError, Path, Problem, first_line
from modelzoo.modules.homes import tensors_of
from modelzoo.optim.grouping import Grouping
from modelzoo.optim.optimisers import OPTION

STEP = Path(("step",))
MOST = 40  # rows of a table


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What a step did to a parameter.

    Attributes:
        group: of the optimiser; "" for what is in none.
        update: the norm of the change.
        ratio: that by the norm of the value before; None where that is zero.
        why: why it did not move; "" where it did.
    """

    group: str
    update: float
    ratio: float | None
    why: str = ""


def optimiser(model: nn.Module, grouping: Grouping, kind: type[Optimizer]) -> Optimizer:
    """An optimiser of a model's groups, with its own defaults for the rest.

    Raises:
        ConfigError: it refuses the tensors.
    """
    make: Callable[..., Optimizer] = kind
    try:
        return make(grouping.of(model))
    except Exception as error:
        what = f"{kind.__name__} refuses the tensors: {first_line(error).rstrip('.')}."
        raise ConfigError([Problem(path=str(OPTION), key=OPTION, what=what)]) from error


def step(optimizer: Optimizer) -> None:
    """One step with the gradients that there are.

    Raises:
        ConfigError: it cannot be made.
    """
    try:
        optimizer.step()
    except Exception as error:
        what = f"{type(optimizer).__name__} cannot make a step: {first_line(error).rstrip('.')}."
        raise ConfigError([Problem(path=str(STEP), key=STEP, what=what)]) from error


@contextmanager
def kept(model: nn.Module) -> Iterator[Mapping[str, Tensor]]:
    """The values of all parameters and buffers, which are put back at the end."""
    before = {name: each.detach().clone() for name, each in tensors_of(model).items()}
    try:
        yield before
    finally:
        with torch.no_grad():
            for name, each in tensors_of(model).items():
                each.copy_(before[name])


def stepped(model: nn.Module, grouping: Grouping, kind: type[Optimizer]) -> dict[str, Moved]:
    """What one step of an optimiser would do to each parameter of a model with gradients; the values stay as they are.

    Raises:
        ConfigError: as for `optimiser` and `step`.
    """
    made = optimiser(model, grouping, kind)
    groups = grouping.by_tensor()
    with kept(model) as before:
        step(made)
        return {
            name: _moved(before[name], each, groups.get(name, ("", {}))[0]) for name, each in model.named_parameters()
        }


def _moved(before: Tensor, now: Tensor, group: str) -> Moved:
    size, update = (torch.linalg.vector_norm(each.double()).item() for each in (before, now.detach() - before))
    return Moved(group=group, update=update, ratio=update / size if size else None, why="" if update else _why(now))


def _why(tensor: Tensor) -> str:
    """Why a step did not move a tensor."""
    if not tensor.requires_grad:
        return "frozen"
    if tensor.grad is None:
        return "no gradient"
    return "too small a step" if tensor.grad.any() else "its gradient is zero"


def lines(moved: Mapping[str, Moved]) -> Sequence[str]:
    """A table of what moved, and below it what did not."""
    rows = [("tensor", "group", "update", "update / value")]
    went = {name: each for name, each in moved.items() if not each.why}
    for name, each in [*went.items()][:MOST]:
        rows.append((name, each.group, f"{each.update:.3g}", "" if each.ratio is None else f"{each.ratio:.3g}"))
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    found = [f"{a:<{wide[0]}}  {b:<{wide[1]}}  {c:>{wide[2]}}  {d:>{wide[3]}}".rstrip() for a, b, c, d in rows]
    if len(went) > MOST:
        found.append(f"... and {len(went) - MOST} more")
    stayed = [f"{name} ({each.why})" for name, each in moved.items() if each.why]
    more = f" and {len(stayed) - MOST} more" if stayed[MOST:] else ""
    return [*found, *([f"not moved: {', '.join(stayed[:MOST])}{more}"] if stayed else [])]
