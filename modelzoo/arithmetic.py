"""Arithmetic on plain values: Python's own, but nothing grows beyond the bounds.

Formulas compute with it, and so do texts wherever a value may be an integer, a text or a list. Tensors and floats pass.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from modelzoo import bounds

_TOO_LARGE = "is too large"


class ExcessError(ValueError):
    """A value has too much of something.

    Args:
        what: of what, as the rest of a sentence.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"a value {what}")


def measure(value: Any) -> tuple[int, str]:
    """How many items a plain value has, and what it has too much of, as the rest of a sentence.

    A list counts each time it is met, since whoever reads the value meets it so; of a text each character is an item.

    >>> measure([1, [2, "abc"]])
    (7, '')
    >>> measure(2**63)[1]
    'is too large'
    """
    level, seen, large = [value], 0, False
    for _ in range(bounds.DEPTH):
        below: list[Any] = []
        for each in level:
            seen += len(each) if isinstance(each, str) else 1
            if seen > bounds.ITEMS:
                return seen, f"has more than {bounds.ITEMS:,} items"
            if isinstance(each, (list, tuple)):
                below.extend(each)
            elif isinstance(each, dict):
                below.extend(each.values())
            else:
                large = large or too_large(each)
        if not below:
            return seen, _TOO_LARGE if large else ""
        level = below
    return seen, f"is nested more than {bounds.DEPTH} deep"


def too_large(value: object) -> bool:
    """Whether a value is an integer beyond the bound."""
    return type(value) is int and not -bounds.INTEGER < value < bounds.INTEGER


def large_integer(value: int) -> tuple[str, str]:
    """What is wrong with an integer beyond the bound, and what to type."""
    shown = str(value) if value.bit_length() <= 128 else f"An integer of {value.bit_length():,} bits"
    return f"{shown} is too large: integers are below {bounds.INTEGER:,}.", "Write a float, as in 1e30."


def counted(value: Any) -> Any:
    """The value.

    Raises:
        ExcessError: it has too many items.
    """
    _, what = measure(value)
    if what and what != _TOO_LARGE:  # what is computed may be, while it is
        raise ExcessError(what)
    return value


def bounded(value: Any, name: str) -> Any:
    """The value, a result that is called by its `name`.

    Raises:
        ValueError: it is an integer of more than 4,096 bits, or has too many items.
    """
    if isinstance(value, int) and value.bit_length() > bounds.BITS:
        raise ValueError(f"the {name} is too large")
    return counted(value) if isinstance(value, (str, list, tuple)) else value


def add(left: Any, right: Any) -> Any:
    """`left + right`."""
    found = left + right
    if not isinstance(found, (list, tuple)):
        return bounded(found, "sum")
    if len(found) > bounds.ITEMS:
        raise ExcessError(f"has more than {bounds.ITEMS:,} items")
    nested = any(isinstance(each, (list, tuple, dict)) for each in right)
    return bounded(found, "sum") if nested else found  # so that a loop may append to a long list


def subtract(left: Any, right: Any) -> Any:
    """`left - right`."""
    return bounded(left - right, "difference")


def multiply(left: Any, right: Any) -> Any:
    """`left * right`; a list may be repeated.

    >>> multiply([0], 3)
    [0, 0, 0]
    """
    for one, times in ((left, right), (right, left)):
        if isinstance(one, (str, list, tuple)) and isinstance(times, int) and len(one) * times > bounds.ITEMS:
            raise ExcessError(f"has more than {bounds.ITEMS:,} items")
    return bounded(left * right, "product")


def modulo(left: Any, right: Any) -> Any:
    """`left % right`, which of a text would be another language.

    Raises:
        ValueError: the left side is a text.
    """
    if isinstance(left, str):
        raise ValueError("only numbers have a remainder")
    return left % right


def power(base: Any, exponent: Any) -> Any:
    """`base ** exponent`.

    >>> power(2, 10)
    1024
    """
    integers = isinstance(base, int) and isinstance(exponent, int)
    if integers and abs(base) > 1 and exponent * base.bit_length() > bounds.BITS:
        raise ValueError("the power is too large")
    return base**exponent


def alike(value: Any) -> Any:
    """A value of a formula, whose lists are tuples: those of args are.

    >>> alike([8, [16]])
    (8, (16,))
    """
    return tuple(map(alike, value)) if isinstance(value, (list, tuple)) else value


def joined(left: Any, right: Any) -> Any:
    """`left + right` of a formula, where a list is added to a tuple as well.

    >>> joined((8, 16), [4])
    (8, 16, 4)
    """
    several = isinstance(left, (list, tuple)) and isinstance(right, (list, tuple))
    return add(tuple(left), tuple(right)) if several and type(left) is not type(right) else add(left, right)


def gathered(values: Iterable[Any]) -> list[Any]:
    """The items of a comprehension.

    >>> gathered(2**k for k in range(3))
    [1, 2, 4]
    """
    found: list[Any] = []
    for each in values:
        found.append(each)
        if len(found) > bounds.ITEMS:
            raise ExcessError(f"has more than {bounds.ITEMS:,} items")
    return counted(found)  # type: ignore[no-any-return]


def total(values: Iterable[Any], start: Any = 0) -> Any:
    """`sum` as Python does it."""
    values = list(values)
    if isinstance(start, (list, tuple)) and sum(map(len, values)) > bounds.ITEMS:
        raise ExcessError(f"has more than {bounds.ITEMS:,} items")
    if isinstance(start, list) and any(isinstance(each, tuple) for each in values):  # of args
        start, values = tuple(start), [*map(tuple, values)]
    return bounded(sum(values, start), "sum")


def product(values: Iterable[Any]) -> Any:
    """`math.prod` as Python does it."""
    found: Any = 1
    for each in values:
        found = multiply(found, each)
    return found


def rounded(number: Any, digits: int | None = None) -> Any:
    """`round` as Python does it; no number here has more digits than a float.

    >>> rounded(2.5), rounded(1234, -2)
    (2, 1200)
    """
    if digits is not None and abs(digits) > 400:
        raise ValueError(f"a number is not rounded to {digits} digits")
    return round(number, digits)


def multiplied(left: Any, right: Any) -> Any:
    """`left * right` of a formula, whose texts and lists are not repeated.

    Raises:
        ValueError: one of them is a text or a list.
    """
    if isinstance(left, (str, list, tuple)) or isinstance(right, (str, list, tuple)):
        raise ValueError("only numbers are multiplied")
    return multiply(left, right)
