"""Values that a text writes as they are: numbers, texts, lists of them, and references."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from modelzoo.errors import Path
from modelzoo.spec.visible import Visible

NO_LITERAL = object()


def literal(tree: ast.expr) -> Any:
    """The value that an expression writes, with lists as tuples; `NO_LITERAL` if it must be computed."""
    if isinstance(tree, ast.Constant):
        return NO_LITERAL if isinstance(tree.value, (bytes, complex)) or tree.value is ... else tree.value
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
        value = literal(tree.operand)
        return -value if isinstance(value, (int, float)) and not isinstance(value, bool) else NO_LITERAL
    if isinstance(tree, (ast.Tuple, ast.List)):
        values = tuple(literal(each) for each in tree.elts)
        return NO_LITERAL if any(each is NO_LITERAL for each in values) else values
    return NO_LITERAL


def refers(tree: ast.expr) -> bool:
    """Whether a value is a reference, `{'_ref_': 'name'}`, or a list or mapping with some."""
    if isinstance(tree, (ast.List, ast.Tuple)):
        return any(map(refers, tree.elts))
    if not isinstance(tree, ast.Dict) or not all(isinstance(each, ast.Constant) for each in tree.keys):
        return False
    return "_ref_" in [each.value for each in tree.keys if isinstance(each, ast.Constant)] or any(
        map(refers, tree.values)
    )


Read = Callable[[Any, Path, Visible], Any]


def referring(tree: ast.expr, key: Path, visible: Visible, value: Read, node: Read) -> Any:
    """A value with references in it, as a mapping has them.

    Args:
        tree: one that `refers`.
        key: where it stands.
        visible: what it sees.
        value: reads a value in it.
        node: reads a reference.
    """
    if isinstance(tree, (ast.List, ast.Tuple)):
        return tuple(value(each, key, visible) for each in tree.elts)
    assert isinstance(tree, ast.Dict)
    pairs = [(str(getattr(name, "value", None)), each) for name, each in zip(tree.keys, tree.values, strict=True)]
    if "_ref_" not in dict(pairs):
        return {name: value(each, key, visible) for name, each in pairs}
    texts = {name: each.value if isinstance(each, ast.Constant) else ast.unparse(each) for name, each in pairs}
    return node(texts, key, visible)
