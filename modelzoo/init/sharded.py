"""Tensors of which this process holds a part: the part of the whole draw, so that many processes start as one would.

Each process draws its own part. What only a whole tensor has, as an orthogonal one, is made whole, one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from modelzoo.catalog.distributions import dtype_of_draws
from modelzoo.catalog.fill import Fill
from modelzoo.errors import Problems
from modelzoo.init import filling
from modelzoo.init.attempt import NOT_FINITE, is_finite
from modelzoo.init.computation import Computation, Wrong
from modelzoo.init.copies import carried
from modelzoo.init.decisions import Decision, Kept, NamedFill, Program
from modelzoo.init.drawing import Filling
from modelzoo.init.ledger import Entry
from modelzoo.language.pointwise import is_pointwise
from modelzoo.parts import Part, local, part_of


def is_drawn_apart(entry: Entry) -> bool:
    """Whether a part of a tensor is filled without the rest."""
    return entry.original is None and all(map(_is_apart, entry.chain))


def _is_apart(decision: Decision) -> bool:
    if isinstance(decision, NamedFill):
        return not decision.fill.measured and (decision.fill.apart or decision.fill.constant)
    return isinstance(decision, Kept) or (isinstance(decision, Program) and is_pointwise(decision.program))


@dataclass(slots=True)
class _OfPart(Computation):
    """A computation of a part, whose tensor is what this process holds of the whole."""

    whole: tuple[int, ...] = ()
    part: Part = ()

    @property
    def shape(self) -> tuple[int, ...]:
        return self.whole

    def kept(self, value: Tensor) -> Tensor:
        return value[self.part]

    def numbers(self, fill: Fill, arguments: Mapping[str, Any], number: int) -> Tensor:
        box = torch.empty(self.tensor.shape, dtype=dtype_of_draws(self.tensor.dtype), device="cpu")
        made = Filling(fill, arguments, self.whole, box.dtype, self.fans)
        made.fill_box(box, [each.start for each in self.part], self.seed, self.name, number)
        return box


def fill(tensors: Sequence[tuple[Entry, Tensor]], seed: int, max_steps: int) -> None:
    """Fills what this process holds of each tensor, as the whole would be filled."""
    problems = Problems()
    with torch.no_grad():
        for entry, tensor in tensors:
            held = local(tensor)
            if not held.numel():
                continue
            part = part_of(tensor)
            if is_drawn_apart(entry):
                fill_part(entry, held, part, seed, max_steps)
            else:
                held.copy_(_whole(entry, seed, max_steps)[part])
            if entry.padding is not None:
                row = entry.padding % entry.tensor.shape[0] - part[0].start
                held[max(row, 0) : max(row + 1, 0)] = 0
            last = entry.chain[-1]
            if isinstance(last, Program) and not is_finite(held):
                problems.note(Wrong(does="fills", how=NOT_FINITE).problem(last.rule, last.key, entry.name))
    problems.check()


def fill_part(entry: Entry, local: Tensor, part: Part, seed: int, max_steps: int) -> None:
    """Fills what a process holds of a tensor that `is_drawn_apart`, from the numbers of that part alone."""
    decision, shape = entry.chain[0], tuple(entry.tensor.shape)
    if len(entry.chain) > 1 or not isinstance(decision, NamedFill):
        _OfPart(local, entry.chain, entry.drawn, seed, max_steps, whole=shape, part=part)()
        return
    made = Filling(decision.fill, decision.arguments, shape, local.dtype, decision.fans)
    made.fill_box(local, [each.start for each in part], seed, entry.drawn)


def _whole(entry: Entry, seed: int, max_steps: int) -> Tensor:
    """All of a tensor, on the CPU."""
    new = torch.empty(entry.tensor.shape, dtype=entry.tensor.dtype, device="cpu")
    if entry.original is None:
        filling.fill_one(replace(entry, tensor=new), seed, max_steps)
    else:
        chain = carried(entry.chain, _whole(entry.original, seed, max_steps))
        Computation(new, chain, entry.drawn, seed, max_steps)()
    return new
