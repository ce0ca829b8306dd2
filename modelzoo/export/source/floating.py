"""Which numbers of a text are floating, as far as that can be read off it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from modelzoo.catalog import functions
from modelzoo.language.pieces import called_name

_CONVERSIONS = frozenset(["bool", "float", "int", "len"])
_ROUNDING = frozenset(["ceil", "floor", "round"])
_LIKE_ARGUMENTS = frozenset(["abs", "max", "min", "prod", "sum"])


def floats_of(values: Sequence[Any]) -> bool | None:
    """Whether all values that an arg has, or what is in them, are floating, or none is; None otherwise."""
    kinds: set[bool | None] = set()
    for each in values:
        if isinstance(each, (tuple, list)):
            kinds |= {floats_of([inside]) for inside in each}
        else:
            kinds.add(isinstance(each, float) if isinstance(each, (int, float)) else None)
    return kinds.pop() if len(kinds) == 1 else None


@dataclass(slots=True)
class Numbers:
    """Which numbers of a text are floating.

    Args:
        args: whether its args are.
        assigned: what is assigned to each of its locals; None is something that is not known.
    """

    args: Mapping[str, bool | None]
    assigned: Mapping[str, Sequence[ast.expr | None]]
    asked: set[str] = field(default_factory=set)

    def floats(self, node: ast.expr | None) -> bool | None:
        """Whether an expression is a floating number, or holds one; None if that is not known."""
        rule = _RULES.get(type(node))
        return None if rule is None else rule(self, node)

    def all(self, nodes: Sequence[ast.expr | None]) -> bool | None:
        """Of what is floating as soon as one part is."""
        kinds = [self.floats(each) for each in nodes]
        return True if True in kinds else None if None in kinds or not kinds else False

    def either(self, nodes: Sequence[ast.expr | None]) -> bool | None:
        """Of what is one of several."""
        kinds = {self.floats(each) for each in nodes}
        return kinds.pop() if len(kinds) == 1 else None

    def of_constant(self, node: ast.Constant) -> bool | None:
        return isinstance(node.value, float) if isinstance(node.value, (int, float)) else None

    def of_name(self, node: ast.Name) -> bool | None:
        if node.id not in self.assigned:
            return self.args.get(node.id)
        if node.id in self.asked:  # computed from itself: what it was before decides
            return False
        self.asked.add(node.id)
        found = self.either(self.assigned[node.id])
        self.asked.discard(node.id)
        return found

    def of_unaryop(self, node: ast.UnaryOp) -> bool | None:
        return self.floats(node.operand)

    def of_binop(self, node: ast.BinOp) -> bool | None:
        kind = self.all([node.left, node.right])
        if isinstance(node.op, ast.Div) and kind is not None:
            return True
        return None if isinstance(node.op, ast.Pow) and kind is False and not _counts(node.right) else kind

    def of_ifexp(self, node: ast.IfExp) -> bool | None:
        return self.either([node.body, node.orelse])

    def of_several(self, node: ast.Tuple | ast.List) -> bool | None:
        return self.all(node.elts)

    def of_attribute(self, node: ast.Attribute) -> bool | None:
        return False if node.attr in ("shape", "ndim") else None

    def of_subscript(self, node: ast.Subscript) -> bool | None:
        return self.floats(node.value)

    def of_call(self, node: ast.Call) -> bool | None:
        name = called_name(node)
        if name is None:
            counts = isinstance(node.func, ast.Attribute) and node.func.attr in ("dim", "numel", "size")
            return False if counts else None
        if name in _CONVERSIONS:
            return name == "float"
        function = functions.find_function(name)
        kind = self.all(node.args) if function is not None and function.number else None
        if kind is None or name in _LIKE_ARGUMENTS:
            return kind
        return name not in _ROUNDING or len(node.args) > 1


_RULES: Mapping[type[ast.expr | None], Callable[[Numbers, Any], bool | None]] = {
    ast.Attribute: Numbers.of_attribute,
    ast.BinOp: Numbers.of_binop,
    ast.Call: Numbers.of_call,
    ast.Constant: Numbers.of_constant,
    ast.IfExp: Numbers.of_ifexp,
    ast.List: Numbers.of_several,
    ast.Name: Numbers.of_name,
    ast.Subscript: Numbers.of_subscript,
    ast.Tuple: Numbers.of_several,
    ast.UnaryOp: Numbers.of_unaryop,
}


def _counts(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int) and node.value >= 0


def assigned(body: Sequence[ast.stmt]) -> Iterator[tuple[str, ast.expr | None]]:
    """Every local of a text with what is assigned to it: the whole that it is a part of; None for a layer."""
    for node in (each for statement in body for each in ast.walk(statement)):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                yield from _pairs(target, node.value)
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            yield node.target.id, ast.BinOp(ast.Name(node.target.id), node.op, node.value)
        elif isinstance(node, ast.For):
            yield from _turned(node.target, called_name(node.iter))


def _turned(target: ast.expr, called: str | None) -> Iterator[tuple[str, ast.expr | None]]:
    """What a loop sets: a number of `range` or `enumerate`, or a layer."""
    if called == "enumerate" and isinstance(target, (ast.Tuple, ast.List)):
        yield from _pairs(target.elts[0], ast.Constant(0))
        yield from _pairs(target.elts[1], None)
    else:
        yield from _pairs(target, ast.Constant(0) if called == "range" else None)


def _pairs(target: ast.expr, value: ast.expr | None) -> Iterator[tuple[str, ast.expr | None]]:
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, (ast.Tuple, ast.List)):
        several = isinstance(value, (ast.Tuple, ast.List)) and len(value.elts) == len(target.elts)
        values = value.elts if several and isinstance(value, (ast.Tuple, ast.List)) else [value] * len(target.elts)
        for one, other in zip(target.elts, values, strict=True):
            yield from _pairs(one, other)
