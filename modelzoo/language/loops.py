"""What a loop goes over: numbers or items, and several of them side by side, counted or backwards."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass

from modelzoo.language.names import Text
from modelzoo.language.pieces import at, call_of, called_name

SIDES = {
    "enumerate": ("enumerate gives a number and an item", "Write for k, layer in enumerate(layers)."),
    "reversed": ("reversed takes one thing that has an end", "Write for layer in reversed(layers)."),
    "zip": ("zip gives an item of each", "Write for a, b in zip(first, second)."),
}
"""What a loop may go over that goes over others itself, and what is said where it is written otherwise."""


@dataclass(frozen=True, slots=True)
class Items:
    """What a loop goes over: the code, and what the names before `in` become, "layer" or "value"."""

    code: ast.expr
    names: tuple[tuple[ast.Name, str], ...]


class Loops:
    """Reads the heads of the loops of one text: of `for`, and of comprehensions.

    Args:
        text: what its names mean.
        expression: rewrites an expression.
        items: the code of what is no range, and what it holds: "layer", or "values", which a loop may take apart; None
            if no loop goes over it.
    """

    def __init__(
        self,
        text: Text,
        expression: Callable[[ast.expr], ast.expr],
        items: Callable[[ast.expr], tuple[ast.expr, str] | None],
    ) -> None:
        self.text, self.expression, self.items = text, expression, items

    def head(self, target: ast.expr, iterated: ast.expr) -> tuple[ast.expr, ast.expr] | None:
        """The code before `in`, whose names are set from here on, and behind it; None if they are refused."""
        found = self.over(target, iterated)
        for name, kind in found.names if found is not None else ():
            self.text.assign(name, kind)
        return None if found is None else (_stored(target), found.code)

    def over(self, target: ast.expr, node: ast.expr) -> Items | None:
        name = called_name(node)
        if isinstance(node, ast.Call) and name in SIDES:
            return self.sides(target, node, name)
        if isinstance(node, ast.Call) and name == "range":
            return self.named(target, self.range_call(node), "value")
        found = self.items(node)
        if found is None:
            self.text.error(node, "for goes over range(...) or layers", "Write for i in range(n).")
            return None
        return self.named(target, *found)

    def named(self, target: ast.expr, code: ast.expr, kind: str) -> Items | None:
        """What goes over items of one kind."""
        names = _names_of(target) if kind == "values" else [target]
        if all(isinstance(each, ast.Name) for each in names):
            kind = "layer" if kind == "layer" else "value"
            return Items(code, tuple((each, kind) for each in names if isinstance(each, ast.Name)))
        self.text.error(target, "the loop variable must be one name", "Write for i in range(n).")
        return None

    def range_call(self, node: ast.Call) -> ast.expr:
        if node.keywords or not 1 <= len(node.args) <= 3:
            self.text.error(node, "range takes one to three numbers", "Write range(stop) or range(start, stop, step).")
        return at(call_of("_range", ast.Constant(node.lineno), *map(self.expression, node.args)), node)

    def sides(self, target: ast.expr, node: ast.Call, name: str) -> Items | None:
        names, given = target.elts if isinstance(target, ast.Tuple) else [], node.args
        start: list[ast.expr] = []
        if name == "zip":
            fits, inner = len(names) == len(given) > 0, [*zip(names, given, strict=False)]
        elif name == "enumerate":
            fits, inner = len(names) == 2 and len(given) in (1, 2), [*zip(names[1:], given, strict=False)]
            start = [self.expression(each) for each in given[1:]]
        else:
            fits, inner = len(given) == 1 and called_name(given[0]) not in SIDES, [(target, each) for each in given]
        if not fits or node.keywords:
            self.text.error(node, *SIDES[name])
            return None
        found = [self.over(*each) for each in inner]
        if name == "enumerate":
            found.insert(0, self.named(names[0], names[0], "value"))
        held = [each for each in found if each is not None]
        if len(held) < len(found):
            return None
        codes = [each.code for each in held[name == "enumerate" :]]
        return Items(at(call_of(f"_{name}", *codes, *start), node), tuple(one for each in held for one in each.names))


def _names_of(target: ast.expr) -> list[ast.expr]:
    """What stands before `in`, taken apart."""
    return [one for each in target.elts for one in _names_of(each)] if isinstance(target, ast.Tuple) else [target]


def _stored(target: ast.expr) -> ast.expr:
    """The names before `in`, as they are set."""
    if isinstance(target, ast.Tuple):
        return at(ast.Tuple([_stored(each) for each in target.elts], ast.Store()), target)
    assert isinstance(target, ast.Name)
    return at(ast.Name(target.id, ast.Store()), target)
