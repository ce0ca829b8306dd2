"""What one forward pass did: what each module returned, how often it was called, and how often its loops turned."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeGuard

from torch import nn

from modelzoo.modules.blocks import Generated, reporting
from modelzoo.modules.recording import Record, calls


class _Counter:
    """Leaves every condition to the data, and counts the turns of loops."""

    def __init__(self, turns: dict[nn.Module, dict[str, int]]) -> None:
        self.turns = turns

    def branch(self, owner: nn.Module, site: str, value: Any, leads_out: bool = False) -> Any:
        return value

    def turn(self, owner: nn.Module, site: str, value: Any, negated: bool = False) -> Any:
        return value

    def step(self, owner: nn.Module, site: str) -> None:
        self.turns[owner][site] += 1

    def enter(self, owner: nn.Module, site: str, tests: tuple[str, ...], **values: Any) -> None:
        pass

    def merge(self, owner: nn.Module, site: str, **values: Any) -> None:
        pass


@contextmanager
def observed(model: nn.Module) -> Iterator[Record]:
    """While it lasts, what this thread's modules return is recorded, and blocks with a `while` count its turns.

    >>> import torch
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    >>> with observed(model) as record:
    ...     _ = model(torch.zeros(1, 2))
    >>> record.outputs[model[0]], record.calls[model]
    ((1, 3), 1)
    """
    record = Record()
    looping = [module for module in model.modules() if _has_loops(module) and "forward" not in module.__dict__]
    record.turns = {module: dict.fromkeys(module.__translation__.loops, 0) for module in looping}
    with reporting(looping, _Counter(record.turns)), calls(lambda module, _, output: record.add([(module, output)])):
        yield record


def _has_loops(module: nn.Module) -> TypeGuard[Generated]:
    return isinstance(module, Generated) and bool(module.__translation__.loops)
