"""A node as the expression that makes it: a layer, a block, a reference, a layer that a formula chooses."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from modelzoo.catalog import arguments as catalog
from modelzoo.catalog.layers import Layer, find_layer
from modelzoo.errors import fail
from modelzoo.export.source import registered, trees
from modelzoo.export.source.environment import Class, DeadError, Env, Frame
from modelzoo.export.source.needs import bare, held_by
from modelzoo.export.source.occurrences import Seen
from modelzoo.export.source.recipes import NONE, argument, arranged, is_layer, layer_class, parsed_call, value
from modelzoo.export.source.sequences import in_place, path, repeat
from modelzoo.export.source.values import FALSE, Sizes, formula, is_none, settled, test, when
from modelzoo.spec import nodes
from modelzoo.spec.instances import LayerInstance


def child(node: nodes.Node, env: Env) -> ast.expr:
    """A child, or None where it is absent."""
    asked = test(node, env)
    if asked is FALSE:
        return NONE
    try:
        made = node_of(bare(node), env)
    except DeadError:
        return NONE
    return made if trees.is_constant(made, None) else trees.chosen(asked, made, NONE)


def node_of(node: nodes.Node, env: Env, home: ast.expr | None = None) -> ast.expr:
    """The expression that makes a node anew; a repeat may make it at `home` at once."""
    if isinstance(node, nodes.Call):
        return _call(node, env)
    if isinstance(node, nodes.Block):
        return _block(node, env)
    if isinstance(node, nodes.Reference):
        return _reference(node, env)
    if isinstance(node, nodes.Repeat):
        return repeat(node, env, home)
    if isinstance(node, nodes.Condition):
        return child(node, env)
    if isinstance(node, nodes.Freeze):
        return _frozen(node, env)
    return _computed(node.formula.tree, node, env)


def _frozen(node: nodes.Freeze, env: Env) -> ast.expr:
    """A layer whose parameters are not trained, where its test says so."""
    made, asked = node_of(node.node, env), when(node.test, env)
    if asked is FALSE or trees.is_constant(made, None):
        return made
    if asked is None:
        return trees.quoted("LAYER.requires_grad_(False)", LAYER=made)
    local = trees.name(env.cls.scope.fresh("layer"))
    env.before.append(trees.assigned(local, made))
    env.before.extend(trees.statements("if TEST: LAYER.requires_grad_(False)", TEST=asked, LAYER=local))
    return local


def _computed(tree: ast.expr, node: nodes.Computed, env: Env) -> ast.expr:
    """A layer that a formula chooses."""
    if is_none(tree):
        return NONE
    if isinstance(tree, ast.IfExp):
        yes, no = (_arm(each, node, env) for each in (tree.body, tree.orelse))
        if yes is None and no is None:
            raise DeadError
        if yes is None or no is None:  # the other cannot be chosen: its size is not known
            if env.cls.block is env.source.root:
                env.source.pinned.update(each.id for each in ast.walk(tree.test) if isinstance(each, ast.Name))
            return yes or no or NONE
        return ast.IfExp(formula(tree.test, env, node.key), yes, no)
    if isinstance(tree, ast.Name) and tree.id in env.names:
        return _called(env.names[tree.id], [], [], node, env)
    if isinstance(tree, ast.Subscript):
        return _called(formula(tree, env, node.key), [], [], node, env)
    return _call(parsed_call(tree, env, node.key), env, node)


def _arm(tree: ast.expr, node: nodes.Computed, env: Env) -> ast.expr | None:
    """One of two layers; None if it was left without a size, and no value of the args chooses it."""
    try:
        return _computed(tree, node, env)
    except DeadError:
        return None


def _block(block: nodes.Block, env: Env) -> ast.expr:
    blocks = {**env.blocks, **dict(block.blocks)}
    inside = replace(env, blocks=blocks)
    if block.forward is None:
        return in_place(block, inside)
    return _construction(env.source.write(env.source, block, env, blocks), {}, block, inside)


def _reference(node: nodes.Reference, env: Env) -> ast.expr:
    first, *rest = node.target
    holder = next((frame for frame in reversed(env.frames) if first in {*frame.ready, *dict(frame.block.layers)}), None)
    if holder is None:  # the default of an arg that nothing uses
        fail(
            node.key,
            f"there is no layer '{first}' here that a source could name.",
            "Write the layer, or remove the reference.",
        )
    found = _reach(holder, first, env)
    return path(found, ".".join(rest), None) if rest else found


def _reach(frame: Frame, name: str, env: Env) -> ast.expr:
    """A layer of a block that is being written; in a class of its own it comes as an argument."""
    if frame.cls is env.cls:
        return frame.ready.get(name) or frame.hoist(name)
    key = id(frame), name
    if key not in env.cls.modules:
        env.cls.modules[key] = (frame, env.cls.scope.fresh(name))
    return trees.name(env.cls.modules[key][1])


# --- calls ---------------------------------------------------------------------------------------------------------


def _call(node: nodes.Call, env: Env, seen_as: nodes.Node | None = None) -> ast.expr:
    """A layer: torch's, of a definition, or described by an arg."""
    place = seen_as or node
    if node.target in env.names:
        given = [_argument(each, env) for each in node.positional]
        named = [(name, _argument(each, env)) for name, each in node.arguments]
        return _called(env.names[node.target], given, named, place, env)
    if node.target in env.blocks:
        block = env.blocks[node.target]
        cls, layers = env.source.definition(block), env.source.layer_args(block)
        made = {name: argument(each, env, block, name, layers) for name, each in node.arguments}
        return _construction(cls, made, place, env)
    layer = find_layer(node.target)
    assert layer is not None
    if layer.name in nodes.CONTAINERS:
        return _container(node, layer, env)
    arguments = {
        name: registered.argument(layer, name, each, place, env, _layer_value)
        if layer.registered
        else _argument(each, env, layer, name)
        for name, each in node.arguments
    }
    arguments.update(_found(node, layer, place, env))
    extra = [_argument(each, env) for each in node.positional]
    return trees.call(layer_class(layer, node, env), *arranged(layer, arguments, extra))


