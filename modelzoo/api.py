"""The functions of the front page: `plan` and `build`."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from modelzoo import bounds
from modelzoo.config import config
from modelzoo.config.opening import overrides_of
from modelzoo.config.unused import unused
from modelzoo.errors import ConfigWarning, located
from modelzoo.plans.draft import draft, fill
from modelzoo.plans.plan import Plan


@contextmanager
def _uncollected() -> Iterator[None]:
    """Pauses the cyclic garbage collector of Python: a build makes next to no garbage, and a search takes longer."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@_uncollected()
def plan(
    model: config.Source,
    init: config.Source | None = None,
    *,
    args: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    seed: int = 0,
    dtype: str = "float32",
) -> Plan:
    """Decides everything about a model without filling a tensor.

    Args:
        model: the path of a model file, a mapping, or a DictConfig.
        init: rules: a mapping, a DictConfig or a path; they replace the model file's own.
        args: other values for args of the model, by their names.
        overrides: what is changed in model and init, as `python run.py` takes it: `["model.args.dim=16"]`.
        seed: of all random values.
        dtype: of floating parameters, buffers and inputs that name none.

    Returns:
        a value that prints as a table.

    Raises:
        ConfigError: all problems found.

    A network of two layers whose last one starts at zero, so that it returns zeros until it has learnt something: who
    decides that, and who decides the rest, is known before there is a byte of it. The example input is what shows
    shapes and costs.

    >>> mlp = {"args": {"width": 8}, "inputs": {"x": [2, 4]}}
    >>> mlp["layers"] = {"hidden": "Linear(4, width)", "act": "ReLU", "out": "Linear(width, 1)"}
    >>> rules = {"weights": {"layer": "Linear", "param": "weight", "fill": "xavier_uniform"}}
    >>> rules["head"] = {"name": "out.*", "fill": 0}
    >>> for each in plan(mlp, rules).tensors:
    ...     print(each.name, each.shape, each.rule, each.fill)
    hidden.weight (8, 4) init.weights xavier_uniform(gain=1.0)
    hidden.bias (8,) torch uniform(a=-0.5, b=0.5)
    out.weight (1, 8) init.head constant(value=0)
    out.bias (1,) init.head constant(value=0)
    >>> plan(mlp, rules, args={"width": 16}).parameters
    97
    """
    given = config.from_mapping(model, init, overrides_of(args, overrides))
    with located(given.locate):
        return draft(given.model, given.init, seed=seed, dtype=dtype, count=True).plan.placed(given.locate)


@_uncollected()
def build(
    model: config.Source,
    init: config.Source | None = None,
    *,
    args: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    seed: int = 0,
    device: str | torch.device = "cpu",
    dtype: str = "float32",
    max_steps: int = bounds.STEPS,
    memory: int | str | None = None,
) -> nn.Module:
    """Builds an ordinary module in training mode, every tensor filled once.

    Args:
        model, init, args, overrides, seed, dtype: as for `plan`.
        device: where the tensors are made.
        max_steps: how often a loop of a `forward` text may turn.
        memory: how much the tensors may take: bytes, or a text as in "4GB"; by default what the machine has free.

    Raises:
        ConfigError: all problems found.

    Warns:
        ConfigWarning: a rule that selects nothing or that later ones overwrite, and what nothing uses: a layer, an arg,
            a tensor, a definition; each with its place.

    What it returns holds nothing of this package: it trains, saves and compiles as a module that was written by hand. A
    tensor's values depend on the seed and on its name, so that another model with a layer of that name and size starts
    with the same ones, whatever stands around it.

    >>> small = build({"layers": {"a": "Linear(4, 8)", "b": "Linear(8, 1)"}}, seed=1)
    >>> small
    Sequential(
      (a): Linear(in_features=4, out_features=8, bias=True)
      (b): Linear(in_features=8, out_features=1, bias=True)
    )
    >>> larger = build({"layers": {"a": "Linear(4, 8)", "act": "ReLU", "b": "Linear(8, 1)"}}, seed=1)
    >>> small.a.weight.equal(larger.a.weight), small.b.weight.equal(larger.b.weight)
    (True, True)
    """
    given = config.from_mapping(model, init, overrides_of(args, overrides))
    with located(given.locate):
        made = draft(given.model, given.init, seed=seed, dtype=dtype, device=device, max_steps=max_steps, planned=False)
        for each in (*(one.located(given.locate) for one in made.warnings), *unused(given)):
            warnings.warn(str(each), ConfigWarning, stacklevel=3)
        return fill(made, device, budget=memory)
