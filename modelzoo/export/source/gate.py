"""The last look at a source before it is written: a tree that holds anything but what a model needs is refused.

What the other rooms put together is safe by the way it is made; this list does not trust them.
"""

from __future__ import annotations

import ast
from collections.abc import Collection

from torch import nn

from modelzoo.export.source.naming import BUILTINS

MODULES = {
    "collections": {"OrderedDict"},
    "fnmatch": {"fnmatchcase"},
    "functools": {"partial"},
    "torch": {"nn"},
    "torch.nn": {"functional"},
}
"""What may be imported from where, besides `math`, `torch` and what a user registered."""

_NODES = (
    *(ast.Module, ast.Import, ast.ImportFrom, ast.alias, ast.ClassDef, ast.FunctionDef, ast.arguments, ast.arg),
    *(ast.Assign, ast.Expr, ast.Return, ast.Pass, ast.If, ast.While, ast.For, ast.Break, ast.Continue),
    *(ast.Name, ast.Attribute, ast.Constant, ast.Call, ast.keyword, ast.Starred, ast.Subscript, ast.Slice),
    *(ast.Tuple, ast.List, ast.Set, ast.Dict, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Lambda),
    *(ast.GeneratorExp, ast.comprehension, ast.JoinedStr, ast.FormattedValue),
    *(ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop),
)
_MODULE_NAMES = frozenset(["math", "torch"])
_UNDERSCORED = frozenset(["__init__", "_modules"])
_OF_MODULES = frozenset(each for each in dir(nn.Module()) if each.startswith("_"))


class ForeignError(AssertionError):
    """A source holds what no model needs: a mistake of this package, never written."""


def check(module: ast.Module, registered: Collection[tuple[str, str]] = ()) -> None:
    """Refuses a tree with a kind of node, an import, a name or an attribute that no source of a model needs.

    Args:
        module: the source.
        registered: module and name of what a user registered, which the source imports.

    Raises:
        ForeignError: with the first such thing.
    """
    nodes = [*ast.walk(module)]
    bound = _bound(nodes)
    for node in nodes:
        if not isinstance(node, _NODES):
            raise ForeignError(f"a source has no {type(node).__name__}")
        if isinstance(node, ast.Import) and {each.name for each in node.names} - _MODULE_NAMES:
            raise ForeignError(f"a source does not import {node.names[0].name}")
        if isinstance(node, ast.ImportFrom):
            known = {
                *MODULES.get(str(node.module), ()),
                *(name for module, name in registered if module == node.module),
            }
            for name in {each.name for each in node.names} - known:
                raise ForeignError(f"a source does not import {name} from {node.module}")
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id not in bound:
            raise ForeignError(f"a source does not know {node.id}")
        for each in _names(node):
            if not each.isascii() or not each.isidentifier():
                raise ForeignError(f"{each!r} is no name")
            if (each.startswith("__") or each in _OF_MODULES) and each not in _UNDERSCORED:
                raise ForeignError(f"a source does not use {each}")
        if isinstance(node, ast.Attribute) and node.attr == "__init__" and ast.unparse(node.value) != "super()":
            raise ForeignError("a source constructs only what it inherits")


def _bound(nodes: list[ast.AST]) -> set[str]:
    """Every name that a source may read: its own, and those of Python that it needs."""
    found = {*BUILTINS}
    for node in nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            found.add(node.name)
        elif isinstance(node, ast.alias):
            found.add(node.asname or node.name)
    return found


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        return [node.attr]
    if isinstance(node, ast.arg):
        return [node.arg]
    if isinstance(node, ast.keyword):
        return [node.arg or ""]
    if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
        return [node.name]
    if isinstance(node, ast.alias):
        return [part for part in (node.asname or "").split(".") if part]
    return []
