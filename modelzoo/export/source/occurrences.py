"""What every node of a spec became: the instances that were resolved from it, and where.

Besides the model as it is, variants of it can be looked at, each with one arg changed: they tell which sizes that were
left out an arg decides.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelzoo.catalog import sizes
from modelzoo.errors import Path, Problems
from modelzoo.spec import nodes
from modelzoo.spec.evaluation import Evaluation
from modelzoo.spec.instances import Instance, Recipe, Scope
from modelzoo.spec.parser import Parser


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one node became, once: in which instance of its class, at which turn of a repeat, in which variant."""

    owner: Instance | None
    index: int | None
    made: Instance | None
    variant: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    owner: Instance | None
    index: int | None
    values: Mapping[str, Any]
    blocks: Mapping[str, nodes.Block]

    def scope(self) -> Scope:
        values = dict(self.values) if self.index is None else {**self.values, "i": self.index}
        return Scope(values=values, origins={}, blocks=self.blocks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A model with another value for one of its args."""

    arg: str
    root: nodes.Block
    made: Instance


class Occurrences:
    """Everything that each node of a spec became."""

    def __init__(self, root: nodes.Node, made: Instance, variants: Sequence[Variant] = ()) -> None:
        self.of: dict[int, list[Seen]] = {}
        self.varied: dict[int, list[Seen]] = {}
        self.variant = ""
        self.given: dict[str, set[str]] = {}  # the args that some use of a definition may give, by its name
        self.owners: dict[int, nodes.Block] = {}  # the block that holds a definition
        self.definitions: set[int] = set()
        self.late: dict[tuple[int, int], set[str]] = {}  # the sizes that a use of an arg's layer was left without
        self.parsed: dict[tuple[str, tuple[int, ...]], nodes.Node | None] = {}
        self.kept: list[nodes.Node] = []  # an id stays one node's as long as that lives
        self.evaluation = Evaluation(Problems())
        for target, names in _uses(root):
            self.given.setdefault(target, set()).update(names)
        self.node(root, made, _Place(owner=made, index=None, values={}, blocks={}))
        for each in variants:
            self.variant = each.arg
            self.node(each.root, each.made, _Place(owner=each.made, index=None, values={}, blocks={}))

    def note(self, key: int, seen: Seen) -> None:
        (self.varied if seen.variant else self.of).setdefault(key, []).append(seen)

    def everywhere(self, node: nodes.Node) -> list[Seen]:
        """What a node became in the model, then in its variants."""
        return [*self.of.get(id(node), ()), *self.varied.get(id(node), ())]

    def own(self, holder: nodes.Block) -> None:
        """Remembers which block holds its definitions."""
        self.owners.update((id(each), holder) for _, each in holder.blocks)

    def node(self, node: nodes.Node, made: Instance | None, place: _Place) -> None:
        self.kept.append(node)
        self.note(id(node), Seen(owner=place.owner, index=place.index, made=made, variant=self.variant))
        if made is None:
            return
        if isinstance(node, nodes.Condition):
            self.node(node.node, made, place)
        elif isinstance(node, nodes.Repeat):
            for index, child in enumerate(made.children.values()):
                inside = _Place(owner=place.owner, index=index, values=place.values, blocks=place.blocks)
                self.node(node.node, child, inside)
        elif isinstance(node, nodes.Block):
            self.block(node, made, place, {**place.blocks, **dict(node.blocks)})
        elif isinstance(node, nodes.Computed):
            recipe = self.evaluation.value(node.formula, place.scope(), node.key)
            self.value(recipe, made, place)
            tree = node.formula.tree
            if not isinstance(tree, ast.IfExp) or made.layer is None:
                self.note_late(node, recipe, {}, 0, made, place)
        elif isinstance(node, nodes.Call):
            self.call(node, made, place)

    def call(self, node: nodes.Call, made: Instance, place: _Place) -> None:
        if node.target in place.scope().values:
            recipe = place.scope().values[node.target]
            self.value(recipe, made, place)
            self.note_late(node, recipe, dict(node.arguments), len(node.positional), made, place)
            if made.block is not None:
                self.given.setdefault(made.block.name, set()).update(dict(node.arguments))
                if node.positional:
                    self.given[made.block.name].update(each.name for each in made.block.args)
        elif node.target in place.blocks:
            block = place.blocks[node.target]
            self.definition(block, made)
        elif made.layer is None or made.layer.name in nodes.CONTAINERS:
            children = iter(made.children.values())
            for value in items_of(node):
                found = self.plain(value, place)
                if found is not None:
                    self.argument(value, next(children, None), place)
        else:
            for name, value in node.arguments:
                child = made.arguments.get(name)
                if isinstance(child, Instance):
                    self.argument(value, child, place)

    def note_late(
        self, node: nodes.Node, recipe: Any, named: Mapping[str, Any], positional: int, made: Instance, place: _Place
    ) -> None:
        """Remembers which sizes were left to the data where an arg's layer is used."""
        described = recipe.node if isinstance(recipe, Recipe) else self.read(recipe, place.values, place.blocks)
        if made.layer is None or not isinstance(described, nodes.Call):
            return
        known = dict(described.arguments)
        if any(isinstance(each, nodes.Node) for each in known.values()):
            return
        free = [each for each in made.layer.signature if each not in known]
        written = {*known, *named, *free[:positional]}
        late = {each for each in sizes.inferable(made.layer) if each not in written and each in made.arguments}
        self.late[id(node), id(made)] = late

    def argument(self, value: Any, made: Instance | None, place: _Place) -> None:
        if made is None:
            return
        if isinstance(value, nodes.Node):
            self.node(value, made, place)
        else:
            self.value(self.plain(value, place), made, place)

    def plain(self, value: Any, place: _Place) -> Any:
        return self.evaluation.value(value, place.scope(), Path())

    def value(self, value: Any, made: Instance, place: _Place) -> None:
        """A layer that a value describes, as `Recipes.build_value` builds it."""
        if isinstance(value, Recipe):
            node, scope = value.node, value.scope
            self.node(node, made, _Place(owner=None, index=None, values=scope.values, blocks=scope.blocks))
        elif not isinstance(value, Instance):
            node = self.read(value, place.values, place.blocks)
            if node is not None:
                self.node(node, made, place)

    def read(self, value: Any, values: Mapping[str, Any], blocks: Mapping[str, nodes.Block]) -> Any:
        """The node of a layer that is written in an arg; the same for the same text and scope."""
        key = repr(value), tuple(sorted(map(id, blocks.values())))
        if key not in self.parsed:
            signatures = {name: block.args for name, block in blocks.items()}
            visible = nodes.Visible(values=frozenset(values), signatures=signatures)
            self.parsed[key] = Parser(Problems()).node(value, Path(), visible)
        return self.parsed[key]

    def definition(self, block: nodes.Block, made: Instance) -> None:
        holder = self.owners.get(id(block), block)
        self.definitions.add(id(block))
        self.block(block, made, _Place(owner=made, index=None, values={}, blocks={}), self.visible(block, holder), True)

    def visible(self, block: nodes.Block, holder: nodes.Block | None = None) -> dict[str, nodes.Block]:
        """The definitions that a definition sees."""
        holder = holder or self.owners.get(id(block), block)
        return {**dict(holder.blocks), **dict(block.blocks)}

    def block(
        self, block: nodes.Block, made: Instance, place: _Place, blocks: Mapping[str, nodes.Block], called: bool = False
    ) -> None:
        self.own(block)
        if called or block.forward is not None:
            place = _Place(owner=made, index=None, values=made.values, blocks=blocks)
            self.note(-id(block), Seen(owner=None, index=None, made=made, variant=self.variant))
        else:
            place = _Place(owner=place.owner, index=place.index, values=made.values, blocks=blocks)
        for name, node in block.layers:
            self.node(node, made.written[name], place)


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


def _uses(root: nodes.Node) -> Iterator[tuple[str, set[str]]]:
    """The names of what is used anywhere as a layer, with the arguments it is given."""
    for part in nodes.walk(root, definitions=True):
        if isinstance(part, nodes.Call):
            yield part.target, set(dict(part.arguments))
        elif isinstance(part, nodes.Formula):
            for node in ast.walk(part.tree):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    yield node.func.id, {str(each.arg) for each in node.keywords} | {str(len(node.args))}
