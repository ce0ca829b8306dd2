"""A batch for a model: its example inputs with more rows, each from the same stream; integers are rows of a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from modelzoo.init.examples import Examples, example_tensors
from modelzoo.modules.inputs import call_with
from modelzoo.spec.nodes import Fill

BATCH = 32
"""How many examples a batch has by default."""


def drawn(given: Examples, size: int, device: torch.device, model: nn.Module) -> dict[str, Tensor]:
    """The example inputs of a model with another first size; those whose first size is that of the first one.

    Integers that look up rows of a table, and whose fill the config does not say, are drawn evenly from them.

    Args:
        given: what the example inputs are made from.
        size: how many rows.
        device: where they are made.
        model: is called once without gradients if an input is of integers without a fill.
    """
    more = sized(given, size)
    names = {
        each.name
        for each, shape in zip(given.inputs, given.shapes, strict=True)
        if each.fill is None and "int" in shape.dtype
    }
    tables = _tables(model, example_tensors(given, device)) if names else {}
    inputs = tuple(
        replace(each, fill=_evenly(tables[each.name], each.key)) if each.name in names & tables.keys() else each
        for each in given.inputs
    )
    return example_tensors(replace(more, inputs=inputs), device)


def sized(given: Examples, size: int) -> Examples:
    """The same with so many rows: of those inputs that have as many as the first one."""
    first = next((each.shape[0] for each in given.shapes if each.shape), 0)
    shapes = tuple(
        replace(each, shape=(size, *each.shape[1:])) if each.shape and each.shape[0] == first else each
        for each in given.shapes
    )
    return replace(given, shapes=shapes)


def _evenly(rows: int, key: Any) -> Fill:
    return Fill(name="uniform", arguments=(("a", 0), ("b", rows)), key=key)


def _tables(model: nn.Module, inputs: Mapping[str, Tensor]) -> dict[str, int]:
    """The number of rows of the smallest table that each input looks something up in."""
    seen = _LookUps({name: each for name, each in inputs.items() if not each.is_floating_point()})
    with torch.no_grad(), seen:
        call_with(model, dict(inputs))
    return seen.rows


class _LookUps(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees which tables are looked up by what; views of an input are that input."""

    def __init__(self, inputs: Mapping[str, Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names = {each.untyped_storage().data_ptr(): name for name, each in inputs.items()}
        self.rows: dict[str, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.embedding.default:
            name = self.names.get(args[1].untyped_storage().data_ptr())
            if name is not None:
                self.rows[name] = min(args[0].shape[0], self.rows.get(name, args[0].shape[0]))
        return func(*args, **(kwargs or {}))
