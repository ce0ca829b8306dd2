"""Loops over anything that has a length, as loops over its indices."""

from __future__ import annotations

import ast
from collections.abc import Container, Mapping

from modelzoo.language.pieces import call_of, called_name, load, number_of


def goes(iterated: ast.expr, layers: Container[str]) -> bool:
    """Whether a loop may go over it as it is: over a range, or over one of these layers."""
    return called_name(iterated) == "range" or is_layer(iterated, layers)


def is_layer(node: ast.expr, layers: Container[str]) -> bool:
    """Whether an expression names one of these layers, or one inside it."""
    while isinstance(node, ast.Attribute) or (isinstance(node, ast.Subscript) and not is_slice(node.slice)):
        node = node.value
    return isinstance(node, ast.Name) and node.id in layers


def loop(target: ast.expr, iterated: ast.expr, body: list[ast.stmt], index: str) -> ast.For | None:
    """A loop over the indices of what another goes over; None if that cannot be said."""
    found = _items(target, iterated, index)
    if found is None:
        return None
    steps, items = found
    return ast.For(ast.Name(index, ast.Store()), steps, [_Named(items).visit(each) for each in body], [])


class _Named(ast.NodeTransformer):
    """Puts expressions in the place of names."""

    def __init__(self, items: Mapping[str, ast.expr]) -> None:
        self.items = items

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return self.items.get(node.id, node) if isinstance(node.ctx, ast.Load) else node


def _items(target: ast.expr, iterated: ast.expr, index: str) -> tuple[ast.expr, dict[str, ast.expr]] | None:
    """The numbers that an index goes through, and what stands for the names that a loop sets."""
    name = called_name(iterated)
    given = iterated.args if isinstance(iterated, ast.Call) else []
    if name == "enumerate" and len(given) == 1 and isinstance(target, ast.Tuple) and len(target.elts) == 2:
        found = _items(target.elts[1], given[0], index)
        counted = target.elts[0]
        if found is None or not isinstance(counted, ast.Name):
            return None
        return found[0], {**found[1], counted.id: load(index)}
    if name == "zip" and given and isinstance(target, ast.Tuple) and len(target.elts) == len(given):
        items: dict[str, ast.expr] = {}
        for one, of in zip(target.elts, given, strict=True):
            found = _items(one, of, index)
            if found is None:
                return None
            items |= found[1]
        return _range(call_of("len", given[0])), items
    if not isinstance(target, ast.Name):
        return None
    if name == "reversed" and len(given) == 1:
        last = ast.BinOp(call_of("len", given[0]), ast.Sub(), ast.Constant(1))
        down = ast.UnaryOp(ast.USub(), ast.Constant(1))
        return _range(last, down, down), {target.id: _item(given[0], index)}
    if isinstance(iterated, ast.Subscript) and is_slice(iterated.slice):
        steps = steps_of(iterated.slice, iterated.value)
        return None if steps is None else (steps, {target.id: _item(iterated.value, index)})
    if isinstance(iterated, (ast.Name, ast.Attribute, ast.Subscript)):
        return _range(call_of("len", iterated)), {target.id: _item(iterated, index)}
    return None


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
