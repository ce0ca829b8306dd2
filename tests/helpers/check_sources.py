"""Run by `test_source` in a process that cannot import modelzoo: compares sources with what modelzoo computed.

Each folder on the command line holds `model.py`, `parameters.safetensors` and `expected.pt`.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import json
import sys
import traceback
from pathlib import Path
from typing import Any


class Refusing(importlib.abc.MetaPathFinder):
    """Lets nobody import modelzoo."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name.partition(".")[0] in ("modelzoo", "hydra", "omegaconf"):
            raise ImportError(f"{name} is refused")


def facts(model: Any, inputs: dict[str, Any], *, by_name: bool) -> dict[str, Any]:
    """Everything that a source must reproduce: names, sharing, values, outputs and gradients."""
    import torch

    model.eval()
    torch.manual_seed(0)
    output = model(**inputs) if by_name else model(*inputs.values())
    total = [each.double().sum() for each in tensors(output) if each.is_floating_point() and each.requires_grad]
    if total:
        torch.stack(total).sum().backward()
    parameters = dict(model.named_parameters(remove_duplicate=False))
    buffers = dict(model.named_buffers(remove_duplicate=False))
    return {
        "state dict": [(name, value.dtype, value.shape) for name, value in model.state_dict().items()],
        "modules": homes(model.named_modules(remove_duplicate=False)),
        "tensors": homes([*parameters.items(), *buffers.items()]),
        "trainable": {name: each.requires_grad for name, each in parameters.items()},
        "buffers": {name: each.clone() for name, each in buffers.items()},
        "output": [each.detach() for each in tensors(output)],
        "gradients": {name: each.grad for name, each in parameters.items()},
    }


def homes(named: Any) -> list[list[str]]:
    """The names of each thing."""
    found: dict[int, list[str]] = {}
    kept = list(named)
    for name, each in kept:
        found.setdefault(id(each), []).append(name)
    return sorted(found.values())


def tensors(value: Any) -> list[Any]:
    import torch

    if isinstance(value, torch.Tensor):
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (tuple, list)) else []
    return [each for item in items for each in tensors(item)]


def equal(one: Any, other: Any) -> bool:
    import torch

    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one.nan_to_num(7.25), other.nan_to_num(7.25))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


def check(folder: Path) -> str:
    """What differs; "" if nothing does."""
    import safetensors.torch
    import torch

    spec = importlib.util.spec_from_file_location(f"source_{folder.name}", folder / "model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    expected = torch.load(folder / "expected.pt", weights_only=False)
    model = module.Model()
    safetensors.torch.load_model(model, folder / "parameters.safetensors")
    found = facts(model, expected.pop("inputs"), by_name=expected.pop("by name"))
    wrong = [name for name in expected if not equal(expected[name], found[name])]
    details = {name: (str(expected[name])[:500], str(found[name])[:500]) for name in wrong}
    return f"{folder.name} differs in {details}" if wrong else ""


def main(folders: list[str]) -> None:
    """Prints what is wrong with each folder as JSON."""
    sys.meta_path.insert(0, Refusing())
    import torch

    torch.set_num_threads(1)
    print(json.dumps({Path(folder).name: checked(Path(folder)) for folder in folders}))


def checked(folder: Path) -> str:
    """What differs, or how it failed."""
    try:
        return check(folder)
    except Exception:
        return traceback.format_exc()


if __name__ == "__main__":
    main(sys.argv[1:])
