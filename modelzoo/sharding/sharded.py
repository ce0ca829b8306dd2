"""A draft that torch splits: ties are looked at, this rank gets its storage, and fills it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import distributed, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from modelzoo import parts
from modelzoo.errors import Problems
from modelzoo.init import filling
from modelzoo.init.ledger import Entry
from modelzoo.init.measured import measured_in
from modelzoo.init.sharded import fill, is_drawn_apart
from modelzoo.plans.budget import check
from modelzoo.plans.draft import Draft, constructed, remember
from modelzoo.sharding.meshes import sizes_of
from modelzoo.sharding.rules import KEY, Split, ruled
from modelzoo.sharding.ties import at, check_ties, tie_again

Parallelize = Callable[..., Any] | Mapping[str, Any] | Split
"""Rules, or what splits a model in place by `fully_shard` and `parallelize_module`: `f(model)`, or `f(model, mesh)`."""


def sharded(
    draft: Draft,
    device: str | torch.device,
    parallelize: Parallelize,
    mesh: Any = None,
    budget: int | str | None = None,
) -> Draft:
    """What this rank holds of a model, as the draft of it.

    Args:
        draft: on meta, or on the CPU where the layers of a user are.
        device: where this rank's tensors are made; on meta they have no values.
        parallelize: rules, what they came to, or what is called once, before any tensor has storage.
        mesh: is given to it too, if it is not None; for rules it is what they say by default.
        budget: how much this rank's tensors may take, as for `build`.

    Raises:
        ConfigError: a rule is wrong, a tie would be lost, or a fill measures the whole model.
    """
    _check_measured(draft.table)
    draft = constructed(draft)
    root = draft.skeleton.root
    if isinstance(parallelize, Mapping):
        mesh, parallelize = _decided(draft, parallelize, mesh, torch.device(device))
    if isinstance(parallelize, Split):
        parallelize.apply(root, mesh, draft.table)
    else:
        made = parallelize(root) if mesh is None else parallelize(root, mesh)
        draft.skeleton.root = root = made if isinstance(made, nn.Module) else root
    check_ties(root, draft.table)
    _check_memory(draft, torch.device(device), budget)
    meta = any(each.is_meta for each in (*root.parameters(), *root.buffers()))
    root.to_empty(device=torch.device(device)) if meta else root.to(device)
    tie_again(draft.table)
    if torch.device(device).type == "meta":
        return draft
    tensors = [(entry, at(entry.homes[0])) for entry in draft.table]
    draft.skeleton.placed.update((entry.tensor, tensor) for entry, tensor in tensors)
    alone = [entry for entry, tensor in tensors if not parts.is_sharded(tensor) and entry.original is None]
    filling.fill(draft.skeleton, alone, draft.seed)
    known = set(alone)
    split = [(entry, tensor) for entry, tensor in tensors if entry not in known]
    fill(split, draft.seed, draft.skeleton.max_steps)
    remember(draft)
    return draft


def _decided(draft: Draft, rules: Mapping[str, Any], mesh: Any, device: torch.device) -> tuple[DeviceMesh, Split]:
    problems = Problems()
    if mesh is None:
        sizes = sizes_of(rules, distributed.get_world_size(), KEY, problems)
    else:
        sizes = dict(zip(mesh.mesh_dim_names or map(str, range(mesh.ndim)), mesh.shape, strict=True))
    split = ruled(draft.skeleton, draft.table, rules, sizes, problems)
    problems.check()
    return (mesh_of(sizes, device) if mesh is None else mesh), split


def mesh_of(sizes: Mapping[str, int], device: torch.device) -> DeviceMesh:
    """All ranks of the job, in so many dimensions."""
    return init_device_mesh(device.type, tuple(sizes.values()), mesh_dim_names=tuple(sizes))


def _check_memory(draft: Draft, device: torch.device, budget: int | str | None) -> None:
    """What this rank holds must fit, beside the largest tensor that it makes whole."""
    if device.type == "meta" or (device.type != "cpu" and budget is None):
        return
    held = [(entry, at(entry.homes[0])) for entry in draft.table]
    needed = sum(parts.local(tensor).nbytes for _, tensor in held)
    made = [entry.tensor.nbytes for entry, tensor in held if parts.is_sharded(tensor) and not is_drawn_apart(entry)]
    check(needed + max(made, default=0), lambda: draft.plan, budget, who="each rank")


def _check_measured(table: list[Entry]) -> None:
    """A fill that measures runs the whole model."""
    problems = Problems()
    for entry in table:
        found = measured_in(entry.chain)
        if found is not None:
            what = f"{found.rule} fills '{entry.name}' with {found.fill.name}, which runs the whole model."
            problems.add(found.key, what, "Build the model in one process, or take another fill.")
    problems.check()
