"""Writes a page that shows imported models beside the classes that they came from.

python docs/imported.py
"""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import pathlib
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import torch
from torch import nn

import modelzoo
from modelzoo.importing.written import text

HERE = pathlib.Path(__file__).resolve().parent
PAGE = HERE / "gallery" / "imported.md"
SOURCE = HERE.parent / "tests" / "helpers" / "zoo_vision.py"

HEAD = """# Imported

Five models that were written in PyTorch by hand, and what [`modelzoo.from_module`](../bring-your-model.md) makes of \
them: nothing in the configs was edited. `python docs/imported.py` writes this page; the classes are those of \
`tests/helpers/zoo_vision.py`.
"""


def load() -> ModuleType:
    """The classes."""
    spec = importlib.util.spec_from_file_location(SOURCE.stem, SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[SOURCE.stem] = module  # where dataclasses look for their module
    spec.loader.exec_module(module)
    return module


ZOO = load()

Make = Callable[[], nn.Module]

SHOWN: dict[str, tuple[str, Make, tuple[int, ...]]] = {
    "ResNet-18": ("resnet18()", ZOO.resnet18, (1, 3, 64, 64)),
    "MobileNetV2": ("MobileNetV2()", ZOO.MobileNetV2, (1, 3, 64, 64)),
    "A small vision transformer": (
        "VisionTransformer(image=32, patch=8, dim=64, depth=4, num_heads=4, hidden=256, classes=10)",
        lambda: ZOO.VisionTransformer(image=32, patch=8, dim=64, depth=4, num_heads=4, hidden=256, classes=10),
        (1, 3, 32, 32),
    ),
    "A small U-Net": ("UNet(width=8, depth=3)", lambda: ZOO.UNet(width=8, depth=3), (1, 1, 32, 32)),
    "A variational autoencoder": ("VAE()", ZOO.VAE, (2, 784)),
}
"""What is shown: the call that makes it, and the shape of its input."""


def section(title: str) -> str:
    """A model beside its classes."""
    call, make, shape = SHOWN[title]
    torch.manual_seed(0)
    module = make()
    config = text(modelzoo.from_module(module, torch.randn(shape))).rstrip()
    classes = "\n\n\n".join(source.rstrip() for source in sources(module))
    counts = f"{_lines(classes)} lines of classes, {_lines(config)} lines of config"
    cells = [f'<td valign="top">\n\n{_fence(*each)}\n\n</td>' for each in (("python", classes), ("yaml", config))]
    return "\n".join([f"## {title}", "", f"`{call}`: {counts}.", "", "<table><tr>", *cells, "</tr></table>", ""])


def sources(module: nn.Module) -> Iterator[str]:
    """The source of each class of a model that torch does not have, the parts first."""
    found: dict[type[Any], None] = {}
    for each in module.modules():
        if type(each).__module__ == SOURCE.stem:
            found[type(each)] = None
    for cls in reversed(found):
        with contextlib.suppress(OSError):
            yield inspect.getsource(cls)


def page() -> str:
    """The page, as Markdown."""
    return "\n".join([HEAD, *map(section, SHOWN)])


def _lines(given: str) -> int:
    return sum(bool(line.strip()) for line in given.splitlines())


def _fence(language: str, given: str) -> str:
    return f"```{language}\n{given}\n```"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
