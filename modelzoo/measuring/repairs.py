"""Rules that repair what was found, each tried on a copy before it is told."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from torch import nn

from modelzoo.errors import ConfigError
from modelzoo.init.lookup import glob
from modelzoo.measuring.findings import HIDDEN, Finding, Rule
from modelzoo.plans.initialized import initialized

TRIES = 12
"""How many rules are tried at most: each takes as long as a pass."""

Judge = Callable[[nn.Module], Sequence[Finding]]
"""Measures another model in the same way, and says what is wrong with it."""

_SCALES = ("normal(std=fan_in ** -0.5)", "kaiming_normal", "xavier_normal", "xavier_normal(gain=5 / 3)")
"""For a chain of linear layers, one with ReLU, both directions at once, and one with tanh."""

_FILLS: Mapping[str, tuple[str | int, ...]] = {
    "vanishes": _SCALES,
    "explodes": ("value / {root}", *_SCALES),
    "gradient vanishes": _SCALES,
    "gradient explodes": ("value / {root}", *_SCALES),
    "dead": (0, "kaiming_normal"),
    "saturated": ("xavier_normal", "normal(std=fan_in ** -0.5)", 0),
    "constant": ("kaiming_uniform", "xavier_normal", 1),
    "idle": ("kaiming_uniform", "xavier_normal", 1),
    "equal": ("xavier_normal", "normal(std=0.02)"),
    "logits": ("normal(std=0.02)", "normal(std=0.2 * fan_in ** -0.5)", 0),
    "fan": ("normal(std=(2 / fan_out) ** 0.5)",),
}
"""What may help, the likeliest first."""

_EVERY = ("vanishes", "explodes", "gradient vanishes", "gradient explodes", "dead", "constant")
"""The kinds for which all tensors are filled anew; for the others the first one."""


def advised(
    model: nn.Module, found: Sequence[Finding], judge: Judge, decided: Mapping[str, str], seed: int
) -> list[Finding]:
    """The findings, each with the first rule that makes it disappear and brings no other.

    Args:
        model: the module; copies of it are changed.
        found: what is wrong with it.
        judge: measures a copy.
        decided: the rule that decided each tensor, by the tensor's first name.
        seed: of what the rules draw.
    """
    tries, told = TRIES, []
    for each in found:
        for rule in candidates(model, each):
            if tries == 0:
                break
            tries -= 1
            if _helps(model, each, found, rule, judge, seed):
                each = replace(each, advice=rule, instead=_is_instead(each, rule, decided))
                break
        told.append(each)
    return told


def candidates(model: nn.Module, finding: Finding) -> Iterator[Rule]:
    """Rules that may repair a finding."""
    parameters = dict(model.named_parameters())
    chosen = finding.tensors if finding.kind in _EVERY else finding.tensors[:1]
    for fill in _FILLS.get(finding.kind, ()):
        drawn = isinstance(fill, str) and "value" not in fill
        wide = 2 if drawn or "root" in str(fill) else 0
        names = [name for name in chosen if parameters[name].ndim >= wide]
        names = _last(names) if "root" in str(fill) else names
        if fill == 0 and finding.kind == "dead":
            names = [name for name in names if parameters[name].ndim == 1]
        elif fill == 1:
            names = [name for name in names if parameters[name].ndim == 1 and not name.endswith("bias")]
        if names:
            written = fill.format(root=round((2 * len(names)) ** 0.5, 2)) if isinstance(fill, str) else fill
            yield {"name": pattern(names, list(parameters)), "fill": written}


def _last(names: Sequence[str]) -> list[str]:
    """The last of the names in each copy of a block.

    >>> _last(["h.0.up.weight", "h.0.down.weight", "h.1.up.weight", "h.1.down.weight", "out.weight"])
    ['h.0.down.weight', 'h.1.down.weight', 'out.weight']
    """
    found: dict[str, str] = {}
    for name in names:
        copy_of = re.match(r".*?\.\d+\.", name)
        found[copy_of[0] if copy_of else name] = name
    return list(found.values())


def pattern(names: Sequence[str], known: Sequence[str]) -> str | list[str]:
    """Names as globs, where no other name fits one.

    >>> pattern(["0.weight", "2.weight"], ["0.weight", "0.bias", "2.weight"])
    '*.weight'
    >>> pattern(["h.0.a", "h.0.b", "h.1.a", "h.1.b", "out"], ["h.0.a", "h.0.b", "h.0.c", "h.1.a", "h.1.b", "out"])
    ['h.*.a', 'h.*.b', 'out']
    >>> pattern(["0.weight", "2.weight"], ["0.weight", "1.weight", "2.weight"])
    ['0.weight', '2.weight']
    """
    found: dict[str, None] = {}
    for name in names:
        each = re.sub(r"\d+", "*", name)
        several = sum(map(bool, map(glob(each), names))) > 1
        found[each if several and {other for other in known if glob(each)(other)} <= set(names) else name] = None
    return next(iter(found)) if len(found) == 1 else [*found]


def _helps(model: nn.Module, finding: Finding, before: Sequence[Finding], rule: Rule, judge: Judge, seed: int) -> bool:
    """Whether a finding is gone with a rule, and no other kind came."""
    changed = copy.deepcopy(model)
    try:
        initialized(changed, {"repair": rule}, {}, seed=seed, rest="keep")
    except ConfigError:
        return False  # the fill is not for tensors of this shape
    after = judge(changed)
    others = [each for each in before if each is not finding]
    after = [each for each in after if finding.kind != "explodes" or each.kind not in HIDDEN]
    return all(any(_is_same(each, other) for other in others) for each in after)


def _is_same(one: Finding, other: Finding) -> bool:
    return one.kind == other.kind and not {*one.tensors}.isdisjoint(other.tensors)


def _is_instead(finding: Finding, rule: Rule, decided: Mapping[str, str]) -> bool:
    """Whether a rule fills everything that the one fills that decided."""
    if not finding.rule.startswith("init."):
        return False
    names = [rule["name"]] if isinstance(rule["name"], str) else rule["name"]
    own = {name for name, each in decided.items() if each == finding.rule}
    return isinstance(names, list) and all(any(glob(each)(name) for each in names) for name in own)
