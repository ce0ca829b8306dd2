"""An `nn.Sequential` whose input has the name that its block gives it."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

from torch import nn

from modelzoo.spec import nodes


def name_input(sequence: nn.Sequential, block: nodes.Block) -> None:
    """Lets a sequence be called with its input by the name that its block gives it."""
    written = block.inputs[0].key != block.key / "inputs"  # where nothing is written, the default has that key
    if len(block.inputs) == 1 and written and block.inputs[0].name != "input":
        sequence.__class__ = named(block.inputs[0].name)


def is_plain(cls: type[nn.Module]) -> bool:
    """Whether a class is `nn.Sequential`, its input named or not, and nobody's own."""
    return cls is nn.Sequential or issubclass(cls, _Named)


class _Named(nn.Sequential):
    """What it does is what `nn.Sequential` does. It pickles as the name of its input, and its own `__dict__`."""

    __input__ = "input"  # no layer may be called so

    def __reduce__(self) -> tuple[Any, ...]:
        return _empty, (self.__input__,), self.__dict__.copy()


@cache
def named(name: str) -> type[nn.Sequential]:
    """A class of sequences, also for who reads the signature of its forward, as `torch.export` does.

    It is a class and no attribute of the module: a copy, or a replica on another device, runs its own layers.

    >>> import torch
    >>> sequence = named("image")(nn.Flatten(0))
    >>> sequence(image=torch.ones(2, 1)).shape
    torch.Size([2])
    >>> print(inspect.signature(sequence.forward), sequence)
    (image) Sequential(
      (0): Flatten(start_dim=0, end_dim=-1)
    )
    """

    def forward(self: nn.Sequential, *inputs: Any, **keywords: Any) -> Any:
        if not inputs and [*keywords] == [name]:
            inputs, keywords = (keywords[name],), {}
        return nn.Sequential.forward(self, *inputs, **keywords)  # type: ignore[no-untyped-call]

    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    forward.__signature__ = inspect.Signature([own, own.replace(name=name)])  # type: ignore[attr-defined]
    return type("Sequential", (_Named,), {"__input__": name, "__module__": __name__, "forward": forward})


def _empty(name: str) -> nn.Sequential:
    """What a pickle fills."""
    cls = named(name)
    return cls.__new__(cls)
