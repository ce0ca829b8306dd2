"""Values of arguments; among them layers that are given to be made elsewhere: something to call."""

from __future__ import annotations

import ast
from collections.abc import Container
from dataclasses import replace
from typing import Any

from modelzoo.catalog.layers import Layer, find_layer
from modelzoo.errors import Path, Problems
from modelzoo.export.source import trees
from modelzoo.export.source.environment import Env
from modelzoo.export.source.needs import is_indexed
from modelzoo.export.source.values import formula, is_none
from modelzoo.language import syntax
from modelzoo.spec import nodes, visible
from modelzoo.spec.parser import Parser

NONE = ast.Constant(None)


def value(given: Any, env: Env) -> ast.expr:
    """A plain value, or a formula."""
    if isinstance(given, nodes.Formula):
        if any(visible.layers_in(given, env.visible)):
            return _of_formula(given.tree, env, given.key)
        return formula(given.tree, env, given.key)
    if isinstance(given, (list, tuple)):
        return ast.Tuple([value(each, env) for each in given], ast.Load())
    if isinstance(given, dict):
        return ast.Dict([trees.literal(each) for each in given], [value(each, env) for each in given.values()])
    if isinstance(given, nodes.Node):
        return recipe(given, env)
    return trees.literal(given)


def recipe(given: Any, env: Env) -> ast.expr:
    """A layer as an argument; what is none, where a condition keeps it from being made, is the value that it is."""
    if given is None or (isinstance(given, nodes.Formula) and is_none(given.tree)):
        return NONE
    if isinstance(given, nodes.Formula):
        return _of_formula(given.tree, env, given.key)
    if isinstance(given, (list, tuple)):
        return ast.Tuple([recipe(each, env) for each in given], ast.Load())
    node = given if isinstance(given, nodes.Node) else env.source.seen.read(given, env.names, env.blocks)
    return value(given, env) if node is None else _of_node(node, env)


def is_layer(tree: ast.expr, env: Env) -> bool:
    """Whether a formula is a layer, written there."""
    return visible.is_layer(tree, env.visible.values, env.visible.signatures)


def parsed_call(tree: ast.expr, env: Env, key: Path) -> nodes.Call:
    """The layer that is written in a formula, as it is or as a text."""
    if isinstance(tree, ast.Constant) and isinstance(tree.value, str):
        tree = syntax.parse_expression(tree.value)
    call = Parser(Problems()).calls.call_of(tree, ast.unparse(tree), key, env.visible)
    assert call is not None
    return call


def _of_formula(tree: ast.expr, env: Env, key: Path) -> ast.expr:
    if is_none(tree):
        return NONE
    if isinstance(tree, ast.IfExp):
        yes, no = (_of_formula(each, env, key) for each in (tree.body, tree.orelse))
        return ast.IfExp(formula(tree.test, env, key), yes, no)
    if isinstance(tree, (ast.List, ast.Tuple)):
        return ast.Tuple([_of_formula(each, env, key) for each in tree.elts], ast.Load())
    if isinstance(tree, ast.Constant) and isinstance(tree.value, str):
        return recipe(tree.value, env)
    if is_layer(tree, env):
        return _of_node(parsed_call(tree, env, key), env)
    return formula(tree, env, key)


def _of_node(node: nodes.Node, env: Env) -> ast.expr:
    if isinstance(node, nodes.Computed):
        return _of_formula(node.formula.tree, env, node.key)
    if isinstance(node, nodes.Call):
        if node.target in env.names and not node.arguments and not node.positional:
            return env.names[node.target]
        plain = not any(isinstance(each, nodes.Node) for each in [*dict(node.arguments).values(), *node.positional])
        formulas = [each for each in dict(node.arguments).values() if isinstance(each, nodes.Formula)]
        if plain and not any(is_layer(each.tree, env) for each in formulas):
            found = _partial(node, env)
            if found is not None:
                return found
    before: list[ast.stmt] = []
    made = env.source.child(node, replace(env, before=before))
    if not before:
        return trees.quoted("lambda: LAYER", LAYER=made)
    name = env.cls.scope.fresh("make")
    env.before.append(trees.function(name, [], [*before, ast.Return(made)]))
    return trees.name(name)


def _partial(node: nodes.Call, env: Env) -> ast.expr | None:
    """The class of a layer with some of its arguments; None if that says it not."""
    if node.target in env.names:
        function, positional = env.names[node.target], [value(each, env) for each in node.positional]
        named = [(name, value(each, env)) for name, each in node.arguments]
    elif node.target in env.blocks:
        block = env.blocks[node.target]
        cls, layers = env.source.definition(block), env.source.layer_args(block)
        function, positional = trees.name(cls.name), []
        named = [(cls.called(name), argument(each, env, block, name, layers)) for name, each in node.arguments]
    else:
        layer = find_layer(node.target)
        assert layer is not None
        if layer.name in nodes.CONTAINERS:
            return None
        function = layer_class(layer, node, env)
        given = {name: value(each, env) for name, each in node.arguments}
        positional, named = arranged(layer, given, [value(each, env) for each in node.positional])
    if not positional and not named:
        return function
    return trees.call(env.source.imports.known("partial"), [function, *positional], named)


def argument(given: Any, env: Env, block: nodes.Block, name: str, layers: Container[str]) -> ast.expr:
    """An argument or default of a block, which uses args of these names as layers, and a list as one or one by one."""
    if name not in layers:
        return value(given, env)
    if isinstance(given, (list, tuple)) and not is_indexed(block, name):
        return _of_node(env.source.seen.read(list(given), env.names, env.blocks), env)
    return recipe(given, env)


def layer_class(layer: Layer, node: nodes.Call, env: Env) -> ast.expr:
    """The class of a layer: torch's, or a registered one that is imported."""
    if layer.registered:
        return env.source.imports.registered(layer.cls, node.key)
    return trees.attribute(trees.name("nn"), layer.name)


def arranged(
    layer: Layer, arguments: dict[str, ast.expr], extra: list[ast.expr]
) -> tuple[list[ast.expr], list[tuple[str, ast.expr]]]:
    """The arguments of a layer: required ones by position, the others by name."""
    positional: list[ast.expr] = []
    named: list[tuple[str, ast.expr]] = []
    by_position = True
    order = [*layer.signature, *(each for each in arguments if each not in layer.signature)]
    for number, name in enumerate(order):
        each = layer.signature.get(name)
        if name not in arguments:
            by_position &= bool(extra) and each is not None and each.kind is each.VAR_POSITIONAL
            continue
        fits = each is not None and each.kind is each.POSITIONAL_OR_KEYWORD and by_position
        required = each is not None and each.default is each.empty
        plain = number == 0 and name != "dim" and not _is_word(arguments[name])
        if fits and (required or extra or plain):
            positional.append(arguments[name])
        else:
            by_position = False
            named.append((name, arguments[name]))
    return [*positional, *extra], named


def _is_word(tree: ast.expr) -> bool:
    return isinstance(tree, ast.Constant) and not (
        isinstance(tree.value, (int, float)) and type(tree.value) is not bool
    )
