"""What stands in a row: the items of a sequence, the copies of a repeat, blocks written in place without a forward."""

from __future__ import annotations

import ast
import contextlib
from dataclasses import replace

from modelzoo import names
from modelzoo.export.source import trees
from modelzoo.export.source.environment import DeadError, Env, Frame
from modelzoo.export.source.layout import shown
from modelzoo.export.source.needs import bare, parts_of, references
from modelzoo.export.source.recipes import argument
from modelzoo.export.source.values import FALSE, formula, is_there, number, sometimes_none, test, when
from modelzoo.language import syntax
from modelzoo.spec.nodes import Block, Node, Reference, Repeat

SHORT = 60
"""A repeat whose copies have names is one expression up to this width, else a loop."""


def frame_of(block: Block, env: Env, hoist_all: bool = False) -> Frame:
    """Makes the children that others refer to before they are made where they stand."""
    nodes = dict(block.layers)

    def hoist(name: str) -> ast.expr:
        frame.ready[name] = None  # a cycle was refused long ago
        made = env.source.child(nodes[name], inside)
        local = env.cls.scope.fresh(name)
        env.before.append(trees.assigned(trees.name(local), made))
        found = frame.ready[name] = trees.name(local)
        return found

    frame = Frame(block=block, cls=env.cls, hoist=hoist)
    inside = env.within(frame)
    order = {name: position for position, (name, _) in enumerate(block.layers)}
    wanted = [
        target
        for position, (_, node) in enumerate(block.layers)
        for target in references(node)
        if target in order and (hoist_all or order[target] >= position)
    ]
    for target in dict.fromkeys(wanted):
        if target not in frame.ready:
            hoist(target)
    return frame


def items(block: Block, env: Env, pairs: bool = False) -> list[ast.expr]:
    """The items of a sequence that are there; as pairs with their names."""
    found = (_item(name, node, env, pairs) for name, node in block.layers)
    return [each for each in found if each is not None]


def _item(name: str, node: Node, env: Env, pair: bool) -> ast.expr | None:
    """An item of a sequence; None if it is never there."""
    frame = env.frames[-1]
    made, asked = frame.ready.get(name), test(node, env)
    if made is not None:
        asked = is_there(made) if asked is not None else None
    elif asked is FALSE:
        return None
    else:
        try:
            made = env.source.node(bare(node), env)
        except DeadError:
            return None
    if trees.is_constant(made, None):
        return None
    if asked is None and isinstance(node, Reference) and sometimes_none(node, env):
        asked = is_there(made)
    if name in frame.block.siblings:
        pairs = trees.quoted("COPIES._modules.items()", COPIES=made)
        return _starred(pairs if asked is None else ast.IfExp(asked, pairs, ast.List([], ast.Load())))
    if name in frame.block.unpacked:
        return _unpacked(made, asked, bare(node), env)
    made = ast.Tuple([trees.literal(name), made], ast.Load()) if pair else made
    return made if asked is None else _if_there([made], asked)


def _if_there(made: list[ast.expr], asked: ast.expr) -> ast.expr:
    """`*([layer] if there else [])`."""
    return _starred(ast.IfExp(asked, ast.List(made, ast.Load()), ast.List([], ast.Load())))


def _starred(tree: ast.expr) -> ast.expr:
    return ast.Starred(tree, ast.Load())


def _unpacked(made: ast.expr, asked: ast.expr | None, node: Node, env: Env) -> ast.expr:
    """The layers of a sequence as items of the list around it; of a repeat those of every copy."""
    seen = env.source.seen.of.get(node.node, ()) if isinstance(node, Repeat) else ()
    if any(each.made is not None and each.made.sequence for each in seen):
        made = _copies(made, env)
    elif isinstance(made, ast.Call) and trees.is_name(made.func, "nn", "Sequential") and _is_open(made, node):
        return _Items(made.args) if asked is None else _if_there(made.args, asked)
    return _starred(made if asked is None else ast.IfExp(asked, made, ast.List([], ast.Load())))


def _is_open(made: ast.Call, node: Node) -> bool:
    """Whether the arguments of a sequence are its layers as they stand."""
    return not isinstance(node, Repeat) or all(isinstance(each, ast.Starred) for each in made.args)


