"""Tensors that are one in several modules."""

from __future__ import annotations

from modelzoo.importing.graph import Path
from modelzoo.importing.owners import Owners, own_tensors


def ties(owners: Owners) -> dict[str, str]:
    """The ties of a model: each further home of a tensor, and its first.

    >>> from torch import nn
    >>> model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    >>> model[1].weight = model[0].weight
    >>> ties(Owners(model))
    {'1.weight': '0.weight'}
    """
    homes: dict[int, Path] = {}
    found: dict[str, str] = {}
    for module, paths in owners.paths.items():
        for local, tensor in own_tensors(module):
            home = (*paths[0], local)
            first = homes.setdefault(id(tensor), home)
            if first != home:
                found[".".join(map(str, home))] = ".".join(map(str, first))
    return found
