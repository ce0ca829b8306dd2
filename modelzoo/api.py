"""The functions of the front page: `plan`, `build` and `initialize`."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from modelzoo import bounds
from modelzoo.config import config
from modelzoo.config.opening import overrides_of
from modelzoo.config.unused import unused
from modelzoo.errors import ConfigWarning, located
from modelzoo.plans.draft import Draft, draft, fill
from modelzoo.plans.initialized import Report, initialized
from modelzoo.plans.plan import Plan
from modelzoo.weights import loading
from modelzoo.weights.request import parsed


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
    seed: int | None = None,
    dtype: str | None = None,
) -> Plan:
    """Decides everything about a model without filling a tensor.

    Args:
        model: the path of a model file, a mapping, or a DictConfig; or the path of a `parameters.safetensors`, which
            holds its model.
        init: rules: a mapping, a DictConfig or a path; they replace the model file's own.
        args: other values for args of the model, by their names.
        overrides: what is changed in model and init, as `python run.py` takes it: `["model.args.dim=16"]`.
        seed: of all random values; 0 by default, or what a file of values was made with.
        dtype: of floating parameters, buffers and inputs that name none; float32 by default, or that of the file.

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
        return draft(given.model, given.init, **_decided(given, seed, dtype), count=True).plan.placed(given.locate)


@_uncollected()
def build(
    model: config.Source,
    init: config.Source | None = None,
    *,
    args: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    device: str | torch.device = "cpu",
    dtype: str | None = None,
    max_steps: int = bounds.STEPS,
    memory: int | str | None = None,
    parallelize: Mapping[str, Any] | Callable[..., Any] | None = None,
    device_mesh: Any = None,
) -> nn.Module:
    """Builds an ordinary module in training mode, every tensor filled once.

    From a `parameters.safetensors` that a run wrote it builds the model and gives it the values that it has there.

    Args:
        model, init, args, overrides, seed, dtype: as for `plan`.
        device: where the tensors are made.
        max_steps: how often a loop of a `forward` text may turn.
        memory: how much the tensors may take: bytes, or a text as in "4GB"; by default what the machine has free. Of a
            model that is split, those of one rank.
        parallelize: how the model is split over the ranks of a job: rules, or a function of the model (and of
            `device_mesh` if that is given) that calls `fully_shard` or `parallelize_module`. Each rank fills its parts.
        device_mesh: the ranks; by default those that the rules say, or all in a line.

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
        known = _decided(given, seed, dtype)
        first = device if parallelize is None else "meta"
        made = draft(given.model, given.init, **known, device=first, max_steps=max_steps, planned=False)
        for each in (*(one.located(given.locate) for one in made.warnings), *unused(given)):
            warnings.warn(str(each), ConfigWarning, stacklevel=3)
        if parallelize is None:
            return _loaded(fill(made, device, budget=memory), given, device)
        return _loaded(_split(made, device, parallelize, device_mesh, memory), given, device)


def _loaded(built: nn.Module, given: config.Config, device: str | torch.device) -> nn.Module:
    """With the values that a file has, where it asks for them."""
    if "load" in given.options:
        request = parsed(given.options["load"])
        (loading.planned if torch.device(device).type == "meta" else loading.load)(built, request)
    return built


def _split(made: Draft, device: str | torch.device, parallelize: Any, mesh: Any, memory: int | str | None) -> nn.Module:
    from modelzoo.sharding.sharded import sharded  # it imports torch.distributed, which a build on one machine does not

    return sharded(made, device, parallelize, mesh, memory).skeleton.root


def _decided(given: config.Config, seed: int | None, dtype: str | None) -> dict[str, Any]:
    """What random values and dtypes depend on: what was given, else what a file of values keeps."""
    options = {"seed": 0, "dtype": "float32", **given.options}
    return {"seed": options["seed"] if seed is None else seed, "dtype": options["dtype"] if dtype is None else dtype}


def initialize(
    module: nn.Module,
    init: config.Source | None,
    *,
    args: Mapping[str, Any] | None = None,
    seed: int = 0,
    rest: str = "keep",
) -> Report:
    """Fills the tensors of any module by rules, in place, each unique tensor once; of it nothing else changes.

    Args:
        module: written by hand, from another library, or from `build`.
        init: rules, as for `build`: a mapping, a DictConfig or the path of a file of rules.
        args: what the fills may read by name; of a model from `build` its own args are known.
        seed: of all random values.
        rest: what becomes of tensors that no rule selects. "keep": they hold what they hold; "torch": those of layers
            of torch get torch's own initialisation, and what `build` made gets what it has without rules; "error": a
            parameter that no rule selects is one.

    Returns:
        who filled each tensor, as a value that prints as a table.

    Raises:
        ConfigError: all problems found; nothing is filled then.
        TypeError: it is no module.

    Warns:
        ConfigWarning: a rule that selects nothing, or that later ones overwrite.

    A layer is selected by the name of its class or of one that it derives from, and a weight under a parametrization by
    its own name; it is what is parametrized that is filled, and a weight of several parts, as `weight_norm` makes one,
    is drawn whole. A tensor's values depend on the seed and on its first name alone, so that a model of the same names
    gets the same ones from `build`. Tensors are one where they are one object, as tied weights are.
    Where a process holds a part of a tensor (a `DTensor`), it gets that part of what one process alone would get, and
    processes do not speak to each other.

    >>> class Net(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.embed, self.head = nn.Embedding(10, 4), nn.Linear(4, 10, bias=False)
    ...         self.head.weight = self.embed.weight
    >>> rules = {"weights": {"param": "weight", "fill": "normal(std=0.02)"}}
    >>> net = Net()
    >>> [(each.name, each.aliases, each.fill) for each in initialize(net, rules, seed=1).tensors]
    [('embed.weight', ('head.weight',), 'normal(mean=0.0, std=0.02)')]
    >>> config = {"layers": {"embed": "Embedding(10, 4)"}}
    >>> net.head.weight.equal(build(config, rules, seed=1).embed.weight)
    True
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"initialize takes a module, not {type(module).__name__}: build(...) makes a module.")
    given = config.from_mapping({}, {} if init is None else init)
    with located(given.locate):
        report = initialized(module, given.init, args or {}, seed=seed, rest=rest)
        for each in report.warnings:
            warnings.warn(str(each.located(given.locate)), ConfigWarning, stacklevel=2)
    return report
