"""What a test says about tensors: names, values, and who filled them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from modelzoo.errors import ConfigError, render
from modelzoo.optim.grouping import shown
from modelzoo.plans.statistics import describe
from modelzoo.run import compare
from modelzoo.testing import subject
from modelzoo.testing.case import Close, Fact
from modelzoo.testing.found import Found
from modelzoo.testing.subject import Built


def tensors(found: Found, built: Built, fact: Fact) -> None:
    """`tensors`: by glob."""
    for pattern, facts in fact.value.items():
        for name in found.matching(fact.key / pattern, "tensor", pattern, built.names):
            for each in facts:
                _tensor(found, built, name, each)


def _tensor(found: Found, built: Built, name: str, fact: Fact) -> None:
    """One statement about one tensor of a model."""
    tensor, about = built.names[name], built.describe(name)
    match fact.name:
        case "same_as":
            if found.matching(fact.key, "tensor", fact.value, built.names):
                same(found, fact, tensor, built.names[fact.value], "tensor", about)
        case "equals" if not isinstance(fact.value, Close):
            _drawn(found, built, name, fact)
        case "trainable" if tensor.requires_grad is not fact.value:
            kinds = ("one that is not trained", "a trainable tensor")
            found.add(fact.key, kinds[fact.value], kinds[not fact.value], about)
        case "rule" if built.facts[name].rule != fact.value:
            found.add(fact.key, f"that {fact.value} fills it", built.facts[name].rule, about)
        case "group" if built.facts[name].group != fact.value:
            found.add(fact.key, f"the group {fact.value}", built.facts[name].group or "no group", about)
        case "options":
            _options(found, built.facts[name].options, fact, about)
        case "trainable" | "rule" | "group":
            pass
        case _:
            value(found, tensor, fact, about)


def _options(found: Found, options: Mapping[str, Any], fact: Fact, about: str) -> None:
    """Whether an optimiser gets these options for a tensor, whatever others there are."""
    for name, wanted in fact.value.items():
        actual = options.get(name)
        if isinstance(actual, (int, float)) and isinstance(wanted, (int, float)):
            alike = compare.is_close(actual, wanted, None)
        else:
            alike = shown(actual) == shown(wanted)
        if not alike or name not in options:
            told = shown(actual) if name in options else "the optimiser's own"
            found.add(fact.key / name, f"{name} {shown(wanted)}", told, about)


def _drawn(found: Found, built: Built, name: str, fact: Fact) -> None:
    """Whether a tensor holds what a fill gives it."""
    about = built.describe(name)
    try:
        wanted = subject.drawn(built, name, fact.value)
    except ConfigError as error:
        found.add(fact.key, f"what the fill {fact.value} gives", render(error.problems), about)
        return
    if not compare.identical(built.names[name], wanted):
        found.add(fact.key, f"what the fill {fact.value} gives", compare.difference(built.names[name], wanted), about)


def same(found: Found, fact: Fact, one: object, other: object, what: str, about: str = "") -> None:
    """Whether two names are one object."""
    if one is not other:
        alike = isinstance(one, Tensor) and isinstance(other, Tensor) and compare.identical(one, other)
        actual = f"two {what}s" + (" with equal values" if alike else "")
        found.add(fact.key, f"the same {what} as {fact.value}", actual, about)


def value(found: Found, tensor: Tensor, fact: Fact, about: str = "") -> None:
    """One statement about the shape, the dtype or the values of a tensor."""
    wanted, statistics = fact.value, None
    if fact.name in ("mean", "std", "min", "max", "finite", "range"):
        statistics = describe(tensor)
    if statistics is None and fact.name not in ("shape", "dtype") and (tensor.is_meta or not tensor.numel()):
        found.add(fact.key, f"{fact.name} {compare.shown(wanted)}", "a tensor without values", about)
        return
    match fact.name:
        case "shape" if tuple(tensor.shape) != wanted:
            found.add(fact.key, f"shape {list(wanted)}", f"{list(tensor.shape)}", about)
        case "dtype" if compare.dtype(tensor) != wanted:
            found.add(fact.key, f"dtype {wanted}", compare.dtype(tensor), about)
        case "finite" if statistics and statistics.finite is not wanted:
            actual = "finite ones" if statistics.finite else f"{compare.not_finite(tensor)} that are not"
            found.add(fact.key, "finite values" if wanted else "values that are not finite", actual, about)
        case "range" if statistics and not (wanted[0] <= statistics.min and statistics.max <= wanted[1]):
            actual = f"{statistics.min:.6g} to {statistics.max:.6g}"
            found.add(fact.key, f"values from {wanted[0]:g} to {wanted[1]:g}", actual, about)
        case "mean" | "std" | "min" | "max":
            _number(found, getattr(statistics, fact.name), fact, about)
        case "sum":
            _number(found, tensor.detach().double().sum().item(), fact, about)
        case "values" | "equals":
            _values(found, tensor, fact, about)


def _number(found: Found, actual: float, fact: Fact, about: str) -> None:
    """Whether a number is close enough to the expected one."""
    if not compare.is_close(actual, fact.value.value, fact.value.within):
        found.add(fact.key, f"{fact.name} {fact.value}", f"{actual:.6g}", about)


def _values(found: Found, tensor: Tensor, fact: Fact, about: str) -> None:
    """Whether all values are close enough; one number stands for all of them."""
    try:
        wanted = torch.tensor(fact.value.value, dtype=torch.float64)
    except ValueError:
        found.add(fact.key, "a tensor", "lists of different lengths in the test")
        return
    if isinstance(fact.value.value, (int, float)):
        wanted = wanted.expand(tensor.shape)
    if wanted.shape != tensor.shape:
        found.add(fact.key, f"values of shape {list(wanted.shape)}", f"shape {list(tensor.shape)}", about)
        return
    actual = tensor.detach().cpu().double()
    within = fact.value.within
    limit = 1e-5 + 1e-5 * wanted.abs() if within is None else torch.full_like(wanted, within)
    apart = ~((actual == wanted) | ((actual - wanted).abs() <= limit))
    if apart.any():
        allowed = "" if within is None else f" within {within:g}"
        found.add(fact.key, f"the values that are listed{allowed}", compare.first_apart(actual, wanted, apart), about)
