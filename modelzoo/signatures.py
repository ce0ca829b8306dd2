"""What classes have and their constructors take, as far as a config is concerned."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Container, Iterable, Iterator
from typing import Any


class _Plain:
    annotated: int


OF_CLASSES = frozenset(vars(_Plain))
"""The names that every class has in its own `__dict__`; they differ between versions of Python."""

OF_EVERYTHING = frozenset(dir(_Plain()))
"""The names that an instance of every class has; they differ too."""


def parameters_of(call: Callable[..., object]) -> list[inspect.Parameter]:
    """The parameters of a constructor, without `self`."""
    return list(inspect.signature(call).parameters.values())[1:]


def opened(parameters: Iterable[inspect.Parameter], withheld: Container[str]) -> Iterator[inspect.Parameter]:
    """Those that a config may give: without `withheld` and private ones.

    What stands behind one of these can be given by its name only.

    >>> class Scale:
    ...     def __init__(self, width, device=None, bias=True): ...
    >>> [(each.name, each.kind.name) for each in opened(parameters_of(Scale.__init__), {"device"})]
    [('width', 'POSITIONAL_OR_KEYWORD'), ('bias', 'KEYWORD_ONLY')]
    """
    behind = False  # a place in front was withheld, so positions would be another argument's
    for each in parameters:
        if each.name in withheld or each.name.startswith("_"):
            behind = True
            continue
        if callable(each.default) and each.default is not each.empty:
            each = each.replace(default=each.default.__name__)  # the text that torch takes for the same function
        if behind and each.kind is each.POSITIONAL_OR_KEYWORD:
            each = each.replace(kind=each.KEYWORD_ONLY)
        yield each


def names_of(call: Callable[..., Any]) -> list[str] | None:
    """The names that a function of Python can be given; None where that is not known."""
    try:
        parameters = inspect.signature(call).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(each.kind in (each.VAR_KEYWORD, each.VAR_POSITIONAL) for each in parameters):
        return None
    return sorted(each.name for each in parameters)
