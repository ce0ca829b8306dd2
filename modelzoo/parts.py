"""Tensors that are split over the processes of a job: which part of the whole this one holds, and what is in it.

Torch splits them, as a `DTensor`. Without one, `torch.distributed` is not imported.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from torch import Tensor

Part = tuple[slice, ...]
"""Of a tensor, as an index of the whole."""


def is_sharded(tensor: Tensor) -> bool:
    """Whether a process holds a part of it."""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)


def local(tensor: Any) -> Tensor:
    """What this process holds of a tensor."""
    held: Tensor = tensor.to_local() if is_sharded(tensor) else tensor
    return held.detach()


def whole(tensor: Any) -> Tensor:
    """All of a tensor, gathered from all processes, each of which has to ask."""
    found: Tensor = tensor.full_tensor() if is_sharded(tensor) else tensor
    return found.detach()


def put(tensor: Tensor, value: Tensor) -> None:
    """Copies into a tensor what this process holds of a whole value."""
    if is_sharded(tensor):
        local(tensor).copy_(value[part_of(tensor)])
    else:
        tensor.copy_(value)


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
