"""Loops over anything that has a length, as loops over its indices; over what is written there, turn by turn."""

from __future__ import annotations

import ast
from collections.abc import Container, Mapping
from typing import TypeVar

from modelzoo.language.loops import SIDES
from modelzoo.language.pieces import call_of, called_name, load, number_of
from modelzoo.language.syntax import copied


def goes(iterated: ast.expr, layers: Container[str]) -> bool:
    """Whether a loop may go over it as it is: over a range, over these layers or a slice of them, or over several."""
    name = called_name(iterated)
    if isinstance(iterated, ast.Call) and name in SIDES:
        return all(goes(each, layers) for each in iterated.args[: 1 if name == "enumerate" else None])
    part = isinstance(iterated, ast.Subscript) and is_slice(iterated.slice)
    return name == "range" or is_layer(iterated.value if part else iterated, layers)  # type: ignore[attr-defined]


def is_layer(node: ast.expr, layers: Container[str]) -> bool:
    """Whether an expression names one of these layers, or one inside it."""
    while isinstance(node, ast.Attribute) or (isinstance(node, ast.Subscript) and not is_slice(node.slice)):
        node = node.value
    return isinstance(node, ast.Name) and node.id in layers


def loop(
    target: ast.expr, iterated: ast.expr, body: list[ast.stmt], index: str, layers: Container[str]
) -> ast.For | None:
    """A loop over the indices of what another goes over; None if that cannot be said."""
    named: dict[str, ast.expr] = {}
    steps = None
    if isinstance(iterated, ast.Subscript) and isinstance(target, ast.Name):
        steps = steps_of(iterated.slice, iterated.value)
        named = {target.id: _item(iterated.value, index)}
    if steps is None:
        lengths = _lengths(target, iterated, index, layers, named)
        if lengths is None:
            return None
        steps = _range(lengths[0] if len(lengths) == 1 else call_of("min", *lengths))
    return ast.For(ast.Name(index, ast.Store()), steps, [_Named(named).visit(each) for each in body], [])


def turns(target: ast.expr, iterated: ast.expr) -> list[dict[str, ast.expr]] | None:
    """What the names that a loop sets stand for in each turn, where it goes over a list or tuple that is written there.

    >>> [ast.unparse(turn["k"]) for turn in turns(ast.Name("k"), ast.parse("(a, b[0])", mode="eval").body)]
    ['a', 'b[0]']
    """
    if not isinstance(iterated, (ast.List, ast.Tuple)):
        return None
    found = [_set(target, each) for each in iterated.elts]
    return None if None in found else [each for each in found if each is not None]


def _set(target: ast.expr, value: ast.expr) -> dict[str, ast.expr] | None:
    """What each name stands for when a value is assigned; None if that cannot be said."""
    if isinstance(target, ast.Name):
        return None if isinstance(value, ast.Starred) else {target.id: value}
    if not isinstance(target, ast.Tuple) or not isinstance(value, (ast.List, ast.Tuple)):
        return None
    pairs = [_set(one, other) for one, other in zip(target.elts, value.elts, strict=False)]
    if None in pairs or len(target.elts) != len(value.elts):
        return None
    return {name: each for pair in pairs if pair is not None for name, each in pair.items()}


Tree = TypeVar("Tree", ast.expr, ast.stmt)


def named(tree: Tree, items: Mapping[str, ast.expr]) -> Tree:
    """A copy of a tree with expressions in the place of names."""
    changed: Tree = _Named(items).visit(copied(tree))
    return changed


class _Named(ast.NodeTransformer):
    """Puts expressions in the place of names."""

    def __init__(self, items: Mapping[str, ast.expr]) -> None:
        self.items = items

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return self.items.get(node.id, node) if isinstance(node.ctx, ast.Load) else node


def _lengths(
    target: ast.expr, iterated: ast.expr, index: str, layers: Container[str], named: dict[str, ast.expr]
) -> list[ast.expr] | None:
    """How long all is that a loop goes over; `named` gets what stands for the names that it sets."""
    name, given = called_name(iterated), iterated.args if isinstance(iterated, ast.Call) else []
    names = target.elts if isinstance(target, ast.Tuple) else []
    if name == "enumerate" and len(given) == 1 and len(names) == 2 and isinstance(names[0], ast.Name):
        named[names[0].id] = load(index)
        return _lengths(names[1], given[0], index, layers, named)
    if name == "zip" and len(names) == len(given) > 0:
        found = [_lengths(one, of, index, layers, named) for one, of in zip(names, given, strict=True)]
        return None if None in found else [one for each in found for one in each or ()]
    back = name == "reversed" and len(given) == 1
    owner = given[0] if back else iterated
    if not isinstance(target, ast.Name) or not isinstance(owner, (ast.Name, ast.Attribute, ast.Subscript)):
        return None
    if isinstance(owner, ast.Subscript) and is_slice(owner.slice) and is_layer(owner.value, layers):
        return None  # only a loop itself goes over a slice of layers
    at = ast.BinOp(ast.UnaryOp(ast.USub(), ast.Constant(1)), ast.Sub(), load(index)) if back else load(index)
    named[target.id] = ast.Subscript(owner, at, ast.Load())
    return [call_of("len", owner)]


def _item(owner: ast.expr, index: str) -> ast.expr:
    return ast.Subscript(owner, load(index), ast.Load())


def _range(*numbers: ast.expr) -> ast.expr:
    return call_of("range", *numbers)


def steps_of(part: ast.expr, owner: ast.expr) -> ast.expr | None:
    """The indices of a slice."""
    if not isinstance(part, ast.Slice) or part.step is not None:
        return None
    start, stop = part.lower, part.upper
    below = number_of(stop) if stop is not None else None
    if stop is None:
        stop = call_of("len", owner)
    elif below is not None and below < 0:
        stop = ast.BinOp(call_of("len", owner), ast.Sub(), ast.Constant(-below))
    first = number_of(start) if start is not None else None
    if start is not None and first is not None and first < 0:
        start = ast.BinOp(call_of("len", owner), ast.Sub(), ast.Constant(-first))
    return _range(stop) if start is None else _range(start, stop)


def is_slice(node: ast.expr) -> bool:
    """Whether what stands between brackets is a slice."""
    return isinstance(node, ast.Slice)
