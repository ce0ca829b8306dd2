"""What the names in the texts of a spec mean where they stand."""

from __future__ import annotations

import ast
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from modelzoo.catalog import fills, functions
from modelzoo.catalog.layers import find_layer
from modelzoo.language import syntax
from modelzoo.language.names import Names
from modelzoo.spec.nodes import FILL_INPUTS, Block, Call, Formula, Parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class Visible:
    """The names that texts of a block may use while its file is read."""

    values: frozenset[str] = frozenset()
    signatures: Mapping[str, tuple[Parameter, ...]] = field(default_factory=dict)
    outer: tuple[frozenset[str], ...] = ()  # the layers and tensors of each block outside
    closed: frozenset[str] = frozenset()  # in a definition, the values around it

    def defines(self, target: str) -> bool:
        """Whether a layer's name is not the catalog's here."""
        return target in self.values or target in self.signatures


def names_of(
    block: Block, values: frozenset[str], outer: frozenset[str] = frozenset(), layers: Iterable[str] | None = None
) -> Names:
    """What the names of a block's `forward` mean; its layers may be others than those it was written with."""
    layers = frozenset(dict(block.layers) if layers is None else layers)
    tensors = frozenset(each.name for each in (*block.tensors, *block.buffers))
    inputs = tuple(each.name for each in block.inputs)
    return Names(
        inputs=inputs,
        values=values - set(inputs) - layers - tensors,
        layers=layers,
        tensors=tensors,
        buffers=frozenset(each.name for each in block.buffers),
        outer=outer,
    )


@lru_cache(maxsize=1_024)
def joined(names: tuple[frozenset[str], ...]) -> frozenset[str]:
    """All of them; the same object for all children of a block, which are many."""
    return frozenset().union(*names)


def fill_names(values: frozenset[str]) -> Names:
    """What the names of a `fill` text mean."""
    known = frozenset(fills.FILLS) | {f"{name}_" for name in fills.FILLS}
    return Names(inputs=FILL_INPUTS, values=values - set(FILL_INPUTS), fills=known)


def is_layer(tree: ast.expr, values: Container[str], blocks: Container[str]) -> bool:
    """Whether an expression in a value names or calls a layer, where these values and definitions are seen."""
    name = dotted_name(tree.func if isinstance(tree, ast.Call) else tree)
    if name is None or (name in values and not isinstance(tree, ast.Call)):
        return False
    function = functions.find_function(name)
    if function is not None and function.number and name not in blocks:  # what is called is never the number
        return False
    return name in blocks or name in values or (function is None and find_layer(name) is not None)


def layers_in(value: Any, visible: Visible) -> Iterator[str]:
    """What to say of layers where none may be: a value is one, holds one, or may be one where a formula chooses."""
    if isinstance(value, Call):
        is_value = value.target in visible.values
        yield f"'{value.target}' is a {'value, not a function' if is_value else 'layer, not a value'}."
    elif isinstance(value, Formula):
        yield from layers_in(value.tree, visible)
    elif isinstance(value, ast.IfExp):
        yield from layers_in((value.body, value.orelse), visible)
    elif isinstance(value, (ast.Tuple, ast.List)):
        yield from layers_in(tuple(value.elts), visible)
    elif isinstance(value, tuple):
        for each in value:
            yield from layers_in(each, visible)
    elif isinstance(value, ast.expr) and is_layer(value, visible.values, visible.signatures):
        target = ast.unparse(value.func if isinstance(value, ast.Call) else value)
        yield from layers_in(Call(target=target), visible)


@lru_cache(maxsize=1_024)
def assigned_in(text: str) -> frozenset[str]:
    """The names that a text assigns.

    >>> sorted(assigned_in("w = normal(); w[0] = 0; return w"))
    ['w']
    """
    if "=" not in text:
        return frozenset()
    nodes = (node for each in syntax.parse_statements(text) for node in ast.walk(each))
    return frozenset(node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))


def dotted_name(tree: ast.expr) -> str | None:
    """The dotted name that an expression is, or None."""
    if isinstance(tree, ast.Name):
        return tree.id
    if isinstance(tree, ast.Attribute):
        owner = dotted_name(tree.value)
        return None if owner is None else f"{owner}.{tree.attr}"
    return None
