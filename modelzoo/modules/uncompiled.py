"""Tensors without values are computed by functions in Python, which first ask torch's compiler to leave them alone."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FunctionType, ModuleType
from typing import Any

COMPILER = "torch._dynamo"

_lock = threading.Lock()


class _Absent(ModuleType):
    """Stands for the compiler while nobody needs it: importing it takes seconds, and makes a folder for its results.

    All that torch asks of it here is not to compile a function. Whatever else is asked, the real one answers.
    """

    def __init__(self) -> None:
        super().__init__(COMPILER)
        self.users = 0
        self.asking: list[FunctionType] = []

    def disable(self, *arguments: Any, **keywords: Any) -> Any:
        own = sys._getframe(1).f_globals.get("__name__") == "torch._compile"
        if not own or not arguments or not isinstance(arguments[0], FunctionType):
            return _present().disable(*arguments, **keywords)
        self.asking.append(arguments[0])
        return arguments[0]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__path__":  # asked by what looks through all modules
            raise AttributeError(name)
        return getattr(_present(), name)

    def forget(self) -> None:
        """Torch keeps the answer for each function: it asks again, when there may be a compiler."""
        for each in self.asking:
            vars(each).pop("__dynamo_disable", None)


def _present() -> Any:
    """The compiler itself."""
    with _lock:
        if isinstance(sys.modules.get(COMPILER), _Absent):
            del sys.modules[COMPILER]
    return importlib.import_module(COMPILER)


@contextmanager
def uncompiled() -> Iterator[None]:
    """While it lasts torch does without its compiler, unless that is there already.

    >>> import torch
    >>> with uncompiled():
    ...     torch.zeros(2, 3, device="meta").logsumexp(0).shape
    torch.Size([3])
    """
    with _lock:
        found = sys.modules.setdefault(COMPILER, _Absent())
        if isinstance(found, _Absent):
            found.users += 1
    try:
        yield
    finally:
        if isinstance(found, _Absent):
            with _lock:
                found.users -= 1
                if not found.users:
                    found.forget()
                    if sys.modules.get(COMPILER) is found:
                        del sys.modules[COMPILER]
