"""Pieces of code: how they are made, and what is asked of them."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

_Node = TypeVar("_Node", bound=ast.AST)


def at(node: _Node, place: ast.AST) -> _Node:
    """A new node stands where the old one stood; its parts get their places when the whole is compiled."""
    return ast.copy_location(node, place)


def load(name: str) -> ast.Name:
    """A name that is read."""
    return ast.Name(name, ast.Load())


def call_of(name: str, *args: ast.expr) -> ast.Call:
    """A call of a function by its name."""
    return ast.Call(load(name), list(args), [])


def statement_of(code: str, place: ast.AST) -> ast.stmt:
    """A statement of our own, which stands where something of the text stood."""
    new = ast.parse(code).body[0]
    for node in ast.walk(new):
        ast.copy_location(node, place)
    return new


def called_name(node: ast.expr) -> str | None:
    """The name of the function that an expression calls; None if it calls none by name."""
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else None


def text_of(node: ast.expr) -> str | None:
    """The text that an expression writes; None if it is no text."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def number_of(node: ast.expr) -> float | None:
    """The number that an expression writes; None if it is no number."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = number_of(node.operand)
        return None if inner is None else -inner
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return node.value  # type: ignore[return-value]
    return None


def index_of(node: ast.expr) -> int | None:
    """The whole number that an expression writes; None if it is none."""
    value: Any = number_of(node)
    return value if type(value) is int else None


def ends(body: Sequence[ast.stmt], *ways: type[ast.stmt]) -> bool:
    """Whether every way through these statements ends with one of these: with return, break or continue."""
    if not body:
        return False
    last = body[-1]
    inside = isinstance(last, ast.If) and ends(last.body, *ways) and ends(last.orelse, *ways)
    return inside or isinstance(last, ways or (ast.Return, ast.Break, ast.Continue))


def jumps(body: Iterable[ast.AST], *ways: type[ast.stmt]) -> bool:
    """Whether some way through these statements meets one of these; break and continue belong to the loop around."""
    for each in body:
        inside = tuple(way for way in ways if way is ast.Return) if isinstance(each, (ast.For, ast.While)) else ways
        if isinstance(each, ways) or (inside and jumps(ast.iter_child_nodes(each), *inside)):
            return True
    return False


def assigned_names(body: Sequence[ast.AST]) -> set[str]:
    """The names that statements set."""
    nodes = (node for statement in body for node in ast.walk(statement))
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)} - {"_"}


def operations_of(body: Sequence[ast.stmt]) -> int:
    """How many calls and operators a body has, loops inside it left out."""
    waiting: list[ast.AST] = [*body]
    found = 1
    while waiting:
        node = waiting.pop()
        found += isinstance(node, (ast.Call, ast.BinOp, ast.Compare, ast.Subscript))
        if not isinstance(node, (ast.For, ast.While)):
            waiting.extend(ast.iter_child_nodes(node))
    return found


def site(node: ast.expr | ast.stmt) -> str:
    """Where a condition or loop stands in its text, as watched code reports it."""
    return f"{node.lineno}:{node.col_offset}"


_TARGETS = re.compile(r"^( *(?:for )?)\((.+?)\)( in | = )", re.M)


def shown(statement: ast.AST) -> str:
    """A statement as text, the same from every Python: 3.10 puts brackets around several targets.

    >>> shown(ast.parse("y, z = f(x)").body[0])
    'y, z = f(x)'
    """
    text = ast.unparse(statement)
    return text if sys.version_info >= (3, 11) else _TARGETS.sub(r"\1\2\3", text)
