"""A config may hold any character: what people read shows those that a terminal or a browser would obey."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def printable(text: str, lines: bool = True) -> str:
    r"""A text in which what moves the cursor, hides or turns around what stands beside it is written as in Python.

    Args:
        text: any text.
        lines: whether its line breaks stay.

    >>> print(printable("a\x1b]0;title\x07 \u202eb\nc"))
    a\x1b]0;title\x07 \u202eb
    c
    >>> print(printable("a\nb", lines=False))
    a\nb
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or (lines and each == "\n") else repr(each)[1:-1] for each in text)


def json_text(value: Any, indent: int | None = 2) -> str:
    r"""JSON that every terminal and parser takes: in ASCII, and a number that is not finite is null.

    >>> print(json_text({"name\x1b\x7f": [1.5, float("nan")]}, indent=None))
    {"name\u001b\u007f": [1.5, null]}
    """
    # Python's own escapes leave the delete character as it is.
    return json.dumps(_finite(value), indent=indent, allow_nan=False, default=str).replace("\x7f", "\\u007f")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(each) for name, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, (list, tuple)) else value


_FORMULA = re.compile(r"\s*[-=+@\uff0b\uff0d\uff1d\uff20]")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


def cell(value: Any) -> Any:
    """A value of a table as comma-separated values hold it; a text that a spreadsheet would compute begins with `'`.

    >>> cell("=1+1"), cell("-0.5"), cell(-0.5), cell("a-b")
    ("'=1+1", '-0.5', -0.5, 'a-b')
    """
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def html_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table as a notebook shows it, in which no cell is markup.

    >>> html_table(["where"], [["<b>"]])
    '<table><tr><th>where</th></tr><tr><td style="text-align: left; white-space: pre-wrap">&lt;b&gt;</td></tr></table>'
    """
    from html import escape  # few who import this write a page

    head = "".join(f"<th>{escape(each)}</th>" for each in titles)
    style = '<td style="text-align: left; white-space: pre-wrap">'
    body = ("".join(f"{style}{escape(printable(each))}</td>" for each in row) for row in rows)
    return f"<table>{''.join(f'<tr>{each}</tr>' for each in (head, *body))}</table>"


def one_line(text: str) -> str:
    """A text in one line, as wide as it looks."""
    return printable(text, lines=False)
