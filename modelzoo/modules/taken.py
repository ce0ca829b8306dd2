"""What texts that make tensors took: which of their inputs are tensors, and which of those are floating."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from modelzoo.modules.blocks import Generated
from modelzoo.modules.recording import Taken, Way, calls
from modelzoo.modules.skeleton import Skeleton


@contextmanager
def noted(skeleton: Skeleton) -> Iterator[Taken]:
    """While it lasts, what blocks are given is noted whose texts make a tensor from nothing: on the device of that."""
    found: Taken = {
        module: [] for module, _ in skeleton.blocks if isinstance(module, Generated) and module.__translation__.makes
    }

    def called(module: nn.Module, positional: tuple[Any, ...], named: dict[str, Any], _: Any) -> None:
        if module not in found or not isinstance(module, Generated):
            return
        inputs = module.__frozen__.names.inputs
        given = {**dict(zip(inputs, positional, strict=False)), **named}
        seen = {name: (way(given.get(name), False), way(given.get(name), True)) for name in inputs}
        if seen not in found[module]:
            found[module].append(seen)

    if not found:
        yield found
        return
    with calls(called, named=True):
        yield found


def way(value: Any, floating: bool) -> Way | None:
    """The way to the first tensor in a value.

    >>> import torch
    >>> way([1, {"a": torch.zeros(2)}], False), way(torch.arange(2), True)
    ((1, 'a'), None)
    """
    if isinstance(value, Tensor):
        return () if not floating or value.is_floating_point() else None
    if isinstance(value, (tuple, list, dict)):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            found = way(each, floating)
            if found is not None:
                return key, *found
    return None
