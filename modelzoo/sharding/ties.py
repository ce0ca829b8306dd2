"""Tensors with several homes, which stay one where torch splits them together."""

from __future__ import annotations

from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from modelzoo.errors import Path, Problems
from modelzoo.init.ledger import Entry, Home


def at(home: Home) -> Tensor:
    """What stands in a home now."""
    held = home.owner._parameters.get(home.local)
    tensor = home.owner._buffers[home.local] if held is None else held
    assert tensor is not None
    return tensor


def check_ties(root: nn.Module, table: list[Entry]) -> None:
    """Torch keeps a tie only where its homes are split together, and says so much later, if at all.

    Raises:
        ConfigError: a tensor that has several homes became several.
    """
    problems = Problems()
    units = any(isinstance(each, FSDPModule) for each in root.modules())
    for entry in table:
        first = entry.homes[0]
        for home in entry.homes[1:]:
            if at(home) is at(first) or (not units and _equally_split(at(home), at(first))):
                continue
            one, other = (each.name.rpartition(".")[0] for each in (first, home))
            what = f"'{first.name}' and '{home.name}' are one tensor, and 'parallelize' makes two of it."
            hint = f'Write fully_shard([model.get_submodule("{one}"), model.get_submodule("{other}")]), as one unit.'
            problems.add(Path(("parallelize",)), what, hint)
    problems.check()


def _equally_split(one: Tensor, other: Tensor) -> bool:
    """Whether two were split alike, by `parallelize_module`, which leaves them to be tied again."""
    if not (isinstance(one, DTensor) and isinstance(other, DTensor)):
        return False
    return one.device_mesh == other.device_mesh and one.placements == other.placements


def tie_again(table: list[Entry]) -> None:
    """Puts what stands in the first home of each tensor into the others: torch makes each home for itself."""
    for entry in table:
        first = at(entry.homes[0])
        for home in entry.homes[1:]:
            if at(home) is first:
                continue
            if home.local in home.owner._buffers:
                home.owner._buffers[home.local] = first
            else:
                setattr(home.owner, home.local, first)
