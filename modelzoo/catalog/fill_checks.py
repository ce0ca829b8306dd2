"""What the arguments of each fill must be."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from modelzoo import bounds
from modelzoo.arithmetic import too_large
from modelzoo.errors import nearest

Check = Callable[[Mapping[str, Any], Sequence[int]], str | None]
"""What is wrong with arguments for a shape, as the rest of a sentence that begins with the fill's name."""


def is_number(value: object) -> bool:
    """Whether a value is a number, and not true or false."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond float64
        return False


def number_of(*names: str) -> Check:
    """These arguments are finite numbers."""

    def check(arguments: Mapping[str, Any], _: Sequence[int]) -> str | None:
        for name in names:
            if not is_number(arguments[name]):
                return f"needs a number as {name}, not {arguments[name]!r}"
            if too_large(arguments[name]):
                return f"needs an integer below {bounds.INTEGER:,} as {name}, not {arguments[name]}: write a float"
            if not _is_finite(arguments[name]):
                return f"needs a finite {name}, not {arguments[name]}"
        return None

    return check


def within(name: str, low: float, high: float = math.inf) -> Check:
    """An argument lies between two numbers."""

    def check(arguments: Mapping[str, Any], _: Sequence[int]) -> str | None:
        if low <= arguments[name] <= high:
            return None
        allowed = f"{low} or more" if high == math.inf else f"from {low} to {high}"
        return f"needs {name} to be {allowed}, not {arguments[name]}"

    return check


def positive(name: str) -> Check:
    """An argument is above zero."""
    return lambda arguments, _: None if arguments[name] > 0 else f"needs {name} above 0, not {arguments[name]}"


def word(name: str, known: tuple[str, ...]) -> Check:
    """An argument is one of a few texts."""

    def check(arguments: Mapping[str, Any], _: Sequence[int]) -> str | None:
        if arguments[name] in known:
            return None
        return f"has no {name} {arguments[name]!r}. {nearest(str(arguments[name]), known)}"

    return check


def ordered(arguments: Mapping[str, Any], _: Sequence[int]) -> str | None:
    """`a` is not above `b`."""
    a, b = arguments["a"], arguments["b"]
    return f"needs a to be at most b, not a={a} and b={b}" if a > b else None


def near(arguments: Mapping[str, Any], _: Sequence[int]) -> str | None:
    """What is cut off leaves something that can be drawn."""
    mean, std, a, b = (arguments[name] for name in ("mean", "std", "a", "b"))
    if std == 0 or (a - mean <= 37 * std and mean - b <= 37 * std):
        return None
    return f"needs bounds within 37 standard deviations of the mean, not a={a} and b={b} for mean={mean} and std={std}"


def index_of(name: str) -> Check:
    """An argument is an index of the first dimension."""

    def check(arguments: Mapping[str, Any], shape: Sequence[int]) -> str | None:
        value = arguments[name]
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < shape[0]:
            return None
        return f"needs {name} to be the number of a row, from 0 to {shape[0] - 1}, not {value!r}"

    return check


def groups_fit(arguments: Mapping[str, Any], shape: Sequence[int]) -> str | None:
    """The groups divide the first dimension."""
    groups = arguments["groups"]
    if not isinstance(groups, int) or isinstance(groups, bool) or groups < 1:
        return f"needs groups to be a positive integer, not {groups!r}"
    if shape[0] % groups:
        return f"needs groups to divide the first dimension, not {groups} for {shape[0]}"
    return None
