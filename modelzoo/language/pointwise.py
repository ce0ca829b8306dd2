"""Whether a fill's text computes each element of a tensor from that element's own draws: a part needs no rest then."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from functools import lru_cache

from modelzoo.catalog import fills
from modelzoo.catalog.checks import words_of
from modelzoo.language import syntax

_EXACT = frozenset(words_of("abs ceil clamp floor maximum minimum neg relu round sign sqrt square trunc where"))
"""Functions of elements that round as IEEE 754 says, so that a processor gives the same bits wherever one stands."""

_NUMBERS = frozenset(words_of("abs bool ceil cos exp float floor int len log log2 max min round sin sqrt tan"))
"""Functions of plain numbers."""

_NUMBER, _ELEMENTS = "number", "elements"


class _WholeError(Exception):
    """The text needs more than one element at a time."""


@lru_cache(maxsize=1_024)
def is_pointwise(program: str) -> bool:
    """Decides it on the tree of a text that is correct; in doubt it is not.

    >>> is_pointwise("normal(std=0.02) / sqrt(2 * layers)")
    True
    >>> is_pointwise("w = normal(); return w * (abs(w) < 2)".replace("; ", chr(10)))
    True
    >>> is_pointwise("normal() - normal().mean()"), is_pointwise("exp(normal())")
    (False, False)
    """
    kinds = {"value": _ELEMENTS}
    try:
        for each in syntax.parse_statements(program):
            match each:
                case ast.Return(value=ast.expr() as value):
                    _kind(value, kinds)
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    kinds[name] = _kind(value, kinds)
                case _:
                    return False
    except _WholeError:
        return False
    return True


def _kind(node: ast.expr, kinds: Mapping[str, str]) -> str:
    """What an expression gives.

    Raises:
        _WholeError: more than numbers and elements, or what does not tell.
    """
    match node:
        case ast.Constant(value=bool() | int() | float() | str() | None):
            return _NUMBER
        case ast.Name(id=name) if name != "shape":
            return kinds.get(name, _NUMBER)
        case ast.Subscript(value=ast.Name(id=name), slice=index) if name not in kinds and _is_number(index, kinds):
            return _NUMBER
        case ast.UnaryOp(operand=operand):
            return _kind(operand, kinds)
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div(), right=right):
            return _joined((left, right), kinds)
        case ast.BinOp(left=left, right=right) if _is_number(left, kinds) and _is_number(right, kinds):
            return _NUMBER
        case ast.Compare(left=left, comparators=[right]):
            return _joined((left, right), kinds)
        case ast.IfExp(test=test, body=body, orelse=other) if _is_number(test, kinds):
            return _joined((body, other), kinds)
        case ast.Call(func=ast.Name(id=name), args=positional, keywords=named) if name not in kinds:
            return _called(name, [*positional, *(each.value for each in named)], kinds)
        case ast.Call(func=ast.Attribute(value=of, attr=name), args=positional, keywords=named) if name in _EXACT:
            return _joined([of, *positional, *(each.value for each in named)], kinds)
    raise _WholeError


def _called(name: str, given: list[ast.expr], kinds: Mapping[str, str]) -> str:
    found = _joined(given, kinds)
    fill = fills.find_fill(name)
    if fill is not None and fill.apart and found == _NUMBER:
        return _ELEMENTS
    if name in (_EXACT if found == _ELEMENTS else _NUMBERS):
        return found
    raise _WholeError


def _is_number(node: ast.expr, kinds: Mapping[str, str]) -> bool:
    return _kind(node, kinds) == _NUMBER


def _joined(given: Iterable[ast.expr], kinds: Mapping[str, str]) -> str:
    return _ELEMENTS if _ELEMENTS in [_kind(each, kinds) for each in given] else _NUMBER
