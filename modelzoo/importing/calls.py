"""How a model is called: with the inputs that were given, and with others, of twice as many items."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from modelzoo.importing.graph import mapped, tensors
from modelzoo.importing.observed import plain_output
from modelzoo.importing.records import bound

SIZES = 3
"""So many sizes of inputs are changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Arguments of one call."""

    args: tuple[Any, ...]
    named: Mapping[str, Any]

    def doubled(self) -> Given:
        """Twice as many items, the second half with other values."""
        return self._changed(lambda each: torch.cat([each, _other(each)]) if each.ndim else each)

    def other(self) -> Given:
        """Other values of the same shapes."""
        return self._changed(_other)

    def sizes(self) -> Iterator[tuple[Given, Given]]:
        """Half and twice of each size behind the number of items, one size after the other, the greatest first."""
        found = {size for _, each in tensors((self.args, dict(self.named))) for size in each.shape[1:] if size > 3}
        for size in sorted(found, reverse=True)[:SIZES]:
            yield self._changed(partial(_halved, size=size)), self._changed(partial(_doubled, size=size))

    def shapes(self, module: nn.Module) -> str:
        """The shapes of all inputs, by name."""
        named = self.by_name(module).items()
        return ", ".join(f"{name} {[*each.shape]}" for name, value in named for _, each in tensors(value))

    def _changed(self, change: Any) -> Given:
        def one(each: Any) -> Any:
            return change(each) if isinstance(each, Tensor) else each

        return Given(args=mapped(self.args, one), named=mapped(dict(self.named), one))

    def by_name(self, module: nn.Module) -> dict[str, Any]:
        """The arguments that hold tensors, by the names of the inputs of a module."""
        named = bound(module, self.args, self.named)
        return {name: each for name, each in named.items() if next(tensors(each), None) is not None}


def _halved(value: Tensor, size: int) -> Tensor:
    """The first half of a tensor in every dimension of this size behind the first one."""
    places = (slice(size // 2 if dim and each == size else None) for dim, each in enumerate(value.shape))
    return value[tuple(places)].clone()


def _doubled(value: Tensor, size: int) -> Tensor:
    """A tensor and itself again in every dimension of this size behind the first one."""
    return value.repeat([2 if dim and each == size else 1 for dim, each in enumerate(value.shape)])


def _other(value: Tensor) -> Tensor:
    """Other values: those that are there, in another order."""
    return value.flatten().roll(value.numel() // 2 + 1).view(value.shape)


def outputs(result: Any) -> list[Tensor]:
    """The tensors that a model returned, in order; they stay what they are."""
    return [each.clone() for _, each in tensors(plain_output(result))]


LARGE = 2**16
"""The elements of a parameter whose gradient takes long to compute."""


def gradients(module: nn.Module, found: list[Tensor], large: bool = True) -> dict[str, Tensor]:
    """The gradients of the sum of all outputs, by the names of the parameters.

    Args:
        module: what returned the outputs.
        found: the outputs.
        large: whether all are computed; else of those of large parameters the first, or all if there are no others.
    """
    named = {name: each for name, each in module.named_parameters() if each.requires_grad}
    if not large and any(each.numel() <= LARGE for each in named.values()):
        first = next(iter(named))
        named = {name: each for name, each in named.items() if each.numel() <= LARGE or name == first}
    summed = [each.sum() for each in found if each.requires_grad and not each.is_complex()]
    if not named or not summed:
        return {}
    total = sum(summed[1:], summed[0])
    made = torch.autograd.grad(total, list(named.values()), allow_unused=True)
    return {name: each for name, each in zip(named, made, strict=True) if each is not None}
