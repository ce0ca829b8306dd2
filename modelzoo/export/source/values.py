"""Formulas, conditions, and sizes that the data decided."""

from __future__ import annotations

import ast
from typing import Any

from modelzoo.errors import Path, fail
from modelzoo.export.source import formulas, trees
from modelzoo.export.source.environment import Env
from modelzoo.export.source.occurrences import Seen
from modelzoo.spec import nodes
from modelzoo.spec.instances import Instance, args_of

FALSE = ast.Constant(False)

Sizes = list[tuple[Seen, Any]]


def formula(tree: ast.expr, env: Env, key: Path) -> ast.expr:
    """A formula; what is a list in a config is a tuple."""
    if isinstance(tree, (ast.List, ast.Tuple)):
        return ast.Tuple([formula(each, env, key) for each in tree.elts], ast.Load())
    return formulas.formula(tree, env.names, env.source.imports, key)


def number(value: Any, env: Env) -> ast.expr:
    """A number, or the formula of one."""
    return formula(value.tree, env, value.key) if isinstance(value, nodes.Formula) else trees.literal(value)


# --- conditions ----------------------------------------------------------------------------------------------------


def test(node: nodes.Node, env: Env) -> ast.expr | None:
    """When a child is there; None for always, `FALSE` for never."""
    found: list[ast.expr] = []
    while isinstance(node, (nodes.Condition, nodes.Freeze)):
        asked = when(node.test, env) if isinstance(node, nodes.Condition) else None
        if asked is FALSE:
            return FALSE
        found += [] if asked is None else [asked]
        node = node.node
    if isinstance(node, nodes.Call) and node.target in env.names and sometimes_none(node, env):
        found.append(is_there(env.names[node.target]))
    elif isinstance(node, (nodes.Computed, nodes.Reference)) and sometimes_none(node, env):
        if all(each.made is None for each in env.source.seen.of.get(node, ())):
            return FALSE
        if isinstance(node, nodes.Computed):
            presence = _presence(node.formula.tree, env, node.key)
            found += [] if presence is None else [presence]
    return trees.everything(found)


def when(value: Any, env: Env) -> ast.expr | None:
    """An `_if_`: None for always, `FALSE` for never."""
    if isinstance(value, nodes.Formula):
        return formula(value.tree, env, value.key)
    return None if value else FALSE


def is_there(tree: ast.expr) -> ast.expr:
    """`layer is not None`."""
    return trees.quoted("LAYER is not None", LAYER=tree)


def sometimes_none(node: nodes.Node, env: Env) -> bool:
    """Whether a node is absent in some instance."""
    return any(each.made is None for each in env.source.seen.of.get(node, ()))


def is_none(tree: ast.expr) -> bool:
    """Whether a formula is just `None`."""
    return trees.is_constant(tree, None)


def _presence(tree: ast.expr, env: Env, key: Path) -> ast.expr | None:
    """When a formula names a layer at all; None for always."""
    if isinstance(tree, ast.Name):
        return is_there(env.names[tree.id])
    if not isinstance(tree, ast.IfExp):
        return None
    asked = formula(tree.test, env, key)
    yes, no = (FALSE if is_none(each) else _presence(each, env, key) for each in (tree.body, tree.orelse))
    if yes is None and no is FALSE:
        return asked
    if yes is FALSE and no is None:
        return ast.UnaryOp(ast.Not(), asked)
    return ast.IfExp(asked, yes or ast.Constant(True), no or ast.Constant(True))


# --- sizes that were left out --------------------------------------------------------------------------------------


def settled(name: str, values: Sizes, key: Path, env: Env) -> ast.expr:
    """A size that the data decided: a number if all agree, else by the turn of a repeat, an arg, or one argument more.

    The variants of the model are asked too, so that a size which follows an arg is written as that arg. Where it
    follows one in a way that is not seen here, the size stays a number and the arg is pinned.
    """
    if len({repr(value) for _, value in values}) == 1:
        return trees.inferred(name, trees.literal(values[0][1]))
    here = [(each, value) for each, value in values if not each.variant]
    agreed = len({repr(value) for _, value in here}) == 1
    lost = next((each for each, _ in values if each.owner is None), None)
    if lost is not None and not agreed:
        fail(key, f"{name} was left out of a layer that is given as an argument.", f"Write {name}=...")
    turned = None if lost is not None else _by_turn(values, env)
    if turned is not None:
        return trees.inferred(name, turned)
    found = None if lost is not None else _by_args(values, env)
    if found is not None:
        return found
    root = env.cls.block is env.source.root
    if agreed or (root and lost is None):
        fixed = trees.literal(here[0][1]) if agreed else _by_turn(here, env)
        if fixed is not None:
            changed = {each.variant for each, value in values if each.variant and _differs(each, value, here)}
            env.source.pinned.update(changed)
            return trees.inferred(name, fixed)
    return _lifted(name, values, key, env)


def _differs(seen: Seen, value: Any, here: Sizes) -> bool:
    """Whether a variant's size is another than the model's at the same turn."""
    return all(repr(value) != repr(other) for each, other in here if each.index == seen.index)


def _turns(values: Sizes) -> dict[Instance, dict[int | None, Any]]:
    """The sizes of each owner, by the turn of a repeat."""
    turns: dict[Instance, dict[int | None, Any]] = {}
    for each, value in values:
        assert each.owner is not None
        turns.setdefault(each.owner, {})[each.index] = value
    return turns


def _by_turn(values: Sizes, env: Env) -> ast.expr | None:
    turns = [*_turns(values).values()]
    if env.index is None or not all(each == turns[0] and [*each] == [*range(len(each))] for each in turns):
        return None
    return ast.Subscript(trees.literal(tuple(turns[0].values())), env.index, ast.Load())


def _by_args(values: Sizes, env: Env) -> ast.expr | None:
    """An arg, a multiple of one, or the product of two, that has the size in every instance."""
    pairs = [(args_of(owner), value) for owner, each in _turns(values).items() for value in each.values()]
    args = env.cls.names
    for arg, tree in args.items():
        if all(given.get(arg) == value for given, value in pairs):
            return tree
    if not any(each.variant for each, _ in values):
        return None
    sized = [arg for arg in args if all(type(given.get(arg)) is int and given[arg] > 0 for given, _ in pairs)]
    for number, arg in enumerate(sized):
        factors = {value // given[arg] if value % given[arg] == 0 else 0 for given, value in pairs}
        if len(factors) == 1 and min(factors) > 1:
            return ast.BinOp(trees.literal(factors.pop()), ast.Mult(), args[arg])
        for other in sized[number:]:
            if all(given[arg] * given[other] == value for given, value in pairs):
                return ast.BinOp(args[arg], ast.Mult(), args[other])
    return None


def _lifted(name: str, values: Sizes, key: Path, env: Env) -> ast.expr:
    """One argument more, which every use of the class gives."""
    by_owner = _turns(values)
    turns = [*by_owner.values()]
    lifted = env.cls.scope.fresh(name)
    if all(len({repr(value) for value in each.values()}) == 1 for each in turns):
        env.cls.lifted[lifted] = {owner: next(iter(each.values())) for owner, each in by_owner.items()}
        return trees.name(lifted)
    if env.index is None:
        fail(key, f"{name} was left out, and differs from copy to copy.", f"Write {name}=...")
    env.cls.lifted[lifted] = {owner: tuple(each.values()) for owner, each in by_owner.items()}
    return ast.Subscript(trees.name(lifted), env.index, ast.Load())
