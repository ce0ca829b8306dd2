"""Where the part of a tensor that this rank holds lies in the whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.distributed.tensor.placement_types import Placement, Shard


class Box(NamedTuple):
    """A part of a tensor: where it begins and how far it reaches, in each dimension."""

    offsets: tuple[int, ...]
    sizes: tuple[int, ...]

    @property
    def place(self) -> tuple[slice, ...]:
        """It, as an index of the whole."""
        return tuple(slice(at, at + size) for at, size in zip(self.offsets, self.sizes, strict=True))


def box(shape: Sequence[int], placements: Sequence[Placement], sizes: Sequence[int], ranks: Sequence[int]) -> Box:
    """The part of one rank.

    Args:
        shape: of the whole tensor.
        placements: one for each dimension of the mesh.
        sizes, ranks: of the mesh, and where the rank stands in it.

    >>> box((5, 4), [Shard(0)], [2], [1])
    Box(offsets=(3, 0), sizes=(2, 4))
    """
    offsets, parts = [0] * len(shape), list(shape)
    for mesh_dimension in _in_order(placements):
        dimension: int = placements[mesh_dimension].dim % max(len(shape), 1)  # type: ignore[attr-defined]
        chunk = -(-parts[dimension] // sizes[mesh_dimension])
        begin = min(chunk * ranks[mesh_dimension], parts[dimension])
        offsets[dimension] += begin
        parts[dimension] = min(chunk, parts[dimension] - begin)
    return Box(tuple(offsets), tuple(parts))


def _in_order(placements: Sequence[Placement]) -> Iterable[int]:
    """The dimensions of a mesh that split: what FSDP2 splits last, as it says by a kind of its own, last."""
    splits = [
        n for n, each in enumerate(placements) if each.is_shard() or not (each.is_replicate() or each.is_partial())
    ]
    return sorted(splits, key=lambda n: type(placements[n]) is not Shard)


def box_of(tensor: Tensor) -> Box:
    """The part of a tensor that this rank holds; of one that is not split, all of it.

    Raises:
        RuntimeError: it is split in a way that is not known here.
    """
    if not isinstance(tensor, DTensor):
        return Box((0,) * tensor.ndim, tuple(tensor.shape))
    mesh = tensor.device_mesh
    ranks = [mesh.get_local_rank(n) for n in range(mesh.ndim)]
    found = box(tensor.shape, tensor.placements, mesh.shape, ranks)
    if found.sizes != tuple(local_of(tensor).shape):
        raise RuntimeError(
            f"a tensor of shape {tuple(tensor.shape)} is split as {tensor.placements}, which is not known"
        )
    return found


def local_of(tensor: Tensor) -> Tensor:
    """What of a tensor is in the memory of this rank."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor
