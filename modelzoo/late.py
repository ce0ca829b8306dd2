"""The import of torch, which takes a second and much memory: where something of torch is needed first."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

around: Callable[[], AbstractContextManager[object]] = nullcontext
"""What is entered for the import, and left: a process with limits does not count it."""


def need() -> None:
    """Imports torch, if nobody has."""
    if "torch" not in sys.modules:
        with around():
            importlib.import_module("torch")


class Module:
    """A module of torch that is imported when something of it is first asked for.

    >>> Module("torch.nn.init").calculate_gain("linear")
    1
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        need()
        found = getattr(importlib.import_module(self._name), name)
        self.__dict__[name] = found  # the next time nothing is looked up
        return found
