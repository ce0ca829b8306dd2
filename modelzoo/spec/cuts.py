"""Texts that YAML cut at their commas, put together again: `{a: Linear(4, 8)}` is {"a": "Linear(4", "8)": None}."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from modelzoo.language import syntax

_LONGEST = 200


def whole_mapping(value: Mapping[Any, Any]) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """A mapping with its texts whole, and those of its entries that were cut.

    >>> whole_mapping({"a": "Conv2d(3", 8: None, "padding=1)": None, "b": "ReLU"})
    ({'a': 'Conv2d(3, 8, padding=1)', 'b': 'ReLU'}, {'a': 'Conv2d(3, 8, padding=1)'})
    """
    items, index = [*value.items()], 0
    whole: dict[Any, Any] = {}
    cut: dict[Any, Any] = {}
    while index < len(items):
        name, start = items[index]
        index += 1
        if not (isinstance(start, str) and _opens(start)):
            whole[name] = start
            continue
        text = start
        while index < len(items) and any(syntax.missing(text)):
            text = f"{text}, {_piece(*items[index])}"
            index += 1
        whole[name] = cut[name] = meant(text)
    return whole, cut


def whole_list(items: Sequence[Any]) -> list[tuple[Any, int, int]]:
    """The items of a list with the texts whole, and from where to where each stood in it.

    >>> whole_list(["Linear(4", "8)", "ReLU"])
    [('Linear(4, 8)', 0, 2), ('ReLU', 2, 3)]
    """
    found: list[tuple[Any, int, int]] = []
    index = 0
    while index < len(items):
        start, item = index, items[index]
        index += 1
        if isinstance(item, str) and syntax.unbalanced(item):
            missing = syntax.missing(item)
            while index < len(items) and any(missing) and isinstance(items[index], (str, int, float)):
                missing = [a + b for a, b in zip(missing, syntax.missing(str(items[index])), strict=True)]
                index += 1
            item = meant(", ".join(map(str, items[start:index])))
        found.append((item, start, index))
    return found


def meant(text: str) -> Any:
    """What a whole text is: a tuple is a list in YAML, or a formula where it has names.

    >>> meant("(2, 2)"), meant("(k, k)"), meant("Linear(4, 8)")
    ([2, 2], '=(k, k)', 'Linear(4, 8)')
    """
    if text[:1] != "(" or len(text) > _LONGEST:
        return text
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError):
        return text
    if not isinstance(tree, ast.Tuple):
        return text
    try:
        return [*ast.literal_eval(tree)]
    except ValueError:
        return f"={text}"


def in_yaml(value: Any) -> str:
    """A value as it is written inside brackets: a text in quotes where it needs them.

    >>> print(in_yaml("Linear(4, 8)"), in_yaml("ReLU"), in_yaml([2, 2]))
    "Linear(4, 8)" ReLU [2, 2]
    """
    if isinstance(value, list):
        return f"[{', '.join(map(in_yaml, value))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {in_yaml(each)}" for name, each in whole_mapping(value)[0].items()) + "}"
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if not isinstance(value, str) or not set(value) & set(",[](){}:\"'#"):
        return str(value)
    short = shortened(value)
    return f'"{short}"' if '"' not in short else "'" + short.replace("'", "''") + "'"


def shortened(text: str) -> str:
    """A text that may be of any length, as a message shows it."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _opens(text: str) -> bool:
    return any(count > 0 for count in syntax.missing(text))


def _piece(name: Any, value: Any) -> str:
    return str(name) if value is None else f"{name}: {value}"
