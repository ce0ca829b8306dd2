"""The summary of a model: its table with all that can be known of it, for a terminal, a notebook and a pipe."""

from __future__ import annotations

import inspect
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from modelzoo import terminal
from modelzoo.escapes import printable
from modelzoo.modules import dry_run, flops, observe
from modelzoo.modules.blocks import Generated, loops
from modelzoo.modules.inputs import Input
from modelzoo.plans import ambient, table
from modelzoo.plans import plan as plans
from modelzoo.plans.origins import origin_of
from modelzoo.plans.rows import Row, rows, told

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Summary:
    """What `summary` returns: `print`, `rich.print` and notebooks show it as a table.

    Attributes:
        rows: one for each place of a module or tensor.
        totals: the elements of all unique tensors, and their bytes, as torch counts them.
        inputs: what the shapes, calls and FLOPs are for.
        flops: floating-point operations of one forward pass; None if they were not counted.
        activations: the bytes of what all layers return in it.
        messages: warnings and notes.
    """

    rows: tuple[Row, ...]
    totals: table.Totals
    inputs: tuple[Input, ...] = ()
    flops: int | None = None
    activations: int = 0
    messages: tuple[str, ...] = ()

    def text(self, width: int | None = None) -> str:
        """The summary as plain text; `width=None` breaks no line."""
        with ambient.kept():
            return terminal.text(self, width)

    def __str__(self) -> str:
        return self.text(max(shutil.get_terminal_size().columns, terminal.NARROWEST) if sys.stdout.isatty() else None)

    __repr__ = __str__

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        above, below = self._above(), self._below()
        yield from map(Text, [*above, *[""] * bool(above)])
        yield table.model_table(self.rows)
        yield from map(Text, below)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        whole = table.model_table(self.rows)
        titles, *cells = whole.cells()
        lines = [_html_row("th", titles, titles, "")]
        for line, each in zip(whole.lines, cells, strict=True):
            lines.append(_html_row("td", titles, each, "" if line.module else "opacity: 0.7"))
        around = ["".join(f"<div>{escape(each)}</div>" for each in part) for part in (self._above(), self._below())]
        return f"{around[0]}<table>{''.join(lines)}</table><div>{escape(whole.totals)}</div>{around[1]}"

    def _above(self) -> list[str]:
        return [printable(f"input {each.name}  {table.shape_text(each.shape)}  {each.dtype}") for each in self.inputs]

    def _below(self) -> list[str]:
        costs = [] if self.flops is None else [f"{self.flops:,} FLOPs, {self.activations:,} bytes of activations"]
        return [*costs, *map(printable, self.messages)]


def _html_row(tag: str, titles: Sequence[str], cells: Sequence[str], style: str) -> str:
    found = []
    for title, cell in zip(titles, cells, strict=True):
        side = "right" if title in table.NUMBERS else "left"
        # A notebook's own style would centre the titles and drop the indentation.
        found.append(f'<{tag} style="text-align: {side}; white-space: pre-wrap">{escape(cell)}</{tag}>')
    return f'<tr style="{style}">{"".join(found)}</tr>' if style else f"<tr>{''.join(found)}</tr>"


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

    >>> summary(nn.Sequential(nn.Linear(4, 8), nn.ReLU()), torch.zeros(2, 4)).totals.parameters
    40
    """
    if isinstance(model, plans.Plan):
        return _of_plan(model)
    if isinstance(model, nn.Module):
        return _of_module(model, inputs, named)
    raise TypeError(f"summary takes a module or a plan, not {type(model).__name__}: build(...) makes a module.")


def _of_plan(plan: plans.Plan) -> Summary:
    messages = [f"warning: {problem}" for problem in plan.warnings] + [f"note: {note}" for note in plan.notes]
    if plan.flops is not None and any(module.loops for module in plan.modules):
        messages.append("note: a loop that depends on data is counted with one turn")
    found = rows(plan)
    return Summary(
        rows=found,
        totals=table.totals(found),
        inputs=plan.inputs,
        flops=plan.flops,
        activations=plan.activations,
        messages=tuple(messages),
    )


def _of_module(model: nn.Module, inputs: tuple[Any, ...], named: Mapping[str, Any]) -> Summary:
    origin = origin_of(model)
    given, record, messages = _names(model, inputs, named), dry_run.Record(), []
    if given:
        record = _passed(model, inputs, named)
    elif origin is not None:
        try:
            given = origin.examples(_device(model))
            if given:
                record = _passed(model, *((), given) if dry_run._by_name(model) else (tuple(given.values()), {}))
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


def _passed(model: nn.Module, inputs: tuple[Any, ...], named: Mapping[str, Any]) -> dry_run.Record:
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
    record.flops = counter.get_total_flops()
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


def _plan(model: nn.Module, fills: Mapping[int, str]) -> plans.Plan:
    """What a module says of itself, and what is known of its tensors."""
    modules = []
    for module, (name, *aliases) in _homes(model.named_modules(remove_duplicate=False)):
        block = isinstance(module, Generated)
        kind = type(module).__name__
        modules.append(plans.Module(name=name, aliases=tuple(aliases), type=kind, block=block, loops=loops(module)))
    return plans.Plan(modules=tuple(modules), tensors=tuple(_tensors(model, fills)))


def _tensors(model: nn.Module, fills: Mapping[int, str]) -> Iterator[plans.Tensor]:
    named = (model.named_parameters(remove_duplicate=False), model.named_buffers(remove_duplicate=False))
    for kind, each in zip(("parameter", "buffer"), named, strict=True):
        for tensor, (name, *aliases) in _homes(each):
            if is_lazy(tensor):
                raise ValueError(f"'{name}' has no size yet: call the model once.")
            owner, _, local = name.rpartition(".")
            home = model.get_submodule(owner)
            yield plans.Tensor(
                name=name,
                aliases=tuple(aliases),
                shape=tuple(tensor.shape),
                dtype=_dtype(tensor),
                kind=kind,
                persistent=local not in home._non_persistent_buffers_set,
                trainable=kind == "parameter" and tensor.requires_grad,
                owner=type(home).__name__,
                fill=fills.get(id(tensor), ""),
            )


def _homes(named: Iterable[tuple[str, Any]]) -> Iterable[tuple[Any, list[str]]]:
    """Each thing with all its names, the first name first."""
    found: dict[int, tuple[Any, list[str]]] = {}
    for name, each in named:
        found.setdefault(id(each), (each, []))[1].append(name)
    return found.values()
