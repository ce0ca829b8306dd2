"""From a `Spec` to what is constructed: every formula computed, every reference followed, every copy made.

All of it follows from one idea, "build the node": a reference gives the node that was built already, a repetition
builds its node anew each time, a condition builds it or leaves it out, a recipe is a node with the scope around it.
"""

from __future__ import annotations

import ast
import itertools
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from modelzoo import arithmetic, bounds
from modelzoo.catalog import catalog, sizes
from modelzoo.errors import ConfigError, Path, Problems, TextError, nearest
from modelzoo.language import formulas, runtime, syntax
from modelzoo.names import Kind
from modelzoo.spec import nodes
from modelzoo.spec.parser import Parser


@dataclass(slots=True, kw_only=True, eq=False)
class Instance:
    """One module to construct. The same instance under several names is the same module.

    Attributes:
        type: a layer's name, "Sequential", or a block's name.
        layer: the catalog's entry, or None for a block.
        arguments, positional: plain values and instances.
        children: by local name, in order; None is absent.
        written: of a block, the children by the names in the config, before a list is closed up and unpacked.
        block: what a block was made from; `values` are its args, and what its texts see from outside.
        shapes: the sizes of its own tensors, by name.
        init: its own fills: a glob over the names below it, the fill, and the values its texts see.
    """

    type: str
    key: Path
    layer: catalog.Layer | None = None
    arguments: dict[str, Any] = field(default_factory=dict)
    positional: tuple[Any, ...] = ()
    children: dict[str, Instance | None] = field(default_factory=dict)
    written: dict[str, Instance | None] = field(default_factory=dict)
    block: nodes.Block | None = None
    values: dict[str, Any] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    init: list[tuple[str, nodes.Fill, Mapping[str, Any]]] = field(default_factory=list)

    @property
    def sequence(self) -> bool:
        """Whether it is an `nn.Sequential` made of a list, a repetition or a block without `forward`."""
        return self.layer is None and (self.block is None or self.block.forward is None)

    def call(self) -> str:
        """As it would be written: `Linear(in_features=20, out_features=64)`."""
        parts = [repr(each) for each in self.positional]
        parts += [f"{name}={value!r}" for name, value in self.arguments.items()]
        return f"{self.type}({', '.join(parts)})"

    def __repr__(self) -> str:
        return self.call()


@dataclass(slots=True, kw_only=True, eq=False)
class Recipe:
    """A layer given as an argument: each use builds it anew, in the scope where it was written."""

    node: nodes.Node
    scope: Scope

    def __repr__(self) -> str:
        return self.node.target if isinstance(self.node, nodes.Call) else "a layer"


@dataclass(slots=True, kw_only=True, eq=False)
class Scope:
    """What a node sees: values, definitions, and the children of the blocks around it."""

    values: dict[str, Any]
    origins: dict[str, Path]
    blocks: Mapping[str, nodes.Block]
    children: Children | None = None
    depth: int = 0

    def with_index(self, index: int) -> Scope:
        values = {**self.values, "i": index}
        return Scope(values=values, origins=self.origins, blocks=self.blocks, children=self.children, depth=self.depth)


class Children:
    """The children of one block while they are being built, for references to find."""

    def __init__(self, block: nodes.Block, instance: Instance, outer: Children | None) -> None:
        self.nodes = dict(block.layers)
        self.instance, self.outer, self.block = instance, outer, block
        self.building: list[str] = []
        self.scope: Scope | None = None

    def visible(self) -> Iterator[str]:
        """The names that a reference may start with, the nearest first."""
        yield from self.nodes
        if self.outer is not None:
            yield from self.outer.visible()


