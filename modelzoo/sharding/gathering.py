"""What all ranks know together of tensors that each has a part of. Every rank has to ask, with the same tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor, distributed

from modelzoo import parts, ranks
from modelzoo.plans.statistics import Statistics, describe, pool

_Place = tuple[tuple[int, int], ...]
"""Where a part begins and ends, in each dimension."""


def statistics(tensors: Mapping[str, Tensor]) -> dict[str, Statistics | None]:
    """Statistics of whole tensors: each rank reads its own part, and nothing but the results is sent."""
    own = {name: (_place(tensor), describe(parts.local(tensor))) for name, tensor in tensors.items()}
    gathered: list[dict[str, tuple[_Place, Statistics | None]]] = [{} for _ in range(distributed.get_world_size())]
    distributed.all_gather_object(gathered, own)
    return {name: _pooled(dict(each[name] for each in gathered)) for name in tensors}


def _place(tensor: Tensor) -> _Place:
    return tuple((each.start, each.stop) for each in parts.part_of(tensor))


def _pooled(found: Mapping[_Place, Statistics | None]) -> Statistics | None:
    """Of parts that several ranks hold, one counts."""
    sizes = {place: math.prod(stop - start for start, stop in place) for place in found}
    known = [(sizes[place], each) for place, each in found.items() if each is not None]
    return pool(known) if known else None


def whole(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Whole tensors in the memory of the first rank's machine, gathered one after the other; on others none."""
    found = {}
    for name, tensor in tensors.items():
        value = parts.whole(tensor)
        if ranks.rank() == 0:
            found[name] = value.cpu()
    return found