def _found(node: nodes.Call, layer: Layer, place: nodes.Node, env: Env) -> dict[str, ast.expr]:
    """The sizes that the data decided."""
    found: dict[str, Sizes] = {}
    required = [
        each.name
        for each in layer.signature.values()
        if each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    ]
    missing = [each for each in required if each not in dict(node.arguments)]
    made = [
        (each, each.made)
        for each in env.source.seen.everywhere(place)
        if isinstance(each.made, LayerInstance) and each.made.layer.name == layer.name
    ]
    if missing and all(each.variant for each, _ in made):
        raise DeadError
    for each, instance in made:
        for name, size in instance.arguments.items():
            if name not in dict(node.arguments):
                found.setdefault(name, []).append((each, size))
    return {name: settled(name, sizes, node.key, env) for name, sizes in found.items()}


def _called(
    function: ast.expr,
    given: list[ast.expr],
    named: list[tuple[str, ast.expr]],
    place: nodes.Node,
    env: Env,
) -> ast.expr:
    """`act()`: a layer that an arg describes, with what the data decided about it."""
    seen = env.source.seen
    sizes_of: Sizes = []
    lifted: dict[str, list[tuple[Seen, Any]]] = {}
    chosen = isinstance(place, nodes.Computed) and isinstance(place.formula.tree, ast.IfExp)
    for each in seen.everywhere(place):
        if each.made is None:
            continue
        late = {} if chosen else each.late
        if len(late) > 1:
            fail(place.key, "several sizes of a layer given as an argument were left out.", "Write them.")
        sizes_of += [(each, size) for size in late.values()]
        block = seen.block_of(each.made)
        if block is not None and block in seen.holders:
            for name, values in env.source.definition(block).lifted.items():
                lifted.setdefault(name, []).append((each, values[each.made]))
    if sizes_of and not given and not named:  # the first argument of every layer that can be left without
        given = [settled("size", sizes_of, place.key, env)]
    named = [*named, *((name, settled(name, each, place.key, env)) for name, each in lifted.items())]
    return trees.call(function, given, named)


def _construction(cls: Class, given: Mapping[str, ast.expr], node: nodes.Node, env: Env) -> ast.expr:
    """The call of a class."""
    positional = [env.names[name] for name in cls.free]
    positional += [given[name] for name, default in cls.parameters.items() if default is None]
    for name, values in cls.lifted.items():
        seen = env.source.seen.everywhere(node)
        sizes: Sizes = [(each, values[each.made]) for each in seen if each.made is not None and each.made in values]
        positional.append(settled(name, sizes, node.key, env))
    named = [(name, _reach(frame, layer, env)) for (_, layer), (frame, name) in cls.modules.items()]
    named += [(cls.called(name), given[name]) for name, each in cls.parameters.items() if name in given and each]
    return trees.call(trees.name(cls.name), positional, named)


def _container(node: nodes.Call, layer: Layer, env: Env) -> ast.expr:
    given = held_by(node)
    cls = layer_class(layer, node, env)
    if isinstance(given, dict):
        made = [_layer_value(each, env) for each in given.values()]
        items: ast.expr = ast.Dict([trees.literal(each) for each in given], made)
        if layer.name != "ModuleDict":
            items = trees.call(env.source.imports.known("OrderedDict"), [items])
        return trees.call(cls, [items])
    found = [_layer_value(each, env) for each in given]
    found = [each for each in found if not trees.is_constant(each, None)]
    return trees.call(cls, found if layer.name == "Sequential" else [ast.List(found, ast.Load())])


def _argument(given: Any, env: Env, layer: Layer | None = None, name: str = "") -> ast.expr:
    if isinstance(given, nodes.Node):
        return _layer_value(given, env)
    takes = layer is not None and not layer.registered and catalog.takes_layer(layer, name)
    if takes and given is not None and layer is not None and layer.name != "Identity":
        return _layer_value(given, env)
    if isinstance(given, nodes.Formula) and is_layer(given.tree, env):
        return _layer_value(given, env)
    return value(given, env)


def _layer_value(given: Any, env: Env) -> ast.expr:
    """A value that stands for a layer, made."""
    if given is None:
        return NONE
    if isinstance(given, nodes.Node):
        return child(given, env)
    if isinstance(given, nodes.Formula):
        return _computed(given.tree, nodes.Computed(formula=given, key=given.key), env)
    node = env.source.seen.read(given, env.names, env.blocks)
    return node_of(node, env)
