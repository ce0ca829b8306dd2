"""The ledger carried out: every tensor filled once, in parallel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain

import torch
from torch import Tensor

from modelzoo.catalog.fills import TORCHS
from modelzoo.errors import ConfigError, Problems, first_line
from modelzoo.init import drawing
from modelzoo.init.attempt import NOT_FINITE, is_finite
from modelzoo.init.computation import Computation, Wrong
from modelzoo.init.copies import carried
from modelzoo.init.decisions import Decision, Kept, NamedFill, Program
from modelzoo.init.ledger import Entry
from modelzoo.language import runtime
from modelzoo.modules.skeleton import Skeleton


def fill(skeleton: Skeleton, table: list[Entry], seed: int, threads: int | None = None) -> None:
    """Fills every tensor once, in parallel; the values do not depend on the number of threads."""
    tensors = list(zip(table, filled(skeleton, table), strict=True))
    piece = drawing.piece_for(threads or torch.get_num_threads())
    for level in sorted({entry.level for entry in table}):
        here = [each for each in tensors if each[0].level == level]
        drawing.run(_tasks(skeleton, here, seed, piece), threads)
        for entry, tensor in here:
            if entry.padding is not None:
                tensor.detach()[entry.padding] = 0
    problems = Problems()
    for entry, tensor in tensors:
        last = entry.chain[-1]
        if isinstance(last, Program) and not is_finite(tensor):
            wrong = Wrong(does="fills", how=NOT_FINITE)
            problems.note(wrong.problem(last.rule, last.key, entry.name))
    problems.check()


def filled(skeleton: Skeleton, table: list[Entry]) -> list[Tensor]:
    """The tensors of the table that stand in the model now."""
    placed = skeleton.placed
    return [placed.get(entry.tensor, entry.tensor) if placed else entry.tensor for entry in table]


def fill_one(entry: Entry, seed: int, max_steps: int) -> None:
    """Fills a tensor that belongs to no model."""
    fillings = Fillings(seed, drawing.piece_for(1))
    tasks = _tasks_of(entry, entry.tensor, seed, max_steps, fillings, runtime.Operations("fills"))
    drawing.run(chain(tasks, fillings.finish()))


def _tasks(skeleton: Skeleton, tensors: list[tuple[Entry, Tensor]], seed: int, piece: int) -> Iterator[drawing.Task]:
    fillings = Fillings(seed, piece)
    operations = runtime.Operations("fills")
    for entry, tensor in tensors:
        if entry.original is not None:
            original = skeleton.placed.get(entry.original.tensor, entry.original.tensor)
            fills = carried(entry.chain, original.detach())
            fill = Computation(tensor, fills, entry.drawn, seed, skeleton.max_steps, operations)
            yield drawing.Task(tensor.numel(), fill)
        else:
            yield from _tasks_of(entry, tensor, seed, skeleton.max_steps, fillings, operations)
    yield from fillings.finish()


def _tasks_of(
    entry: Entry,
    tensor: Tensor,
    seed: int,
    max_steps: int,
    fillings: Fillings,
    operations: runtime.Operations,
) -> Iterable[drawing.Task]:
    decision = entry.chain[0]
    if entry.computed is not None:
        computed, entry.computed = entry.computed, None
        return [drawing.Task(tensor.numel() // 16, partial(tensor.detach().copy_, computed))]
    if len(entry.chain) > 1 or not isinstance(decision, NamedFill):
        if len(entry.chain) == 1 and isinstance(decision, Kept) and decision.value is tensor:
            return []
        return [
            drawing.Task(tensor.numel(), Computation(tensor, entry.chain, entry.drawn, seed, max_steps, operations))
        ]
    filling = fillings.of(decision, tensor)
    if decision.fill.name in TORCHS:
        if not filling.is_small(tensor):
            return filling.tasks(tensor, seed, entry.drawn, piece=fillings.piece)
        fillings.small.add(filling, tensor, entry.drawn)
        return []
    tasks = filling.tasks(tensor, seed, entry.drawn)
    return [drawing.Task(each.cost, partial(_told, each.call, decision, entry)) for each in tasks]


def _told(fill: Callable[[], object], decision: Decision, entry: Entry) -> None:
    """A user's own fill may raise anything."""
    try:
        fill()
    except Exception as error:
        wrong = Wrong(how=f": {first_line(error).rstrip('.')}.")
        raise ConfigError([wrong.problem(decision.rule, decision.key or entry.key, entry.name)]) from error


class Fillings:
    """The fillings of a ledger: tensors that agree in fill, shape and dtype share one, and small ones wait together.

    Args:
        seed: of all values.
        piece: how many elements a call fills.
    """

    def __init__(self, seed: int, piece: int) -> None:
        self.piece, self.small = piece, drawing.Batch(seed)
        self.made: dict[tuple[int, torch.Size, torch.dtype], drawing.Filling] = {}

    def of(self, decision: NamedFill, tensor: Tensor) -> drawing.Filling:
        case = (id(decision), tensor.shape, tensor.dtype)
        found = self.made.get(case)
        if found is None:
            found = drawing.Filling(decision.fill, decision.arguments, tensor.shape, tensor.dtype, decision.fans)
            self.made[case] = found
        return found

    def finish(self) -> Iterator[drawing.Task]:
        """Fills the small tensors that still wait."""
        self.small.finish()
        yield from ()
