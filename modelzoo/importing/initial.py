"""The rules that explain how a module starts: `init_of`."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from modelzoo import api
from modelzoo.catalog import torch_init
from modelzoo.errors import ConfigWarning
from modelzoo.importing import fitted, ruled
from modelzoo.importing.samples import Sample, sampled
from modelzoo.init.foreign import KEPT
from modelzoo.plans import ambient
from modelzoo.plans.initialized import Report
from modelzoo.plans.rows import rows
from modelzoo.plans.summary import Summary
from modelzoo.plans.table import totals


@dataclass(frozen=True, slots=True, kw_only=True)
class Initial:
    """How a module starts, as rules. It prints as a table.

    Attributes:
        rules: what `build` and `initialize` take as `init`.
        explained: the share of the parameters and buffers, from 0 to 1, that start by these rules, or as torch starts
            them, as they did in the module.
        unexplained: the names of the others.
        report: what the rules made of each tensor when they were tried.
    """

    rules: dict[str, Any]
    explained: float
    unexplained: tuple[str, ...] = ()
    report: Report = field(repr=False)

    def summary(self) -> Summary:
        """What fills each tensor, and what is not explained."""
        told = [f"{self.explained:.0%} of the parameters and buffers are explained"]
        told += [f"not explained: {', '.join(self.unexplained)}"] * bool(self.unexplained)
        found = rows(self.report)
        return Summary(rows=found, totals=totals(found), messages=tuple(told))

    def __str__(self) -> str:
        return self.summary().text()

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return self.summary()._repr_html_()


def init_of(source: nn.Module | Callable[[], nn.Module]) -> Initial:
    """The rules that explain the values that a module was made with.

    Constants are told exactly; what was drawn by its law: uniform, normal, cut, orthogonal, those of Glorot and He.
    What torch starts in the same way needs no rule. The rules are tried on a copy: what does not come out so is named.

    Args:
        source: a module as it was made, which is not changed; or better what makes one, a function or a class that is
            called without arguments, four times with other seeds: then what is equal each time is told from what is
            drawn.

    Returns:
        rules, with the share of the parameters and buffers that they explain.

    Raises:
        ConfigError: what is called makes no module, or one of other tensors each time.
        TypeError: it is no module, and cannot be called.

    >>> class Net(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.fc1, self.fc2 = nn.Linear(64, 128), nn.Linear(128, 32)
    ...         for each in (self.fc1, self.fc2):
    ...             nn.init.normal_(each.weight, std=0.02)
    ...         nn.init.zeros_(self.fc1.bias)
    >>> found = init_of(Net)
    >>> found.rules["linear_weight"], found.rules["fc1_bias"]
    ({'layer': 'Linear', 'param': 'weight', 'fill': 'normal(std=0.02)'}, {'name': 'fc1.bias', 'fill': 0})
    >>> found.explained, found.unexplained
    (1.0, ())
    """
    with ambient.kept():
        module, samples = sampled(source)
        defaults = torch_init.defaults(module)
        found = {
            each: {
                **dict.fromkeys([ruled.TORCH] * fitted.is_default(each, defaults.get(each.name))),
                **fitted.fits(each),
            }
            for each in samples
        }
        rules = ruled.rules_of(ruled.together(found))
        tried = copy.deepcopy(module) if module is source else module
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConfigWarning)
            report = api.initialize(tried, rules, rest="torch")
    unexplained = _unexplained(tried, samples, report)
    share = 1 - len(unexplained) / len(samples) if samples else 1.0
    return Initial(rules=rules, explained=share, unexplained=unexplained, report=report)


def _unexplained(tried: nn.Module, samples: list[Sample], report: Report) -> tuple[str, ...]:
    """The tensors that no rule reached, or that came out in another way."""
    kept = {each.name for each in report.tensors if each.rule == KEPT}
    made = {**dict(tried.named_parameters(remove_duplicate=False)), **dict(tried.named_buffers(remove_duplicate=False))}
    return tuple(each.name for each in samples if each.name in kept or not fitted.agree(each, made[each.name].detach()))
