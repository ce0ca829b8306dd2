"""What the tensors of a module start as: the values that it was made with, once, or several times with other seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from modelzoo.catalog.distributions import Fans, fans_of
from modelzoo.errors import ConfigError, Problem, Problems
from modelzoo.init.foreign import check
from modelzoo.modules.homes import homes

SEEDS = 4
"""How often a factory is called."""

MOST = 50_000
"""So many elements of a tensor are looked at, evenly chosen."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Sample:
    """The values of one tensor.

    Attributes:
        name: its first name.
        owner: whose it is.
        local: its name there.
        values: what it started as, each time.
        fans: those of its weight; None where there is none.
        is_buffer: whether it is no parameter.
    """

    name: str
    owner: nn.Module
    local: str
    values: tuple[Tensor, ...]
    fans: Fans | None
    is_buffer: bool = False

    @property
    def shape(self) -> torch.Size:
        return self.values[0].shape


def sampled(source: nn.Module | Callable[[], nn.Module]) -> tuple[nn.Module, list[Sample]]:
    """A module that may be changed, and the values of its parameters and buffers.

    Raises:
        ConfigError: what is called makes no module, or one of other tensors each time; a tensor has no size yet.
        TypeError: it cannot be called.
    """
    if isinstance(source, nn.Module):
        _check(source)
        return source, list(_samples([source]))
    if not callable(source):
        raise TypeError(f"init_of takes a module or what makes one, not {type(source).__name__}")
    made = []
    with torch.random.fork_rng(devices=[]):
        for seed in range(SEEDS):
            torch.manual_seed(seed)
            made.append(source())
    if not all(isinstance(each, nn.Module) for each in made):
        raise ConfigError([Problem(path="factory", what=f"it returns a {type(made[0]).__name__}, and no module.")])
    _check(made[0])
    told = [{name: tuple(each.shape) for name, each in _tensors(module)} for module in made]
    if any(each != told[0] for each in told):
        raise ConfigError([Problem(path="factory", what="it makes other tensors each time.")])
    return made[0], list(_samples(made))


def _check(module: nn.Module) -> None:
    problems = Problems()
    check(module, problems)
    problems.check()


def _tensors(module: nn.Module) -> list[tuple[str, Tensor]]:
    """All tensors of a module, under all names."""
    return [*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False)]


def _samples(made: list[nn.Module]) -> Iterator[Sample]:
    held = [dict(_tensors(each)) for each in made]
    for first, *_ in homes(_tensors(made[0])).values():
        start, _, local = first.rpartition(".")
        owner = made[0].get_submodule(start)
        tensors = tuple(each[first].detach() for each in held)
        if tensors[0].numel():
            is_buffer = local in owner._buffers
            fans = _fans(tensors[0], owner)
            yield Sample(name=first, owner=owner, local=local, values=tensors, fans=fans, is_buffer=is_buffer)


def _fans(tensor: Tensor, owner: nn.Module) -> Fans | None:
    """The fans of a weight; those of a bias are those of the weight beside it."""
    weight = tensor if tensor.ndim > 1 else owner._parameters.get("weight")
    return fans_of(weight.shape) if weight is not None and weight.ndim > 1 else None
