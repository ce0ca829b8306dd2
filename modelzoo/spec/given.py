"""What a registered layer is given: layers where its constructor asks for them or they are written as such."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from torch import nn

from modelzoo.catalog import constructors, layers
from modelzoo.catalog.wanted import Factory
from modelzoo.errors import Path
from modelzoo.spec import nodes
from modelzoo.spec.forgotten import as_formula
from modelzoo.spec.instances import Instance, LayerInstance, Recipe, Scope, instances_in
from modelzoo.spec.recipes import Recipes


class Given:
    """Makes the arguments of one registered layer, all but the modules among them.

    Args:
        recipes: builds layers given as arguments.
        partial: builds a layer of which arguments may be missing.
        scope: where the layer is written.
    """

    def __init__(
        self, recipes: Recipes, partial: Callable[[nodes.Call, layers.Layer, Scope], Instance | None], scope: Scope
    ) -> None:
        self.recipes, self.problems, self.partial, self.scope = recipes, recipes.problems, partial, scope

    def argument(self, layer: layers.Layer, name: str, value: Any, key: Path, origin: Path) -> Any:
        """One argument with its layers built; what is wrong with it goes to the problems.

        Args:
            key: of the argument.
            origin: where its value was decided.
        """
        wanted, before = constructors.wanted(layer, name), len(self.problems.found)
        placed = wanted.placed(value, self, key)
        wrong = wanted.problem(placed) if len(self.problems.found) == before else None
        if wrong is not None:
            place, shown = origin, key
            for each in map(str, wrong.at):
                place, shown = place / each if origin == key else place, shown / each
            named = ".".join((name, *map(str, wrong.at)))
            subject = f"{named} of {layer.name}" if str(place) in str(shown) else str(shown)
            self.problems.add(place, f"{subject} {wrong.what}", repairs=as_formula(origin, value))
        return placed

    def layer(self, value: Any, cls: type[nn.Module], key: Path) -> Any:
        made = self.recipes.build_value(value, self.scope, key)
        if made is not None and not issubclass(_class(made), cls):
            self.problems.add(key, f"this must be a {cls.__name__}, not {made!r}")
        return made

    def factory(self, value: Any, key: Path) -> Any:
        recipe = value if isinstance(value, Recipe) else self.recipes.read_recipe(value, self.scope, key)
        node = None if recipe is None else recipe.node
        if recipe is None or not isinstance(node, nodes.Call):
            return value
        layer = layers.find_layer(node.target)
        if layer is None or node.target in recipe.scope.values or node.target in recipe.scope.blocks:
            return value
        made = self.partial(node, layer, recipe.scope)
        if not isinstance(made, LayerInstance) or made.children or any(instances_in(made.given)):
            return value
        positional, named = [*made.positional], made.arguments
        if layer.registered:
            positional, named = constructors.python(layer, positional, named)
        if not positional and not named:
            return Factory(layer.cls, made.type)
        return Factory(functools.partial(layer.cls, *positional, **named), made.call())


def _class(made: Instance) -> type[nn.Module]:
    """The class of the module that will be made, as far as it is known."""
    if isinstance(made, LayerInstance):
        return made.layer.cls
    return nn.Sequential if made.sequence else nn.Module
