"""What options an optimiser has, and which values it takes."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from modelzoo.errors import Path, Problems, fail, first_line, nearest
from modelzoo.known import told
from modelzoo.optim.grouping import Part
from modelzoo.spec.groups import KEY

OPTION = Path(("optimizer",))


@cache
def known() -> dict[str, type[Optimizer]]:
    """Those of `torch.optim`, by name."""
    found = {name: each for name, each in vars(torch.optim).items() if isinstance(each, type)}
    return {name: each for name, each in sorted(found.items()) if issubclass(each, Optimizer) and each is not Optimizer}


def named(optimizer: type[Optimizer] | str | None, problems: Problems | None = None) -> type[Optimizer] | None:
    """The class of that name.

    Raises:
        ConfigError: there is none, and nobody collects problems.
        TypeError: it is a class of something else.
    """
    if isinstance(optimizer, type) and not issubclass(optimizer, Optimizer):
        raise TypeError(f"an optimiser is a class of torch.optim or its name, not {optimizer.__name__}.")
    if optimizer is None or isinstance(optimizer, type):
        return optimizer
    name = str(optimizer).removeprefix("torch.optim.")
    if name in known():
        return known()[name]
    found = Problems() if problems is None else problems
    found.add(OPTION, f"there is no optimiser {optimizer!r} in torch.optim.", nearest(name, known()) or "Type AdamW.")
    if problems is None:
        found.check()
    return None


def stepping(optimizer: Any) -> type[Optimizer]:
    """The class of that name, for a step.

    Raises:
        ConfigError: there is none.
    """
    found = named(optimizer)
    if found is None:
        fail(Path(("step",)), "a step needs an optimiser, and none is named.", "Type optimizer=AdamW.")
    return found


def options_of(optimizer: type[Optimizer]) -> tuple[str, ...] | None:
    """The names of the options that it has; None if it takes any.

    >>> options_of(torch.optim.Rprop)[:3]
    ('lr', 'etas', 'step_sizes')
    """
    _, *parameters = inspect.signature(optimizer).parameters.values()
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters):
        return None
    return tuple(each.name for each in parameters if each.kind is not inspect.Parameter.VAR_POSITIONAL)


def check_names(names: Iterable[tuple[str, Path]], optimizer: type[Optimizer] | None, problems: Problems) -> None:
    """Says which options, each with its place, an optimiser does not have; without one, those that none has."""
    has = told("options") if optimizer is None else options_of(optimizer)
    if has is None:
        return
    owner = "no optimiser of torch has an" if optimizer is None else f"{optimizer.__name__} has no"
    for name, key in names:
        if name not in has:
            problems.add(key, f"{owner} option '{name}'.", nearest(name, has))


def check_values(parts: Sequence[tuple[Part, Path]], optimizer: type[Optimizer] | None, problems: Problems) -> None:
    """Says which values of options an optimiser refuses: each by itself, all of a group, and all groups.

    Args:
        parts: each with the place of its group.
    """
    before, parts = len(problems.found), _different(parts)
    for part, key in parts:
        for name, value in part.options.items():
            if isinstance(value, float) and not math.isfinite(value):
                problems.add(key / name, f"{name} must be a finite number, not {value}.")
    if optimizer is None or len(problems.found) > before or _refused(optimizer, {}):
        return
    for part, key in parts:
        for place, why in _wrong(optimizer, part.options, key):
            problems.add(place, f"{optimizer.__name__} refuses this: {why}.")
    if len(problems.found) == before and (why := _refused(optimizer, {}, *(part.options for part, _ in parts))):
        problems.add(KEY, f"{optimizer.__name__} refuses these groups: {why}.")


def _different(parts: Iterable[tuple[Part, Path]]) -> list[tuple[Part, Path]]:
    """Those that differ in more than their tensors."""
    return list({(key, repr(part.options)): (part, key) for part, key in parts}.values())


def _wrong(optimizer: type[Optimizer], options: Mapping[str, Any], key: Path) -> list[tuple[Path, str]]:
    """The places of options that an optimiser refuses, and why."""
    alone = ((key / name, _refused(optimizer, {name: value})) for name, value in options.items())
    found = [(place, why) for place, why in alone if why]
    together = "" if found else _refused(optimizer, options)
    return [(key, together)] if together else found


def _refused(optimizer: type[Optimizer], options: Mapping[str, Any], *groups: Mapping[str, Any]) -> str:
    """Why an optimiser cannot be made with options of its own and of groups; nothing if it can."""
    try:
        optimizer([{"params": [nn.Parameter(torch.zeros(2, 2))], **each} for each in groups or ({},)], **options)
    except Exception as error:
        return first_line(error).rstrip(".")
    return ""
