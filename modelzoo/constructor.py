"""Calls the constructors of registered layers, which run as in Python: what they leave in their tensors is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from modelzoo import streams

Kept = dict[tuple[int, str], Tensor]
"""What constructors left in their tensors, by module (its id) and name."""


class Constructor:
    """Calls constructors of registered layers.

    A layer that one is given is filled only afterwards: until then its tensors are zeros, on the CPU as everything
    that a constructor sees.

    Args:
        device: where tensors stand afterwards; on meta they are stand-ins without memory.
        dtype: of those that have torch's default dtype.
        seed: of what is drawn.
        spend: is told of every tensor.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype, seed: int, spend: Callable[[Tensor], object]) -> None:
        self.device, self.dtype, self.seed, self.spend = device, dtype, seed, spend
        self.kept: Kept = {}
        self.stand_ins: dict[Tensor, Tensor] = {}

    def __call__(
        self, cls: type[nn.Module], name: str, positional: Sequence[Any], named: Mapping[str, Any]
    ) -> tuple[nn.Module, bool]:
        """A layer whose draws come from the stream of its name, and whether it was given others.

        Raises:
            ValueError: a layer that it was given lost a tensor.
            Exception: whatever the constructor raises.
        """
        given = dict.fromkeys(_modules((*positional, *named.values())))
        stands_for = self.show(given)
        before = [(module, own, local) for module in given for own, local in _tensors(module)]
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(streams.generator(self.seed, name).get_state())
            made = cls(*positional, **named)
        for module, own, local in before:
            if own.get(local) is None:
                kind = type(module).__name__.removeprefix("Parametrized")
                what = f"'{local}' of the {kind} it is given is gone before it is filled"
                raise ValueError(f"{what}. Construct the {kind} inside {cls.__name__}.")
        for module in dict.fromkeys((*given, *made.modules())):
            self.keep(module, stands_for, module in given)
        return made, bool(given)

    def show(self, given: Iterable[nn.Module]) -> dict[Tensor, Tensor]:
        """Puts into layers what a constructor may see of them; returns for each such tensor the one it stands for."""
        shown: dict[Tensor, Tensor] = {}
        for module in given:
            for own, local in _tensors(module):
                value = own[local]
                if value not in shown:
                    kept = self.kept.get((id(module), local))
                    shown[value] = _zeros(value) if kept is None else kept
                own[local] = shown[value]
        return {each: value for value, each in shown.items()}

    def keep(self, module: nn.Module, stands_for: dict[Tensor, Tensor], given: bool) -> None:
        """Remembers the values of a module's tensors, and puts in their places those of the model."""
        for own, local in _tensors(module):
            value = own[local]
            known = stands_for.get(value)
            if known is None:
                if (id(module), local) in self.kept and not given:
                    continue
                self.kept[id(module), local] = value
                known = self.stand_in(value)
            elif known is not value:
                known.requires_grad_(value.requires_grad)
            if known is not value:
                setattr(module, local, known)

    def stand_in(self, value: Tensor) -> Tensor:
        """What takes the place of a tensor that a constructor left; tied ones stay tied."""
        if value not in self.stand_ins:
            dtype = self.dtype if value.dtype is torch.get_default_dtype() else value.dtype
            moved = value.detach().to(self.device, dtype)
            if moved.dtype is value.dtype and moved.device == value.device:
                moved = value
            elif isinstance(value, nn.Parameter):
                moved = nn.Parameter(moved, requires_grad=value.requires_grad)
            self.stand_ins[value] = moved
            self.spend(moved)
        return self.stand_ins[value]


def _modules(values: Iterable[Any]) -> Iterator[nn.Module]:
    """All modules among arguments."""
    for value in values:
        if isinstance(value, nn.Module):
            yield from value.modules()
        elif isinstance(value, (list, tuple)):
            yield from _modules(value)
        elif isinstance(value, dict):
            yield from _modules(value.values())


def _tensors(module: nn.Module) -> list[tuple[dict[str, Any], str]]:
    """Where the tensors of a module itself stand."""
    places = (module._parameters, module._buffers)
    return [(own, local) for own in places for local, value in own.items() if value is not None]


def _zeros(value: Tensor) -> Tensor:
    """Zeros on the CPU: the tensor itself if it is there; else untouched memory, which costs nothing."""
    if not value.is_meta:
        value.detach().zero_()
        return value
    zeros = torch.zeros(value.shape, dtype=value.dtype)
    return nn.Parameter(zeros, requires_grad=value.requires_grad) if isinstance(value, nn.Parameter) else zeros
