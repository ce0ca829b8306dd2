"""A model as a tree that can still be changed: calls, sequences, blocks, with numbers and choices as leaves."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from modelzoo.importing.graph import Path
from modelzoo.language.pieces import shown
from modelzoo.language.syntax import copied

INITIAL = "initial"
"""What a number is called that fills a tensor: `value` is a word of fills."""

Leaf = Callable[[Any, str], Any]
"""Gives another value for a leaf, which is told with the name of the argument that it is."""


@dataclass(frozen=True, slots=True)
class Formula:
    """A value that is computed from args."""

    text: str


@dataclass(frozen=True, slots=True)
class Count:
    """A number that grows from copy to copy.

    >>> Count(64, 32).text, Count(0, 1).text, Count(8, -2).text, Count(Formula("dim"), 4).text
    ('64 + 32 * i', 'i', '8 - 2 * i', 'dim + 4 * i')
    """

    start: Any
    step: Any

    @property
    def text(self) -> str:
        start, step = (each.text if isinstance(each, Formula) else each for each in (self.start, self.step))
        grows = isinstance(step, str) or step > 0
        size = step if isinstance(step, str) else abs(step)
        term = "i" if size == 1 else f"{size} * i"
        return term if start == 0 and grows else f"{start} {'+' if grows else '-'} {term}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A layer, or the use of a definition.

    Attributes:
        name: of the layer or the definition.
        arguments: all of them, in the order of the signature.
        required: those without a default.
        defaults: of the others; what is one of them need not be written.
        frozen: whether nothing in it is trained.
        sequence: whether it is a definition that calls its layers in order, which `_unpack_` would take apart.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    frozen: bool = False
    sequence: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequenced:
    """Layers in order, each with its name; `listed` where the names only count."""

    items: tuple[tuple[str, Any], ...]
    listed: bool = True


def sequence(items: Mapping[str, Any]) -> Sequenced:
    """Layers in order, by their names."""
    return Sequenced(items=(*items.items(),), listed=list(items) == [str(each) for each in range(len(items))])


@dataclass(frozen=True, slots=True)
class About:
    """A fill of about the same spread: values that were drawn are not said exactly."""

    fill: float | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """Copies of something; `pattern` names them, where they are not counted."""

    count: Any
    item: Any
    pattern: str = ""


@dataclass(frozen=True, slots=True)
class Reference:
    """A layer that stands elsewhere too."""

    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """A tensor of a block itself: its shape, what fills it, and what else is said of it."""

    shape: tuple[Any, ...]
    fill: Any
    more: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A block with a `forward`."""

    inputs: tuple[str, ...]
    layers: Mapping[str, Any]
    parameters: Mapping[str, Own]
    buffers: Mapping[str, Own]
    forward: Any  # statements, or the text of a block of ours
    args: tuple[str, ...] = ()


Tree: TypeAlias = "Call | Sequenced | Repeat | Reference | Block"


def changed(tree: Any, leaf: Leaf, name: str = "") -> Any:
    """A tree with other leaves: the numbers, flags and words that its layers, shapes and texts are given."""
    if isinstance(tree, Call):
        return replace(tree, arguments={key: changed(each, leaf, key) for key, each in tree.arguments.items()})
    if isinstance(tree, Sequenced):
        return replace(tree, items=tuple((key, changed(each, leaf)) for key, each in tree.items))
    if isinstance(tree, Repeat):
        return replace(tree, count=changed(tree.count, leaf, "depth"), item=changed(tree.item, leaf))
    if isinstance(tree, Own):
        shape = tuple(changed(each, leaf, "dim") for each in tree.shape)
        kept = isinstance(tree.fill, (str, About))
        return replace(tree, shape=shape, fill=tree.fill if kept else leaf(tree.fill, INITIAL))
    if isinstance(tree, Block):
        return replace(
            tree,
            layers={key: changed(each, leaf) for key, each in tree.layers.items()},
            parameters={key: changed(each, leaf) for key, each in tree.parameters.items()},
            buffers={key: changed(each, leaf) for key, each in tree.buffers.items()},
            forward=[_Changed(leaf).visit(copied(each)) for each in tree.forward],
        )
    if isinstance(tree, Count):
        return Count(leaf(tree.start, name), leaf(tree.step, "growth"))
    if isinstance(tree, (Reference, Formula)):
        return tree
    return leaf(tree, name)


class _Changed(ast.NodeTransformer):
    """Changes the numbers and flags of a text."""

    def __init__(self, leaf: Leaf) -> None:
        self.leaf = leaf
        self.name = ""

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        if not isinstance(node.value, (bool, int, float)):
            return node
        new = self.leaf(node.value, self.name or "value")
        if isinstance(new, Formula):
            return ast.parse(new.text, mode="eval").body
        return ast.Constant(new)

    def visit_keyword(self, node: ast.keyword) -> ast.keyword:
        before, self.name = self.name, node.arg or ""
        node.value = self.visit(node.value)
        self.name = before
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        """What picks a layer, a dimension or an item is no number of the model."""
        node.value = self.visit(node.value)
        if not isinstance(node.slice, ast.Constant):
            node.slice = self.visit(node.slice)
        return node


def skeleton(tree: Any) -> str:
    """What trees have in common that differ in their leaves alone."""
    return described(changed(tree, lambda value, _: Formula("_t" if isinstance(value, tuple) else "_")))


def described(tree: Any) -> str:
    """A tree as a text, equal for equal ones."""
    if isinstance(tree, Call):
        inside = ", ".join(f"{name}={described(each)}" for name, each in tree.arguments.items())
        return f"{tree.name}({inside}){'!' * tree.frozen}"
    if isinstance(tree, Sequenced):
        return "[" + ", ".join(f"{name}: {described(each)}" for name, each in tree.items) + "]"
    if isinstance(tree, Repeat):
        return f"{described(tree.count)} x {tree.pattern} {described(tree.item)}"
    if isinstance(tree, Own):
        return f"{tree.shape} {'about' if isinstance(tree.fill, About) else repr(tree.fill)} {tree.more}"
    if isinstance(tree, Block):
        parts = [str(tree.inputs), described(sequence(tree.layers))]
        parts += [f"{name}: {described(each)}" for name, each in {**tree.parameters, **tree.buffers}.items()]
        return " | ".join([*parts, text(tree.forward)])
    return repr(tree)


def text(statements: Sequence[ast.stmt]) -> str:
    """Statements as the text of a `forward`: what is one expression needs no `return`."""
    lines = [shown(ast.fix_missing_locations(each)) for each in statements]
    if len(lines) == 1 and isinstance(statements[0], ast.Return):
        return lines[0].removeprefix("return ")
    return "\n".join([*lines, ""])
