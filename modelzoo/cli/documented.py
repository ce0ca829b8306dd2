"""The docstrings of torch, asked what they say; the answers are plain data, and stand in a table too."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Any

import torch
from torch import nn
from torch.nn import functional, init

from modelzoo.catalog.functions import FUNCTIONS
from modelzoo.cli.docstrings import arguments_of, one_line, signature
from modelzoo.known import Questions


def layer(name: str) -> dict[str, Any]:
    """One line about a layer, and one about each of its arguments.

    >>> layer("ReLU")["arguments"]["inplace"]
    'can optionally do the operation in-place.'
    """
    cls = getattr(nn, name)
    return {"about": one_line(cls, name), "arguments": arguments_of(cls)}


def fill(name: str) -> dict[str, str]:
    """One line about a fill."""
    return {"about": one_line(getattr(init, f"{name}_", None), f"fill {name}")}


def function(name: str) -> dict[str, str]:
    """How a function is called, and one line about it; for one of Python's torch's of the same meaning says it.

    >>> function("relu")["signature"]
    'relu(input)'
    """
    of = FUNCTIONS[name]
    known = getattr(torch, name, None) if of.number else None
    what = known if callable(known) else of.call
    return {"signature": signature(name, what), "about": one_line(what, name)}


def method(name: str) -> dict[str, str]:
    """How a method of tensors is called, and one line about it, from torch's function where that says more."""
    of = getattr(torch.Tensor, name, None)
    return {"signature": signature(name, of), "about": _about_method(name)}


def _about_method(name: str) -> str:
    """One line about a method of tensors, from torch's function where that says more."""
    text = one_line(getattr(torch.Tensor, name, None), name)
    if text and not re.match("See |Out-of-place|In-place|Alias ", text):
        return text
    return one_line(getattr(torch, name, None), name) or one_line(getattr(functional, name, None)) or text


QUESTIONS: Questions = MappingProxyType({"layer": layer, "fill": fill, "function": function, "method": method})
"""What may be asked."""