class _Items(ast.Tuple):
    """Items that stand in the list around them: they need no sequence of their own."""

    def __init__(self, elts: list[ast.expr]) -> None:
        super().__init__(elts, ast.Load())


def flat(found: list[ast.expr]) -> list[ast.expr]:
    """Items, those of sequences that need none of their own among them."""
    return [one for each in found for one in (each.elts if isinstance(each, _Items) else [each])]


def _copies(tree: ast.expr, env: Env) -> ast.expr:
    """`layer for i in range(n) for layer in copy`."""
    only = tree.args[0] if isinstance(tree, ast.Call) and len(tree.args) == 1 else None
    copies = only.value if isinstance(only, ast.Starred) else None
    layer = env.cls.scope.fresh("layer")
    env.cls.scope.release(layer)
    element = trees.name(layer)
    if not isinstance(copies, ast.GeneratorExp):
        return trees.quoted("(LAYER for copy in COPIES for LAYER in copy)", LAYER=element, COPIES=tree)
    copy = copies.elt
    if isinstance(copy, ast.Call) and trees.is_name(copy.func, "nn", "Sequential") and len(copy.args) > 1:
        copy = ast.Tuple(copy.args, ast.Load())
    inner = ast.comprehension(trees.stored(element), copy, [], 0)
    return ast.GeneratorExp(element, [*copies.generators, inner])


# --- blocks in place -----------------------------------------------------------------------------------------------


def in_place(block: Block, env: Env) -> ast.expr:
    """A block without a forward, where it stands."""
    names = dict(env.names)
    layers = env.source.needs.layers(block, env.blocks)
    for each in block.args:
        local = replace(env, names=names)
        made = argument(each.default, local, block, each.name, layers)
        names = {**names, each.name: made}
    inside = replace(env, names=names)
    inside = inside.within(frame_of(block, inside, hoist_all=True))
    numbered = block.listed or not block.layers
    made = trees.quoted("nn.Sequential(*ITEMS)", ITEMS=_ordered(items(block, inside, not numbered), numbered, env))
    if not block.tie:
        return made
    local_name = trees.name(env.cls.scope.fresh("sequence"))
    env.before.append(trees.assigned(local_name, made))
    env.before.extend(tied(local_name, block, inside))
    return local_name


def tied(base: ast.expr, block: Block, env: Env) -> list[ast.stmt]:
    """The ties of a block that is `base`."""
    found: list[ast.stmt] = []
    for tie in block.tie:
        line = trees.assigned(path(base, tie.left, block), path(base, tie.right, block))
        asked = when(tie.test, env)
        if asked is not FALSE:
            found.append(line if asked is None else ast.If(asked, [line], []))
    return found


def _ordered(found: list[ast.expr], numbered: bool, env: Env) -> list[ast.expr]:
    """The arguments of an `nn.Sequential`: items, or an `OrderedDict` of them."""
    if numbered:
        return flat(found)
    pairs = [each.elts for each in found if isinstance(each, ast.Tuple)]
    named = [(str(name.value), made) for name, made in pairs if isinstance(name, ast.Constant)]
    ordered = env.source.imports.known("OrderedDict")
    if len(named) == len(found) and all(name.isidentifier() for name, _ in named):
        return [trees.call(ordered, (), named)]
    return [trees.call(ordered, [ast.List(found, ast.Load())])]


def path(base: ast.expr, dotted: str, block: Block | None) -> ast.expr:
    """What a dotted name below a module is in Python; `block` is what the module was made from."""
    for position, part in enumerate(dotted.split(".")):
        counted = names.is_index(part) and not (position == 0 and block is not None and block.forward is not None)
        base = ast.Subscript(base, trees.literal(int(part)), ast.Load()) if counted else trees.child(base, part)
    return base


# --- repeats -------------------------------------------------------------------------------------------------------


