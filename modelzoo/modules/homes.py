"""The names of modules and tensors: one that stands in several places has a name for each of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from torch import Tensor, nn

_Thing = TypeVar("_Thing")

Named = list[tuple[str, nn.Module]]
"""Every module under each of its names."""


def named_in(module: nn.Module, prefix: str = "", found: Named | None = None) -> Named:
    """As `named_modules(remove_duplicate=False)`, in a third of the time."""
    found = [] if found is None else found
    found.append((prefix, module))
    start = f"{prefix}." if prefix else ""
    for name, child in module._modules.items():
        if child is not None:
            named_in(child, start + name, found)
    return found


def homes(named: Iterable[tuple[str, _Thing]]) -> dict[_Thing, list[str]]:
    """Each module or tensor with all its names, the first name first.

    >>> layer = nn.ReLU()
    >>> homes(named_in(nn.Sequential(layer, layer)))[layer]
    ['0', '1']
    """
    found: dict[_Thing, list[str]] = {}
    for name, each in named:
        found.setdefault(each, []).append(name)
    return found


def tensors_of(model: nn.Module, every: bool = False) -> dict[str, Tensor]:
    """The parameters and then the buffers of a model by their first names; with `every` by each of their names.

    >>> list(tensors_of(nn.BatchNorm1d(2, affine=False)))
    ['running_mean', 'running_var', 'num_batches_tracked']
    """
    parameters = dict(model.named_parameters(remove_duplicate=not every))
    return {**parameters, **dict(model.named_buffers(remove_duplicate=not every))}
