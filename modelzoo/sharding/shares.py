"""What each rank of a job would hold, from rules and the sizes of a mesh alone, before there is a process."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.distributed.tensor import Replicate, Shard
from torch.distributed.tensor.placement_types import Placement

from modelzoo.config import config
from modelzoo.config.opening import overrides_of
from modelzoo.errors import Problems, located
from modelzoo.init.ledger import Entry
from modelzoo.init.sharded import is_drawn_apart
from modelzoo.modules import memory
from modelzoo.parts import part
from modelzoo.plans.draft import Draft, draft
from modelzoo.sharding.collectives import Collectives, collectives
from modelzoo.sharding.meshes import sizes_of
from modelzoo.sharding.rules import KEY, Split, ruled, styled


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What a rank holds of one tensor.

    Attributes:
        name: its first name.
        shape, held: of the whole, and of what the rank holds.
        bytes: of what it holds.
        whole: the bytes of the whole, where the rank makes the whole to fill its part; else 0.
    """

    name: str
    shape: tuple[int, ...]
    held: tuple[int, ...]
    bytes: int
    whole: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """What one rank holds of a model. It prints as a table.

    Attributes:
        mesh: its sizes, by the names of its dimensions.
        rank: which one, counted as torch counts: the last dimension of the mesh first.
        tensors: in the order of the model.
        collectives: how often the ranks speak to each other.
    """

    mesh: Mapping[str, int]
    rank: int
    tensors: tuple[Share, ...]
    collectives: Collectives

    @property
    def bytes(self) -> int:
        """Of all that the rank holds."""
        return sum(each.bytes for each in self.tensors)

    @property
    def largest(self) -> Share | None:
        """The largest tensor that the rank makes whole to fill its part."""
        whole = [each for each in self.tensors if each.whole]
        return max(whole, key=lambda each: each.whole, default=None)

    def lines(self) -> Iterator[str]:
        """The table, and below it what the rank holds in all."""
        rows = [("name", "shape", "held", "bytes")]
        rows += [(each.name, str([*each.shape]), str([*each.held]), f"{each.bytes:,}") for each in self.tensors]
        wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for name, shape, held, count in rows:
            yield f"{name:<{wide[0]}}  {shape:<{wide[1]}}  {held:<{wide[2]}}  {count:>{wide[3]}}"
        yield ""
        yield from self.summary()

    def summary(self) -> Iterator[str]:
        """What the rank holds in all, and how often it speaks with the others."""
        mesh = " x ".join(f"{name} {size}" for name, size in self.mesh.items())
        yield f"rank {self.rank} of {math.prod(self.mesh.values())} ({mesh}): {memory.shown(self.bytes)}"
        if self.largest is not None:
            yield f"the largest tensor that is made whole: {self.largest.name}, {memory.shown(self.largest.whole)}"
        yield str(self.collectives)

    def __str__(self) -> str:
        return "\n".join(self.lines())


def shares(
    model: config.Source,
    init: config.Source | None = None,
    *,
    parallelize: Mapping[str, Any],
    mesh: Mapping[str, int] | None = None,
    world: int | None = None,
    rank: int = 0,
    args: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    dtype: str = "float32",
) -> Shares:
    """Decides what a rank would hold of a model that `build` splits by rules.

    Args:
        model, init, args, overrides, dtype: as for `plan`.
        parallelize: the rules, as for `build`.
        mesh: the sizes of the mesh by the names of its dimensions, as in {"dp": 128, "tp": 8}.
        world: how many ranks there are, where the rules say which mesh they make.
        rank: which one.

    Raises:
        ConfigError: all problems found, of the model and of the rules.
        ValueError: the mesh has no such rank, or there is neither a mesh nor a number of ranks.

    >>> model = {"layers": {"up": "Linear(4, 6)", "down": "Linear(6, 4)"}}
    >>> rules = {"up": {"name": "up", "style": "colwise"}, "down": {"name": "down", "style": "rowwise"}}
    >>> print(shares(model, parallelize=rules, mesh={"dp": 2, "tp": 2}, rank=1))
    name         shape   held    bytes
    up.weight    [6, 4]  [2, 4]     32
    up.bias      [6]     [2]         8
    down.weight  [4, 6]  [2, 3]     24
    down.bias    [4]     [2]         8
    <BLANKLINE>
    rank 1 of 4 (dp 2 x tp 2): 72 bytes
    collectives: 1 all_gather and 1 all_reduce forward, 1 reduce_scatter and 1 all_reduce backward
    """
    if mesh is None and world is None:
        raise ValueError("shares needs mesh={'dp': 8}, or world=8")
    given = config.from_mapping(model, init, overrides_of(args, overrides))
    with located(given.locate):
        made = draft(given.model, given.init, dtype=dtype, device="meta")
        problems = Problems()
        sizes = sizes_of(parallelize, world or 1, KEY, problems) if mesh is None else mesh
        split = ruled(made.skeleton, made.table, parallelize, sizes, problems)
        problems.check()
    if not 0 <= rank < math.prod(sizes.values()):
        raise ValueError(f"a mesh of {math.prod(sizes.values())} ranks has no rank {rank}")
    return shares_of(made, split, sizes, rank)


def shares_of(draft: Draft, split: Split, sizes: Mapping[str, int], rank: int) -> Shares:
    """What a rank would hold of a draft that is split so."""
    calls = {each: count for each, count in draft.record.calls.items() if count}
    return Shares(
        mesh=dict(sizes),
        rank=rank,
        tensors=tuple(_share(entry, split, sizes, rank) for entry in draft.table),
        collectives=collectives(split, sizes, draft.skeleton.root, draft.table, calls),
    )


def _share(entry: Entry, split: Split, mesh: Mapping[str, int], rank: int) -> Share:
    tensor, shape = entry.tensor, tuple(entry.tensor.shape)
    names = sorted(mesh, key=lambda name: name in split.across([*mesh]))  # units split what styles left
    placements = [_placement(entry, split, mesh, name) for name in names]
    place = _coordinate(mesh, rank)
    held = tuple(
        each.stop - each.start
        for each in part(shape, placements, [mesh[name] for name in names], [place[name] for name in names])
    )
    whole = 0 if held == shape or not math.prod(held) or is_drawn_apart(entry) else tensor.nbytes
    return Share(name=entry.name, shape=shape, held=held, bytes=math.prod(held) * tensor.itemsize, whole=whole)


def _placement(entry: Entry, split: Split, mesh: Mapping[str, int], name: str) -> Placement:
    """What a dimension of a mesh does to a tensor."""
    across = split.across([*mesh])
    if name in across:
        return Shard(0) if entry.kind == "parameter" and name == across[-1] else Replicate()
    home = entry.homes[0]
    style = split.styles.get(home.name.rpartition(".")[0]) if name == styled(mesh) else None
    dimension = None if style is None else _dimension(style, home.owner, entry.tensor)
    return Replicate() if dimension is None else Shard(dimension)


def _dimension(style: str, owner: nn.Module, tensor: Tensor) -> int | None:
    """The dimension of a tensor that a style splits."""
    first = (style == "colwise") is not isinstance(owner, nn.Embedding)
    if tensor.ndim == 1:
        return 0 if first else None
    return 0 if first else 1


def _coordinate(mesh: Mapping[str, int], rank: int) -> dict[str, int]:
    found = {}
    for name, size in reversed([*mesh.items()]):
        rank, found[name] = divmod(rank, size)
    return found
