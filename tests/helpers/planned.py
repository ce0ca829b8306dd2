"""A plan read off a finished model by torch's own means, for the tests of what shows plans."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import nn

from modelzoo.modules.inputs import Input
from modelzoo.plans.plan import Plan
from modelzoo.plans.records import ModuleRecord, TensorRecord

BLOCKS = ("Sequential", "Block", "Tied")


def plan_of(model: nn.Module, *inputs: torch.Tensor, fills: dict[str, str] | None = None, **more: Any) -> Any:
    """The plan that would have led to `model`: names and sharing from torch, outputs and calls from one forward."""
    calls: Counter[nn.Module] = Counter()
    outputs: dict[nn.Module, Any] = {}

    def hook(module: nn.Module, _: Any, output: Any) -> None:
        calls[module] += 1
        outputs[module] = shapes(output)

    if inputs:
        handles = [module.register_forward_hook(hook) for module in model.modules()]
        with torch.no_grad():
            model(*inputs)
        for handle in handles:
            handle.remove()
    modules = {
        names[0]: ModuleRecord(
            name=names[0],
            aliases=tuple(names[1:]),
            type=type(module).__name__,
            call=repr(module),
            block=type(module).__name__ in BLOCKS,
            calls=calls[module],
            output=outputs.get(module),
        )
        for module, names in homes(model.named_modules(remove_duplicate=False)).items()
    }
    kept = set(model.state_dict())
    tensors = []
    for kind, found in (
        ("parameter", model.named_parameters(remove_duplicate=False)),
        ("buffer", model.named_buffers(remove_duplicate=False)),
    ):
        for value, names in homes(found).items():
            owner = type(model.get_submodule(names[0].rpartition(".")[0])).__name__
            tensors.append(
                TensorRecord(
                    name=names[0],
                    aliases=tuple(names[1:]),
                    shape=tuple(value.shape),
                    dtype=str(value.dtype).removeprefix("torch."),
                    kind=kind,
                    persistent=names[0] in kept,
                    trainable=value.requires_grad,
                    owner=owner,
                    fill=(fills or {}).get(names[0].rpartition(".")[2], "default"),
                    rule="torch",
                    matched=("torch",),
                    erased=(),
                    stream=f"1:0:{names[0]}",
                )
            )
    shown = tuple(Input(name=f"x{i}", shape=tuple(x.shape), dtype="float32") for i, x in enumerate(inputs))
    return Plan(modules=tuple(modules.values()), tensors=tuple(tensors), inputs=shown, **more)


def homes(named: Any) -> dict[Any, list[str]]:
    """All names of each thing, first name first."""
    found: dict[Any, list[str]] = {}
    for name, each in named:
        found.setdefault(each, []).append(name)
    return found


def shapes(output: Any) -> Any:
    if isinstance(output, torch.Tensor):
        return tuple(output.shape)
    if isinstance(output, (tuple, list)):
        return type(output)(map(shapes, output))
    return None
