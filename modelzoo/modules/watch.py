"""What a dry run decides where data would: conditions, turns of loops, and what ways leave behind."""

from __future__ import annotations

from collections import Counter
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
        self.looped: set[tuple[nn.Module, str]] = set()
        """The conditions of loops that only data decide."""
        self.entered: dict[tuple[nn.Module, str], tuple[tuple[str, ...], dict[str, Any]]] = {}
        self.counted: Counter[tuple[nn.Module, str]] = Counter()
        self.merged: dict[tuple[nn.Module, str, int], dict[str, Any]] = {}
        self.told: set[tuple[nn.Module, str, str]] = set()

    def begin(self, flipped: frozenset[tuple[nn.Module, str]] = frozenset()) -> None:
        """Another pass, in which these conditions go the other way."""
        self.flipped, self.turned, self.counted = flipped, set(), Counter()

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
        self.looped.add(key)
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

    def enter(self, owner: nn.Module, site: str, tests: tuple[str, ...], **values: Any) -> None:
        self.entered[owner, site] = tests, _shapes(values)

    def merge(self, owner: nn.Module, site: str, **values: Any) -> None:
        shapes, key = _shapes(values), (owner, site)
        tests, before = self.entered.pop(key, ((), {}))
        if any((owner, test) in self.looped for test in tests):  # it may not turn at all
            self.agree(owner, site, before, shapes)
        self.counted[key] += 1
        if not self.flipped or any(flipped is owner for flipped, _ in self.flipped):  # else the ways are another text's
            other = self.merged.setdefault((owner, site, self.counted[key]), shapes)
            self.agree(owner, site, other, shapes)

    def agree(self, owner: nn.Module, site: str, one: dict[str, Any], other: dict[str, Any]) -> None:
        """Tells the names that have another shape on another way."""
        for name in one.keys() & other.keys():
            if one[name] != other[name] and (owner, site, name) not in self.told:
                self.told.add((owner, site, name))
                line, column = map(int, site.split(":"))
                ways = f"{list(one[name])} on one way through here and {list(other[name])} on another"
                what = f"'{name}' has shape {ways}."
                self.problems.add(
                    text_key(self.skeleton, owner), what, "Make both equal.", line=line, column=column + 1
                )


def _shapes(values: dict[str, Any]) -> dict[str, Any]:
    return {name: shape_of(value) for name, value in values.items() if isinstance(value, Tensor)}


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
