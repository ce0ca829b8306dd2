"""Blocks that were built from a config already have texts, and tensors fills."""

from __future__ import annotations

import ast
import operator
from collections.abc import Mapping
from typing import Any

from torch import nn

from modelzoo.importing import operations
from modelzoo.importing.bodies import Text
from modelzoo.importing.fillings import number
from modelzoo.importing.trees import text as written
from modelzoo.init.decisions import NamedFill, Program
from modelzoo.language import syntax
from modelzoo.modules.blocks import Generated
from modelzoo.plans.origins import origin_of


def text(module: Generated) -> Text:
    """The text of a block of ours, with the values of the args that it reads, and without what is absent."""
    frozen = module.__frozen__
    absent = [name for name in frozen.names.layers if module._modules.get(name) is None]
    absent += [name for name in frozen.names.tensors if getattr(module, name, None) is None]
    values = {**dict(frozen.values), **dict.fromkeys(absent)}
    inputs = list(frozen.names.inputs)
    first = len(inputs) - len(frozen.defaults)
    inputs = [each if index < first else f"{each}=None" for index, each in enumerate(inputs)]
    return Text(inputs=inputs, statements=valued(frozen.text, values))


def fills(root: nn.Module) -> dict[int, Any]:
    """What filled the own tensors of a model of ours, by their identity, where nothing has changed them since."""
    origin = origin_of(root)
    if origin is None:
        return {}
    unchanged = {tensor for tensor, told in origin.fills().items() if not told.endswith("then changed")}
    found: dict[int, Any] = {}
    for tensor, (*before, decision) in origin.decided().items():
        if before or decision.strength != 1 or tensor not in unchanged:
            continue
        if isinstance(decision, Program):
            lines = valued(decision.program, decision.values)
            found[id(tensor)] = written(lines)
        elif isinstance(decision, NamedFill):
            given = decision.arguments
            found[id(tensor)] = number(given["value"]) if [*given] == ["value"] else decision.text()
    return found


def valued(text: str, values: Mapping[str, Any]) -> list[ast.stmt]:
    """The statements of a text with values in the place of the names of args, and without what they rule out."""
    found: list[ast.stmt] = []
    for each in syntax.parse_statements(text):
        new = _Valued(values).visit(syntax.copied(each))
        found += new if isinstance(new, list) else [new]
    return found


class _Valued(ast.NodeTransformer):
    """Puts values in the place of the names of args."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id not in self.values or not isinstance(node.ctx, ast.Load):
            return node
        return operations.value(self.values[node.id], lambda ref: node)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        """What is called is a function, also where an arg has its name."""
        if not isinstance(node.func, ast.Name):
            node.func = self.visit(node.func)
        node.args = [self.visit(each) for each in node.args]
        node.keywords = [self.visit(each) for each in node.keywords]
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        sides = [node.left, *node.comparators]
        compare = _COMPARED.get(type(node.ops[0]))
        if len(sides) > 2 or compare is None or not all(map(_is_plain, sides)):
            return node
        return ast.Constant(bool(compare(*map(ast.literal_eval, sides))))

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        self.generic_visit(node)
        ends = isinstance(node.op, ast.Or)
        left = [each for each in node.values if not (isinstance(each, ast.Constant) and bool(each.value) is not ends)]
        known = [place for place, each in enumerate(left) if isinstance(each, ast.Constant)]
        left = left[: known[0] + 1] if known else left
        if not left:
            return node.values[-1]
        return left[0] if len(left) == 1 else ast.BoolOp(node.op, left)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        self.generic_visit(node)
        known = isinstance(node.op, ast.Not) and isinstance(node.operand, ast.Constant)
        return ast.Constant(not node.operand.value) if known else node  # type: ignore[attr-defined]

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        node.test = self.visit(node.test)
        if isinstance(node.test, ast.Constant):
            return self.visit(node.body if node.test.value else node.orelse)  # type: ignore[no-any-return]
        node.body, node.orelse = self.visit(node.body), self.visit(node.orelse)
        return node

    def visit_If(self, node: ast.If) -> ast.stmt | list[ast.stmt]:
        node.test = self.visit(node.test)
        if isinstance(node.test, ast.Constant):
            return self.body(node.body if node.test.value else node.orelse)
        node.body, node.orelse = self.body(node.body) or [ast.Pass()], self.body(node.orelse)
        return node

    def body(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        found: list[ast.stmt] = []
        for each in statements:
            new = self.visit(each)
            found += new if isinstance(new, list) else [new]
        return found


_COMPARED: Mapping[type[ast.cmpop], Any] = {
    ast.Is: lambda left, right: left is right,
    ast.IsNot: lambda left, right: left is not right,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
}


def _is_plain(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except ValueError:
        return False
    return True
