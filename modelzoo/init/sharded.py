"""Tensors of which this process holds a part: the part of the whole draw, so that many processes start as one would.

Each process draws its own part. What only a whole tensor has, as an orthogonal one, is made whole, one after the other.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

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

Part = tuple[slice, ...]
"""Of a tensor, as an index of the whole."""


def is_sharded(tensor: Tensor) -> bool:
    """Whether it is a `DTensor`; without one, `torch.distributed` is not imported."""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)


def is_partial(tensor: Any) -> bool:
    """Whether the processes hold what is still to be added up."""
    return any(each.is_partial() for each in tensor.placements)


def part_of(tensor: Any) -> Part:
    """Which part of the whole this process holds; all of what is not sharded.

    Raises:
        ValueError: it does not have the shape of what is held.
    """
    if not is_sharded(tensor):
        return tuple(slice(0, size) for size in tensor.shape)
    mesh = tensor.device_mesh
    found = part(tensor.shape, tensor.placements, mesh.shape, mesh.get_coordinate())
    if [each.stop - each.start for each in found] != list(tensor.to_local().shape):
        raise ValueError(f"of {list(tensor.shape)} this process holds {list(tensor.to_local().shape)}")
    return found


def part(shape: Sequence[int], placements: Sequence[Any], sizes: Sequence[int], coordinate: Sequence[int]) -> Part:
    """What the process at one place of a mesh holds.

    Dimensions of a mesh divide a tensor from the first to the last. A strided one, as `fully_shard` leaves behind what
    tensor parallelism divided before, divides what the others left.

    Args:
        shape: of the whole.
        placements: one for each dimension of the mesh.
        sizes: of the mesh.
        coordinate: the place of the process in it.

    >>> from torch.distributed.tensor import Replicate, Shard
    >>> part((8, 5), [Replicate(), Shard(1)], sizes=[2, 2], coordinate=[1, 1])
    (slice(0, 8, None), slice(3, 5, None))
    """
    found = [slice(0, size) for size in shape]
    for strided in (False, True):
        for place, each in enumerate(placements):
            dimension = getattr(each, "dim", None)
            if dimension is not None and (type(each).__name__ == "_StridedShard") is strided:
                found[dimension] = _chunk(found[dimension], coordinate[place], sizes[place])
    return tuple(found)


def _chunk(part: slice, number: int, count: int) -> slice:
    """What `torch.chunk` gives one of several.

    >>> [_chunk(slice(0, 10), each, 4) for each in range(4)]
    [slice(0, 3, None), slice(3, 6, None), slice(6, 9, None), slice(9, 10, None)]
    """
    length = part.stop - part.start
    size = -(-length // count)
    start, stop = (part.start + min(each * size, length) for each in (number, number + 1))
    return slice(start, stop)


def is_drawn_apart(entry: Entry) -> bool:
    """Whether a part of a tensor is filled without the rest."""
    decision = entry.chain[0]
    if len(entry.chain) > 1 or entry.original is not None or not isinstance(decision, NamedFill):
        return False
    return decision.fill.apart or decision.fill.constant


def fill(tensors: Sequence[tuple[Entry, Tensor]], seed: int, max_steps: int) -> None:
    """Fills what this process holds of each tensor, as the whole would be filled."""
    problems = Problems()
    with torch.no_grad():
        for entry, tensor in tensors:
            local = (tensor.to_local() if is_sharded(tensor) else tensor).detach()  # type: ignore[attr-defined]
            if not local.numel():
                continue
            part = part_of(tensor)
            if is_drawn_apart(entry):
                _draw(entry, local, part, seed)
            else:
                local.copy_(_whole(entry, seed, max_steps)[part])
            if entry.padding is not None:
                row = entry.padding % entry.tensor.shape[0] - part[0].start
                local[max(row, 0) : max(row + 1, 0)] = 0
            last = entry.chain[-1]
            if isinstance(last, Program) and not is_finite(local):
                problems.note(Wrong(does="fills", how=NOT_FINITE).problem(last.rule, last.key, entry.name))
    problems.check()


def _draw(entry: Entry, local: Tensor, part: Part, seed: int) -> None:
    decision = entry.chain[0]
    assert isinstance(decision, NamedFill)
    made = Filling(decision.fill, decision.arguments, entry.tensor.shape, local.dtype, decision.fans)
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
