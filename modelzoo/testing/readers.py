"""Reads mappings by tables that say how each key is read, and the plain values in them, with every mistake."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from modelzoo.errors import Code, Path, Problems, TextError, nearest
from modelzoo.testing.case import Close, Fact, Facts

DTYPES = (
    *("float32", "float64", "float16", "bfloat16", "complex64", "complex128"),
    *("int64", "int32", "int16", "int8", "uint8", "bool"),
)


class Reader:
    """Reads mappings by tables of readers, and collects what is wrong with them."""

    def __init__(self) -> None:
        self.problems = Problems()

    def mapping(self, value: Mapping[Any, Any], key: Path, table: Table, what: str) -> dict[str, Any]:
        """The entries of a mapping that can be read; the others are problems."""
        found: dict[str, Any] = {}
        for name, each in value.items():
            if name not in table:
                self.problems.add(key / name, f"{what} has no '{name}'.", nearest(str(name), table))
                continue
            with self.problems.at(key / name):
                found[str(name)] = table[str(name)](self, each, key / name)
        return found

    def facts(self, value: Any, key: Path, table: Table, what: str) -> Facts:
        """One fact for each entry of a mapping that is not empty."""
        example = f"Known: {', '.join(table)}."
        if not isinstance(value, Mapping):
            raise TextError(f"{what} takes a mapping, not {value!r}.", example)
        if not value:
            raise TextError(f"{what} is empty: this asserts nothing.", example)
        found = self.mapping(value, key, table, what)
        return tuple(Fact(name=name, value=each, key=key / name) for name, each in found.items())


Read = Callable[[Reader, Any, Path], Any]
"""Gives the value that is meant, or raises what is wrong with it."""

Table = Mapping[str, Read]
"""How the value of each key is read."""


def is_number(value: Any) -> bool:
    """Whether a value is a number, and not NaN."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)


def flag(_: Reader, value: Any, key: Path) -> bool:
    """`true` or `false`."""
    if not isinstance(value, bool):
        raise TextError(f"{key[-1]} is true or false, not {value!r}.")
    return value


def count(_: Reader, value: Any, key: Path) -> int:
    """A whole number of 0 or more."""
    if type(value) is not int or value < 0:
        raise TextError(f"{key[-1]} is a number of 0 or more, not {value!r}.")
    return value


def text(_: Reader, value: Any, key: Path) -> str:
    """A text that is not empty; a number counts as one."""
    if not isinstance(value, (str, int)) or isinstance(value, bool) or str(value).strip() == "":
        raise TextError(f"{key[-1]} is a text, not {value!r}.")
    return str(value)


def texts(_: Reader, value: Any, key: Path) -> tuple[str, ...]:
    """One text or several, as a tuple."""
    every = [value] if isinstance(value, str) else value
    if not isinstance(every, list) or not all(isinstance(each, str) and each.strip() for each in every):
        raise TextError(f"{key[-1]} is a list of texts, not {value!r}.")
    if not every:
        raise TextError(f"{key[-1]} is empty: this says nothing.")
    return tuple(every)


def reason(_: Reader, value: Any, key: Path) -> str:
    """Why a test is not run."""
    if not isinstance(value, str) or not value.strip():
        raise TextError(f"{key[-1]} takes its reason, not {value!r}.", f"Write {key[-1]}: why.")
    return value


def shape(_: Reader, value: Any, key: Path) -> tuple[int, ...]:
    """A list of sizes."""
    if not isinstance(value, list) or any(type(each) is not int or each < 0 for each in value):
        raise TextError(f"shape is a list of sizes, not {value!r}.", "Write shape: [2, 10].")
    return tuple(value)


def dtype(_: Reader, value: Any, key: Path) -> str:
    """The name of a dtype."""
    if value not in DTYPES:
        raise TextError(f"there is no dtype {value!r}.", nearest(str(value), DTYPES), code=Code.UNKNOWN)
    return str(value)


def limits(_: Reader, value: Any, key: Path) -> tuple[float, float]:
    """The lowest and the highest value."""
    if not isinstance(value, list) or len(value) != 2 or not all(map(is_number, value)) or value[0] > value[1]:
        raise TextError(f"range is the lowest and the highest value, not {value!r}.", "Write range: [-1, 1].")
    return value[0], value[1]


def near(reader: Reader, value: Any, key: Path) -> Close | tuple[float, float]:
    """A number, alone or with `within`, or the two that it lies `between`."""
    if not isinstance(value, Mapping) or "between" not in value:
        return number(reader, value, key)
    low_high, example = value["between"], f"Write {key[-1]}: {{between: [0.5, 2]}}."
    right = isinstance(low_high, list) and len(low_high) == 2 and all(map(is_number, low_high))
    if len(value) > 1 or not right or low_high[0] > low_high[1]:
        raise TextError(f"between is the lowest and the highest value, not {dict(value)!r}.", example)
    return low_high[0], low_high[1]


def tolerance(value: Any) -> float:
    """How far a value may be from the expected one."""
    if not is_number(value) or value < 0:
        raise TextError(f"within is a number of 0 or more, not {value!r}.", "Write within: 0.01.")
    return float(value)


def number(_: Reader, value: Any, key: Path) -> Close:
    """A number, alone or with `within`."""
    return _close(value, str(key[-1]), is_number, f"Write {key[-1]}: {{value: 0.35, within: 0.01}}.")


def values(_: Reader, value: Any, key: Path) -> Close:
    """Nested lists of numbers, alone or with `within`."""
    return _close(value, "values", _are_numbers, "Write values: [[1, 2]] or values: {value: [[1, 2]], within: 0.01}.")


def _close(value: Any, what: str, accepted: Callable[[Any], bool], example: str) -> Close:
    within = None
    if isinstance(value, Mapping):
        unknown = [str(name) for name in value if name not in ("value", "within")]
        if unknown or "value" not in value:
            hint = nearest(unknown[0], ("value", "within")) if unknown else ""
            raise TextError(f"{what} has " + (f"no '{unknown[0]}'." if unknown else "no value."), hint or example)
        within = tolerance(value["within"]) if "within" in value else None
        value = value["value"]
    if not accepted(value):
        raise TextError(f"{what} cannot be {value!r}.", example)
    return Close(value=value, within=within)


def _are_numbers(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(map(_are_numbers, value))
    return isinstance(value, bool) or is_number(value)
