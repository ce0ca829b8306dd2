"""The summary of any module: what it says of itself, and what one pass through it shows."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from modelzoo.modules import flops, observe, recording
from modelzoo.modules.blocks import Generated, loops
from modelzoo.modules.homes import homes
from modelzoo.modules.inputs import Input, takes_names
from modelzoo.plans import ambient, records, table
from modelzoo.plans import plan as plans
from modelzoo.plans.origins import origin_of
from modelzoo.plans.rows import rows, told
from modelzoo.plans.summary import Summary


def summary(model: nn.Module | plans.Plan, *inputs: Any, **named: Any) -> Summary:
    """A table of a model: its modules and tensors with their shapes, fills, statistics, sharing and calls.

    Where inputs are known the model is called once on them, in evaluation mode and without gradients: output shapes,
    calls, turns of loops and FLOPs are those of this pass. A model that `build` made has the example inputs of its
    config, and knows what filled its tensors; a copy of it, like any other module, knows neither.

    Args:
        model: any module, or a `Plan`, of which nothing is called.
        inputs, named: what to call the model with.

    Raises:
        TypeError: it is neither a module nor a plan.
        ValueError: a lazy layer has no sizes yet.

    A layer that is used twice is one row with both of its names, and its parameters are counted once:

    >>> shared = nn.Linear(4, 4)
    >>> _ = nn.init.eye_(shared.weight), nn.init.zeros_(shared.bias)
    >>> print(summary(nn.Sequential(shared, nn.ReLU(), shared), torch.zeros(2, 4)))
    input input  [2, 4]  float32
    <BLANKLINE>
    name        layer       shape   parameters  mean    std  shared with
    model       Sequential  [2, 4]          20
      0         Linear x2   [2, 4]          20
        weight              [4, 4]          16  0.25  0.447
        bias                [4]              4     0      0
      1         ReLU        [2, 4]
      2         Linear      [2, 4]                           = 0
    <BLANKLINE>
    20 parameters (20 trainable, 0 frozen), 0 in buffers, 80 bytes
    128 FLOPs, 96 bytes of activations
    """
    if isinstance(model, plans.Plan):
        return model.summary()
    if isinstance(model, nn.Module):
        return _of_module(model, inputs, named)
    raise TypeError(f"summary takes a module or a plan, not {type(model).__name__}: build(...) makes a module.")


def _of_module(model: nn.Module, inputs: tuple[Any, ...], named: Mapping[str, Any]) -> Summary:
    origin = origin_of(model)
    given, record, messages = _names(model, inputs, named), recording.Record(), []
    if given:
        record = _passed(model, inputs, named)
    elif origin is not None:
        try:
            given = origin.examples(_device(model))
            if given:
                record = _passed(model, *((), given) if takes_names(model) else (tuple(given.values()), {}))
        except Exception as error:  # the model may have been changed, or its loop does not end
            what = next(iter(str(error).strip().splitlines()), type(error).__name__)
            messages.append(f"note: the example input could not be used: {what}")
    found = rows(_plan(model, {} if origin is None else origin.fills()), model)
    if record.flops is not None:
        found = told(found, model, record)
    return Summary(
        rows=found,
        totals=table.totals(found),
        inputs=_inputs(given),
        flops=record.flops,
        activations=record.activations,
        messages=tuple(messages),
    )


def _passed(model: nn.Module, inputs: tuple[Any, ...], named: Mapping[str, Any]) -> recording.Record:
    """Calls a model once, and leaves its mode and the random state as they were."""
    device = _device(model)
    with (
        ambient.kept(),
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        torch.no_grad(),
        _evaluating(model),
        flops.counted() as counter,
        observe.observed(model) as record,
    ):
        model(*inputs, **named)
    record.flops = counter.total
    return record


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    before = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in before:
            module.training = mode


def _device(model: nn.Module) -> torch.device:
    for tensor in (*model.parameters(), *model.buffers()):
        return tensor.device
    return torch.device("cpu")


def _names(model: nn.Module, inputs: tuple[Any, ...], named: Mapping[str, Any]) -> dict[str, Any]:
    """What a model was called with, by the names that its forward gives it."""
    try:
        return dict(inspect.signature(model.forward).bind(*inputs, **named).arguments)
    except (TypeError, ValueError):
        return {**{str(index): each for index, each in enumerate(inputs)}, **named}


def _inputs(given: Mapping[str, Any]) -> tuple[Input, ...]:
    return tuple(
        Input(name=name, shape=tuple(each.shape), dtype=_dtype(each))
        for name, each in given.items()
        if isinstance(each, Tensor)
    )


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _plan(model: nn.Module, fills: Mapping[Tensor, str]) -> plans.Plan:
    """What a module says of itself, and what is known of its tensors."""
    modules = []
    for module, (name, *aliases) in homes(model.named_modules(remove_duplicate=False)).items():
        block = isinstance(module, Generated)
        kind = type(module).__name__
        modules.append(
            records.ModuleRecord(name=name, aliases=tuple(aliases), type=kind, block=block, loops=loops(module))
        )
    return plans.Plan(modules=tuple(modules), tensors=tuple(_tensors(model, fills)))


def _tensors(model: nn.Module, fills: Mapping[Tensor, str]) -> Iterator[records.TensorRecord]:
    named = (model.named_parameters(remove_duplicate=False), model.named_buffers(remove_duplicate=False))
    for kind, each in zip(("parameter", "buffer"), named, strict=True):
        for tensor, (name, *aliases) in homes(each).items():
            if is_lazy(tensor):
                raise ValueError(f"'{name}' has no size yet: call the model once.")
            owner, _, local = name.rpartition(".")
            home = model.get_submodule(owner)
            yield records.TensorRecord(
                name=name,
                aliases=tuple(aliases),
                shape=tuple(tensor.shape),
                dtype=_dtype(tensor),
                kind=kind,
                persistent=local not in home._non_persistent_buffers_set,
                trainable=kind == "parameter" and tensor.requires_grad,
                owner=type(home).__name__,
                fill=fills.get(tensor, ""),
            )
