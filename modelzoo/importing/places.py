"""How a text names layers and tensors, and how it writes tensors that depend on nothing."""

from __future__ import annotations

import ast
from typing import Any

from torch import Tensor

from modelzoo.importing import fillings, operations
from modelzoo.importing.graph import Node, Path, Ref
from modelzoo.importing.operations import UnsayableError
from modelzoo.importing.usage import is_made_up
from modelzoo.language.pieces import load

LITERAL = 16
"""The most numbers of a tensor that a text writes itself."""


def assigned(node: Node) -> str:
    """The text of a fill that assigns to elements as the module did; empty, if it assigns what a fill cannot say."""
    lines: list[str] = []
    while is_made_up(node):
        owner, place, given = node.args
        try:
            target = ast.Subscript(load("w"), operations.index(place, _plain), ast.Store())
            line = ast.Assign([target], operations.value(given, _plain))
        except UnsayableError:
            return ""
        lines.insert(0, ast.unparse(ast.fix_missing_locations(line)))
        node = owner.node
    name = node.name.removeprefix("new_").removesuffix("_like")
    start = {"zeros": 0, "empty": 0, "ones": 1}.get(name, node.args[-1] if name == "full" else None)
    if owner.path or not isinstance(start, (int, float)):
        return ""
    return "\n".join([f"w = full({fillings.shape(node.value)}, {start})", *lines, "return w", ""])


def _plain(ref: Ref) -> ast.expr:
    """A size as a number, and a few numbers as a tensor."""
    value = ref.node.value
    if ref.path or (isinstance(value, Tensor) and value.numel() > LITERAL):
        raise UnsayableError("a fill holds few numbers")
    return tensor_literal(value) if isinstance(value, Tensor) else operations.constant(value)


def layer_of(path: Path) -> ast.expr:
    """The expression that names a layer.

    >>> ast.unparse(layer_of(("blocks", "0", "norm")))
    'blocks[0].norm'
    >>> ast.unparse(layer_of(("0",)))
    "layers['0']"
    """
    first, *others = map(str, path)
    found: ast.expr = load(first)
    if not first.isidentifier() and first[0] != "%":
        found = ast.Subscript(load("layers"), ast.Constant(first), ast.Load())
    for each in others:
        found = item(found, (int(each),)) if each.isdecimal() else _step(found, each)
    return found


def _step(owner: ast.expr, name: str) -> ast.expr:
    if name.isidentifier():
        return ast.Attribute(owner, name, ast.Load())
    return ast.Subscript(owner, ast.Constant(name), ast.Load())


def tensor_of(path: Path) -> ast.expr:
    """The expression that names a tensor of the block, or of a layer in it."""
    if len(path) == 1:
        return load(str(path[0]))
    return ast.Attribute(layer_of(path[:-1]), str(path[-1]), ast.Load())


def tensor_literal(value: Tensor) -> ast.expr:
    """A tensor as its numbers, with its dtype where that is not what they give."""
    tree = ast.parse(
        repr(value.tolist()).replace("inf", "float('inf')").replace("nan", "float('nan')"), mode="eval"
    ).body
    name = str(value.dtype).removeprefix("torch.")
    keywords = [] if name in ("float32", "int64", "bool") else [ast.keyword("dtype", ast.Constant(name))]
    return ast.Call(load("tensor"), [tree], keywords)


def item(owner: ast.expr, path: Path) -> ast.expr:
    """The expression of an item of a value."""
    for step in path:
        owner = ast.Subscript(owner, ast.Constant(step), ast.Load())
    return owner


def is_in_tuples(value: Any, path: Path) -> bool:
    """Whether only tuples and lists lead to an item of a value."""
    for step in path:
        if not isinstance(value, (tuple, list)) or not isinstance(step, int) or step >= len(value):
            return False
        value = value[step]
    return True


def slice_of(container: Path, start: int, stop: int | None) -> ast.expr:
    """The layers of a container, or some of them."""
    layers = layer_of(container) if container else load("layers")
    if not start and stop is None:
        return layers
    bounds = (None if each in (0, None) else ast.Constant(each) for each in (start, stop))
    return ast.Subscript(layers, ast.Slice(*bounds), ast.Load())


def width_of(node: ast.AST) -> int:
    """About how many characters an expression has."""
    if isinstance(node, ast.Name):
        return len(node.id) if node.id[0] != "%" else 3
    if isinstance(node, ast.Constant):
        return len(repr(node.value))
    inner = [width_of(each) for each in ast.iter_child_nodes(node) if isinstance(each, (ast.expr, ast.keyword))]
    between = {ast.BinOp: 3, ast.Compare: 4, ast.Attribute: 1, ast.keyword: 1, ast.Subscript: 2}.get(type(node), 2)
    return (
        sum(inner)
        + between
        + 2 * max(len(inner) - 2, 0)
        + len(getattr(node, "attr", "") or getattr(node, "arg", "") or "")
    )