def repeat(node: Repeat, env: Env, home: ast.expr | None = None) -> ast.expr:
    """The copies of a layer; a loop adds to `home` at once where that is known."""
    count = number(node.count, env)
    scope = env.cls.scope
    index = scope.fresh("i")
    before: list[ast.stmt] = []
    names = {**env.names, "i": trees.name(index)}
    inside = replace(env, names=names, before=before, index=trees.name(index))
    asked = test(node.node, inside)
    try:
        made = env.source.node(node.node, inside)
    except DeadError:  # no copy was ever made
        scope.release(index)
        return trees.quoted("nn.Sequential()")
    name = _name_of_copy(node, inside)
    if not before:
        scope.release(index)
        short = _generated(made, name, asked, count, index, env)
        if short is not None:
            return short
        if index == "i":  # a loop around it needs another name
            scope.take(index)
    local = home if home is not None else trees.name(scope.fresh("sequence"))
    add = trees.statements("SEQUENCE.add_module(NAME, LAYER)", SEQUENCE=local, NAME=name, LAYER=made)
    add = add if asked is None else trees.statements("if TEST: BODY", TEST=asked, BODY=add)
    loop = trees.statements(
        "SEQUENCE = nn.Sequential()\nfor INDEX in range(COUNT): BODY",
        SEQUENCE=local, INDEX=trees.name(index), COUNT=count, BODY=[*before, *add],
    )  # fmt: skip
    env.before.extend(loop)
    return local


def siblings(node: Node, env: Env, parent: ast.expr) -> list[ast.stmt]:
    """The loop that adds the copies of a repeat to the block that is written; `forward` sees None for an absent one."""
    copies, asked, optional = bare(node), test(node, env), env.frames[-1].block.forward is not None
    assert isinstance(copies, Repeat)
    scope = env.cls.scope
    index = scope.fresh("i")
    body: list[ast.stmt] = []
    inside = replace(env, names={**env.names, "i": trees.name(index)}, before=body, index=trees.name(index))
    made: ast.expr = ast.Constant(None)
    if asked is not FALSE:
        with contextlib.suppress(DeadError):
            made = env.source.node(copies.node, inside)
    found = trees.everything([each for each in (asked, test(copies.node, inside)) if each is not None])
    absent = trees.is_constant(made, None)
    if optional and not absent:
        made = trees.chosen(found, made, ast.Constant(None))
    add = trees.statements(
        "PARENT.add_module(NAME, LAYER)", PARENT=parent, NAME=_name_of_copy(copies, inside), LAYER=made
    )
    if found is not None and not optional:
        add = trees.statements("if TEST: BODY", TEST=found, BODY=add)
    scope.release(index)
    if absent and not optional:
        return []
    given = {"INDEX": trees.name(index), "COUNT": number(copies.count, env)}
    return trees.statements("for INDEX in range(COUNT): BODY", **given, BODY=[*body, *add])


def _generated(
    made: ast.expr, name: ast.expr, asked: ast.expr | None, count: ast.expr, index: str, env: Env
) -> ast.expr | None:
    """Copies made by a generator; None where that is too long to read."""
    numbered = trees.same([name], [trees.quoted("str(INDEX)", INDEX=trees.name(index))])
    plain = numbered and asked is None
    element = made if plain else ast.Tuple([name, made], ast.Load())
    used = any(trees.mentions(each, index) for each in (element, asked))
    target = ast.Name(index if used else "_", ast.Store())
    loop = ast.comprehension(target, trees.quoted("range(COUNT)", COUNT=count), [asked] if asked else [], 0)
    copies = ast.GeneratorExp(element, [loop])
    if plain:
        return trees.quoted("nn.Sequential(*COPIES)", COPIES=[_starred(copies)])
    whole = trees.quoted("nn.Sequential(ORDERED(COPIES))", ORDERED=trees.name("OrderedDict"), COPIES=copies)
    if len(shown(whole)) > SHORT:
        return None
    env.source.imports.known("OrderedDict")
    return whole


def _name_of_copy(node: Repeat, env: Env) -> ast.expr:
    """The name of a copy as an expression."""
    index = env.names["i"]
    if node.name == "{i}":
        return trees.quoted("str(INDEX)", INDEX=index)
    start = 0
    parts: list[ast.expr] = []
    for at, part in parts_of(node.name):
        parts += [ast.Constant(node.name[start:at])] if at > start else []
        tree = formula(syntax.parse_expression(part), env, node.key)
        parts.append(ast.FormattedValue(tree, -1))
        start = at + len(part) + 2
    parts += [ast.Constant(node.name[start:])] if start < len(node.name) else []
    return ast.JoinedStr(parts)
