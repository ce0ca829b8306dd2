"""What every output shows: one row for each place of a module or tensor, with its facts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from modelzoo.modules.homes import tensors_of
from modelzoo.modules.recording import Record
from modelzoo.names import is_index
from modelzoo.plans.records import Recorded, TensorRecord
from modelzoo.plans.statistics import Statistics, describe


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One place in a model. A module or tensor with several places has a row for each of them.

    Attributes:
        name: dotted name of this place; "" is the root.
        depth: 0 for the root, 1 for what it holds, and so on.
        kind: "module", "parameter" or "buffer".
        type: a module's type or block name; a tensor's dtype, such as "float32".
        shape: a tensor's shape; for a module the shape of its output, nested as the output is, None if unknown.
        parameters: trainable and frozen parameter elements owned here and counted nowhere before.
        fill: what fills a tensor, as text.
        statistics: of a tensor's values; None if they were not asked for or there are none.
        same_as: the first name of the same module or tensor; "" where this is the first.
        mark: "frozen" (a parameter without gradient), "constant" (a block's buffer), "buffer" (a layer's own) or "".
        tied: whether a tensor is one that another module, or another name of this one, has first.
        calls: how often a module was called.
        loops: how many `while` loops a module's forward text has.
        turns: how often each of them turned in all calls together; None if that was not counted.
    """

    name: str
    depth: int
    kind: str
    type: str
    shape: Any = None
    parameters: int = 0
    fill: str = ""
    statistics: Statistics | None = None
    same_as: str = ""
    mark: str = ""
    tied: bool = False
    calls: int = 0
    loops: int = 0
    turns: tuple[int, ...] | None = None


def rows(
    plan: Recorded, model: nn.Module | None = None, seen: Mapping[str, Statistics | None] | None = None
) -> tuple[Row, ...]:
    """Every place of a model: a module, its parameters, its buffers, then its children.

    Modules come in the order of `model.named_modules(remove_duplicate=False)`. The sum of `parameters` over the
    modules, and over the tensors, is the number of elements in `model.parameters()`.

    Args:
        plan: what was planned.
        model: the model that was built from it; without it there are no statistics, and a second place with a
            name that is no number comes after its siblings.
        seen: statistics of the tensors by their names, where they are known: then no value is read.
    """
    if seen is None:
        seen = {name: describe(value) for name, value in ({} if model is None else tensors_of(model)).items()}
    modules = {module.name: module for module in plan.modules}
    owned = _owned(plan)
    found: list[Row] = []
    for name, first in _places(plan, model):
        module = modules[first]
        tensors = [
            _tensor_row(tensor, _join(name, local), _join(first, local), module.block, seen.get(tensor.name))
            for local, tensor in owned.get(first, ())
        ]
        row = Row(
            name=name,
            depth=_depth(name),
            kind="module",
            type=module.type,
            shape=module.output,
            parameters=sum(each.parameters for each in tensors),
            same_as="" if name == first else first,
            calls=module.calls,
            loops=len(module.loops),
        )
        found += [row, *tensors]
    return tuple(found)


def _tensor_row(tensor: TensorRecord, name: str, home: str, in_block: bool, seen: Statistics | None) -> Row:
    """A tensor at `name`, which is called `home` in the first place of its module."""
    parameter = tensor.kind == "parameter"
    first = name == tensor.name
    return Row(
        name=name,
        depth=_depth(name),
        kind=tensor.kind,
        type=tensor.dtype,
        shape=tensor.shape,
        parameters=math.prod(tensor.shape) if parameter and first else 0,
        fill=tensor.fill,
        statistics=seen,
        same_as="" if first else tensor.name,
        mark=("" if tensor.trainable else "frozen") if parameter else ("constant" if in_block else "buffer"),
        tied=home != tensor.name,
    )


def _owned(plan: Recorded) -> dict[str, list[tuple[str, TensorRecord]]]:
    """The tensors of each module as (local name, tensor), by every name of the module."""
    owned: dict[str, list[tuple[str, TensorRecord]]] = {}
    for tensor in sorted(plan.tensors, key=lambda each: each.kind != "parameter"):
        for name in (tensor.name, *tensor.aliases):
            owner, _, local = name.rpartition(".")
            owned.setdefault(owner, []).append((local, tensor))
    return owned


def _places(plan: Recorded, model: nn.Module | None) -> Iterator[tuple[str, str]]:
    """Every module's name with the module's first name, parents before children."""
    if model is not None:
        firsts: dict[nn.Module, str] = {}
        for name, module in model.named_modules(remove_duplicate=False):
            yield name, firsts.setdefault(module, name)
        return
    first = {name: module.name for module in plan.modules for name in (module.name, *module.aliases)}
    order = {module.name: index for index, module in enumerate(plan.modules)}
    children: dict[str, list[str]] = {}
    for name in filter(None, first):
        parent, _, local = name.rpartition(".")
        if parent in order:
            children.setdefault(parent, []).append(local)
    for parent, names in children.items():
        if all(map(is_index, names)):
            names.sort(key=int)
        else:
            names.sort(key=lambda local: order.get(_join(parent, local), len(order)))
    waiting = [("", "")]
    while waiting:
        name, home = waiting.pop()
        yield name, home
        waiting += [(_join(name, local), first[_join(home, local)]) for local in reversed(children.get(home, ()))]


def _join(name: str, local: str) -> str:
    return f"{name}.{local}" if name else local


def _depth(name: str) -> int:
    return name.count(".") + 1 if name else 0


def told(rows: Iterable[Row], model: nn.Module, record: Record) -> tuple[Row, ...]:
    """Rows of a model with what a pass through it did, in place of what the dry run expected."""
    modules = dict(model.named_modules(remove_duplicate=False))
    return tuple(_told(row, modules[row.name], record) if row.kind == "module" else row for row in rows)


def _told(row: Row, module: nn.Module, record: Record) -> Row:
    counts = record.turns.get(module)
    turns = None if counts is None else tuple(counts.values())
    return replace(row, shape=record.outputs.get(module), calls=record.calls.get(module, 0), turns=turns)
