"""Formulas over args as Python, where every list is a tuple, as those of args are."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from modelzoo.catalog import functions
from modelzoo.errors import Path
from modelzoo.export.source import trees
from modelzoo.export.source.naming import Imports, Scope
from modelzoo.export.source.texts import function_tree, iterated
from modelzoo.language.pieces import called_name
from modelzoo.language.syntax import copied

_SEVERAL = (ast.Tuple, ast.List, ast.ListComp)

_OF_ITEMS = ("max", "min", "prod", "sum")
"""What needs no tuple of what it goes over."""


def formula(tree: ast.expr, names: Mapping[str, ast.expr], imports: Imports, key: Path) -> ast.expr:
    """A formula over args, with their names in Python."""
    found: ast.expr = _Formula(names, imports, key).visit(copied(tree))
    return found


class _Formula(ast.NodeTransformer):
    def __init__(self, names: Mapping[str, ast.expr], imports: Imports, key: Path) -> None:
        self.names, self.imports, self.key = names, imports, key
        read = (node.id for tree in names.values() for node in ast.walk(tree) if isinstance(node, ast.Name))
        self.scope = Scope(imports.scope, taken=read)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return self.names.get(node.id) or trees.name(node.id)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return trees.literal(node.value)

    def visit_List(self, node: ast.List) -> ast.AST:
        return ast.Tuple([self.visit(each) for each in node.elts], ast.Load())

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        sides = (node.left, node.right)
        several = isinstance(node.op, ast.Add) and any(isinstance(each, _SEVERAL) for each in sides)
        left, right = map(self.tuple if several else self.visit, sides)
        return ast.BinOp(left, node.op, right)

    def tuple(self, node: ast.expr) -> ast.expr:
        """A value that is known to be several: what a function returns may be a list."""
        made = self.visit(node)
        of_function = functions.find_function(str(called_name(node)))
        listed = of_function is not None and functions.FUNCTIONS.get(of_function.name) is not of_function
        return trees.call(trees.name("tuple"), [made]) if listed else made

    def visit_ListComp(self, node: ast.ListComp) -> ast.AST:
        return trees.call(trees.name("tuple"), [self.turned(node)])

    def turned(self, node: ast.ListComp) -> ast.expr:
        """A comprehension as what a function goes over."""
        outer = self.names
        generators = [self.generator(each) for each in node.generators]
        made = ast.GeneratorExp(self.visit(node.elt), generators)
        self.names = outer
        return made

    def generator(self, node: ast.comprehension) -> ast.comprehension:
        behind = iterated(node.iter, self.visit)
        for each in ast.walk(node.target):
            if isinstance(each, ast.Name):
                self.names = {**self.names, each.id: trees.name(self.scope.fresh(each.id))}
        target = self.stored(node.target)
        return ast.comprehension(target, behind, [self.visit(each) for each in node.ifs], 0)

    def stored(self, node: ast.expr) -> ast.expr:
        if isinstance(node, ast.Tuple):
            return ast.Tuple([self.stored(each) for each in node.elts], ast.Store())
        assert isinstance(node, ast.Name)
        found = self.names[node.id]
        assert isinstance(found, ast.Name)
        return ast.Name(found.id, ast.Store())

    def visit_Call(self, node: ast.Call) -> ast.AST:
        assert isinstance(node.func, ast.Name)
        called = function_tree(node.func.id, True, self.imports, self.key)
        named = [ast.keyword(each.arg, self.visit(each.value)) for each in node.keywords]
        if len(node.args) == 1 and isinstance(only := node.args[0], ast.ListComp) and node.func.id in _OF_ITEMS:
            return ast.Call(called, [self.turned(only)], named)
        return ast.Call(called, [self.visit(each) for each in node.args], named)
