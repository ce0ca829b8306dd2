"""Tensors of which this process holds a part: the part of the whole draw, so that many processes start as one would."""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import Tensor


def is_sharded(tensor: Tensor) -> bool:
    """Whether it is a `DTensor`; without one, `torch.distributed` is not imported."""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)


def is_partial(tensor: Any) -> bool:
    """Whether the processes hold what is still to be added up."""
    return any(each.is_partial() for each in tensor.placements)


def part_of(tensor: Any) -> tuple[slice, ...]:
    """Which part of the whole this process holds.

    Dimensions of a mesh divide a tensor from the first to the last. A strided one, as `fully_shard` leaves behind what
    tensor parallelism divided before, divides what the others left.

    Raises:
        ValueError: it does not have the shape of what is held.
    """
    mesh, placements = tensor.device_mesh, tensor.placements
    coordinate = mesh.get_coordinate()
    part = [slice(0, size) for size in tensor.shape]
    for strided in (False, True):
        for place, each in enumerate(placements):
            dimension = getattr(each, "dim", None)
            if dimension is not None and (type(each).__name__ == "_StridedShard") is strided:
                part[dimension] = _chunk(part[dimension], coordinate[place], mesh.size(place))
    if [each.stop - each.start for each in part] != list(tensor.to_local().shape):
        raise ValueError(f"of {list(tensor.shape)} this process holds {list(tensor.to_local().shape)}")
    return tuple(part)


def _chunk(part: slice, number: int, count: int) -> slice:
    """What `torch.chunk` gives one of several.

    >>> [_chunk(slice(0, 10), each, 4) for each in range(4)]
    [slice(0, 3, None), slice(3, 6, None), slice(6, 9, None), slice(9, 10, None)]
    """
    length = part.stop - part.start
    size = -(-length // count)
    start, stop = (part.start + min(each * size, length) for each in (number, number + 1))
    return slice(start, stop)


def keep(tensor: Any, whole: Tensor) -> None:
    """Gives this process its part of the whole."""
    with torch.no_grad():
        tensor.to_local().copy_(whole[part_of(tensor)])
