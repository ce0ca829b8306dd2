"""Pieces of Python as syntax trees. A source is put together from these alone.

What comes from a config gets in by three doors: `literal` makes a constant of a value, `identifier` lets a name pass,
and an expression comes as a tree that was checked. `quoted` fills the holes of a piece that stands in our own code.
"""

from __future__ import annotations

import ast
import copy
import keyword
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from modelzoo.errors import Path, fail
from modelzoo.language.syntax import copied

Hole = ast.expr | Sequence[ast.expr] | Sequence[ast.stmt] | Sequence[ast.keyword]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def identifier(text: str) -> str:
    """A name that Python reads as one.

    Raises:
        ConfigError: it is none.

    >>> identifier("hidden")
    'hidden'
    """
    if not _NAME.fullmatch(text) or keyword.iskeyword(text):
        fail(Path(), f"{text!r} is no name in Python.", "Give it another name: letters, digits and _.")
    return text


def name(text: str) -> ast.expr:
    """A name that is read."""
    return ast.Name(identifier(text), ast.Load())


def attribute(base: ast.expr, *names: str) -> ast.expr:
    """`base.a.b`."""
    for each in names:
        base = ast.Attribute(base, identifier(each), ast.Load())
    return base


def child(base: ast.expr, name: str) -> ast.expr:
    """What a module has under a name: an attribute, if Python can name it.

    >>> ast.unparse(child(name("block"), "block1-0"))
    "block._modules['block1-0']"
    """
    if name.isidentifier():
        return attribute(base, name)
    return quoted("BASE._modules[NAME]", BASE=base, NAME=literal(name))


def dotted(text: str) -> ast.expr:
    """The tree of a dotted name.

    >>> ast.unparse(dotted("nn.init.zeros_"))
    'nn.init.zeros_'
    """
    first, *others = text.split(".")
    return attribute(name(first), *others)


def literal(value: Any) -> ast.expr:
    """A plain value.

    >>> ast.unparse(literal((1, -2.5, {"a": None})))
    "(1, -2.5, {'a': None})"
    """
    if isinstance(value, (list, tuple)):
        return ast.Tuple([literal(each) for each in value], ast.Load())
    if isinstance(value, dict):
        return ast.Dict([literal(each) for each in value], [literal(each) for each in value.values()])
    if isinstance(value, float) and not math.isfinite(value):
        return call(name("float"), [literal(str(value))])
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.copysign(1, value) < 0:
        return ast.UnaryOp(ast.USub(), ast.Constant(-value))
    if not isinstance(value, (bool, int, float, str, type(None))):
        fail(Path(), f"{value!r} is no plain value: a source cannot hold it.")
    return ast.Constant(value)


def call(
    function: ast.expr,
    positional: Iterable[ast.expr] = (),
    named: Mapping[str, ast.expr] | Iterable[tuple[str, ast.expr]] = (),
) -> ast.expr:
    """`function(a, b, c=d)`."""
    pairs = named.items() if isinstance(named, Mapping) else named
    return ast.Call(function, [*positional], [ast.keyword(identifier(each), value) for each, value in pairs])


def chosen(test: ast.expr | None, value: ast.expr, other: ast.expr) -> ast.expr:
    """`value if test else other`; the value alone without a test."""
    return value if test is None else ast.IfExp(test, value, other)


def everything(tests: Sequence[ast.expr]) -> ast.expr | None:
    """`a and b`; None if there is nothing to ask."""
    return ast.BoolOp(ast.And(), [*tests]) if len(tests) > 1 else tests[0] if tests else None


def quoted(template: str, **holes: Hole) -> ast.expr:
    """The expression of a template with its holes filled; a starred hole takes several.

    >>> ast.unparse(quoted("nn.Sequential(*ITEMS)", ITEMS=[name("a"), name("b")]))
    'nn.Sequential(a, b)'
    """
    found = _Filled(holes).visit(copied(_parsed(template, "eval")))
    assert isinstance(found, ast.Expression)
    return found.body


def inferred(argument: str, value: ast.expr) -> ast.expr:
    """A value that stands in no config, since the example input decides it: the layout says so in a comment."""
    vars(value)["inferred"] = argument
    return value


