"""What one forward pass did: what each module returned, how often it was called, and how often its loops turned."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.nn.modules import module as hooks

from modelzoo.language import compiler
from modelzoo.modules.blocks import Generated
from modelzoo.modules.recording import Record


class _Counter:
    """Leaves every condition to the data, and counts the turns of loops."""

    def __init__(self, turns: dict[nn.Module, dict[str, int]]) -> None:
        self.turns = turns

    def branch(self, owner: nn.Module, site: str, value: Any) -> Any:
        return value

    def turn(self, owner: nn.Module, site: str, value: Any, negated: bool = False) -> Any:
        return value

    def step(self, owner: nn.Module, site: str) -> None:
        self.turns[owner][site] += 1

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
    record, thread = Record(), threading.get_ident()

    def after(module: nn.Module, _: Any, output: Any) -> None:
        if threading.get_ident() == thread:
            record.add([(module, output)])

    changed: list[nn.Module] = []
    for module in model.modules():
        if isinstance(module, Generated) and "forward" not in module.__dict__:
            made = module.frozen
            translation = made.translation()
            if translation.loops and translation.watched is not None:
                record.turns[module] = dict.fromkeys(translation.loops, 0)
                counter = _Counter(record.turns)
                given = dict(made.values), made.max_steps, made.defaults
                forward = compiler.link(translation.watched, *given, counter)
                module.__dict__["forward"] = forward.__get__(module)
                changed.append(module)
    handle = hooks.register_module_forward_hook(after)
    try:
        yield record
    finally:
        handle.remove()
        for module in changed:
            del module.__dict__["forward"]
