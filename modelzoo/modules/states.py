"""What modules hold before a run that only checks, to be given back to them after it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

_CONTAINERS = (dict, OrderedDict, list, set)


class State:
    """What a module holds itself: its attributes, what is in its lists, dicts and sets, and the values of its tensors.

    A user's own `forward` may change any of them, as one that counts its calls, or scales itself by what it first sees.

    Args:
        module: whose modules inside are not looked at.
        but: the addresses of tensors that may change.
    """

    def __init__(self, module: nn.Module, but: Collection[int] = ()) -> None:
        self.module = module
        self.attributes = dict(module.__dict__)
        self.contents = [(each, each.copy()) for each in self.attributes.values() if type(each) in _CONTAINERS]
        self.tensors = [
            (each, each.data, each.untyped_storage().clone(), each.grad_fn)  # type: ignore[no-untyped-call]
            for each in dict.fromkeys(_tensors(self.attributes.values()))
            if type(each) in (Tensor, nn.Parameter) and each.layout is torch.strided and not each.is_meta
            if each.data_ptr() not in but
        ]

    def give_back(self) -> None:
        """Makes the module hold it again, and nothing else."""
        self.module.__dict__.clear()
        self.module.__dict__.update(self.attributes)
        for each, before in self.contents:
            each.clear()
            if isinstance(each, list):
                each.extend(before)
            else:
                each.update(before)
        for tensor, data, stored, made_by in self.tensors:
            data.untyped_storage().copy_(stored)
            if tensor.data_ptr() != data.data_ptr() or tensor.shape != data.shape:
                tensor.data = data
            if made_by is None and tensor.grad_fn is not None and not tensor._is_view():
                tensor.detach_()  # written in a pass that has a gradient, it would be of its graph


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    """Those among values, and among what lists and dicts hold."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif type(value) in _CONTAINERS:
            held = value.values() if isinstance(value, dict) else value
            yield from (each for each in held if isinstance(each, Tensor))
