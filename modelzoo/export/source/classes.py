"""The blocks of a model as Python classes: formulas, repeats, conditions and references as they were written.

A class is written once for each block, from its `Spec`. What only the data decided (sizes that were left out) is read
off the instances: a number where all agree, else an argument more.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial

from modelzoo import names
from modelzoo.errors import Path, fail
from modelzoo.export.source import expressions, tensors, trees
from modelzoo.export.source.environment import Class, DeadError, Env, Source
from modelzoo.export.source.floating import floats_of
from modelzoo.export.source.layout import WIDTH, shown
from modelzoo.export.source.makers import Owner
from modelzoo.export.source.naming import Imports, Scope, class_title
from modelzoo.export.source.needs import Needs, bare, inputs_of_sequences, is_computed, names_in
from modelzoo.export.source.occurrences import Occurrences, Variant
from modelzoo.export.source.recipes import NONE, argument
from modelzoo.export.source.sequences import flat, frame_of, items, siblings, tied
from modelzoo.export.source.taken import Calls
from modelzoo.export.source.texts import method
from modelzoo.export.source.values import FALSE, is_there, test
from modelzoo.init import ledger
from modelzoo.plans.draft import Draft
from modelzoo.spec import nodes
from modelzoo.spec.visible import names_of

_SELF = trees.name("self")
_SUPER = trees.statements("super().__init__()")


def source_of(
    node: nodes.Node, draft: Draft, variants: Sequence[Variant], pinned: Collection[str]
) -> tuple[Source, Class]:
    """The classes of a model; the last is that of the model itself, which is always called `Model`.

    Args:
        node: what the model is written from.
        draft: what was decided about it.
        variants: what it is with other values for its args.
        pinned: args that its constructor does not take.
    """
    made = draft.skeleton.instances[draft.skeleton.root]
    seen, scope = Occurrences(node, made, draft.provenance, variants), Scope()
    root = node if isinstance(node, nodes.Block) else nodes.Block(name="Model", listed=True, layers=(("0", node),))
    source = Source(
        seen=seen,
        needs=Needs(seen),
        scope=scope,
        imports=Imports(scope),
        root=root,
        sequences=inputs_of_sequences(root),
        node=expressions.node_of,
        child=expressions.child,
        write=write,
        calls=Calls(draft, seen.block_of),
        erased=_erased(draft.table),
        pinned={*pinned},
    )
    scope.take("Model")
    if isinstance(node, nodes.Block):
        return source, write(source, node, None, dict(node.blocks))
    return source, _layer(source, node, root)


def _erased(table: Iterable[ledger.Entry]) -> frozenset[Path]:
    """The keys of own fills that count for no tensor."""
    given = {each.key for entry in table for home in entry.homes for each in home.decisions if each.strength == 1}
    return frozenset(given - {each.key for entry in table for each in entry.chain})


def _layer(source: Source, node: nodes.Node, block: nodes.Block) -> Class:
    """A model of one layer is a class that inherits from it."""
    cls = _class(source, block, "Model")
    body: list[ast.stmt] = []
    env = Env(source=source, cls=cls, names={}, blocks={}, frames=(), before=body)
    made = expressions.node_of(bare(node), env)
    if not isinstance(made, ast.Call):
        fail(
            node.key, "a model that is no block is written as a source only if it is one layer.", "Write layers: [...]."
        )
    given = trees.quoted("super().__init__()")
    assert isinstance(given, ast.Call)
    init = [*body, ast.Expr(ast.Call(given.func, made.args, made.keywords))]
    source.classes.append(trees.class_of("Model", made.func, [trees.function("__init__", [("self", None)], init)]))
    return cls


def write(source: Source, block: nodes.Block, outer: Env | None, blocks: Mapping[str, nodes.Block]) -> Class:
    """The class of a block; of one written in place with what it sees from outside."""
    known = source.known.get(block)
    if known is not None:
        known.recursive |= known.open
        return known
    title = "Model" if block is source.root else source.scope.fresh(class_title(block.name, block.key))
    cls = source.known[block] = _class(source, block, title)
    marks = len(source.classes), len(source.functions)
    try:
        body = _body(cls, source, outer, blocks)
    except DeadError:
        del source.known[block], source.classes[marks[0] :], source.functions[marks[1] :]
        raise
    cls.open = False
    if cls.recursive and cls.lifted:
        fail(block.key, "a block that contains itself was left without sizes.", "Write the sizes.")
    base = trees.dotted("nn.Sequential" if block.forward is None else "nn.Module")
    found = trees.class_of(cls.name, base, body)
    same = next((each for each in source.classes if _is_same(each, found)), None)
    if same is None or block is source.root:
        source.classes.append(found)
    else:
        cls.name = same.name
    return cls


def _class(source: Source, block: nodes.Block, title: str) -> Class:
    owned = [*_layers(source, block), *(each.name for each in (*block.tensors, *block.buffers))]
    attributes = Scope(taken=[*names.names_of("Module"), *owned])
    return Class(name=title, block=block, scope=Scope(outer=source.scope), attributes=attributes)


def _layers(source: Source, block: nodes.Block) -> list[str]:
    """The names of the layers of a block, those of copies too."""
    written = [name for name, _ in block.layers if name not in block.siblings]
    made = source.seen.instances.get(block, ()) if block.siblings else ()
    return [*dict.fromkeys((*written, *(name for each in made for name in each.children)))]


def _is_same(one: ast.ClassDef, other: ast.ClassDef) -> bool:
    """Whether two classes differ by the number after their name alone."""
    stems = {each.name.rstrip("0123456789") for each in (one, other)}
    return len(stems) == 1 and trees.same([*one.bases, *one.body], [*other.bases, *other.body])


def _body(cls: Class, source: Source, outer: Env | None, blocks: Mapping[str, nodes.Block]) -> list[ast.stmt]:
    block = cls.block
    before: list[ast.stmt] = []
    if outer is not None:
        own = {each.name for each in block.args}
        cls.free = [name for name in dict.fromkeys(names_in(block)) if name in outer.names and name not in own]
    called = cls.scope.all([*cls.free, *(each.name for each in block.args)])
    cls.names.update((name, trees.name(called[name])) for name in cls.free)
    frames = outer.frames if outer is not None else ()
    env = Env(source=source, cls=cls, names=cls.names, blocks=blocks, frames=frames, before=before)
    _parameters(cls, env, called)
    init, forward = _contents(cls, env)
    if block is source.root:
        init = _pinned(cls, source, init)
    parameters = _signature(cls)
    body: list[ast.stmt] = []
    if parameters or not trees.same(init, _SUPER):
        body.append(trees.function("__init__", [("self", None), *parameters], init))
    return body if forward is None else [*body, forward]


def _parameters(cls: Class, env: Env, called: Mapping[str, str]) -> None:
    """The args of a block as parameters; one that follows from others is a statement, and a parameter if given."""
    block, source = cls.block, env.source
    layers = source.needs.layers(block, env.blocks)
    given = source.seen.given.get(block.name, set())
    positional = max((int(each) for each in given if names.is_index(each)), default=0)
    given = given | {each.name for each in block.args[:positional]}
    for each in block.args:
        name, default = trees.name(called[each.name]), None
        if each.default is not nodes.REQUIRED:
            default = argument(each.default, env, block, each.name, layers)
        computed = is_computed(each.default, cls.names)
        cls.names[each.name] = name
        if not computed:
            cls.parameters[each.name] = default
            continue
        assert default is not None
        if each.name in given:
            cls.parameters[each.name] = NONE
            default = ast.IfExp(trees.quoted("ARG is None", ARG=name), default, name)
        env.before.append(trees.assigned(name, default))


def _pinned(cls: Class, source: Source, init: list[ast.stmt]) -> list[ast.stmt]:
    """Args that decide a size which stands in the source as a number: they have the value that it was found with."""
    found: list[ast.stmt] = []
    for each in [name for name in cls.parameters if name in source.pinned]:
        default = cls.parameters.pop(each)
        assert default is not None
        if any(trees.mentions(statement, cls.called(each)) for statement in init):
            found.append(trees.assigned(cls.names[each], default))
    return found + init


def _signature(cls: Class) -> list[tuple[str, ast.expr | None]]:
    args = [(cls.called(name), default) for name, default in cls.parameters.items()]
    required = [*(cls.called(name) for name in cls.free), *(name for name, default in args if default is None)]
    required += [*cls.lifted, *(name for _, name in cls.modules.values())]
    return [*((each, None) for each in required), *(each for each in args if each[1] is not None)]


def _contents(cls: Class, env: Env) -> tuple[list[ast.stmt], ast.stmt | None]:
    """What `__init__` does after its arguments are settled, and `forward`."""
    block, body = cls.block, env.before
    start = len(body)
    forward, stored = _forward(cls, env)
    own = [*stored, *tensors.own(cls, env)]
    if block.forward is None and block.layers and all(name == str(i) for i, (name, _) in enumerate(block.layers)):
        inside = env.within(frame_of(block, env, hoist_all=True))
        found = flat(items(block, inside))
        init = [*body, *trees.statements("super().__init__(*ITEMS)", ITEMS=found)]
    elif block.listed and (block.unpacked or any(isinstance(node, nodes.Condition) for _, node in block.layers)):
        inside = env.within(frame_of(block, env, hoist_all=True))
        named = {each: trees.name(cls.scope.fresh(each.lower())) for each in ("LAYERS", "LAYER")}
        given = ast.List(flat(items(block, inside)), ast.Load())
        numbered = trees.statements(
            "LAYERS = GIVEN\nfor LAYER in LAYERS: self.add_module(str(len(self._modules)), LAYER)", GIVEN=given, **named
        )
        init = [*_SUPER, *body, *own, *numbered]
    else:
        inside = env.within(frame_of(block, env))
        init = [*_SUPER, *body[:start], *own]
        for name, node in block.layers:
            first = len(body)
            one = (_siblings if name in block.siblings else _attribute)(name, node, inside)
            init += [*body[first:], *one]
            del body[first:]
        init[1 + start + len(own) : 1 + start + len(own)] = body[start:]
    return init + tied(_SELF, block, env), forward


def _siblings(_: str, node: nodes.Node, env: Env) -> list[ast.stmt]:
    """The copies of a repeat, which are there for what comes after them."""
    made, frame = siblings(node, env, _SELF), env.frames[-1]
    copies = [each for each in _layers(env.source, frame.block) if each not in dict(frame.block.layers)]
    frame.ready.update((each, trees.attribute(_SELF, each)) for each in copies if each.isidentifier())
    return made


def _attribute(name: str, node: nodes.Node, env: Env) -> list[ast.stmt]:
    """`self.name = ...`."""
    frame = env.frames[-1]
    home = trees.attribute(_SELF, name) if name.isidentifier() else None
    sequence = frame.block.forward is None
    made, asked = frame.ready.get(name), test(node, env)
    if made is None:
        try:
            own = home if asked is None else None
            made = expressions.node_of(bare(node), env, own) if asked is not FALSE else NONE
        except DeadError:
            made, asked = NONE, None
    else:
        asked = is_there(made) if asked is not None and sequence else None
    if home is not None and name not in frame.ready:
        frame.ready[name] = home

    def placed(what: ast.expr) -> list[ast.stmt]:
        if home is None:
            return trees.statements("self.add_module(NAME, LAYER)", NAME=trees.literal(name), LAYER=what)
        return [] if trees.same([what], [home]) else [trees.assigned(home, what)]

    if trees.is_constant(made, None):
        return [] if sequence else placed(NONE)
    if asked is None or asked is FALSE:
        return placed(made)
    if sequence:
        return trees.statements("if TEST: BODY", TEST=asked, BODY=placed(made))
    whole = placed(ast.IfExp(asked, made, NONE))
    if sum(len(shown(each)) for each in whole) + 8 <= WIDTH:
        return whole
    return trees.statements("if TEST: BODY\nelse: OTHER", TEST=asked, BODY=placed(made), OTHER=placed(NONE))


def _forward(cls: Class, env: Env) -> tuple[ast.stmt | None, list[ast.stmt]]:
    """`forward`, and the args that `__init__` keeps for it."""
    block = cls.block
    if block.forward is None:
        return None, []
    kept = {name: trees.attribute(_SELF, each) for name, each in cls.attributes.all(cls.names).items()}
    written = method(
        block.forward,
        names_of(block, frozenset(cls.names), layers=_layers(env.source, block)),
        env.source.imports,
        block.key / "forward",
        values=kept,
        scope=Scope(outer=env.source.scope),
        owner=_owner(cls, env.source),
        sequences=env.source.sequences,
    )
    stored = [trees.assigned(kept[name], tree) for name, tree in cls.names.items() if name in written.reads]
    defaults = [NONE if each.optional else None for each in block.inputs]
    parameters = [("self", None), *zip(written.inputs, defaults, strict=True)]
    return trees.function("forward", parameters, written.body), stored


def _owner(cls: Class, source: Source) -> Owner:
    """What decides the device and the dtype of tensors that a block makes."""
    block, instances = cls.block, [*source.seen.instances.get(cls.block, ())]
    return Owner(
        inputs={each.name: each.optional for each in block.inputs},
        taken=partial(source.calls.of, block),
        own=source.calls.own(instances),
        floats={
            name: floats_of([each.values[name] for each in instances if name in each.values]) for name in cls.names
        },
    )
