"""Tensors of a file as a model has them: turned, in another shape, cut, or joined."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from modelzoo.weights.stored import Stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What is put into a tensor of a model.

    Attributes:
        name: what it is called in the file, as in `attn.qkv.weight[0:768]`.
        shape, written, dtype, read: as of a `Stored`.
    """

    name: str
    shape: tuple[int, ...]
    written: str
    dtype: torch.dtype | None
    read: Callable[[], Tensor]


def whole(stored: Stored) -> Piece:
    """A tensor as it is in its file."""
    return Piece(name=stored.name, shape=stored.shape, written=stored.written, dtype=stored.dtype, read=stored.read)


def turned(piece: Piece) -> Piece:
    """A matrix, its rows as columns; anything else as it is."""
    if len(piece.shape) != 2:
        return piece
    return replace(piece, name=f"{piece.name}.T", shape=piece.shape[::-1], read=lambda: piece.read().t())


def reshaped(piece: Piece, shape: tuple[int, ...]) -> Piece:
    """The same elements in another shape; as it is where there are more or fewer.

    >>> read = lambda: torch.arange(4).view(4, 1, 1)
    >>> reshaped(Piece(name="w", shape=(4, 1, 1), written="I64", dtype=torch.int64, read=read), (2, 2)).read()
    tensor([[0, 1],
            [2, 3]])
    """
    if math.prod(piece.shape) != math.prod(shape):
        return piece
    return replace(piece, shape=shape, read=lambda: piece.read().reshape(shape))


def cut(piece: Piece, sizes: Sequence[int]) -> list[Piece]:
    """The rows of a tensor, so many in each piece; none where there are more or fewer."""
    if not piece.shape or piece.shape[0] != sum(sizes):
        return []
    found: list[Piece] = []
    start = 0
    for size in sizes:
        found.append(_rows(piece, start, size))
        start += size
    return found


def _rows(piece: Piece, start: int, size: int) -> Piece:
    name = f"{piece.name}[{start}:{start + size}]"
    read = lambda: piece.read()[start : start + size]  # noqa: E731 (as in the others)
    return replace(piece, name=name, shape=(size, *piece.shape[1:]), read=read)


def joined(pieces: Sequence[Piece]) -> Piece:
    """The rows of several tensors, one after the other; they have one dtype, and one shape but for their rows."""
    first = pieces[0]
    rows = sum(each.shape[0] for each in pieces)
    return replace(
        first,
        name=" + ".join(each.name for each in pieces),
        shape=(rows, *first.shape[1:]),
        read=lambda: torch.cat([each.read() for each in pieces]),
    )


def joinable(pieces: Sequence[Piece]) -> bool:
    """Whether they can be joined: one can, whatever it is."""
    alike = dict.fromkeys((each.dtype, each.shape[1:], bool(each.shape)) for each in pieces)
    return len(pieces) == 1 or (len(alike) == 1 and bool(pieces[0].shape))


def agree(one: Piece, other: Piece, dtype: torch.dtype) -> bool:
    """Whether a tensor of a dtype would get the same bits from both."""
    values = [each.read().to(dtype).reshape(-1, 1).contiguous().view(torch.uint8) for each in (one, other)]
    return torch.equal(*values)
