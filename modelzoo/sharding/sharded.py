"""A draft that torch splits: ties are looked at, this rank gets its storage, and fills it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import distributed, nn
from torch.distributed.device_mesh import init_device_mesh

from modelzoo.errors import Problems
from modelzoo.init import filling
from modelzoo.init import sharded as parts
from modelzoo.init.ledger import Entry
from modelzoo.init.measured import measured_in
from modelzoo.plans.draft import Draft, constructed, remember
from modelzoo.sharding.rules import ruled
from modelzoo.sharding.ties import at, check_ties, tie_again

Parallelize = Callable[..., Any] | Mapping[str, Any]
"""Rules, or what splits a model in place by `fully_shard` and `parallelize_module`: `f(model)`, or `f(model, mesh)`."""


def sharded(draft: Draft, device: str | torch.device, parallelize: Parallelize, mesh: Any = None) -> nn.Module:
    """What this rank holds of a model.

    Args:
        draft: on meta, or on the CPU where the layers of a user are.
        device: where this rank's tensors are made; on meta they have no values.
        parallelize: rules, or what is called once, before any tensor has storage.
        mesh: is given to it too, if it is not None; for rules it is all ranks in a line by default.

    Raises:
        ConfigError: a rule is wrong, a tie would be lost, or a fill measures the whole model.
    """
    _check_measured(draft.table)
    draft = constructed(draft)
    root = draft.skeleton.root
    if isinstance(parallelize, Mapping):
        _split(draft, parallelize, mesh, torch.device(device))
    else:
        made = parallelize(root) if mesh is None else parallelize(root, mesh)
        root = made if isinstance(made, nn.Module) else root
    check_ties(root, draft.table)
    meta = any(each.is_meta for each in (*root.parameters(), *root.buffers()))
    root.to_empty(device=torch.device(device)) if meta else root.to(device)
    tie_again(draft.table)
    if torch.device(device).type == "meta":
        return root
    tensors = [(entry, at(entry.homes[0])) for entry in draft.table]
    draft.skeleton.placed.update((entry.tensor, tensor) for entry, tensor in tensors)
    alone = [entry for entry, tensor in tensors if not parts.is_sharded(tensor) and entry.original is None]
    filling.fill(draft.skeleton, alone, draft.seed)
    known = set(alone)
    split = [(entry, tensor) for entry, tensor in tensors if entry not in known]
    parts.fill(split, draft.seed, draft.skeleton.max_steps)
    remember(draft)
    return root


def _split(draft: Draft, rules: Mapping[str, Any], mesh: Any, device: torch.device) -> None:
    problems = Problems()
    mesh = mesh or init_device_mesh(device.type, (distributed.get_world_size(),))
    names = mesh.mesh_dim_names or tuple(map(str, range(mesh.ndim)))
    split = ruled(draft.skeleton, draft.table, rules, dict(zip(names, mesh.shape, strict=True)), problems)
    problems.check()
    split.apply(draft.skeleton.root, mesh, draft.table)


def _check_measured(table: list[Entry]) -> None:
    """A fill that measures runs the whole model."""
    problems = Problems()
    for entry in table:
        found = measured_in(entry.chain)
        if found is not None:
            what = f"{found.rule} fills '{entry.name}' with {found.fill.name}, which runs the whole model."
            problems.add(found.key, what, "Build the model without 'parallelize', or take another fill.")
    problems.check()
