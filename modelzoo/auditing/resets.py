"""The functions with which a module is given its first values anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from inspect import Parameter, signature
from typing import Any

from torch import nn

Init = Callable[[nn.Module], object]
"""Gives a module its first values."""

MARK = "_is_hf_initialized"
"""What transformers sets on a module that it initialised, and does not initialise again."""


@dataclass(frozen=True, slots=True)
class Reset:
    """What gives a module its first values.

    Attributes:
        text: how it is called, with `{}` for the module.
        name: what it is called in sentences.
        call: calls it.
    """

    text: str
    name: str
    call: Init


def reset_of(module: nn.Module, init: Init | None) -> Reset:
    """What was given, or the `init_weights` of the module, or the `reset_parameters` of all that is in it.

    >>> reset_of(nn.Linear(2, 2), None).name
    'reset_parameters()'
    """
    if init is not None:
        return Reset("init({})", "init", init)
    whole = getattr(module, "init_weights", None)
    if not callable(whole) or _needs_more(whole):
        text = "{}.apply(lambda each: getattr(each, 'reset_parameters', getattr(each, '_reset_parameters', int))())"
        return Reset(text, "reset_parameters()", partial(nn.Module.apply, fn=_reset))
    text, marked = "{}.init_weights()", any(MARK in vars(each) for each in module.modules())
    return Reset(
        f"[vars(each).pop('{MARK}', 0) for each in {{}}.modules()]; {text}" if marked else text,
        "init_weights()",
        _whole,
    )


def _needs_more(call: Callable[..., Any]) -> bool:
    """Whether it cannot be called with nothing."""
    try:
        given = signature(call).parameters.values()
    except (TypeError, ValueError):
        return True
    return any(
        each.default is Parameter.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD) for each in given
    )


def _reset(module: nn.Module) -> None:
    for name in ("reset_parameters", "_reset_parameters"):
        call = getattr(module, name, None)
        if callable(call):
            call()
            return


def _whole(module: Any) -> None:
    for each in module.modules():
        vars(each).pop(MARK, None)
    module.init_weights()
