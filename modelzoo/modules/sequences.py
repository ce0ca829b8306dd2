"""The input of an `nn.Sequential`, which a block gives a name, as a keyword."""

from __future__ import annotations

import inspect
import weakref
from typing import Any

from torch import nn

from modelzoo.spec import nodes


def name_input(sequence: nn.Sequential, block: nodes.Block) -> None:
    """Lets a sequence be called with its input by the name that its block gives it; it stays an `nn.Sequential`."""
    written = block.inputs[0].key != block.key / "inputs"  # where nothing is written, the default has that key
    if len(block.inputs) == 1 and written and block.inputs[0].name != "input":
        sequence.__dict__["forward"] = ByName(sequence, block.inputs[0].name)


class ByName:
    """The `forward` of a sequence whose input has a name, also for who reads its signature, as `torch.export` does.

    >>> import torch
    >>> sequence = nn.Sequential(nn.Flatten(0))
    >>> sequence.forward = ByName(sequence, "image")
    >>> sequence(image=torch.ones(2, 1)).shape
    torch.Size([2])
    """

    __code__ = nn.Sequential.forward.__code__  # where it stands, which who exports it asks

    def __init__(self, sequence: nn.Sequential, name: str) -> None:
        self.sequence, self.name = weakref.ref(sequence), name  # a model is gone with the last reference to it

    def __reduce__(self) -> tuple[Any, ...]:
        return ByName, (self._sequence(), self.name)

    def _sequence(self) -> nn.Sequential:
        sequence = self.sequence()
        if sequence is None:
            raise ReferenceError("the module of this forward is gone")
        return sequence

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.Signature([inspect.Parameter(self.name, inspect.Parameter.POSITIONAL_OR_KEYWORD)])

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        if not inputs and [*named] == [self.name]:
            inputs, named = (named[self.name],), {}
        return nn.Sequential.forward(self._sequence(), *inputs, **named)  # type: ignore[no-untyped-call]
