"""Questions about a spec: which names a block uses, which of them as layers, and which layers it refers to."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from modelzoo.catalog import arguments
from modelzoo.catalog.layers import find_layer
from modelzoo.export.source.occurrences import NODES, Occurrences, items_of
from modelzoo.language import syntax
from modelzoo.spec import nodes


class Needs:
    """What the blocks of one model need; each is looked at once."""

    def __init__(self, seen: Occurrences) -> None:
        self.seen = seen
        self.known: dict[int, set[str]] = {}

    def layers(self, block: nodes.Block, blocks: Mapping[str, nodes.Block]) -> set[str]:
        """The names that a block uses as layers: its args that are recipes, and those of blocks around it."""
        known = self.known.get(id(block))
        if known is not None:
            return known
        found = self.known[id(block)] = set()
        before = -1
        while before != len(found):
            before = len(found)
            for _, node in block.layers:
                self._uses(node, blocks, found)
            for each in reversed(block.args):
                if each.name in found:
                    _chosen(each.default, found)
        return found

    def _uses(self, node: Any, blocks: Mapping[str, nodes.Block], found: set[str]) -> None:
        if isinstance(node, nodes.Call):
            self._call(node, blocks, found)
        elif isinstance(node, nodes.Computed):
            _chosen(node.formula, found)
        elif isinstance(node, (nodes.Repeat, nodes.Condition)):
            self._uses(node.node, blocks, found)
        elif isinstance(node, nodes.Block):
            inside = {**blocks, **dict(node.blocks)}
            self.seen.own(node)
            own = {each.name for each in node.args}
            found |= self.layers(node, inside) - own
        elif isinstance(node, (list, tuple)):
            for each in node:
                self._uses(each, blocks, found)

    def _call(self, node: nodes.Call, blocks: Mapping[str, nodes.Block], found: set[str]) -> None:
        layer = None if node.target in blocks else find_layer(node.target)
        if node.target in blocks:
            inner = self.layers(blocks[node.target], self.seen.visible(blocks[node.target]))
            for name, value in node.arguments:
                if name in inner:
                    _chosen(value, found)
        else:
            found.add(node.target)  # an arg, which may hide a layer of that name
        if layer is not None:
            for name, value in node.arguments:
                if not layer.registered and arguments.takes_layer(layer, name) and layer.name != "Identity":
                    _chosen(value, found)
            for value in items_of(node) if layer.name in nodes.CONTAINERS else ():
                _chosen(value, found)
        for value in [*dict(node.arguments).values(), *node.positional]:
            self._uses(value, blocks, found)


def is_indexed(block: nodes.Block, name: str) -> bool:
    """Whether a block takes items out of one of its args; else the arg is one layer, a list of layers too."""
    return any(
        isinstance(each, ast.Subscript) and isinstance(each.value, ast.Name) and each.value.id == name
        for tree in _trees(block)
        for each in ast.walk(tree)
    )


def _trees(value: Any) -> Iterator[ast.expr]:
    """Every formula in a part of a spec."""
    if isinstance(value, nodes.Formula):
        yield value.tree
    elif is_dataclass(value):
        for each in fields(value):
            yield from _trees(getattr(value, each.name))
    elif isinstance(value, (tuple, list, dict)):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _trees(one)


def _chosen(value: Any, found: set[str]) -> None:
    """The names that the value of a formula may be."""
    if isinstance(value, nodes.Formula):
        _chosen(value.tree, found)
    elif isinstance(value, ast.Name):
        found.add(value.id)
    elif isinstance(value, ast.IfExp):
        _chosen(value.body, found)
        _chosen(value.orelse, found)
    elif isinstance(value, ast.Subscript):
        _chosen(value.value, found)
    elif isinstance(value, (ast.List, ast.Tuple)):
        for each in value.elts:
            _chosen(each, found)
    elif isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        found.add(value.func.id)
    elif isinstance(value, nodes.Call):
        found.add(value.target)


def names_used(block: nodes.Block) -> Iterator[str]:
    """Every name in the formulas and texts of a block and those written in place in it."""
    yield from names_in(block.args)
    for each in (*block.tensors, *block.buffers):
        yield from names_in(each.shape)
        yield from _of_fill(each.fill)
    yield from names_in(tuple(node for _, node in block.layers))
    if block.forward is None:
        return
    own = {name for name, _ in block.layers} | {each.name for each in (*block.tensors, *block.buffers)}
    own |= {each.name for each in block.inputs}
    for statement in syntax.parse_statements(block.forward):
        called = {
            id(each.func) for each in ast.walk(statement) if isinstance(each, ast.Call)
        }  # functions are no values
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and id(node) not in called and node.id not in own:
                yield node.id


def _of_fill(fill: nodes.Fill | None) -> Iterator[str]:
    if fill is not None:
        yield from names_in(fill.arguments)
        if fill.program:
            for statement in syntax.parse_statements(fill.program):
                yield from (each.id for each in ast.walk(statement) if isinstance(each, ast.Name))


def names_in(value: Any) -> Iterator[str]:
    """Every name in formulas, down to blocks written in place."""
    if isinstance(value, nodes.Formula):
        yield from (each.id for each in ast.walk(value.tree) if isinstance(each, ast.Name))
    elif isinstance(value, nodes.Call):
        yield value.target
        yield from names_in(value.arguments)
        yield from names_in(value.positional)
    elif isinstance(value, nodes.Block):
        own = {each.name for each in value.args}
        yield from (name for name in names_used(value) if name not in own)
    elif isinstance(value, nodes.Repeat):
        yield from names_in(value.count)
        yield from (name for name in names_in(value.node) if name != "i")
        for _, part in parts_of(value.name):
            tree = syntax.parse_expression(part)
            yield from (each.id for each in ast.walk(tree) if isinstance(each, ast.Name) and each.id != "i")
    elif isinstance(value, (nodes.Condition, nodes.Computed, nodes.Parameter)):
        for name in ("test", "node", "formula", "default"):
            if hasattr(value, name):
                yield from names_in(getattr(value, name))
    elif isinstance(value, dict):
        yield from names_in(tuple(value.values()))
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from names_in(each)


def is_computed(value: Any, known: Mapping[str, Any]) -> bool:
    """Whether a default depends on other args."""
    return isinstance(value, (nodes.Formula, *NODES)) and any(name in known for name in names_in((value,)))


def parts_of(pattern: str) -> Iterator[tuple[int, str]]:
    """The formulas in the name of a copy, with their places: of `block{i + 1}` that is `i + 1` at 5."""
    for match in re.finditer(r"\{([^{}]*)\}", pattern):
        yield match.start(), match[1]


def references(node: Any, hidden: frozenset[str] = frozenset()) -> Iterator[str]:
    """The first names of references in a node, down to blocks written in place that do not have the name themselves."""
    if isinstance(node, nodes.Reference):
        if node.target[0] not in hidden:
            yield node.target[0]
    elif isinstance(node, nodes.Block):
        inside = hidden | {name for name, _ in node.layers}
        for _, each in node.layers:
            yield from references(each, inside)
        for parameter in node.args:
            yield from references(parameter.default, hidden)
    elif isinstance(node, (nodes.Repeat, nodes.Condition)):
        yield from references(node.node, hidden)
    elif isinstance(node, nodes.Call):
        yield from references(dict(node.arguments), hidden)
        yield from references(node.positional, hidden)
    elif isinstance(node, (list, tuple)):
        for each in node:
            yield from references(each, hidden)
    elif isinstance(node, dict):
        for each in node.values():
            yield from references(each, hidden)


def bare(node: nodes.Node) -> nodes.Node:
    """A node without its conditions."""
    while isinstance(node, nodes.Condition):
        node = node.node
    return node
