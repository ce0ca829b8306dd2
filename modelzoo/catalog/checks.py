"""One check of a value: what it must be in words, as a test, and as JSON Schema."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from modelzoo import bounds


def words_of(text: str) -> list[str]:
    """The words of a text."""
    return text.split()


Schema = dict[str, Any]
"""A JSON Schema; below `items` stand the alternatives of each item, since more than these may be written there."""

LAYER: Schema = {"type": ["object", "array"]}
"""A layer, of which there is more to say where schemas are written."""


@dataclass(frozen=True, slots=True, eq=False)
class Check:
    """What the value of an argument must be.

    Attributes:
        wants: in words.
        fits: as a test.
        schemas: as alternatives of JSON Schema.
        most: the bound of its integers; None if it takes none.
    """

    wants: str
    fits: Callable[[Any], bool]
    schemas: tuple[Schema, ...] = ({},)
    most: int | None = None


def integers(low: int = -bounds.ELEMENTS, high: int = bounds.ELEMENTS, most: int = bounds.ELEMENTS) -> Check:
    """An integer from `low` to `high`; `most` bounds it where the words do not say so."""
    words = {-bounds.ELEMENTS: "an integer", -1: "an integer from -1", 0: "an integer from 0", 1: "a positive integer"}
    wants = words[low] if high == bounds.ELEMENTS else f"an integer from {low} to {high}"
    schema = {"type": "integer", **({"minimum": low} if low > -bounds.ELEMENTS else {})}
    low, high = max(low, -most), min(high, most)
    schema |= {"maximum": high} if high < bounds.ELEMENTS else {}
    return Check(wants, lambda value: type(value) is int and low <= value <= high, (schema,), most)


def numbers(low: float = -math.inf, high: float = math.inf, *, inside: bool = False) -> Check:
    """A finite number that float32 can hold, from `low` to `high`, or between them."""
    largest = 3.4e38
    if high < math.inf:
        wants = f"a number between {low} and {high}" if inside else f"a number from {low} to {high}"
    elif low == 0:
        wants = "a positive number" if inside else "a number from 0"
    else:
        wants = "a finite number"

    def fits(value: Any) -> bool:
        ordinary = type(value) in (int, float) and -largest <= value <= largest  # nan fails as well
        return ordinary and (low < value < high if inside else low <= value <= high)

    edges = ("exclusiveMinimum", "exclusiveMaximum") if inside else ("minimum", "maximum")
    limits = {edge: limit for edge, limit in zip(edges, (low, high), strict=True) if math.isfinite(limit)}
    return Check(wants, fits, ({"type": "number", **limits},))


def one_of(*texts: str) -> Check:
    """One of a few texts."""
    quoted = ", ".join(map(repr, texts))
    return Check(f"one of {quoted}", lambda value: isinstance(value, str) and value in texts, ({"enum": [*texts]},))


def or_else(first: Check, second: Check) -> Check:
    """What one of two checks takes."""
    wants, schemas = f"{first.wants} or {second.wants}", (*first.schemas, *second.schemas)
    most = min((each.most for each in (first, second) if each.most is not None), default=None)
    return Check(wants, lambda value: first.fits(value) or second.fits(value), schemas, most)


def some(each: Check, length: int | None = None) -> Check:
    """One value, or a list of `length` of them."""
    many = "a list of them" if length is None else f"a list of {length}"

    def fits(value: Any) -> bool:
        if not isinstance(value, (list, tuple)):
            return each.fits(value)
        return bool(value) and (length is None or len(value) == length) and all(map(each.fits, value))

    count = {"minItems": 1} if length is None else {"minItems": length, "maxItems": length}
    several = {"type": "array", "items": each.schemas, **count}
    return Check(f"{each.wants} or {many}", fits, (*each.schemas, several), each.most)


def items_of(each: Check, *, empty: bool = False) -> Check:
    """A list, of which each item is checked."""
    return Check(
        f"a list, each {each.wants}",
        lambda value: isinstance(value, (list, tuple)) and (empty or bool(value)) and all(map(each.fits, value)),
        ({"type": "array", "items": each.schemas},),
        each.most,
    )


def per_dimension(each: Check, times: int = 1) -> Callable[[int | None], Check]:
    """One value, or one for each spatial dimension of the layer."""
    return lambda dimensions: some(each, dimensions and times * dimensions)


NULL = Check("null", lambda value: value is None, ({"type": "null"},))


FLAG = Check("true or false", lambda value: type(value) is bool, ({"type": "boolean"},))


POSITIVE, NATURAL, INTEGER = integers(1), integers(0), integers()


WINDOW, MARGIN, EDGE = (integers(low, most=bounds.WINDOW) for low in (1, 0, -bounds.ELEMENTS))  # of windows


COUNT = integers(1, bounds.LAYERS)


NUMBER, FROM_0, ABOVE_0, SHARE = numbers(), numbers(0), numbers(0, inside=True), numbers(0, 1)


ANYTHING = Check("anything", lambda value: True)


A_LAYER = Check("a layer", lambda value: not isinstance(value, (bool, int, float, str, type(None))), (LAYER,))


Rule = Check | Callable[[int | None], Check]
"""A check, or one that depends on the number of spatial dimensions (the 2 of `Conv2d`)."""


def must_be(wants: str, value: object) -> str:
    """The rest of a sentence about a value that is not what it must be."""
    return f"must be {wants}{';' if 'one of' in wants else ','} not {shortened(value)}"


def shortened(value: object, longest: int = 60) -> str:
    """A value as a config writes it, cut where it is long."""
    if isinstance(value, (list, tuple)):
        text = f"[{', '.join(map(shortened, value[:longest]))}]"
    elif type(value) is int and value.bit_length() > 128:
        text = f"an integer of {value.bit_length()} bits"
    elif value is None or type(value) is bool:
        text = "null" if value is None else str(value).lower()
    else:
        text = repr(value)
    return text if len(text) <= longest else f"{text[:longest]}..."
