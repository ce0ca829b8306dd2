"""The class of a block that has a `forward`: an ordinary module whose code was compiled from the block's text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from types import MethodType
from typing import Any, ClassVar

from torch import nn

from modelzoo.language import compiler
from modelzoo.language.names import Names
from modelzoo.language.runtime import Reports


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """What a class is made of; equal ones share one class.

    Attributes:
        name: the class's name.
        text: the `forward` text.
        names: what its names mean.
        values: the args that it reads.
        defaults: the defaults of its last inputs.
        max_steps: how often a loop may turn.
    """

    name: str
    text: str
    names: Names
    values: tuple[tuple[str, Any], ...]
    defaults: tuple[None, ...]
    max_steps: int


class Generated(nn.Module):
    """A block of a config. It pickles as what its class was made of, and its own `__dict__`."""

    __frozen__: ClassVar[Frozen]  # no layer or tensor may be called so
    __translation__: ClassVar[compiler.Translation]  # of the text in it

    def __reduce__(self) -> tuple[Any, ...]:
        return _empty, (type(self).__frozen__,), self.__dict__.copy()


@contextmanager
def reporting(
    modules: Iterable[Generated], watch: Reports, turned: Callable[..., None] = lambda *_: None
) -> Iterator[None]:
    """While it lasts, blocks run what of their text reports to `watch` and `turned`, as `link` takes them."""
    changed: list[Generated] = []
    linked: dict[type[Generated], Callable[..., Any] | None] = {}
    for module in modules:
        made = module.__frozen__
        if type(module) not in linked:
            code = module.__translation__.watched
            given = dict(made.values), made.max_steps, made.defaults, watch, turned
            linked[type(module)] = None if code is None else compiler.link(code, *given)
        function = linked[type(module)]
        if function is not None:
            module.__dict__["forward"] = MethodType(function, module)
            changed.append(module)
    try:
        yield
    finally:
        for module in changed:
            del module.__dict__["forward"]


def loops(module: nn.Module) -> tuple[str, ...]:
    """The lines of the text of a module that begin a `while` loop."""
    if not isinstance(module, Generated):
        return ()
    lines = module.__frozen__.text.splitlines()
    return tuple(lines[int(site.partition(":")[0]) - 1].strip() for site in module.__translation__.loops)


def _empty(frozen: Frozen) -> nn.Module:
    cls = class_of(frozen)
    return cls.__new__(cls)


def class_of(frozen: Frozen) -> type[Generated]:
    """The module class of a block; its `forward` was checked before."""
    return _class_of(frozen, repr(frozen.values))  # 1, 1.0 and True are equal


@lru_cache(maxsize=4_096)
def _class_of(frozen: Frozen, _: str) -> type[Generated]:
    translation = compiler.translate(frozen.text, frozen.names, f"{frozen.name}.forward", frozen.defaults)
    if translation.code is None:
        raise translation.errors[0]
    forward = compiler.link(translation.code, dict(frozen.values), frozen.max_steps, frozen.defaults)
    forward.__qualname__ = f"{frozen.name}.forward"
    own = {"__frozen__": frozen, "__translation__": translation, "forward": forward}
    return type(frozen.name, (Generated,), {**own, "__module__": "modelzoo.modules.blocks"})


def hashable(value: Any) -> Any:
    """A value of an arg as a constant: lists become tuples."""
    if isinstance(value, (list, tuple)):
        return tuple(hashable(each) for each in value)
    if isinstance(value, dict):
        return tuple((name, hashable(each)) for name, each in value.items())
    return value
