"""Questions about a spec: which names a block uses, which of them as layers, and which layers it refers to."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from modelzoo.catalog import arguments
from modelzoo.catalog.layers import find_layer
from modelzoo.export.source.occurrences import Occurrences
from modelzoo.language import syntax
from modelzoo.spec import nodes


class Needs:
    """What the blocks of one model need; each is looked at once."""

    def __init__(self, seen: Occurrences) -> None:
        self.seen = seen
        self.known: dict[nodes.Block, set[str]] = {}

    def layers(self, block: nodes.Block, blocks: Mapping[str, nodes.Block]) -> set[str]:
        """The names that a block uses as layers: its args that are recipes, and those of blocks around it."""
        known = self.known.get(block)
        if known is not None:
            return known
        found = self.known[block] = set()
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
        if isinstance(node, nodes.Block):
            inside = {**blocks, **dict(node.blocks)}
            own = {each.name for each in node.args}
            found |= self.layers(node, inside) - own
            return
        if isinstance(node, nodes.Call):
            self._call(node, blocks, found)
        elif isinstance(node, nodes.Computed):
            _chosen(node.formula, found)
        for each in nodes.parts(node):
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


def inputs_of_sequences(root: nodes.Block) -> frozenset[str]:
    """The names by which a text may give a sequence its input, which torch's takes by position alone."""
    blocks = [each for each in nodes.walk(root, definitions=True) if isinstance(each, nodes.Block)]
    alone = {each.inputs[0].name for each in blocks if each.forward is None and len(each.inputs) == 1}
    later = {one.name for each in blocks if each.forward is not None for one in each.inputs[1:]}
    return frozenset(alone - later)


def is_indexed(block: nodes.Block, name: str) -> bool:
    """Whether a block takes items out of one of its args, or counts them; else a list of layers is one layer too."""
    formulas = (each.tree for each in nodes.walk(block, definitions=True) if isinstance(each, nodes.Formula))
    return any(_items_of(each) == name for tree in formulas for each in ast.walk(tree))


def _items_of(tree: ast.AST) -> str | None:
    """The name of whose items a piece of a formula takes one, or of which it takes the length."""
    of = tree.value if isinstance(tree, ast.Subscript) else None
    if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and tree.func.id == "len" and tree.args:
        of = tree.args[0]
    return of.id if isinstance(of, ast.Name) else None


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


def names_in(value: Any) -> Iterator[str]:
    """Every name that a part of a spec takes from around it: in formulas and texts, down to blocks written in place."""
    if isinstance(value, nodes.Repeat):
        yield from names_in(value.count)
        yield from (name for name in (*names_in(value.node), *_in_trees(_trees_of(value.name))) if name != "i")
        return
    if isinstance(value, nodes.Formula):
        yield from _in_trees([value.tree])
    elif isinstance(value, nodes.Call):
        yield value.target
    own = {each.name for each in value.args} if isinstance(value, nodes.Block) else ()
    yield from (name for part in nodes.parts(value) for name in names_in(part) if name not in own)
    if isinstance(value, nodes.Block) and value.forward is not None:
        yield from (name for name in _in_text(value, value.forward) if name not in own)
    elif isinstance(value, nodes.Fill) and value.program:
        yield from _in_trees(syntax.parse_statements(value.program))


def _in_trees(trees: Iterable[ast.AST]) -> Iterator[str]:
    for tree in trees:
        names = [each for each in ast.walk(tree) if isinstance(each, ast.Name)]
        own = {each.id for each in names if isinstance(each.ctx, ast.Store)}
        yield from (each.id for each in names if each.id not in own)


def _in_text(block: nodes.Block, text: str) -> Iterator[str]:
    """The values in a `forward`: no layers, tensors and inputs of the block, and no functions."""
    own = {name for name, _ in block.layers} | {each.name for each in (*block.tensors, *block.buffers)}
    own |= {each.name for each in block.inputs}
    for statement in syntax.parse_statements(text):
        called = {each.func for each in ast.walk(statement) if isinstance(each, ast.Call)}
        names = (each for each in ast.walk(statement) if isinstance(each, ast.Name) and each not in called)
        yield from (each.id for each in names if each.id not in own)


def _trees_of(pattern: str) -> list[ast.expr]:
    return [syntax.parse_expression(part) for _, part in parts_of(pattern)]


def is_computed(value: Any, known: Mapping[str, Any]) -> bool:
    """Whether a default depends on other args."""
    return isinstance(value, (nodes.Formula, nodes.Node)) and any(name in known for name in names_in((value,)))


def parts_of(pattern: str) -> Iterator[tuple[int, str]]:
    """The formulas in the name of a copy, with their places: of `block{i + 1}` that is `i + 1` at 5."""
    for match in re.finditer(r"\{([^{}]*)\}", pattern):
        yield match.start(), match[1]


def references(node: Any) -> Iterator[str]:
    """The first names of references in a node, down to blocks written in place that do not have the name themselves."""
    if isinstance(node, nodes.Reference):
        yield node.target[0]
    own = {name for name, _ in node.layers} if isinstance(node, nodes.Block) else ()
    yield from (name for part in nodes.parts(node) for name in references(part) if name not in own)


def bare(node: nodes.Node) -> nodes.Node:
    """A node without its conditions."""
    while isinstance(node, nodes.Condition):
        node = node.node
    return node


def items_of(node: nodes.Call) -> list[Any]:
    """What a container holds."""
    given = held_by(node)
    return list(given.values()) if isinstance(given, dict) else given


def held_by(node: nodes.Call) -> list[Any] | dict[str, Any]:
    """What a container holds, by name where it is given so, in a text too."""
    given: list[Any] = [*(value for _, value in node.arguments), *node.positional]
    if len(given) != 1:
        return given
    (one,) = given
    if isinstance(one, nodes.Formula) and isinstance(one.tree, (ast.List, ast.Tuple)):
        return [_part(one, each) for each in one.tree.elts]
    if isinstance(one, nodes.Formula) and isinstance(one.tree, ast.Dict):
        pairs = zip(one.tree.keys, one.tree.values, strict=True)
        return {str(key.value): _part(one, each) for key, each in pairs if isinstance(key, ast.Constant)}
    return list(one) if isinstance(one, (list, tuple)) else one if isinstance(one, dict) else given


def _part(formula: nodes.Formula, tree: ast.expr) -> nodes.Formula:
    return nodes.Formula(text=ast.unparse(tree), tree=tree, key=formula.key)
