"""The input of an `nn.Sequential`, which a block gives a name, as a keyword."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from modelzoo.spec import nodes


def name_input(sequence: nn.Sequential, block: nodes.Block) -> None:
    """Lets a sequence be called with its input by the name that its block gives it; it stays an `nn.Sequential`."""
    written = block.inputs[0].key != block.key / "inputs"  # where nothing is written, the default has that key
    if len(block.inputs) == 1 and written and block.inputs[0].name != "input":
        sequence.register_forward_pre_hook(ByName(block.inputs[0].name), with_kwargs=True)


class ByName:
    """A forward pre-hook that makes an input given by name one by position.

    >>> sequence = nn.Sequential(nn.Flatten(0))
    >>> _ = sequence.register_forward_pre_hook(ByName("image"), with_kwargs=True)
    >>> import torch
    >>> sequence(image=torch.ones(2, 1)).shape
    torch.Size([2])
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(
        self, module: nn.Module, inputs: tuple[Any, ...], named: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        return ((named[self.name],), {}) if not inputs and [*named] == [self.name] else None
