"""What a written source may hold: a model needs few kinds of Python, and a config must not be able to add one."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator

from torch import nn

IMPORTS = {
    "import torch",
    "import math",
    "from torch import nn",
    "from torch.nn import functional as F",
    "from torch.nn.utils import parametrize",
    "from functools import partial",
    "from fnmatch import fnmatchcase",
    "from collections import OrderedDict",
}
BUILTINS = set(
    "super range len str int float bool abs max min round sum isinstance tuple list dict enumerate zip reversed print "
    "property next hasattr NotImplementedError ValueError RuntimeError".split()
)
SPECIAL = {"__init__"}
OF_MODULES = {name for name in dir(nn.Module()) if name.startswith("_")}
"""A layer may be called `_x`, but not what a module has for itself."""
REFUSED = (
    ast.AsyncFunctionDef,
    ast.AsyncFor,
    ast.AsyncWith,
    ast.Await,
    ast.Delete,
    ast.Global,
    ast.NamedExpr,
    ast.Nonlocal,
    ast.Try,
    ast.Yield,
    ast.YieldFrom,
)


def foreign(text: str) -> list[str]:
    """What a source holds that no model needs.

    >>> foreign("import torch\\nfrom torch import nn\\nclass Model(nn.Sequential):\\n    pass\\n")
    []
    >>> foreign("import os\\nx = open\\nclass len: pass")
    ['import os', 'open', 'class len']
    """
    tree = ast.parse(text)
    return [*_imports(tree), *_names(tree), *_attributes(tree), *_kinds(tree)]


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for name in node.names:
                one = type(node)(**{**dict(ast.iter_fields(node)), "names": [name]})
                if ast.unparse(one) not in IMPORTS:
                    yield ast.unparse(one)


def _names(tree: ast.Module) -> Iterator[str]:
    """Names that are read and nowhere bound; and what the source binds that means something to all of it."""
    imported = {
        (name.asname or name.name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in node.names
    }
    bound = imported | BUILTINS
    for node in ast.walk(tree):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            bound.add(node.id)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and (node.id not in bound or node.id.startswith("__")):
            yield node.id
    for statement in tree.body:
        if isinstance(statement, ast.ClassDef) and (statement.name in imported or hasattr(builtins, statement.name)):
            yield f"class {statement.name}"


def _attributes(tree: ast.AST) -> Iterator[str]:
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    read = {id(node) for node in _layers(tree, called)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and id(node) not in read:
            of_super = node.attr in SPECIAL and ast.unparse(node.value) == "super()" and id(node) in called
            if not of_super and (node.attr.startswith("__") or node.attr in OF_MODULES):
                yield f".{node.attr}"
        elif isinstance(node, ast.FunctionDef) and node.name.startswith("__") and node.name not in SPECIAL:
            yield f"def {node.name}"


def _layers(tree: ast.AST, called: set[int]) -> Iterator[ast.expr]:
    """Where `_modules`, in which layers like `block1-0` stand, is only read: by a key, one by one, or counted."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            of: ast.AST = node.value
        elif isinstance(node, ast.Attribute) and node.attr in ("values", "items") and id(node) in called:
            of = node.value
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "len" and node.args:
            of = node.args[0]
        else:
            continue
        if isinstance(of, ast.Attribute) and of.attr == "_modules":
            yield of


def _kinds(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, REFUSED):
            yield type(node).__name__
