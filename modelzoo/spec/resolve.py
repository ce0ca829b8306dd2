"""From a `Spec` to what is constructed: every formula computed, every reference followed, every copy made.

All of it follows from one idea, "build the node": a reference gives the node that was built already, a repetition
builds its node anew each time, a condition builds it or leaves it out, a recipe is a node with the scope around it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from modelzoo import arithmetic, bounds
from modelzoo.catalog import layers
from modelzoo.errors import Code, Path, Problems, nearest
from modelzoo.names import Kind
from modelzoo.spec import nodes
from modelzoo.spec.arrangement import Arrangement
from modelzoo.spec.copies import Copies
from modelzoo.spec.evaluation import Evaluation
from modelzoo.spec.forgotten import as_formula
from modelzoo.spec.instances import WHOLE, BlockInstance, Children, Instance, Scope, names_in
from modelzoo.spec.layers import Layers
from modelzoo.spec.originals import Original, is_alike
from modelzoo.spec.provenance import Provenance
from modelzoo.spec.recipes import Recipes
from modelzoo.spec.references import References


def resolve(node: nodes.Node, problems: Problems, provenance: Provenance | None = None) -> Instance | None:
    """The tree of modules of a model, or None if it has problems.

    Args:
        node: the root block, or a single layer.
        problems: collects those with the values of args, formulas, references and arguments. Where one stands already,
            nothing more is said: it may follow from the first.
        provenance: gets notes of what each node became.
    """
    found = Problems()
    resolver = Resolver(found, Provenance() if provenance is None else provenance)
    root = Scope(values={}, origins={}, blocks={}, owner=WHOLE)
    try:
        instance = resolver.build(node, root)
    except RecursionError:  # a recipe that calls itself
        found.add(node.key, "layers are nested without an end.", "Let _if_ end the recursion.")
        instance = None
    if instance is not None and resolver.references.followed and names_in(instance, {}) > bounds.NODES:
        what = f"the layers of the model have more than {bounds.NODES:,} names: references inside what is referred to."
        found.add(node.key, what)
    before = [key for each in problems.found for key in (each.key, *(at for one in each.repairs for at in one.places))]
    problems.found += [each for each in found.found if not any(each.key.touches(key) for key in before)]
    return None if found.found or before else instance


def values_of(
    args: tuple[nodes.Parameter, ...],
    seen: Mapping[str, Any],
    problems: Problems,
    given: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """What fills or options may read: the args of their rules, some `given`, and what these see, those of the root."""
    scope = Scope(values=dict(seen), origins={}, blocks={})
    Resolver(problems, Provenance()).bind(nodes.Block(args=args), scope, dict(given), {}, None)
    return scope.values


class Resolver:
    """Builds instances, and notes what each node becomes; every problem goes to `problems`, and building goes on."""

    def __init__(self, problems: Problems, provenance: Provenance) -> None:
        self.problems, self.provenance = problems, provenance
        self.count = 0
        self.values = Evaluation(problems)
        self.recipes = Recipes(self.values, provenance, self.build)
        self.layers = Layers(self.values, self.recipes, self.add)
        self.references = References(problems, self.build)
        self.copies = Copies(self.values)
        self.arrangement = Arrangement(problems)
        self.owners: dict[nodes.Block, nodes.Block] = {}  # the block that holds a definition

    def build(self, node: nodes.Node, scope: Scope) -> Instance | None:
        self.add(1, node)
        if isinstance(node, nodes.Call):
            made = self.build_call(node, scope)
        elif isinstance(node, nodes.Block):
            made = self.build_block(node, scope, {}, {})
        elif isinstance(node, nodes.Reference):
            made = self.references.build_reference(node, scope)
        elif isinstance(node, nodes.Condition):
            made = self.build(node.node, scope) if self.truth(node.test, scope, node.key) else None
        elif isinstance(node, nodes.Freeze):
            made = self.build(node.node, scope)
            if made is not None:
                made.frozen |= self.truth(node.test, scope, node.key, "_freeze_")
        elif isinstance(node, nodes.Repeat):
            made = self.build_repeat(node, scope)
        else:
            value = self.values.value(node.formula, scope, node.key)
            made = self.recipes.build_value(value, scope, node.key, node)
        self.provenance.note(node, scope, made)
        return made

    def add(self, count: int, node: nodes.Node) -> None:
        self.count += count
        if self.count > bounds.NODES:
            self.problems.add(node.key, f"the model has more than {bounds.NODES:,} nodes")
            self.problems.check()

    def truth(self, test: Any, scope: Scope, key: Path, name: str = "_if_") -> bool:
        """Whether what stands at a key is there, or is what another key says."""
        value = self.values.value(test, scope, key / name)
        if not isinstance(value, (bool, int, float, type(None))):
            origin = self.values.origin(test, scope, key / name)
            what = f"{name} must be true or false, not {value!r}"
            self.problems.add(key / name, what, repairs=as_formula(origin, value))
            return False
        return bool(value)

    def build_repeat(self, node: nodes.Repeat, scope: Scope) -> Instance | None:
        count = self.copies.count(node, scope)
        if count is None:
            return None
        instance = Instance(type="Sequential", key=node.key)
        original: Original | None = None
        for name, inside in self.copies.named(node, count, scope, Kind.ITEM):
            child: Instance | None
            if original is not None:
                child, notes = original.copy(inside)
                self.provenance.notes += notes
            elif inside.turn:
                child = self.build(node.node, inside)
            else:
                child, original = self.build_first(node, inside, count - 1)
            if child is not None:
                instance.children[name] = child
        return instance

    def build_first(self, node: nodes.Repeat, scope: Scope, others: int) -> tuple[Instance | None, Original | None]:
        """The first copy; and what the others are made from, where they are like it.

        Then they are counted already; if that were too much, they are made one by one, for the message.
        """
        start, wrong, before = len(self.provenance.notes), len(self.problems.found), self.spent()
        made = self.build(node.node, scope)
        particular, *spent = (now - then for now, then in zip(self.spent(), before, strict=True))
        if made is None or particular or len(self.problems.found) > wrong or not is_alike(node.node):
            return made, None
        nodes_, items, operations = (others * each for each in spent)
        if (
            self.count + nodes_ > bounds.NODES
            or self.values.items + items > bounds.VALUES
            or self.values.operations.left < operations
        ):
            return made, None
        self.count, self.values.items = self.count + nodes_, self.values.items + items
        self.values.operations.spend(operations)
        return made, Original(node.node, made, scope, self.provenance.notes[start:])

    def spent(self) -> tuple[int, int, int, int]:
        """How often something was built that depends on more than its node and its scope; nodes, values, operations."""
        particular = self.references.followed + self.recipes.described
        return particular, self.count, self.values.items, -self.values.operations.left

    def build_call(self, node: nodes.Call, scope: Scope) -> Instance | None:
        if node.target in scope.values:
            return self.recipes.build_recipe(node, scope)
        if node.target in scope.blocks:
            lent = scope.lent()
            given = {name: self.values.argument(node, name, value, lent) for name, value in node.arguments}
            origins = {
                name: self.values.origin(value, scope, self.values.place(node, name, value))
                for name, value in node.arguments
            }
            if scope.depth >= bounds.BLOCKS:
                self.problems.add(
                    node.key, f"blocks are nested more than {bounds.BLOCKS} deep.", "Let _if_ end the recursion."
                )
                self.problems.check()  # where each holds two of its kind, going on would take forever
            built = self.build_block(scope.blocks[node.target], scope, given, origins, call=node.key)
            if built is not None and node.init:
                built.init += [(pattern, fill, scope.values) for pattern, fill in node.init]
            return built
        layer = layers.find_layer(node.target)
        if layer is None:
            self.problems.add(
                node.key,
                f"there is no layer '{node.target}'.",
                nearest(node.target, layers.layer_names()),
                code=Code.UNKNOWN,
            )
            return None
        return self.layers.build_layer(node, layer, scope)

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
        self.owners.update((each, block) for _, each in block.blocks)
        kind = "Sequential" if block.forward is None else block.name
        instance = BlockInstance(type=kind, key=block.key, block=block)
        children = Children(block, instance, None if closed else outer.children)
        of_class = closed or block.forward is not None
        scope = Scope(
            values={} if closed else dict(outer.values),
            origins={} if closed else dict(outer.origins),
            blocks={**outer.blocks, **dict(block.blocks)} if not closed else self.seen_by(block),
            children=children,
            depth=outer.depth + 1,
            owner=instance if of_class else outer.owner,
            turn=None if of_class else outer.turn,
        )
        self.bind(block, scope, given, origins, call)
        if len(self.problems.found) > before:
            return None
        instance.values = scope.values
        children.scope = scope
        if block.siblings:
            self.copies.become_children(block, children, scope, self.truth)
        for name in children.nodes:
            self.references.child(children, name)
        children.scope = None  # all are built; a cycle would keep every instance until a garbage collection
        children.scopes.clear()
        instance.written = {name: instance.children[name] for name in children.nodes}
        instance.children = self.arrangement.arranged(block, instance.written)
        there = [each for each in (*block.tensors, *block.buffers) if self.truth(each.test, scope, each.key)]
        for tensor in there:
            if not self.truth(tensor.trainable, scope, tensor.key, "trainable"):
                instance.frozen_tensors.add(tensor.name)
            instance.shapes[tensor.name] = self.values.shape(tensor.shape, scope, tensor.key / "shape")
        instance.ties = [(each.left, each.right) for each in block.tie if self.truth(each.test, scope, each.key)]
        instance.init = [(pattern, fill, scope.values) for pattern, fill in block.init]
        return instance

    def seen_by(self, block: nodes.Block) -> dict[str, nodes.Block]:
        """What a definition sees wherever it is used: its siblings, and its own definitions."""
        return {**dict(self.owners[block].blocks), **dict(block.blocks)}

    def bind(
        self, block: nodes.Block, scope: Scope, given: dict[str, Any], origins: dict[str, Path], call: Path | None
    ) -> None:
        complete, lent = True, scope.lent()
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
                value = self.values.value(parameter.default, lent, parameter.key)
                origin = self.values.origin(parameter.default, scope, parameter.key)
            if arithmetic.too_large(value):
                self.problems.add(origin, *arithmetic.large_integer(value))
            scope.values[parameter.name], scope.origins[parameter.name] = value, origin
