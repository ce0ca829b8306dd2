"""The values of parts: each rank draws its own, and what only a whole tensor has it makes whole, one at a time."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from modelzoo.errors import Problems
from modelzoo.init import filling
from modelzoo.init.attempt import NOT_FINITE, is_finite
from modelzoo.init.computation import Computation, Wrong
from modelzoo.init.copies import carried
from modelzoo.init.decisions import NamedFill, Program
from modelzoo.init.drawing import Filling
from modelzoo.init.ledger import Entry
from modelzoo.sharding.boxes import Box, box_of, local_of


def follows_a_box(entry: Entry) -> bool:
    """Whether a part of a tensor can be filled without the rest."""
    decision = entry.chain[0]
    if len(entry.chain) > 1 or entry.original is not None or not isinstance(decision, NamedFill):
        return False
    return decision.fill.apart or decision.fill.constant


def fill(tensors: list[tuple[Entry, Tensor]], seed: int, max_steps: int) -> None:
    """Fills what this rank holds of each tensor, as the whole would be filled."""
    problems = Problems()
    with torch.no_grad():
        for entry, tensor in tensors:
            local, box = local_of(tensor).detach(), box_of(tensor)
            if not local.numel():
                continue
            if follows_a_box(entry):
                _fill_box(entry, local, box, seed)
            else:
                local.copy_(_whole(entry, seed, max_steps)[box.place])
            if entry.padding is not None and 0 <= (row := entry.padding % entry.tensor.shape[0] - box.offsets[0]) < len(
                local
            ):
                local[row] = 0
            last = entry.chain[-1]
            if isinstance(last, Program) and not is_finite(local):
                problems.note(Wrong(does="fills", how=NOT_FINITE).problem(last.rule, last.key, entry.name))
    problems.check()


def _fill_box(entry: Entry, local: Tensor, box: Box, seed: int) -> None:
    decision = entry.chain[0]
    assert isinstance(decision, NamedFill)
    made = Filling(decision.fill, decision.arguments, entry.tensor.shape, local.dtype, decision.fans)
    made.fill_box(local, box.offsets, seed, entry.drawn)


def _whole(entry: Entry, seed: int, max_steps: int) -> Tensor:
    """All of a tensor, on the CPU."""
    new = torch.empty(entry.tensor.shape, dtype=entry.tensor.dtype, device="cpu")
    if entry.original is None:
        filling.fill_one(replace(entry, tensor=new), seed, max_steps)
    else:
        chain = carried(entry.chain, _whole(entry.original, seed, max_steps))
        Computation(new, chain, entry.drawn, seed, max_steps)()
    return new
