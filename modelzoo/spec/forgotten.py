"""Texts that may be formulas without their `=`: `out_features: 4 * dim`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from modelzoo.errors import Path, Repair, TextError
from modelzoo.language.syntax import is_formula, parse_expression
from modelzoo.names import is_index
from modelzoo.spec import cuts


def as_formula(key: Path, value: Any) -> Iterator[Repair]:
    """The repair of a value that is a text, or has texts in it, where a number was expected.

    >>> [each.hint for each in as_formula(Path(("args", "half")), "dim // 2")]
    ["A formula begins with '=': half: =dim // 2"]
    """
    found = _formula(value)
    if found != value and key:
        shown = cuts.in_yaml(found)
        written = shown if is_index(str(key[-1])) else f"{key[-1]}: {shown}"
        yield Repair(key=key, value=found, hint=f"A formula begins with '=': {written}", moves=True)


def _formula(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_formula(each) for each in value]
    if not isinstance(value, str) or is_formula(value):
        return value
    try:
        parse_expression(value)
    except TextError:
        return value
    return f"={value}"
