"""The function of the front page: `groups`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import nn
from torch.optim import Optimizer

from modelzoo.config import config
from modelzoo.errors import ConfigWarning, Problems, located, nearest
from modelzoo.init.selection import nameless
from modelzoo.optim import assignment, optimisers
from modelzoo.optim.grouping import Grouping
from modelzoo.plans.origins import BaseShapes, origin_of
from modelzoo.spec.base import WIDTHS
from modelzoo.spec.groups import INDEX, KEY, parse_groups, read_by
from modelzoo.spec.resolve import values_of


def groups(
    model: nn.Module,
    groups: config.Source,
    optimizer: type[Optimizer] | str | None = None,
    *,
    base: nn.Module | None = None,
    **args: Any,
) -> list[dict[str, Any]]:
    """The tensors of a module in groups for an optimiser, as every class of `torch.optim` takes them.

    Args:
        model: any module, whoever wrote it; of one that `build` made, formulas may read the args.
        groups: a mapping, a DictConfig, or the path of a file: names of groups, each with what selects its tensors, as
            in a rule of an init, and options of the optimiser. The last that selects a tensor has it; what none selects
            is in a group called "rest".
        optimizer: a class, or the name of one in `torch.optim`: the options are checked against what it takes. Without
            one they are checked against all of torch's.
        base: the same module with other widths, on meta where that is cheaper: formulas may read `width_ratio`,
            `fan_in_ratio` and `fan_out_ratio` then, as they may where the groups have a `base` themselves.
        args: values that formulas read, in place of the `args` of the groups.

    Returns:
        a mapping for each group that is not empty: "params", a list of tensors; "name"; and the options. Every tensor
        that is trained is in exactly one, a shared one too, and what is frozen is in none.

    Raises:
        ConfigError: a group with a `name` that fits no tensor, two groups for the names of one tensor, an option that
            the optimiser does not have or a value that it refuses, a name that no formula reads.

        TypeError: the model is no module.
        ValueError: a lazy layer has no sizes yet.

    Warns:
        ConfigWarning: a group that selects nothing, or of which later ones take everything.

    `trainable: false` in a group freezes its tensors: `requires_grad` of the module's own is changed.

    >>> import torch
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 2))
    >>> rules = {"no_decay": {"ndim": 1, "weight_decay": 0}, "head": {"name": "2.*", "lr": "=lr * 10"}}
    >>> found = groups(model, rules, "AdamW", lr=0.001)
    >>> for each in found:
    ...     print(each["name"], [list(tensor.shape) for tensor in each["params"]], each.get("lr"))
    rest [[8, 4]] None
    no_decay [[8], [8], [8]] None
    head [[2, 8], [2]] 0.01
    >>> _ = torch.optim.AdamW(found, lr=0.001)
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"groups takes a module, not {type(model).__name__}: build(...) makes one.")
    opened = config.opened(groups, "groups", [])
    with located(opened.locate):
        found = grouping(model, opened.get("groups"), optimizer, args, Known.of(model, base))
        for each in found.warnings:
            warnings.warn(str(each.located(opened.locate)), ConfigWarning, stacklevel=2)
    found.freeze(model)
    return found.of(model)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a module beside its tensors.

    Attributes:
        args: of its root, with their values.
        block_of: says which block a module was made from.
        base_shapes: tells the shapes of a base; None where no config is known.
        wide: whether there is a base whatever the groups say.
    """

    args: Mapping[str, Any]
    block_of: Callable[[nn.Module], str]
    base_shapes: BaseShapes | None
    wide: bool = False

    @classmethod
    def of(cls, model: nn.Module, base: nn.Module | None) -> Known:
        """What is known of any module."""
        origin = origin_of(model)
        found = cls(args={}, block_of=nameless, base_shapes=None)
        if origin is not None:
            found = cls(args=origin.args, block_of=origin.block_of, base_shapes=origin.base_shapes)
        if base is None:
            return found
        shapes = {name: tuple(each.shape) for name, each in base.named_parameters(remove_duplicate=False)}
        return replace(found, base_shapes=lambda *_: shapes, wide=True)


def grouping(
    model: nn.Module, groups: Any, optimizer: type[Optimizer] | str | None, args: Mapping[str, Any], known: Known
) -> Grouping:
    """Decides groups for a module, which stays as it is.

    Args:
        model, optimizer, args: as for `groups`.
        groups: plain data.
        known: what is known of the module.

    Raises:
        ConfigError: all problems found.
    """
    problems, given, seen = Problems(), dict(args), known.args
    chosen = optimisers.named(optimizer, problems)
    parsed = parse_groups(groups, frozenset(seen), frozenset(seen) | frozenset(given), problems, known.wide)
    if parsed.base and known.base_shapes is None:
        problems.add(KEY / "base", "no config is known of this module.", "Write groups(model, groups, base=module).")
    own, read = frozenset(each.name for each in parsed.args), read_by(parsed)
    problems.check()
    for name in given.keys() - own - read:
        what = f"no formula of these groups reads '{name}'."
        problems.add(KEY, what, nearest(name, sorted((own | read) - {INDEX, *WIDTHS})))
    values = values_of(parsed.args, {**seen, **given}, problems, {name: given[name] for name in given.keys() & own})
    problems.check()
    asked = known.base_shapes if parsed.base or known.wide else None
    base = None if asked is None else asked(parsed.base, KEY / "base")
    return assignment.grouped(model, parsed, values, problems, optimizer=chosen, block_of=known.block_of, base=base)
