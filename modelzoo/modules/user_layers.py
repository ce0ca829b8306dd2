"""Calls the constructors of registered layers, which run as in Python: what they leave in their tensors is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from modelzoo import streams

_MARK = "__given__"
"""What a layer has in its `__dict__` while a constructor sees it: its number, which tells a copy of it."""

Home = tuple[nn.Module, str]
"""Where a tensor stands: its module, and its name there."""

Kept = dict[Home, Tensor]
"""What constructors left in their tensors."""


@dataclass(frozen=True, slots=True)
class Constructed:
    """What a constructor made.

    Attributes:
        module: the layer.
        given: whether it was given layers.
        copies: its copies of them, with what each is a copy of.
        tied: of those of its tensors that belong to given layers, the layer and the tensor's name there.
    """

    module: nn.Module
    given: bool
    copies: list[tuple[nn.Module, nn.Module]]
    tied: list[tuple[Tensor, nn.Module, str]]


class Loan:
    """The layers that a constructor is given, while it has them.

    Attributes:
        given: all their modules, in order.
        homes: of each of their tensors the first place.
        stands_for: the tensor of the model that each one stands for that the constructor sees.
    """

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        self.given = dict.fromkeys(modules)
        self.places = [(module, local) for module in self.given for _, local in _tensors(module)]
        self.homes: dict[Tensor, Home] = {}
        self.stands_for: dict[Tensor, Tensor] = {}

    def show(self, shown: Callable[[Tensor, Home], Tensor]) -> None:
        """Puts into the layers what the constructor may see, and numbers them, so that copies are known as such."""
        seen: dict[Tensor, Tensor] = {}
        for index, module in enumerate(self.given):
            module.__dict__[_MARK] = index
            for value, local in _tensors(module):
                if value not in seen:
                    self.homes[value] = module, local
                    seen[value] = shown(value, (module, local))
                if seen[value] is not value:
                    setattr(module, local, seen[value])
        self.stands_for = {each: value for value, each in seen.items()}

    def check(self, cls: type[nn.Module]) -> None:
        for module, local in self.places:
            if local not in module._parameters and local not in module._buffers:
                kind = type(module).__name__.removeprefix("Parametrized")
                what = f"'{local}' of the {kind} it is given is gone before it is filled"
                raise ValueError(f"{what}. Construct the {kind} inside {cls.__name__}.")

    def copied(self, parts: Iterable[nn.Module]) -> dict[nn.Module, nn.Module]:
        """Those modules that are copies of given ones, with what each is a copy of."""
        numbered = list(self.given)
        marks = [(module, module.__dict__.pop(_MARK, None)) for module in parts]
        return {each: numbered[mark] for each, mark in marks if mark is not None and each is not numbered[mark]}


class Constructor:
    """Calls constructors of registered layers.

    A layer that one is given is filled only afterwards: until then its parameters are zeros, on the CPU as everything
    that a constructor sees. A copy that is made of it is filled as it is.

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
    ) -> Constructed:
        """A layer whose draws come from the stream of its name.

        Raises:
            ValueError: a layer that it was given lost a tensor, or one inside waits for its size.
            Exception: whatever the constructor raises.
        """
        loan = Loan(_modules((*positional, *named.values())))
        loan.show(self.shown)
        with streams.instead(self.seed, name):
            made = cls(*positional, **named)
        loan.check(cls)
        _check_sizes(made)
        return self.constructed(made, loan)

    def shown(self, value: Tensor, home: Home) -> Tensor:
        """What a constructor may see of a tensor of a layer that it is given."""
        if home in self.kept:
            return self.kept[home]
        if value.is_meta:
            return _zeros(value)
        if isinstance(value, nn.Parameter):
            value.detach().zero_()
        return value

    def constructed(self, made: nn.Module, loan: Loan) -> Constructed:
        """Remembers the values of a layer's tensors, and puts in their places those of the model."""
        parts = list(dict.fromkeys((*loan.given, *made.modules())))
        copied = loan.copied(parts)
        tied: list[tuple[Tensor, nn.Module, str]] = []
        for module in parts:
            for value, local in _tensors(module):
                ours = loan.stands_for.get(value)
                if ours is not None:
                    self.adopt(ours, value, loan.homes[ours])
                    if loan.homes[ours] != (module, local):
                        tied.append((ours, *loan.homes[ours]))
                elif (module, local) in self.kept and module not in loan.given:
                    continue
                else:
                    ours = self.stand_in(value)
                    if module not in copied or (copied[module], local) in self.kept:
                        self.kept[module, local] = value
                if ours is not value:
                    setattr(module, local, ours)
        return Constructed(made, bool(loan.given), list(copied.items()), tied)

    def adopt(self, ours: Tensor, seen: Tensor, home: Home) -> None:
        """What a constructor may have changed of a tensor that it was shown, but for its values."""
        if ours is not seen:
            ours.requires_grad_(seen.requires_grad)
            if home not in self.kept and (ours.shape, ours.dtype) != (seen.shape, seen.dtype):
                ours.data = seen.detach().to(ours.device)

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


def _check_sizes(made: nn.Module) -> None:
    """A lazy layer of torch has no values to keep before its first call."""
    for name, module in made.named_modules():
        if any(map(is_lazy, (value for value, _ in _tensors(module)))):
            kind = type(module).__name__
            what = f"'{name}' in it is a {kind}, which has no size before its first call" if name else "it has no size"
            raise ValueError(f"{what}. Construct a {kind.removeprefix('Lazy')} with its sizes.")


def _modules(values: Iterable[Any]) -> Iterator[nn.Module]:
    """All modules among arguments."""
    for value in values:
        if isinstance(value, nn.Module):
            yield from value.modules()
        elif isinstance(value, (list, tuple)):
            yield from _modules(value)
        elif isinstance(value, dict):
            yield from _modules(value.values())


def _tensors(module: nn.Module) -> list[tuple[Tensor, str]]:
    """The tensors of a module itself."""
    places = (module._parameters, module._buffers)
    return [(value, local) for own in places for local, value in own.items() if value is not None]


def _zeros(value: Tensor) -> Tensor:
    """Zeros on the CPU in the place of a tensor on meta: untouched memory, or where that is short a single one."""
    try:
        zeros = torch.zeros(value.shape, dtype=value.dtype)
    except (RuntimeError, MemoryError):
        zeros = torch.zeros((), dtype=value.dtype).expand(value.shape)
    return nn.Parameter(zeros, requires_grad=value.requires_grad) if isinstance(value, nn.Parameter) else zeros
