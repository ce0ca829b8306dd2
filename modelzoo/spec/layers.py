"""A layer of the catalog: its arguments computed and checked, and the layers in it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from modelzoo.catalog import arguments as catalog
from modelzoo.catalog import sizes
from modelzoo.catalog.layers import Layer, accepted
from modelzoo.errors import Path
from modelzoo.spec import nodes
from modelzoo.spec.evaluation import Evaluation
from modelzoo.spec.forgotten import as_formula
from modelzoo.spec.instances import Instance, LayerInstance, Recipe, Scope
from modelzoo.spec.recipes import Recipes


class Layers:
    """Builds layers of the catalog.

    Args:
        values: computes values.
        recipes: builds layers given as arguments.
        add: counts nodes.
    """

    def __init__(self, values: Evaluation, recipes: Recipes, add: Callable[[int, nodes.Node], None]) -> None:
        self.values, self.problems, self.recipes, self.add = values, values.problems, recipes, add
        # arguments without formulas, of equal nodes
        self.literal: dict[tuple[str, int], tuple[Any, dict[str, Any]]] = {}

    def build_layer(self, node: nodes.Call, layer: Layer, scope: Scope, partial: bool = False) -> Instance | None:
        """A layer; a `partial` one may lack arguments, which whoever makes it gives."""
        fills: list[tuple[str, nodes.Fill, Mapping[str, Any]]] = [
            (pattern, fill, scope.values) for pattern, fill in node.init
        ]
        equal = self.literal.get((layer.name, id(node.arguments)))
        if equal is not None and not node.positional:
            self.add(catalog.layers_in(layer, equal[1]) - 1, node)
            return LayerInstance(type=layer.name, key=node.key, layer=layer, arguments=equal[1], init=fills)
        before = len(self.problems.found)
        arguments = {name: self.values.argument(node, name, value, scope) for name, value in node.arguments}
        positional = tuple(self.values.value(value, scope, node.key) for value in node.positional)
        if len(self.problems.found) > before:
            return None
        if layer.registered:
            positional = self.place_own(node, layer, arguments, positional, scope)
            layers: list[str] = []
        else:
            layers = [name for name, value in arguments.items() if self.is_layer_argument(layer, name, value)]
            plain = {name: value for name, value in arguments.items() if name not in layers} if layers else arguments
            for name, what in catalog.problem_with_all(layer, plain):
                origin, shown = self.origin(node, name, scope), f"{node.key}.{name}"
                subject = f"{name} of {layer.name}" if str(origin) in shown else shown
                repairs = [*as_formula(origin, arguments.get(name))]
                if name in accepted(layer).positional:
                    place = node.key / "_args_" / accepted(layer).positional.index(name)
                    repairs += as_formula(place, arguments.get(name))
                self.problems.add(origin, f"{subject} {what}", repairs=repairs)
        for name in () if partial else accepted(layer).required:
            if name not in arguments and name not in sizes.inferable(layer):
                self.problems.add(node.key, f"{layer.name} needs the argument '{name}'.", f"Write {name}=...")
        if len(self.problems.found) == before:
            self.add(catalog.layers_in(layer, arguments) - 1, node)
        if layer.name in nodes.CONTAINERS:
            return self.build_container(node, layer, positional, arguments, scope)
        for name in layers:
            arguments[name] = self.recipes.build_value(arguments[name], scope, node.key / name)
        arguments = {name: tuple(value) if isinstance(value, list) else value for name, value in arguments.items()}
        literal = not positional and all(type(value) in nodes.SCALARS for _, value in node.arguments)
        if literal and len(self.problems.found) == before:
            self.literal[layer.name, id(node.arguments)] = node.arguments, arguments
        return LayerInstance(
            type=layer.name, key=node.key, layer=layer, arguments=arguments, positional=positional, init=fills
        )

    def origin(self, node: nodes.Call, name: str, scope: Scope) -> Path:
        """Where the value of an argument was decided."""
        written = dict(node.arguments).get(name)
        return self.values.origin(written, scope, self.values.place(node, name, written))

    def place_own(
        self, node: nodes.Call, layer: Layer, arguments: dict[str, Any], positional: tuple[Any, ...], scope: Scope
    ) -> tuple[Any, ...]:
        """Puts the layers into the arguments of a registered layer, and returns those by position."""
        from modelzoo.spec.given import Given

        given = Given(self.recipes, functools.partial(self.build_layer, partial=True), scope)
        for name, value in arguments.items():
            arguments[name] = given.argument(layer, name, value, node.key / name, self.origin(node, name, scope))
        variable = accepted(layer).variable or ""
        return tuple(given.argument(layer, variable, each, node.key, node.key) for each in positional)

    def is_layer_argument(self, layer: Layer, name: str, value: Any) -> bool:
        if type(value) in nodes.SCALARS:
            return False
        return isinstance(value, (Recipe, Instance)) or (
            catalog.takes_layer(layer, name) and isinstance(value, (str, list, tuple, dict))
        )

    def build_container(
        self,
        node: nodes.Call,
        layer: Layer,
        positional: tuple[Any, ...],
        arguments: dict[str, Any],
        scope: Scope,
    ) -> Instance:
        """`Sequential(a, b)`, `ModuleList([a, b])`: children of a block in all but the notation."""
        given: list[Any] = [*positional, *arguments.values()]
        if len(given) == 1 and isinstance(given[0], (list, tuple)):
            given = list(given[0])
        named = given[0].items() if len(given) == 1 and isinstance(given[0], dict) else enumerate(given)
        instance = Instance(type=layer.name, key=node.key)
        if layer.name != "Sequential":
            instance = LayerInstance(type=layer.name, key=node.key, layer=layer)
        for name, value in named:
            child = self.recipes.build_value(value, scope, node.key)
            wrong = nodes.CONTAINERS[layer.name].refused(str(name))
            if wrong is not None:
                self.problems.add(node.key, *wrong)
            elif child is not None:
                instance.children[str(name)] = child
        instance.init = [(pattern, fill, scope.values) for pattern, fill in node.init]
        return instance
