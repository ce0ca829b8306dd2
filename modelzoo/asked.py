"""Torch itself, asked what a config needs to know of it; the answers are plain data, and stand in a table too."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.optim import Optimizer

from modelzoo.signatures import OF_CLASSES, names_of, opened, parameters_of

_WITHHELD = {
    **dict.fromkeys(("device", "dtype"), "the build decides"),
    **dict.fromkeys(("size_average", "reduce", "min_value", "max_value"), "deprecated"),
    **dict.fromkeys(("weight", "pos_weight", "options"), "an object that a config cannot write"),
    **dict.fromkeys(("custom_encoder", "custom_decoder"), "any callable"),
}

_HOMES = {"torch": torch, "torch.fft": torch.fft, "torch.nn.functional": functional}


def layer(name: str) -> dict[str, Any] | None:
    """Where a layer of `torch.nn` is defined, and what a config may give to it; None if there is none of the name.

    >>> layer("ReLU")
    {'module': 'torch.nn.modules.activation', 'takes': [['inplace', 1, False]]}
    """
    cls = getattr(nn, name, None)
    if cls is None:  # an older torch lacks a few of them
        return None
    takes = [[each.name, int(each.kind), *_default(each)] for each in opened(_parameters(cls), _WITHHELD)]
    return {"module": cls.__module__, "takes": takes}


def _default(each: inspect.Parameter) -> list[Any]:
    return [] if each.default is each.empty else [each.default]


def _parameters(cls: type[nn.Module]) -> list[inspect.Parameter]:
    if cls.__init__ is nn.Module.__init__:  # it says *args, **kwargs and takes none
        return []
    constructor = nn.RNNBase if cls in (nn.RNN, nn.LSTM, nn.GRU) else cls
    parameters = parameters_of(constructor.__init__)
    if constructor is nn.RNNBase:
        parameters = parameters[1:]
    if cls in (nn.RNN, nn.GRU):
        parameters = [each for each in parameters if each.name != "proj_size"]
    if cls is nn.RNN:  # it takes its fourth argument out of *args
        nonlinearity = parameters_of(nn.RNNCell.__init__)[3]
        parameters = [*parameters[:3], nonlinearity, *parameters[3:]]
    return parameters


def function(home: str, name: str) -> dict[str, Any] | None:
    """The names that a function can be given, if that is known; None if there is none of the name.

    >>> function("torch.nn.functional", "relu"), function("torch", "softplus")
    ({'names': ['inplace', 'input']}, None)
    """
    call = getattr(_HOMES[home], name, None)
    return {"names": names_of(call)} if callable(call) else None


def documented(name: str) -> list[str]:
    """The names in the signatures that the documentation of torch has for a function and a method."""
    texts = (getattr(getattr(owner, name, None), "__doc__", None) or "" for owner in (torch, torch.Tensor, functional))
    return sorted({*_named(texts, name)})


def _named(texts: Iterable[str], name: str) -> Iterable[str]:
    for text in texts:
        for inside in re.findall(rf"^\s*(?:torch\.)?{name}\((.*?)\)\s*(?:->|$)", text, re.M | re.S):
            yield from re.findall(r"(?:^|[,\[]\s*)\*?([a-z]\w*)", inside)


def own_names(owner: str) -> list[str]:
    """The names that a class of `torch.nn` and what it is derived from define, and those of an instance."""
    made = getattr(nn, owner)()
    of_classes = {name for cls in type(made).__mro__[:-1] for name in vars(cls)}
    return sorted((of_classes - OF_CLASSES) | vars(made).keys())


def methods() -> list[str]:
    """The public names that `nn.Module` itself has, without those that only a module of it has."""
    return sorted(each for each in dir(nn.Module) if not each.startswith("_"))


def dtypes() -> dict[str, str]:
    """The dtypes of torch by all their names: `long` is int64."""
    return {
        name: str(each).removeprefix("torch.") for name, each in vars(torch).items() if isinstance(each, torch.dtype)
    }


def options() -> list[str]:
    """The options that some optimiser of torch has."""
    classes = {each for each in vars(torch.optim).values() if isinstance(each, type) and issubclass(each, Optimizer)}
    return sorted({name for each in classes - {Optimizer} for name in names_of(each) or ()} - {"params"})


QUESTIONS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "layer": layer,
        "function": function,
        "documented": documented,
        "own names": own_names,
        "methods": methods,
        "dtypes": dtypes,
        "options": options,
    }
)
"""What may be asked."""
