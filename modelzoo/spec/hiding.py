"""Layers that hide the function of their name, where a call was meant for the function."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Container, Iterator

from modelzoo.catalog.functions import find_function
from modelzoo.catalog.layers import find_layer
from modelzoo.errors import TextError
from modelzoo.language import syntax
from modelzoo.language.pieces import called_name
from modelzoo.spec.nodes import Block, Call


def hidden_functions(
    block: Block, defined: Container[str] = (), reads: Callable[[str], bool] = lambda text: True
) -> Iterator[TextError]:
    """Calls of a layer in a `forward`, with arguments that it does not take, where a function has its name.

    Args:
        block: a block.
        defined: the names of definitions, which no layer of the catalog has there.
        reads: whether a text can be read in this block; what cannot is not advised.

    >>> layers = (("dropout", Call(target="Dropout")),)
    >>> [each.hint for each in hidden_functions(Block(layers=layers, forward="dropout(x, 0.5)"))]
    ['For the function write torch.dropout(x, 0.5).']
    """
    owned = dict(block.layers)
    for node in (
        each for statement in syntax.parse_statements(block.forward or "None") for each in ast.walk(statement)
    ):
        name = called_name(node) if isinstance(node, ast.Call) else None
        layer = owned.get(name) if name is not None else None
        if not isinstance(node, ast.Call) or not isinstance(layer, Call) or find_function(str(name)) is None:
            continue
        takes = None if layer.target in defined else _taken(layer)
        if takes is None or _fits(takes, node):
            continue
        meant = f"torch.{ast.unparse(node)}"
        if find_function(f"torch.{name}") is None:
            hint = "For the function, rename the layer."
        else:
            hint = f"For the function write {meant}." if reads(meant) else ""
        what = f"'{name}' is the layer {layer.target} here, not the function, and takes ({', '.join(takes.parameters)})"
        yield TextError(what, hint, node.lineno, node.col_offset + 1)


def _taken(call: Call) -> inspect.Signature | None:
    """What a layer of the catalog is called with."""
    layer = find_layer(call.target)
    if layer is None:
        return None
    signature = inspect.signature(layer.cls.forward)
    return signature.replace(parameters=[*signature.parameters.values()][1:])


def _fits(signature: inspect.Signature, node: ast.Call) -> bool:
    try:
        signature.bind(*node.args, **{str(each.arg): each.value for each in node.keywords})
    except TypeError:
        return False
    return True
