"""The names of the arguments of functions and methods, to tell a misspelt one."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import torch
from torch.nn import functional

from modelzoo.errors import nearest
from modelzoo.spelling import closest, did_you_mean

_ALSO = frozenset(["axis", "keepdims", "input", "self", "other", "x1", "x2"])
"""Names that torch takes for others, and documents nowhere."""


def misspelt(call: Callable[..., Any] | None, name: str, keyword: str) -> str | None:
    """What is meant by an argument that there is not; None where there may be one of that name.

    Args:
        call: the function; None for a method of a tensor.
        name: its name.
        keyword: the name of the argument.

    >>> from torch.nn import functional
    >>> misspelt(functional.softmax, "softmax", "dmi"), misspelt(None, "sum", "keepdmi")
    ("Did you mean 'dim'?", "Did you mean 'keepdim'?")
    >>> misspelt(None, "sum", "axis") is None
    True
    """
    exact = _of_signature(call) if call is not None else None
    if exact is not None:
        return None if keyword in exact else nearest(keyword, sorted(exact))
    if keyword in _ALSO:
        return None
    known = _documented(name)
    return did_you_mean(closest(keyword, sorted(known))) or None if keyword not in known else None


def _of_signature(call: Callable[..., Any]) -> frozenset[str] | None:
    """The names that a function of Python can be given; None where that is not known."""
    try:
        parameters = inspect.signature(call).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(each.kind in (each.VAR_KEYWORD, each.VAR_POSITIONAL) for each in parameters):
        return None
    return frozenset(each.name for each in parameters)


@cache
def _documented(name: str) -> frozenset[str]:
    """The names in the signatures that the documentation of torch has for a function and a method."""
    texts = (getattr(getattr(owner, name, None), "__doc__", None) or "" for owner in (torch, torch.Tensor, functional))
    return frozenset(_names(texts, name))


def _names(texts: Iterable[str], name: str) -> Iterable[str]:
    for text in texts:
        for inside in re.findall(rf"^\s*(?:torch\.)?{name}\((.*?)\)\s*(?:->|$)", text, re.M | re.S):
            yield from re.findall(r"(?:^|[,\[]\s*)\*?([a-z]\w*)", inside)