def inferred_in(tree: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """What `inferred` marked in a tree.

    >>> [(argument, ast.unparse(value)) for argument, value in inferred_in(inferred("in_features", literal(8)))]
    [('in_features', '8')]
    """
    for each in ast.walk(tree):
        if isinstance(each, ast.expr) and "inferred" in vars(each):
            yield vars(each)["inferred"], each


def statements(template: str, **holes: Hole) -> list[ast.stmt]:
    """The statements of a template with its holes filled; a hole that is a statement takes a body.

    >>> ast.unparse(statements("for _ in range(COUNT): BODY", COUNT=literal(3), BODY=statements("x = 1"))[0])
    'for _ in range(3):\\n    x = 1'
    """
    found = _Filled(holes).visit(copied(_parsed(template, "exec")))
    assert isinstance(found, ast.Module)
    return found.body


def assigned(target: ast.expr, value: ast.expr) -> ast.stmt:
    """`target = value`."""
    return ast.Assign([stored(target)], value)


def stored(tree: ast.expr) -> ast.expr:
    """An expression as what something is assigned to."""
    if isinstance(tree, ast.Tuple):
        return ast.Tuple([stored(each) for each in tree.elts], ast.Store())
    found = copy.copy(tree)
    assert isinstance(found, (ast.Name, ast.Attribute, ast.Subscript))
    found.ctx = ast.Store()
    return found


def function(
    title: str, parameters: Iterable[tuple[str, ast.expr | None]], body: list[ast.stmt], *decorators: ast.expr
) -> ast.FunctionDef:
    """A function; parameters come with their defaults, those without one first."""
    (found,) = statements("def f(): pass")
    assert isinstance(found, ast.FunctionDef)
    pairs = [*parameters]
    found.name, found.body, found.decorator_list = identifier(title), body, [*decorators]
    found.args.args = [ast.arg(identifier(each)) for each, _ in pairs]
    found.args.defaults = [default for _, default in pairs if default is not None]
    return found


def class_of(title: str, base: ast.expr, body: list[ast.stmt]) -> ast.ClassDef:
    """A class."""
    (found,) = statements("class C(BASE): pass", BASE=base)
    assert isinstance(found, ast.ClassDef)
    found.name, found.body = identifier(title), body or [ast.Pass()]
    return found


def is_constant(tree: ast.expr | None, value: Any) -> bool:
    """Whether a tree is just this constant."""
    return isinstance(tree, ast.Constant) and tree.value is value


def is_name(tree: ast.expr, *parts: str) -> bool:
    """Whether a tree is this dotted name."""
    *others, last = parts
    if not others:
        return isinstance(tree, ast.Name) and tree.id == last
    return isinstance(tree, ast.Attribute) and tree.attr == last and is_name(tree.value, *others)


def mentions(tree: ast.AST | None, text: str) -> bool:
    """Whether a name occurs in a tree."""
    return tree is not None and any(isinstance(each, ast.Name) and each.id == text for each in ast.walk(tree))


def same(one: Sequence[ast.AST], other: Sequence[ast.AST]) -> bool:
    """Whether two sequences of trees are equal."""
    return [*map(ast.dump, one)] == [*map(ast.dump, other)]


@lru_cache(maxsize=256)
def _parsed(template: str, mode: str) -> ast.AST:
    found: ast.AST = ast.parse(template, mode=mode)
    return found


class _Filled(ast.NodeTransformer):
    def __init__(self, holes: Mapping[str, Hole]) -> None:
        self.holes = holes

    def visit_Name(self, node: ast.Name) -> Any:
        hole = self.holes.get(node.id)
        if hole is None:
            return node
        return stored(hole) if isinstance(node.ctx, ast.Store) and isinstance(hole, ast.expr) else hole

    def visit_Expr(self, node: ast.Expr) -> Any:
        found = self.visit(node.value)
        return ast.Expr(found) if isinstance(found, ast.expr) else found

    def visit_Starred(self, node: ast.Starred) -> Any:
        found = self.visit(node.value)
        return ast.Starred(found, node.ctx) if isinstance(found, ast.expr) else found

    def visit_keyword(self, node: ast.keyword) -> Any:
        found = self.visit(node.value)
        return ast.keyword(node.arg, found) if isinstance(found, ast.expr) else found
