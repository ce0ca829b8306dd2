"""Layers given as arguments: each use builds them anew, in the scope where they were written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from modelzoo.catalog import layers
from modelzoo.errors import Path
from modelzoo.spec import nodes
from modelzoo.spec.evaluation import Evaluation
from modelzoo.spec.instances import Instance, Recipe, Scope
from modelzoo.spec.parser import Parser
from modelzoo.spec.provenance import Provenance, Reading


class Recipes:
    """Builds layers that values describe.

    Args:
        values: computes values.
        provenance: gets notes of what was read, and of what uses an arg.
        build: builds whatever may stand where a layer stands.

    Attributes:
        described: how many there were.
    """

    def __init__(
        self, values: Evaluation, provenance: Provenance, build: Callable[[nodes.Node, Scope], Instance | None]
    ) -> None:
        self.values, self.problems = values, values.problems
        self.provenance, self.build = provenance, build
        self.described = 0

    def build_recipe(self, node: nodes.Call, scope: Scope) -> Instance | None:
        """`act()` or `=act`: the arg's layer, with further arguments if it was a name."""
        self.described += 1
        recipe = scope.values[node.target]
        if isinstance(recipe, (str, list, tuple)):
            recipe = self.read_recipe(recipe, scope, scope.origins.get(node.target, node.key))
        if recipe is None and not node.arguments and not node.positional:
            return None
        if not isinstance(recipe, Recipe):
            what = f"'{node.target}' is {recipe!r}, not a layer."
            self.problems.add(node.key, what, f"Give a layer: {node.target}: GELU.")
            return None
        if (node.positional or node.arguments) and isinstance(recipe.node, nodes.Call):
            made = self.build_extended(node, recipe, recipe.node, scope.lent())
        elif node.positional or node.arguments:
            what = f"'{node.target}' is a block here, which takes no arguments."
            self.problems.add(node.key, what, f"Write {node.target}(), or give a definition's name.")
            return None
        else:
            made = self.build(recipe.node, recipe.scope)
        self.provenance.use(node, recipe.node, made)
        return made

    def build_extended(self, node: nodes.Call, recipe: Recipe, call: nodes.Call, scope: Scope) -> Instance | None:
        values = [self.values.value(each, scope, node.key) for each in node.positional]
        named = {name: self.values.value(each, scope, node.key) for name, each in node.arguments}
        parser = Parser(self.problems)
        visible = self.values.visible(recipe.scope)
        given = dict(call.arguments)
        names = self.names_of(call.target, recipe.scope)
        free = [name for name in names if name not in given]
        if len(values) > len(free) and names:
            what = f"{call.target} takes at most {len(free)} more arguments, not {len(values)}."
            self.problems.add(node.key, what)
            return None
        bound = parser.calls.bound(
            call.target, [], {**given, **dict(zip(free, values, strict=False)), **named}, node.key, visible, None
        )
        if bound is None:
            return None
        made = self.build(bound, recipe.scope)
        self.provenance.note(call, recipe.scope, made)
        return made

    def names_of(self, target: str, scope: Scope) -> list[str]:
        if target in scope.blocks:
            return [each.name for each in scope.blocks[target].args]
        layer = layers.find_layer(target)
        return [] if layer is None else [each.name for each in layer.signature.values()]

    def read_recipe(self, text: Any, scope: Scope, key: Path) -> Recipe | None:
        self.described += 1
        if isinstance(text, (list, tuple)):  # a block in place, of which layers may be read already
            here = scope.values
            text = [each.node if isinstance(each, Recipe) and each.scope.values is here else each for each in text]
        node = Parser(self.problems).node(text, key, self.values.visible(scope))
        if node is None:
            return None
        self.provenance.readings.append(Reading(text, scope.values, scope.blocks, node))
        return Recipe(node=node, scope=scope)

    def build_value(self, value: Any, scope: Scope, key: Path, user: nodes.Node | None = None) -> Instance | None:
        """The layer that a computed value describes; `user` is the node that says nothing but the value."""
        self.described += 1
        if value is None or isinstance(value, Instance):
            return value
        if isinstance(value, (str, list, tuple, dict)):
            recipe = self.read_recipe(value, scope, key)
            if recipe is None:
                return None
        elif isinstance(value, Recipe):
            recipe = value
        else:
            self.problems.add(key, f"{value!r} is not a layer.", "Write a layer such as ReLU.")
            return None
        made = self.build(recipe.node, recipe.scope)
        if user is not None:
            self.provenance.use(user, recipe.node, made)
        return made
