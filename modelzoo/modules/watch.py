"""What a dry run decides where data would: conditions, turns of loops, and what ways leave behind."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from modelzoo.errors import Problems
from modelzoo.language import runtime
from modelzoo.modules.explain import text_key
from modelzoo.modules.recording import MAX_ACTIVATIONS, shape_of
from modelzoo.modules.skeleton import Skeleton
from modelzoo.modules.torch_layers import TooLargeError


class Watch:
    """Decides conditions on data during a dry run, and compares what the ways through them leave behind."""

    def __init__(self, problems: Problems, skeleton: Skeleton, operations: runtime.Operations) -> None:
        self.problems, self.skeleton, self.operations = problems, skeleton, operations
        self.cost = runtime.ON_META if skeleton.device.type == "meta" else runtime.ON_CPU
        self.carried = 0
        self.flipped: frozenset[tuple[nn.Module, str]] = frozenset()
        self.sites: dict[tuple[nn.Module, str], frozenset[tuple[nn.Module, str]]] = {}
        """Of each condition what to flip to see its other side: itself, and those that led to it."""
        self.turned: set[tuple[nn.Module, str]] = set()
        self.merged: dict[tuple[nn.Module, str], dict[str, Any]] = {}

    def branch(self, owner: nn.Module, site: str, value: Any, leads_out: bool = False) -> bool:
        if not _is_of_data(value):
            return bool(value)
        key = (owner, site)
        self.sites.setdefault(key, self.flipped | {key})
        asked = key in self.turned
        if leads_out:  # the other way the next time, so that its loop ends
            self.turned ^= {key}
        return (key in self.flipped) is asked

    def turn(self, owner: nn.Module, site: str, value: Any, negated: bool = False) -> bool:
        """A loop on data turns once."""
        if not _is_of_data(value):
            return bool(value)
        key = (owner, site)
        first = key not in self.turned
        self.turned ^= {key}
        return first != negated

    def step(self, owner: nn.Module, site: str) -> None:
        pass

    def called(self) -> None:
        """A module is called, which takes as long as many operations of a loop."""
        self.operations.spend(40)

    def worked(self, count: int, *carried: Any) -> None:
        """A loop turns; what grows on the CPU is looked at on meta."""
        self.operations.spend(count * self.cost)
        self.carried += sum(map(_bytes_at_end, carried))
        if self.carried > MAX_ACTIVATIONS:
            raise TooLargeError

    def merge(self, owner: nn.Module, site: str, **values: Any) -> None:
        key = (owner, site)
        shapes = {name: shape_of(value) for name, value in values.items() if isinstance(value, Tensor)}
        before = self.merged.setdefault(key, shapes)
        for name in before.keys() & shapes.keys():
            if before[name] != shapes[name]:
                line, column = map(int, site.split(":"))
                ways = f"{list(before[name])} on one way through here and {list(shapes[name])} on another"
                what = f"'{name}' has shape {ways}."
                self.problems.add(
                    text_key(self.skeleton, owner), what, "Make both equal.", line=line, column=column + 1
                )
        self.merged[key] = shapes


def _is_of_data(condition: Any) -> bool:
    """Whether only data decides a condition.

    Raises:
        RuntimeError: torch's own, which asks no tensor of several values, or of none.
    """
    if isinstance(condition, Tensor) and condition.numel() != 1:
        bool(torch.empty(min(condition.numel(), 2)))  # one on meta would say that it has no data
    return isinstance(condition, Tensor)


def _bytes_at_end(value: Any) -> int:
    """Of a tensor on the CPU, or of the last one in a list: what a turn of a loop may have added."""
    while isinstance(value, (list, tuple)) and value:
        value = value[-1]
    return value.nbytes if isinstance(value, Tensor) and not value.is_meta else 0
