"""A module as it was before it is called: the modes and attributes of all in it, and the values of its buffers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from modelzoo.importing.graph import tensors

TABLES = ("_parameters", "_buffers", "_modules")
"""Where a module keeps what is registered; each is put back by itself."""


class Kept:
    """What calls of a module may change.

    Args:
        module: as it is now.
    """

    def __init__(self, module: nn.Module) -> None:
        self.attributes = [(each, dict(vars(each))) for each in module.modules()]
        self.tables = [(each, table, dict(vars(each)[table])) for each in module.modules() for table in TABLES]
        self.values = [(each, each.clone()) for each in module.buffers()]

    def tensors_of(self) -> Iterator[tuple[nn.Module, str]]:
        """The attributes that held tensors or hold some now, and are not what they were, each with its module."""
        for module, before in self.attributes:
            now = vars(module)
            for name in dict.fromkeys((*before, *now)):
                if before.get(name) is not now.get(name) and (_holds(before.get(name)) or _holds(now.get(name))):
                    yield module, name

    def put_back(self) -> None:
        """The module is what it was."""
        for module, before in self.attributes:
            now = vars(module)
            for name in now.keys() - before.keys():
                del now[name]
            now.update(before)
        for module, table, entries in self.tables:
            held = vars(module)[table]
            held.clear()
            held.update(entries)
        with torch.no_grad():
            for buffer, value in self.values:
                if not torch.equal(buffer, value):
                    buffer.copy_(value)


def _holds(value: Any) -> bool:
    return next(tensors(value), None) is not None


def is_held(tensor: Tensor | None, value: Any) -> bool:
    """Whether nothing changes where a tensor becomes a value: there is none yet, or `self.x = self.x.to(y.device)`."""
    if tensor is None or value is tensor or not isinstance(value, Tensor):
        return tensor is None or value is tensor
    same = (value.shape, value.dtype, value.stride()) == (tensor.shape, tensor.dtype, tensor.stride())
    return same and value.data_ptr() == tensor.data_ptr()


@contextmanager
def kept(module: nn.Module) -> Iterator[Kept]:
    """Puts back what calls change."""
    found = Kept(module)
    try:
        yield found
    finally:
        found.put_back()
