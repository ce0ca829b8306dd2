"""What a run leaves on disk: every parameter with its facts, written whole or not at all."""

from __future__ import annotations

import json
import os
import pathlib
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

import modelzoo
from modelzoo import bounds, files, headers, parts
from modelzoo.escapes import json_text, printable
from modelzoo.modules.homes import tensors_of
from modelzoo.plans.rows import Row
from modelzoo.plans.rows import rows as rows_of
from modelzoo.plans.statistics import Statistics

if TYPE_CHECKING:
    from modelzoo.optim.stepping import Moved
    from modelzoo.plans import plan as planned
    from modelzoo.plans import records

TENSORS = "parameters.safetensors"
FACTS = "parameters.json"


def write_parameters(
    directory: str | os.PathLike[str],
    plan: planned.Plan,
    model: nn.Module,
    gradients: bool = False,
    moved: Mapping[str, Moved] = MappingProxyType({}),
    rows: Iterable[Row] | None = None,
    model_file: str = "",
) -> list[pathlib.Path]:
    """Writes `parameters.safetensors` and `parameters.json`, each whole or not at all.

    The first holds every tensor of the state dict once, under its first name; its metadata key "modelzoo" is a JSON
    text with `scheme`, `seed`, `dtype`, `versions`, the other names (`aliases`) and the model itself, as a model file:
    `modelzoo.build` makes the model with these values of it. The second holds one line of facts for each tensor; a
    number that is not finite is null there, and `finite` says so.

    Args:
        directory: an existing directory.
        plan: the plan of `model`.
        model: what was built from it. On meta only the facts are written.
        gradients: whether to add the norm of each gradient, null where there is none.
        moved: what a step of an optimiser did to parameters, which is added too.
        rows: the rows of `model` with statistics, where they are at hand.
        model_file: the model and its rules as the text of a model file; above 1 MB it is left out.

    Returns:
        The paths of the files.

    Raises:
        ConfigError: a file cannot be written.
    """
    folder = pathlib.Path(directory)
    values = tensors_of(model)
    written: list[pathlib.Path] = []
    if not any(value.is_meta for value in values.values()):
        written.append(write_tensors(folder, plan, values, model_file))
    seen = {row.name: row.statistics for row in (rows_of(plan, model) if rows is None else rows)}
    return [*written, write_facts(folder, facts_text(plan, values, seen, gradients, moved))]


def write_tensors(
    folder: pathlib.Path, plan: planned.Plan, values: Mapping[str, torch.Tensor], model_file: str
) -> pathlib.Path:
    """Writes `parameters.safetensors`, as `write_parameters` does, from the values of all tensors by their names."""
    from safetensors.torch import save_file

    path = folder / TENSORS
    for name in values:
        if name == "__metadata__" or re.search("[\ud800-\udfff]", name):
            what = f"A tensor named '{printable(name, lines=False)}' makes a safetensors file unreadable."
            files.fail(path, what, "Rename it.")
    tensors = {each.name: values[each.name].detach().contiguous() for each in plan.tensors if each.persistent}
    files.write_atomically(path, lambda file: save_file(tensors, file, _metadata(plan, model_file)))
    return path


def facts_text(
    plan: planned.Plan,
    values: Mapping[str, torch.Tensor],
    seen: Mapping[str, Statistics | None],
    gradients: bool = False,
    moved: Mapping[str, Moved] = MappingProxyType({}),
) -> str:
    """What stands in `parameters.json`. Where several processes hold a tensor, each has to ask for its gradient."""
    head = {name: getattr(plan, name) for name in ("seed", "scheme", "parameters", "trainable", "buffers", "bytes")}
    facts = []
    for tensor in plan.tensors:
        line = _facts(tensor, seen.get(tensor.name))
        line |= _trained(values[tensor.name], moved.get(tensor.name)) if gradients else {}
        facts.append(json_text(line, indent=None))
    lines = ",\n    ".join(facts)
    return json_text(head).removesuffix("\n}") + f',\n  "tensors": [\n    {lines}\n  ]\n}}\n'


def write_facts(folder: pathlib.Path, text: str) -> pathlib.Path:
    """Writes `parameters.json`."""
    path = folder / FACTS
    files.write_text(path, text)
    return path


def _trained(value: torch.Tensor, moved: Moved | None) -> dict[str, Any]:
    """What a backward pass and a step left of a tensor."""
    norm = None if value.grad is None else parts.whole(torch.linalg.vector_norm(value.grad)).item()
    step = {} if moved is None else {"update": moved.update, "update_ratio": moved.ratio}
    return {"gradient_norm": norm, **step}


def _metadata(plan: planned.Plan, model_file: str) -> dict[str, str]:
    """What a file of values says beside them."""
    aliases = {tensor.name: tensor.aliases for tensor in plan.tensors if tensor.persistent and tensor.aliases}
    about: dict[str, Any] = {"scheme": plan.scheme, "seed": plan.seed, "aliases": aliases}
    if model_file and len(model_file.encode()) <= bounds.FILE:
        versions = {"modelzoo": modelzoo.__version__, "torch": torch.__version__}
        about |= {"dtype": plan.dtype, "versions": versions, "model": model_file}
    # One key: safetensors writes several in an order of chance, and equal models should make equal files.
    return {headers.KEY: json.dumps(about)}


def _facts(tensor: records.TensorRecord, seen: Statistics | None) -> dict[str, Any]:
    names = ("name", "aliases", "shape", "dtype", "kind", "persistent", "trainable")
    facts = {name: getattr(tensor, name) for name in (*names, "fill", "rule", "matched", "erased", "stream", "where")}
    for name in ("mean", "std", "min", "max"):
        facts[name] = getattr(seen, name) if seen else None
    facts["finite"] = seen.finite if seen else None
    if tensor.group:
        facts |= {"group": tensor.group, "options": dict(tensor.options)}
    return facts
