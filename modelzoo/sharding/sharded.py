"""A draft that torch splits: ties are looked at, this rank gets its storage, and fills it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from modelzoo.errors import Path, Problems
from modelzoo.init import filling
from modelzoo.init import sharded as parts
from modelzoo.init.ledger import Entry, Home
from modelzoo.init.measured import measured_in
from modelzoo.plans.draft import Draft, constructed, remember

Parallelize = Callable[..., Any]
"""Splits a model in place, with `fully_shard`, `parallelize_module` or both: `f(model)`, or `f(model, mesh)`."""


def sharded(draft: Draft, device: str | torch.device, parallelize: Parallelize, mesh: Any = None) -> nn.Module:
    """What this rank holds of a model.

    Args:
        draft: on meta, or on the CPU where the layers of a user are.
        device: where this rank's tensors are made.
        parallelize: is called once, before any tensor has storage.
        mesh: is given to it too, if it is not None.

    Raises:
        ConfigError: a tensor that has several homes became several, or a fill measures the whole model.
    """
    _check_measured(draft.table)
    draft = constructed(draft)
    root = draft.skeleton.root
    made = parallelize(root) if mesh is None else parallelize(root, mesh)
    root = made if isinstance(made, nn.Module) else root
    _check_ties(draft.table, any(isinstance(each, FSDPModule) for each in root.modules()))
    meta = any(each.is_meta for each in (*root.parameters(), *root.buffers()))
    root.to_empty(device=torch.device(device)) if meta else root.to(device)
    _tie_again(draft.table)
    tensors = [(entry, _at(entry.homes[0])) for entry in draft.table]
    draft.skeleton.placed.update((entry.tensor, tensor) for entry, tensor in tensors)
    alone = [entry for entry, tensor in tensors if not isinstance(tensor, DTensor) and entry.original is None]
    filling.fill(draft.skeleton, alone, draft.seed)
    known = set(alone)
    split = [(entry, tensor) for entry, tensor in tensors if entry not in known]
    parts.fill(split, draft.seed, draft.skeleton.max_steps)
    remember(draft)
    return root


def _at(home: Home) -> Tensor:
    held = home.owner._parameters.get(home.local)
    tensor = home.owner._buffers[home.local] if held is None else held
    assert tensor is not None
    return tensor


def _check_measured(table: list[Entry]) -> None:
    """A fill that measures runs the whole model."""
    problems = Problems()
    for entry in table:
        found = measured_in(entry.chain)
        if found is not None:
            what = f"{found.rule} fills '{entry.name}' with {found.fill.name}, which runs the whole model."
            problems.add(found.key, what, "Build the model without 'parallelize', or take another fill.")
    problems.check()


def _check_ties(table: list[Entry], fsdp: bool) -> None:
    """Torch keeps a tie only where its homes are split together, and says so much later, if at all."""
    problems = Problems()
    for entry in table:
        first = entry.homes[0]
        for home in entry.homes[1:]:
            if _at(home) is _at(first) or (not fsdp and _equally_split(_at(home), _at(first))):
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


def _tie_again(table: list[Entry]) -> None:
    """Storage is made for each home by itself."""
    for entry in table:
        first = _at(entry.homes[0])
        for home in entry.homes[1:]:
            if _at(home) is first:
                continue
            if home.local in home.owner._buffers:
                home.owner._buffers[home.local] = first
            else:
                setattr(home.owner, home.local, first)