def resolve(node: nodes.Node, problems: Problems) -> Instance | None:
    """The tree of modules of a model, or None if it has problems.

    Args:
        node: the root block, or a single layer.
        problems: collects those with the values of args, formulas, references and arguments. Where one stands already,
            nothing more is said: it may follow from the first.
    """
    found = Problems()
    resolver = Resolver(found)
    root = Scope(values={}, origins={}, blocks={})
    try:
        instance = resolver.build(node, root, "Model")
    except RecursionError:  # a recipe that calls itself
        found.add(node.key, "layers are nested without an end.", "Let _if_ end the recursion.")
        instance = None
    if instance is not None and _names(instance, {}) > bounds.NODES:
        what = f"the layers of the model have more than {bounds.NODES:,} names: references inside what is referred to."
        found.add(node.key, what)
    before = [each.key for each in problems.found]
    problems.found += [each for each in found.found if not any(each.key.touches(key) for key in before)]
    return None if found.found or before else instance


class Resolver:
    """Builds instances; every problem goes to `problems`, and building goes on."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.count = self.items = 0
        self.operations = runtime.Operations("formulas")
        self.owners: dict[int, nodes.Block] = {}  # the block that holds a definition, by the definition's id
        self.literal: dict[
            tuple[str, int], tuple[Any, dict[str, Any]]
        ] = {}  # arguments without formulas, of equal nodes

    # -- nodes

    def build(self, node: nodes.Node, scope: Scope, name: str = "") -> Instance | None:
        self.add(1, node)
        if isinstance(node, nodes.Call):
            return self.build_call(node, scope)
        if isinstance(node, nodes.Block):
            return self.build_block(node, scope, {}, {})
        if isinstance(node, nodes.Reference):
            return self.build_reference(node, scope)
        if isinstance(node, nodes.Condition):
            return self.build(node.node, scope, name) if self.truth(node, scope) else None
        if isinstance(node, nodes.Repeat):
            return self.build_repeat(node, scope)
        value = self.value(node.formula, scope, node.key)
        return self.build_value(value, scope, node.key)

    def add(self, count: int, node: nodes.Node) -> None:
        self.count += count
        if self.count > bounds.NODES:
            self.problems.add(node.key, f"the model has more than {bounds.NODES:,} nodes")
            self.problems.check()

    def truth(self, node: nodes.Condition, scope: Scope) -> bool:
        value = self.value(node.test, scope, node.key / "_if_")
        if not isinstance(value, (bool, int, float, type(None))):
            self.problems.add(node.key / "_if_", f"_if_ must be true or false, not {value!r}")
            return False
        return bool(value)

    def build_repeat(self, node: nodes.Repeat, scope: Scope) -> Instance | None:
        count = self.value(node.count, scope, node.key / "_repeat_")
        if type(count) is not int or not 0 <= count <= bounds.REPEAT:
            what = f"_repeat_ must be an integer from 0 to {bounds.REPEAT:,}, not {count!r}."
            self.problems.add(node.key / "_repeat_", what, "Write _repeat_: 4.")
            return None
        instance = Instance(type="Sequential", key=node.key)
        for index in range(count):
            inside = scope.with_index(index)
            name = self.name(node, inside)
            if name in instance.children:
                self.problems.add(node.key / "_name_", f"two copies are named '{name}'.", 'Write _name_: "block{i}".')
                break
            child = self.build(node.node, inside)
            if child is not None:
                instance.children[name] = child
            if child is not None and self.is_literal(child, node):
                self.add((count - 1) * catalog.layers_in(child.layer, child.arguments), node)
                for each in range(1, count):
                    instance.children[str(each)] = Instance(
                        type=child.type, key=child.key, layer=child.layer, arguments=child.arguments
                    )
                break
        return instance

    def is_literal(self, child: Instance, node: nodes.Repeat) -> bool:
        """Whether further copies are the same layer with the same arguments, whatever is around them."""
        call = node.node
        if not isinstance(call, nodes.Call) or call.init or node.name != "{i}":
            return False
        known = self.literal.get((call.target, id(call.arguments)))
        return known is not None and child.arguments is known[1]

    def name(self, node: nodes.Repeat, scope: Scope) -> str:
        def part(match: re.Match[str]) -> str:
            return str(self.formula(syntax.parse_expression(match[1]), scope, node.key / "_name_"))

        if node.name == "{i}":
            return str(scope.values["i"])
        name = re.sub(r"\{([^{}]*)\}", part, node.name)
        wrong = Kind.ITEM.refused(name)
        if wrong is not None:
            self.problems.add(node.key / "_name_", wrong[0], 'Write _name_: "block{i}".')
        return name

    def build_reference(self, node: nodes.Reference, scope: Scope) -> Instance | None:
        first, *rest = node.target
        children = scope.children
        while children is not None and first not in children.nodes:
            children = children.outer
        text = ".".join(node.target)
        if children is None:
            known = scope.children.visible() if scope.children else []
            self.problems.add(node.key / "_ref_", f"there is no layer '{text}' to refer to.", nearest(first, known))
            return None
        if self.moves(children.block, text, node):
            return None
        found = self.child(children, first, node)
        for index, name in enumerate(rest):
            if found is None or (found.block is not None and self.moves(found.block, text, node)):
                return None
            if name not in found.children:
                inside = ".".join((first, *rest[:index]))
                self.problems.add(
                    node.key / "_ref_", f"'{inside}' has no layer '{name}'.", nearest(name, found.children)
                )
                return None
            found = found.children[name]
        return found

    def moves(self, block: nodes.Block, text: str, node: nodes.Reference) -> bool:
        """Whether a reference is into a list whose indices depend on conditions."""
        conditions = block.listed and any(isinstance(each, nodes.Condition) for _, each in block.layers)
        moving = conditions or bool(block.unpacked)
        if moving:
            key = "_if_" if conditions else "_unpack_"
            what = f"'{text}' is an index into a list that has {key}, where indices move."
            self.problems.add(node.key / "_ref_", what, "Name the layers: write them as a mapping.")
        return moving

    def child(self, children: Children, name: str, asked: nodes.Node | None = None) -> Instance | None:
        """A child of a block, built at the first time it is asked for."""
        if name in children.instance.children:
            return children.instance.children[name]
        if name in children.building:
            cycle = " -> ".join([*children.building[children.building.index(name) :], name])
            key = asked.key / "_ref_" if asked is not None else children.instance.key
            self.problems.add(key, f"a layer cannot contain itself: {cycle}.", "Refer to a layer that is built before.")
            return None
        assert children.scope is not None
        children.building.append(name)
        built = self.build(children.nodes[name], children.scope, name)
        children.building.pop()
        children.instance.children[name] = built
        return built

    def build_call(self, node: nodes.Call, scope: Scope) -> Instance | None:
        if node.target in scope.values:
            return self.build_recipe(node, scope)
        if node.target in scope.blocks:
            given = {name: self.argument(node, name, value, scope) for name, value in node.arguments}
            origins = {name: self.origin(value, scope, self.place(node, name, value)) for name, value in node.arguments}
            if scope.depth >= bounds.BLOCKS:
                self.problems.add(
                    node.key, f"blocks are nested more than {bounds.BLOCKS} deep.", "Let _if_ end the recursion."
                )
                return None
            built = self.build_block(scope.blocks[node.target], scope, given, origins, call=node.key)
            if built is not None and node.init:
                built.init += [(pattern, fill, scope.values) for pattern, fill in node.init]
            return built
        layer = catalog.find_layer(node.target)
        if layer is None:
            self.problems.add(
                node.key, f"there is no layer '{node.target}'.", nearest(node.target, catalog.layer_names())
            )
            return None
        return self.build_layer(node, layer, scope)

    def argument(self, node: nodes.Call, name: str, value: Any, scope: Scope) -> Any:
        return value if type(value) in nodes.SCALARS else self.value(value, scope, self.place(node, name, value))

    def place(self, node: nodes.Call, name: str, value: Any) -> Path:
        return value.key if isinstance(value, nodes.Formula) else node.key / name

    def origin(self, value: Any, scope: Scope, key: Path) -> Path:
        """Where a value was decided: an arg passed on comes from where the arg was set."""
        if isinstance(value, nodes.Formula) and isinstance(value.tree, ast.Name):
            return scope.origins.get(value.tree.id, key)
        return key

    def build_layer(self, node: nodes.Call, layer: catalog.Layer, scope: Scope) -> Instance | None:
        fills: list[tuple[str, nodes.Fill, Mapping[str, Any]]] = [
            (pattern, fill, scope.values) for pattern, fill in node.init
        ]
        equal = self.literal.get((layer.name, id(node.arguments)))
        if equal is not None and not node.positional:
            self.add(catalog.layers_in(layer, equal[1]) - 1, node)
            return Instance(type=layer.name, key=node.key, layer=layer, arguments=equal[1], init=fills)
        before = len(self.problems.found)
        arguments = {name: self.argument(node, name, value, scope) for name, value in node.arguments}
        positional = tuple(self.value(value, scope, node.key) for value in node.positional)
        if len(self.problems.found) > before:
            return None
        layers = [name for name, value in arguments.items() if self.is_layer_argument(layer, name, value)]
        plain = {name: value for name, value in arguments.items() if name not in layers} if layers else arguments
        for name, what in catalog.problem_with_all(layer, plain):
            written = dict(node.arguments).get(name)
            origin = self.origin(written, scope, self.place(node, name, written))
            shown = f"{node.key}.{name}"
            self.problems.add(origin, f"{name} of {layer.name} {what}" if str(origin) in shown else f"{shown} {what}")
        for name in catalog.accepted(layer).required:
            if name not in arguments and name not in sizes.inferable(layer):
                self.problems.add(node.key, f"{layer.name} needs the argument '{name}'.", f"Write {name}=...")
        if len(self.problems.found) == before:
            self.add(catalog.layers_in(layer, arguments) - 1, node)
        if layer.name in nodes.CONTAINERS:
            return self.build_container(node, layer, positional, arguments, scope)
        for name in layers:
            arguments[name] = self.build_value(arguments[name], scope, node.key / name)
        arguments = {name: tuple(value) if isinstance(value, list) else value for name, value in arguments.items()}
        literal = not positional and all(type(value) in nodes.SCALARS for _, value in node.arguments)
        if literal and len(self.problems.found) == before:
            self.literal[layer.name, id(node.arguments)] = node.arguments, arguments
        return Instance(
            type=layer.name, key=node.key, layer=layer, arguments=arguments, positional=positional, init=fills
        )

    def is_layer_argument(self, layer: catalog.Layer, name: str, value: Any) -> bool:
        if type(value) in nodes.SCALARS:
            return False
        return isinstance(value, (Recipe, Instance)) or (
            catalog.takes_layer(layer, name) and isinstance(value, (str, list, tuple, dict))
        )

    def build_container(
        self,
        node: nodes.Call,
        layer: catalog.Layer,
        positional: tuple[Any, ...],
        arguments: dict[str, Any],
        scope: Scope,
    ) -> Instance:
        """`Sequential(a, b)`, `ModuleList([a, b])`: children of a block in all but the notation."""
        given: list[Any] = [*positional, *arguments.values()]
        if len(given) == 1 and isinstance(given[0], (list, tuple)):
            given = list(given[0])
        named = given[0].items() if len(given) == 1 and isinstance(given[0], dict) else enumerate(given)
        instance = Instance(type=layer.name, key=node.key, layer=layer if layer.name != "Sequential" else None)
        for name, value in named:
            child = self.build_value(value, scope, node.key)
            wrong = nodes.CONTAINERS[layer.name].refused(str(name))
            if wrong is not None:
                self.problems.add(node.key, *wrong)
            elif child is not None:
                instance.children[str(name)] = child
        instance.init = [(pattern, fill, scope.values) for pattern, fill in node.init]
        return instance

    def build_recipe(self, node: nodes.Call, scope: Scope) -> Instance | None:
        """`act()` or `=act`: the arg's layer, with further arguments if it was a name."""
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
            return self.build_extended(node, recipe, recipe.node, scope)
        return self.build(recipe.node, recipe.scope)

    def build_extended(self, node: nodes.Call, recipe: Recipe, call: nodes.Call, scope: Scope) -> Instance | None:
        values = [self.value(each, scope, node.key) for each in node.positional]
        named = {name: self.value(each, scope, node.key) for name, each in node.arguments}
        parser = Parser(self.problems)
        visible = self.visible(recipe.scope)
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
        return None if bound is None else self.build(bound, recipe.scope)

    def names_of(self, target: str, scope: Scope) -> list[str]:
        if target in scope.blocks:
            return [each.name for each in scope.blocks[target].args]
        layer = catalog.find_layer(target)
        return [] if layer is None else [each.name for each in layer.signature.values()]

    def read_recipe(self, text: Any, scope: Scope, key: Path) -> Recipe | None:
        node = Parser(self.problems).node(text, key, self.visible(scope))
        return None if node is None else Recipe(node=node, scope=scope)

    def build_value(self, value: Any, scope: Scope, key: Path) -> Instance | None:
        """The layer that a computed value describes."""
        if value is None or isinstance(value, Instance):
            return value
        if isinstance(value, Recipe):
            return self.build(value.node, value.scope)
        if isinstance(value, (str, list, tuple, dict)):
            recipe = self.read_recipe(value, scope, key)
            return None if recipe is None else self.build(recipe.node, recipe.scope)
        self.problems.add(key, f"{value!r} is not a layer.", "Write a layer such as ReLU.")
        return None

    # -- blocks

    def build_block(
        self,
        block: nodes.Block,
        outer: Scope,
        given: dict[str, Any],
        origins: dict[str, Path],
        call: Path | None = None,
    ) -> Instance | None:
        """A block written in place, or a definition used by the `call`, which sees nothing of where it is used."""
        before, closed = len(self.problems.found), call is not None
        self.owners.update((id(each), block) for _, each in block.blocks)
        scope = Scope(
            values={} if closed else dict(outer.values),
            origins={} if closed else dict(outer.origins),
            blocks={**outer.blocks, **dict(block.blocks)} if not closed else self.seen_by(block),
            depth=outer.depth + 1,
        )
        self.bind(block, scope, given, origins, call)
        if len(self.problems.found) > before:
            return None
        instance = Instance(type="Sequential" if block.forward is None else block.name, key=block.key, block=block)
        instance.values = scope.values
        children = Children(block, instance, None if closed else outer.children)
        children.scope = scope
        scope.children = children
        for name, _ in block.layers:
            self.child(children, name)
        children.scope = None  # all are built; a cycle would keep every instance until a garbage collection
        instance.written = {name: instance.children[name] for name, _ in block.layers}
        instance.children = self.arranged(block, instance.written)
        for tensor in (*block.tensors, *block.buffers):
            instance.shapes[tensor.name] = self.shape(tensor.shape, scope, tensor.key / "shape")
        instance.init = [(pattern, fill, scope.values) for pattern, fill in block.init]
        return instance

    def seen_by(self, block: nodes.Block) -> dict[str, nodes.Block]:
        """What a definition sees wherever it is used: its siblings, and its own definitions."""
        return {**dict(self.owners[id(block)].blocks), **dict(block.blocks)}

    def arranged(self, block: nodes.Block, built: dict[str, Instance | None]) -> dict[str, Instance | None]:
        """In a sequence an absent child leaves no gap; a `forward` sees None."""
        if block.listed:
            items = [(name, node, built[name]) for name, node in block.layers]
            present = [(name in block.unpacked, node, each) for name, node, each in items if each is not None]
            found = [self.unpacked(each, node) if unpack else [each] for unpack, node, each in present]
            return {str(index): each for index, each in enumerate(itertools.chain.from_iterable(found))}
        if block.forward is None:
            return {name: each for name, each in built.items() if each is not None}
        return built

    def unpacked(self, instance: Instance, node: nodes.Node) -> list[Instance | None]:
        """The layers of a sequence, to stand in the list around it; of a repetition those of every copy.

        A copy that is no sequence stands there itself.
        """
        repeated = isinstance(node.node if isinstance(node, nodes.Condition) else node, nodes.Repeat)
        if not instance.sequence:
            what = f"_unpack_ needs layers that are called one after the other, and {instance.type} is one layer."
            self.problems.add(node.key / "_unpack_", what, "Remove _unpack_.")
        found: list[Instance | None] = []
        for each in instance.children.values() if repeated else [instance]:
            if each is None or not each.sequence:
                found.append(each)
                continue
            found += each.children.values()
            if each.init or (each.block is not None and each.block.tie):
                what = "a block with _init_ or tie cannot be unpacked: the names in it would be gone."
                self.problems.add(node.key / "_unpack_", what, "Move _init_ and tie to the block around it.")
        return found

    def bind(
        self, block: nodes.Block, scope: Scope, given: dict[str, Any], origins: dict[str, Path], call: Path | None
    ) -> None:
        complete = True
        for parameter in block.args:
            if parameter.name in given:
                value, origin = given[parameter.name], origins.get(parameter.name, parameter.key)
            elif parameter.default is nodes.REQUIRED:
                complete = False
                if call is None:
                    self.problems.add(parameter.key, "this arg is required.", f"Type {parameter.key}=...")
                else:
                    what = f"{block.name} needs the arg '{parameter.name}'."
                    self.problems.add(call, what, f"Write {parameter.name}=...")
                continue
            elif not complete and isinstance(parameter.default, nodes.Formula):
                continue  # it may need what is missing
            else:
                value = self.value(parameter.default, scope, parameter.key)
                origin = self.origin(parameter.default, scope, parameter.key)
            if arithmetic.too_large(value):
                self.problems.add(origin, *arithmetic.large_integer(value))
            scope.values[parameter.name], scope.origins[parameter.name] = value, origin

    def shape(self, values: tuple[Any, ...], scope: Scope, key: Path) -> tuple[int, ...]:
        found: list[int] = []
        for index, each in enumerate(values):
            size = self.value(each, scope, key / index)
            for one in size if isinstance(size, (list, tuple)) else (size,):
                if type(one) is not int or one < 0 or one > bounds.ELEMENTS:
                    self.problems.add(
                        self.origin(each, scope, key / index), f"a size must be an integer of 0 or more, not {one!r}"
                    )
                    one = 0
                found.append(one)
        if len(found) > bounds.DIMENSIONS:
            self.problems.add(key, f"a tensor has at most {bounds.DIMENSIONS} dimensions, not {len(found)}.")
        elif math.prod(found) > bounds.ELEMENTS:
            self.problems.add(key, f"a tensor has at most {bounds.ELEMENTS:,} elements, not {math.prod(found):,}.")
        else:
            return tuple(found)
        return (0,)

    # -- values

    def value(self, value: Any, scope: Scope, key: Path) -> Any:
        """A value of the spec as plain data, recipes included; None where that is a problem."""
        found = self.computed(value, scope, key)
        if type(found) in nodes.SCALARS:
            return found
        items, what = arithmetic.measure(found)
        self.items += items
        if what:
            shown = f"{value.text} {what}." if isinstance(value, nodes.Formula) else f"this value {what}."
            self.problems.add(key, shown)
            return None
        if self.items > bounds.VALUES:
            self.stop(key, f"With its formulas computed the model holds more than {bounds.VALUES:,} values.")
        return found

    def stop(self, key: Path, what: str) -> NoReturn:
        self.problems.add(key, what)
        raise ConfigError(self.problems.found)

    def computed(self, value: Any, scope: Scope, key: Path) -> Any:
        if isinstance(value, nodes.Formula):
            return self.formula(value.tree, scope, value.key)
        if isinstance(value, (nodes.Block, nodes.Call, nodes.Computed, nodes.Reference, nodes.Repeat, nodes.Condition)):
            return Recipe(node=value, scope=scope)
        if isinstance(value, tuple):
            return tuple(self.computed(each, scope, key) for each in value)
        if isinstance(value, dict):
            return {name: self.computed(each, scope, key / name) for name, each in value.items()}
        if isinstance(value, str) and value == "???":
            self.problems.add(key, "this value is required.", f"Type {key}=...")
            return None
        return value

    def formula(self, tree: ast.expr, scope: Scope, key: Path) -> Any:
        with self.problems.at(key):
            return self.evaluated(tree, scope, key)
        return None

    def evaluated(self, tree: ast.expr, scope: Scope, key: Path) -> Any:
        kind = type(tree)
        if kind is ast.Constant:
            return tree.value  # type: ignore[attr-defined]
        if isinstance(tree, ast.Name) and tree.id in scope.values:
            return scope.values[tree.id]
        if isinstance(tree, (ast.Tuple, ast.List)):
            return tuple(self.evaluated(each, scope, key) for each in tree.elts)
        if isinstance(tree, ast.Dict):
            for each in tree.keys:
                if not isinstance(each, ast.Constant):
                    shown = "**" if each is None else ast.unparse(each)
                    what = f"a key of a mapping in a text is in quotes, not {shown}"
                    raise TextError(what, "Put names in quotes: {'_ref_': 'name'}.", tree.lineno)
            return {each.value: self.evaluated(v, scope, key) for each, v in zip(tree.keys, tree.values, strict=True)}  # type: ignore[union-attr]
        if isinstance(tree, ast.IfExp):
            return self.evaluated(tree.body if self.evaluated(tree.test, scope, key) else tree.orelse, scope, key)
        if nodes.is_layer(tree, scope.values, scope.blocks):
            node = Parser(self.problems).calls.call_of(tree, ast.unparse(tree), key, self.visible(scope))
            return None if node is None else Recipe(node=node, scope=scope)
        self.spend(tree, scope, key)
        return formulas.evaluate(tree, scope.values)

    def visible(self, scope: Scope) -> nodes.Visible:
        """What a layer that is written in a value sees."""
        signatures = {name: block.args for name, block in scope.blocks.items()}
        return nodes.Visible(values=frozenset(scope.values), signatures=signatures)

    def spend(self, tree: ast.expr, scope: Scope, key: Path) -> None:
        """Counts the operations of a formula: its own, once for each item of what it reads."""
        read = [scope.values.get(each.id) for each in syntax.formula_names(tree)]
        items = sum(arithmetic.measure(each)[0] for each in read if type(each) not in nodes.SCALARS)
        try:
            self.operations.spend(syntax.nodes(tree) * (1 + items))
        except runtime.EndlessError as error:
            self.stop(key, f"{error}.")


def _names(instance: Instance, known: dict[int, int]) -> int:
    """How many names an instance and all inside it have, which one that stands in two places has twice."""
    if id(instance) not in known:
        given = (*instance.arguments.values(), *instance.positional) if instance.layer is not None else ()
        parts = [each for each in (*instance.children.values(), *given) if isinstance(each, Instance)]
        known[id(instance)] = 1 + sum(_names(each, known) for each in parts)
    return known[id(instance)]


def walk(instance: Instance) -> Iterator[Instance]:
    """Every instance once, the root first."""
    seen: set[int] = set()
    stack = [instance]
    while stack:
        each = stack.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        stack.extend(child for child in reversed(list(each.children.values())) if child is not None)
