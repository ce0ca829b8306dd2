"""Imports the models of a library that is installed, one after the other, and says how it went; run by hand.

    python -m tests.helpers.imports torchvision [NAME...]
"""

from __future__ import annotations

import inspect
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

import modelzoo
from modelzoo.importing.written import text

Case = tuple[str, Callable[[], nn.Module], tuple[Any, ...], dict[str, Any]]


def torchvision_models() -> Iterator[Case]:
    """All models of torchvision that take tensors: of images, of videos, and of pairs of images."""
    try:
        import tvstub  # noqa: F401  # a build without its C++ part lacks two operators
    except ImportError:
        pass
    import torchvision

    models = torchvision.models
    for name in models.list_models():
        kind = models.get_model_builder(name).__module__
        if "detection" in kind or "quantization" in kind:
            continue
        size = 299 if name == "inception_v3" else 224 if name.startswith(("vit", "maxvit", "swin")) else 64
        size = 518 if name == "vit_h_14" else size
        given: tuple[Any, ...] = (torch.randn(1, 3, size, size),)
        if ".video" in kind:
            size = 224 if "mvit" in name else 64
            given = (torch.randn(1, 3, 16 if "mvit" in name or "s3d" in name else 8, size, size),)
        if "optical_flow" in kind:
            given = (torch.rand(1, 3, 128, 128), torch.rand(1, 3, 128, 128))
        plain = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
        if "segmentation" in kind:
            plain = {"weights_backbone": None}
        yield name, lambda name=name, plain=plain: models.get_model(name, weights=None, **plain), given, {}


LIBRARIES = {"torchvision": torchvision_models}


def classes_of(model: nn.Module) -> int:
    """How many lines the classes of a model have that torch does not have."""
    found = {type(each) for each in model.modules() if not type(each).__module__.startswith("torch.")}
    lines = 0
    for cls in found:
        try:
            lines += len(inspect.getsource(cls).splitlines())
        except (OSError, TypeError):
            pass
    return lines


def main(library: str, *names: str) -> None:
    """Imports, and prints a line for each model."""
    warnings.simplefilter("ignore")
    count = good = 0
    ratios = []
    for name, make, inputs, keywords in LIBRARIES[library]():
        if names and name not in names:
            continue
        count += 1
        torch.manual_seed(0)
        try:
            model = make().eval()
            start = time.process_time()
            with torch.no_grad():
                model(*inputs, **keywords)
            forward = time.process_time() - start
        except Exception as error:
            print(f"{name:32} cannot run: {type(error).__name__} {str(error)[:100]}", flush=True)
            continue
        start = time.process_time()
        try:
            found = text(modelzoo.from_module(model, inputs, keywords=keywords))
        except modelzoo.ConfigError as error:
            print(f"{name:32} REFUSED {len(error.problems)}: {' '.join(str(error).split())[:300]}", flush=True)
        except Exception as error:
            print(f"{name:32} FAILED {type(error).__name__}: {str(error)[:300]}", flush=True)
        else:
            good += 1
            lines, by_hand = len(found.splitlines()), classes_of(model)
            ratios.append(lines / max(by_hand, 1))
            spent = time.process_time() - start
            print(f"{name:32} ok {lines:4} lines, {by_hand:4} by hand, {forward:6.2f} s and {spent:6.2f} s", flush=True)
    print(f"{good} of {count}; lines per line by hand {sum(ratios) / max(len(ratios), 1):.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
