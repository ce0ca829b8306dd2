"""The blocks of a model as Python classes: formulas, repeats, conditions and references as they were written.

A class is written once for each block, from its `Spec`. What only the data decided (sizes that were left out) is read
off the instances: a number where all agree, else an argument more.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from modelzoo import catalog, language, spec
from modelzoo.errors import Path, Problems, fail
from modelzoo.fillsource import fill_call, fill_program, sample
from modelzoo.methods import BUILTINS, IMPORTED, Imports, formula, literal, method, safe
from modelzoo.resolve import Instance, Scope
from modelzoo.sightings import CONTAINERS, NODES, Seen, Sightings, items_of
from modelzoo.writing import WIDTH, Statement, shown, statements


class _DeadError(Exception):
    """No instance took this way, so what the data would have decided about it is not known."""


@dataclass(slots=True, kw_only=True, eq=False)
class Class:
    """A class of the source.

    Attributes:
        name: its name.
        block: what it is written from.
        names: how the values that its `__init__` sees are called there.
        free: the values of blocks around it that it takes as arguments.
        parameters: its own args, each with its default as text, or None.
        lifted: arguments for sizes that instances disagree about, with the value of each instance (by its id).
        modules: arguments for layers of blocks around it, by their place.
    """

    name: str
    block: spec.Block
    names: dict[str, str] = field(default_factory=dict)
    free: list[str] = field(default_factory=list)
    parameters: dict[str, str | None] = field(default_factory=dict)
    lifted: dict[str, dict[int, Any]] = field(default_factory=dict)
    modules: dict[tuple[int, str], tuple[Frame, str]] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    open: bool = True
    recursive: bool = False

    def fresh(self, name: str) -> str:
        """A name that nothing in `__init__` has yet."""
        name, number = safe(name if name.isidentifier() else f"layer{name}"), 2
        while name in self.taken:
            name, number = f"{name.rstrip('0123456789')}{number}", number + 1
        self.taken.add(name)
        return name


@dataclass(slots=True, kw_only=True, eq=False)
class Frame:
    """A block whose children are being written, and how those that are ready can be reached."""

    block: spec.Block
    cls: Class
    ready: dict[str, str] = field(default_factory=dict)
    hoist: Callable[[str], str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Env:
    """Where a node is written: what its names are called, and where statements that come before it go."""

    cls: Class
    names: Mapping[str, str]
    blocks: Mapping[str, spec.Block]
    frames: tuple[Frame, ...]
    before: list[Statement]
    index: str | None = None


class Classes:
    """Writes the classes of one model, each before those that use it."""

    def __init__(self, root: spec.Node, made: Instance) -> None:
        self.seen = Sightings(root, made)
        self.imports = Imports()
        self.texts: list[tuple[str, list[Statement]]] = []
        self.functions: list[Statement] = []
        self.known: dict[int, Class] = {}
        self.layerlike: dict[int, set[str]] = {}
        self.taken = {*IMPORTED, *BUILTINS, "Model"}

    # -- classes

    def root(self, node: spec.Node) -> Class:
        """The class of the model, which is always called `Model`."""
        if isinstance(node, spec.Block):
            return self.write(node, None, dict(node.blocks), "Model")
        block = spec.Block(name="Model", listed=True, layers=(("0", node),))
        cls = Class(name="Model", block=block)
        body: list[Statement] = []
        text = self.node(node, Env(cls=cls, names={}, blocks={}, frames=(), before=body))
        tree = ast.parse(text, mode="eval").body
        assert isinstance(tree, ast.Call)
        inside = ", ".join([*map(shown, tree.args), *(f"{each.arg}={shown(each.value)}" for each in tree.keywords)])
        init: Statement = ("def __init__(self):", [*body, f"super().__init__({inside})"])
        self.texts.append((f"class Model({shown(tree.func)}):", [init]))
        return cls

    def write(
        self, block: spec.Block, outer: Env | None, blocks: Mapping[str, spec.Block], name: str | None = None
    ) -> Class:
        """The class of a block; of one written in place with what it sees from outside."""
        known = self.known.get(id(block))
        if known is not None:
            known.recursive |= known.open
            return known
        cls = self.known[id(block)] = Class(name=name or self.class_name(block.name), block=block)
        marks = len(self.texts), len(self.functions)
        try:
            body = self.body(cls, outer, blocks)
        except _DeadError:
            del self.known[id(block)], self.texts[marks[0] :], self.functions[marks[1] :]
            raise
        cls.open = False
        if cls.recursive and cls.lifted:
            fail(block.key, "a block that contains itself was left without sizes.", "Write the sizes.")
        base = "nn.Sequential" if block.forward is None else "nn.Module"
        same = next((each for each, text in self.texts if text == body and _base(each) == base), None)
        if same is not None and name is None and _stem(_named(same)) == _stem(cls.name):
            cls.name = _named(same)
        else:
            self.texts.append((f"class {cls.name}({base}):", body))
        return cls

    def class_name(self, name: str) -> str:
        found, number = name, 2
        while found in self.taken:
            found, number = f"{name}{number}", number + 1
        self.taken.add(found)
        return found

    def body(self, cls: Class, outer: Env | None, blocks: Mapping[str, spec.Block]) -> list[Statement]:
        block = cls.block
        before: list[Statement] = []
        if outer is not None:
            visible = {name for name in outer.names if name not in {each.name for each in block.args}}
            used = list(dict.fromkeys(name for name in self.names_used(block) if name in visible))
            cls.free = used
            cls.names.update((name, cls.fresh(name)) for name in used)
        layerlike = self.layer_args(block, blocks)
        given = self.seen.given.get(block.name, set())
        positional = max((int(each) for each in given if each.isdigit()), default=0)
        given = given | {each.name for each in block.args[:positional]}
        frames = outer.frames if outer is not None else ()
        env = Env(cls=cls, names=cls.names, blocks=blocks, frames=frames, before=before)
        for each in block.args:
            name = cls.fresh(each.name)
            text: str | None = None
            if each.default is not spec.REQUIRED:
                text = self.recipe(each.default, env) if each.name in layerlike else self.value(each.default, env)
            computed = _is_computed(each.default, cls.names)
            cls.names[each.name] = name
            if computed:
                if each.name in given:
                    cls.parameters[each.name] = "None"
                    before.append(f"{name} = {text} if {name} is None else {name}")
                else:
                    before.append(f"{name} = {text}")
            else:
                cls.parameters[each.name] = text
        init, forward = self.contents(cls, env)
        parameters = self.signature(cls)
        simple = not parameters and init == ["super().__init__()"]
        body: list[Statement] = []
        if not simple:
            body.append((f"def __init__({', '.join(['self', *parameters])}):", init))
        if forward is not None:
            inputs = [safe(each.name) + ("=None" if each.optional else "") for each in block.inputs]
            body.append((f"def forward({', '.join(['self', *inputs])}):", forward))
        return body or ["pass"]

    def signature(self, cls: Class) -> list[str]:
        args = [(cls.names[name], default) for name, default in cls.parameters.items()]
        required = [*(cls.names[name] for name in cls.free), *(name for name, default in args if default is None)]
        required += [*cls.lifted, *(name for _, name in cls.modules.values())]
        return [*required, *(f"{name}={default}" for name, default in args if default is not None)]

    def contents(self, cls: Class, env: Env) -> tuple[list[Statement], list[Statement] | None]:
        """What `__init__` does after its arguments are settled, and the body of `forward`."""
        block, body = cls.block, env.before
        start = len(body)
        forward, stored = self.forward(cls)
        own = [*stored, *self.tensors(cls, env)]
        if block.forward is None and block.layers and all(name == str(i) for i, (name, _) in enumerate(block.layers)):
            frame = self.frame(block, env, hoist_all=True)
            inside = self.within(env, frame)
            items = [self.item(name, node, inside) for name, node in block.layers]
            arguments = ", ".join(each for each in items if each)
            init: list[Statement] = [*body, f"super().__init__({arguments})"]
        else:
            frame = self.frame(block, env)
            inside = self.within(env, frame)
            init = ["super().__init__()", *body[:start], *own]
            for name, node in block.layers:
                first = len(body)
                one = self.attribute(name, node, inside)
                init += [*body[first:], *one]
                del body[first:]
            init[1 + start + len(own) : 1 + start + len(own)] = body[start:]
        for left, right in block.tie:
            init.append(f"{self.path('self', left, block)} = {self.path('self', right, block)}")
        return init, forward

    # -- children

    def within(self, env: Env, frame: Frame) -> Env:
        return Env(
            cls=env.cls,
            names=env.names,
            blocks=env.blocks,
            frames=(*env.frames, frame),
            before=env.before,
            index=env.index,
        )

    def frame(self, block: spec.Block, env: Env, hoist_all: bool = False) -> Frame:
        """Makes the children that others refer to before they are made where they stand."""
        frame = Frame(block=block, cls=env.cls)
        inside = self.within(env, frame)
        nodes = dict(block.layers)

        def hoist(name: str) -> str:
            frame.ready[name] = ""  # a cycle was refused long ago
            text = self.child(nodes[name], inside)
            local = env.cls.fresh(name)
            env.before.append(f"{local} = {text}")
            frame.ready[name] = local
            return local

        frame.hoist = hoist
        order = {name: position for position, (name, _) in enumerate(block.layers)}
        wanted = [
            target
            for position, (_, node) in enumerate(block.layers)
            for target in _references(node)
            if target in order and (hoist_all or order[target] >= position)
        ]
        for target in dict.fromkeys(wanted):
            if target not in frame.ready:
                hoist(target)
        return frame

    def child(self, node: spec.Node, env: Env) -> str:
        """A child, or None where it is absent."""
        test = self.test(node, env)
        try:
            text = self.node(_bare(node), env) if test != "False" else "None"
        except _DeadError:
            return "None"
        return f"{text} if {test} else None" if test and text != "None" else text

    def attribute(self, name: str, node: spec.Node, env: Env) -> list[Statement]:
        """`self.name = ...`."""
        frame = env.frames[-1]
        home = f"self.{name}" if name.isidentifier() else None
        sequence = frame.block.forward is None
        text, test = frame.ready.get(name), self.test(node, env)
        if text is None:
            try:
                text = self.made(_bare(node), env, "" if test else home or "") if test != "False" else "None"
            except _DeadError:
                text, test = "None", ""
        else:
            test = f"{text} is not None" if test and sequence else ""
        if home is not None and name not in frame.ready:
            frame.ready[name] = home

        def place(value: str) -> str:
            return "" if value == home else f"{home} = {value}" if home else f'self.add_module("{name}", {value})'

        if sequence:
            if text == "None":
                return []
            return [(f"if {test}:", [place(text)])] if test else [*filter(None, [place(text)])]
        if not test or text == "None":
            return [*filter(None, [place(text)])]
        if len(place(f"{text} if {test} else None")) + 8 <= WIDTH:
            return [place(f"{text} if {test} else None")]
        return [(f"if {test}:", [place(text)]), ("else:", [place("None")])]

    def item(self, name: str, node: spec.Node, env: Env, pair: bool = False) -> str:
        """An item of a sequence; "" if it is never there."""
        frame = env.frames[-1]
        text, test = frame.ready.get(name), self.test(node, env)
        if text is not None:
            test = f"{text} is not None" if test else ""
        else:
            try:
                text = self.node(_bare(node), env) if test != "False" else "None"
            except _DeadError:
                return ""
        if text == "None":
            return ""
        if not test and isinstance(node, spec.Reference) and self.sometimes_none(node):
            test = f"{text} is not None"
        if name in frame.block.unpacked:
            return self.unpacked(text, test, _bare(node), env)
        text = f'("{name}", {text})' if pair else text
        return f"*([{text}] if {test} else [])" if test else text

    def unpacked(self, text: str, test: str, node: spec.Node, env: Env) -> str:
        """The layers of a sequence as items of the list around it; of a repeat those of every copy."""
        tree = ast.parse(text, mode="eval").body
        copies = [each.made for each in self.seen.of.get(id(node.node), ())] if isinstance(node, spec.Repeat) else []
        if any(each is not None and each.sequence for each in copies):
            text = self.copies(tree, env)
        elif isinstance(tree, ast.Call) and shown(tree.func) == "nn.Sequential":
            items = ", ".join(map(shown, tree.args))  # they need no sequence of their own
            if not isinstance(node, spec.Repeat) or all(isinstance(each, ast.Starred) for each in tree.args):
                return f"*([{items}] if {test} else [])" if test else items
        return f"*({text} if {test} else [])" if test else f"*{text}"

    def copies(self, tree: ast.expr, env: Env) -> str:
        """`layer for i in range(n) for layer in copy`."""
        only = tree.args[0] if isinstance(tree, ast.Call) and len(tree.args) == 1 else None
        copies = only.value if isinstance(only, ast.Starred) else None
        layer = env.cls.fresh("layer")
        env.cls.taken.discard(layer)
        if not isinstance(copies, ast.GeneratorExp):
            return f"({layer} for copy in {shown(tree)} for {layer} in copy)"
        copy = copies.elt
        if isinstance(copy, ast.Call) and shown(copy.func) == "nn.Sequential" and len(copy.args) > 1:
            copy = ast.Tuple(copy.args, ast.Load())
        (loop,) = copies.generators
        head = f"for {shown(loop.target)} in {shown(loop.iter)}" + "".join(f" if {shown(each)}" for each in loop.ifs)
        return f"({layer} {head} for {layer} in {shown(copy)})"

    def test(self, node: spec.Node, env: Env) -> str:
        """When a child is there; "" for always, "False" for never."""
        found = []
        while isinstance(node, spec.Condition):
            if isinstance(node.test, spec.Formula):
                found.append(self.value(node.test, env))
            elif not node.test:
                return "False"
            node = node.node
        if isinstance(node, spec.Call) and node.target in env.names and self.sometimes_none(node):
            found.append(f"{env.names[node.target]} is not None")
        elif isinstance(node, (spec.Computed, spec.Reference)) and self.sometimes_none(node):
            always = all(each.made is None for each in self.seen.of.get(id(node), ()))
            if always:
                return "False"
            if isinstance(node, spec.Computed):
                found.append(self.presence(node.formula.tree, env, node.key))
        return " and ".join(f"({each})" if len(found) > 1 else each for each in found if each)

    def sometimes_none(self, node: spec.Node) -> bool:
        return any(each.made is None for each in self.seen.of.get(id(node), ()))

    def presence(self, tree: ast.expr, env: Env, key: Path) -> str:
        """When a formula names a layer at all."""
        if isinstance(tree, ast.Name):
            return f"{env.names[tree.id]} is not None"
        if isinstance(tree, ast.IfExp):
            test = self.formula(tree.test, env, key)
            yes, no = (
                "False" if _is_none(each) else self.presence(each, env, key) for each in (tree.body, tree.orelse)
            )
            if (yes, no) == ("", "False"):
                return test
            if (yes, no) == ("False", ""):
                return f"not ({test})"
            return f"({yes or True}) if {test} else ({no or True})"
        return ""

    # -- nodes

    def node(self, node: spec.Node, env: Env) -> str:
        """The expression that makes a node anew."""
        if isinstance(node, spec.Call):
            return self.call(node, env)
        if isinstance(node, spec.Block):
            return self.in_place(node, env)
        if isinstance(node, spec.Reference):
            return self.reference(node, env)
        if isinstance(node, spec.Repeat):
            return self.repeat(node, env)
        if isinstance(node, spec.Condition):
            return self.child(node, env)
        return self.computed(node.formula.tree, node, env)

    def computed(self, tree: ast.expr, node: spec.Computed, env: Env) -> str:
        """A layer that a formula chooses."""
        if _is_none(tree):
            return "None"
        if isinstance(tree, ast.IfExp):
            yes, no = (self.computed(each, node, env) for each in (tree.body, tree.orelse))
            return f"{yes} if {self.formula(tree.test, env, node.key)} else {no}"
        if isinstance(tree, ast.Name) and tree.id in env.names:
            return self.called(env.names[tree.id], [], node, env)
        if isinstance(tree, ast.Subscript):
            return self.called(self.formula(tree, env, node.key), [], node, env)
        return self.call(self.parsed_call(tree, env, node.key), env, node)

    def parsed_call(self, tree: ast.expr, env: Env, key: Path) -> spec.Call:
        signatures = {name: block.args for name, block in env.blocks.items()}
        visible = spec.Visible(values=frozenset(env.names), signatures=signatures)
        call = spec.Parser(Problems()).call_of(tree, ast.unparse(tree), key, visible)
        assert call is not None
        return call

    def in_place(self, block: spec.Block, env: Env) -> str:
        blocks = {**env.blocks, **dict(block.blocks)}
        self.seen.owners.update((id(each), block) for _, each in block.blocks)
        if block.forward is not None:
            return self.construction(self.write(block, env, blocks), {}, block, env)
        names = dict(env.names)
        layerlike = self.layer_args(block, blocks)
        for each in block.args:
            local = Env(cls=env.cls, names=names, blocks=blocks, frames=env.frames, before=env.before, index=env.index)
            text = self.recipe(each.default, local) if each.name in layerlike else self.value(each.default, local)
            names = {**names, each.name: f"({text})" if _is_computed(each.default, names) else text}
        inside = Env(cls=env.cls, names=names, blocks=blocks, frames=env.frames, before=env.before, index=env.index)
        frame = self.frame(block, inside, hoist_all=True)
        inside = self.within(inside, frame)
        numbered = block.listed or not block.layers
        items = [self.item(name, node, inside, pair=not numbered) for name, node in block.layers]
        text = f"nn.Sequential({self.ordered([each for each in items if each], numbered)})"
        if not block.tie:
            return text
        local_name = env.cls.fresh("sequence")
        env.before.append(f"{local_name} = {text}")
        for left, right in block.tie:
            env.before.append(f"{self.path(local_name, left, block)} = {self.path(local_name, right, block)}")
        return local_name

    def ordered(self, items: list[str], numbered: bool) -> str:
        if numbered:
            return ", ".join(items)
        self.imports.ordered = True
        trees = [ast.parse(f"[{each}]", mode="eval").body.elts[0] for each in items]  # type: ignore[attr-defined]
        pairs = [[ast.unparse(part) for part in each.elts] for each in trees if isinstance(each, ast.Tuple)]
        if len(pairs) == len(trees) and all(name[1:-1].isidentifier() for name, _ in pairs):
            return f"OrderedDict({', '.join(f'{name[1:-1]}={text}' for name, text in pairs)})"
        return f"OrderedDict([{', '.join(items)}])"

    def made(self, node: spec.Node, env: Env, home: str) -> str:
        """A node that is wanted as an attribute: a loop adds to that at once."""
        return self.repeat(node, env, home) if isinstance(node, spec.Repeat) else self.node(node, env)

    def repeat(self, node: spec.Repeat, env: Env, home: str = "") -> str:
        count = self.value(node.count, env)
        index = env.cls.fresh("i") if "i" in env.cls.taken else "i"
        before: list[Statement] = []
        env.cls.taken.add(index)
        inside = Env(
            cls=env.cls,
            names={**env.names, "i": index},
            blocks=env.blocks,
            frames=env.frames,
            before=before,
            index=index,
        )
        text = self.node(node.node, inside)
        test = self.test(node.node, inside)
        name = self.pattern(node, inside)
        if not before:
            env.cls.taken.discard(index)
            condition = f" if {test}" if test else ""
            variable = index if _mentions((text, name, test), index) else "_"
            loop = f"for {variable} in range({count}){condition}"
            if name == f"str({index})" and not test:
                loop = loop if _mentions((text,), index) else f"for _ in range({count})"
                return f"nn.Sequential(*({text} {loop}))"
            whole = f"nn.Sequential(OrderedDict(({name}, {text}) {loop}))"
            if len(whole) <= 60:
                self.imports.ordered = True
                return whole
            if index == "i":
                env.cls.taken.add(index)
        local = home or env.cls.fresh("sequence")
        add: Statement = f"{local}.add_module({name}, {text})"
        body = [*before, (f"if {test}:", [add]) if test else add]
        env.before.extend([f"{local} = nn.Sequential()", (f"for {index} in range({count}):", body)])
        return local

    def pattern(self, node: spec.Repeat, env: Env) -> str:
        """The name of a copy as an expression."""
        if node.name == "{i}":
            return f"str({env.names['i']})"
        start, parts = 0, []
        for at, part in _parts(node.name):
            tree = language.parse_expression(part)
            parts.append(node.name[start:at] + "{" + self.formula(tree, env, node.key) + "}")
            start = at + len(part) + 2
        return "f" + repr("".join(parts) + node.name[start:])

    def reference(self, node: spec.Reference, env: Env) -> str:
        first, *rest = node.target
        for frame in reversed(env.frames):
            if first in dict(frame.block.layers):
                text = self.reach(frame, first, env)
                return self.path(text, ".".join(rest), None) if rest else text
        raise AssertionError(first)

    def reach(self, frame: Frame, name: str, env: Env) -> str:
        """A layer of a block that is being written; in a class of its own it comes as an argument."""
        if frame.cls is env.cls:
            ready = frame.ready.get(name)
            assert frame.hoist is not None
            return ready or frame.hoist(name)
        key = id(frame), name
        if key not in env.cls.modules:
            env.cls.modules[key] = (frame, env.cls.fresh(name))
        return env.cls.modules[key][1]

    def path(self, base: str, dotted: str, block: spec.Block | None) -> str:
        for number, part in enumerate(dotted.split(".")):
            if not part.isdigit():
                base += f".{part}"
            elif number == 0 and block is not None and block.forward is not None:
                base += f'._modules["{part}"]'
            else:
                base += f"[{part}]"
        return base

    # -- calls

    def call(self, node: spec.Call, env: Env, seen_as: spec.Node | None = None) -> str:
        """A layer: torch's, of a definition, or described by an arg."""
        place = seen_as or node
        if node.target in env.names:
            given = [self.argument(each, env) for each in node.positional]
            given += [f"{name}={self.argument(value, env)}" for name, value in node.arguments]
            return self.called(env.names[node.target], given, place, env)
        if node.target in env.blocks:
            block = env.blocks[node.target]
            cls = self.write(block, None, self.seen.visible(block))
            layerlike = self.layer_args(block, self.seen.visible(block))
            given_texts = {
                name: self.recipe(value, env) if name in layerlike else self.value(value, env)
                for name, value in node.arguments
            }
            return self.construction(cls, given_texts, place, env)
        layer = catalog.find_layer(node.target)
        assert layer is not None
        if layer.name in CONTAINERS:
            return self.container(node, layer, env)
        arguments = {name: self.argument(value, env, layer, name) for name, value in node.arguments}
        arguments.update(self.found(node, layer, place, env))
        extra = [self.argument(each, env) for each in node.positional]
        name = self.imports.add(layer.cls, node.key) if layer.registered else f"nn.{layer.name}"
        return f"{name}({', '.join(_arranged(layer, arguments, extra))})"

    def found(self, node: spec.Call, layer: catalog.Layer, place: spec.Node, env: Env) -> dict[str, str]:
        """The sizes that the data decided."""
        found: dict[str, list[tuple[Seen, Any]]] = {}
        required = [
            each.name
            for each in layer.signature.values()
            if each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
        ]
        missing = [each for each in required if each not in dict(node.arguments)]
        made = [
            each
            for each in self.seen.of.get(id(place), ())
            if each.made is not None and each.made.layer is not None and each.made.layer.name == layer.name
        ]
        if missing and not made:
            raise _DeadError
        for each in made:
            assert each.made is not None
            for name, value in each.made.arguments.items():
                if name not in dict(node.arguments):
                    found.setdefault(name, []).append((each, value))
        return {name: self.settled(name, values, node.key, env) for name, values in found.items()}

    def called(self, function: str, given: list[str], place: spec.Node, env: Env) -> str:
        """`act()`: a layer that an arg describes, with what the data decided about it."""
        sizes_of: list[tuple[Seen, Any]] = []
        lifted: dict[str, list[tuple[Seen, Any]]] = {}
        for each in self.seen.of.get(id(place), ()):
            if each.made is None:
                continue
            late = self.seen.late.get((id(place), id(each.made)), set())
            if len(late) > 1:
                fail(place.key, "several sizes of a layer given as an argument were left out.", "Write them.")
            sizes_of += [(each, each.made.arguments[name]) for name in late]
            block = each.made.block
            if block is not None and id(block) in self.seen.definitions:
                for name, values in self.write(block, None, self.seen.visible(block)).lifted.items():
                    lifted.setdefault(name, []).append((each, values[id(each.made)]))
        if sizes_of and not given:  # the first argument of every layer that can be left without
            given = [self.settled("size", sizes_of, place.key, env)]
        given = [*given, *(f"{name}={self.settled(name, each, place.key, env)}" for name, each in lifted.items())]
        return f"{function}({', '.join(given)})"

    def construction(self, cls: Class, given: dict[str, str], node: spec.Node, env: Env) -> str:
        """The call of a class."""
        texts = [env.names[name] for name in cls.free]
        texts += [given[name] for name, default in cls.parameters.items() if default is None]
        for name, values in cls.lifted.items():
            made = [each for each in self.seen.of.get(id(node), ()) if id(each.made) in values]
            texts.append(self.settled(name, [(each, values[id(each.made)]) for each in made], node.key, env))
        modules = list(cls.modules.items())
        named = [f"{name}={self.reach(frame, layer, env)}" for (_, layer), (frame, name) in modules]
        named += [
            f"{cls.names[name]}={given[name]}" for name in cls.parameters if name in given and cls.parameters[name]
        ]
        return f"{cls.name}({', '.join([*texts, *named])})"

    def container(self, node: spec.Call, layer: catalog.Layer, env: Env) -> str:
        given = [*(value for _, value in node.arguments), *node.positional]
        if len(given) == 1 and isinstance(given[0], dict):
            items = ", ".join(f"{name!r}: {self.layer_value(each, env)}" for name, each in given[0].items())
            if layer.name == "ModuleDict":
                return f"nn.ModuleDict({{{items}}})"
            self.imports.ordered = True
            return f"nn.{layer.name}(OrderedDict({{{items}}}))"
        texts = [text for each in items_of(node) if (text := self.layer_value(each, env)) != "None"]
        if layer.name == "Sequential":
            return f"nn.Sequential({', '.join(texts)})"
        return f"nn.{layer.name}([{', '.join(texts)}])"

    def argument(self, value: Any, env: Env, layer: catalog.Layer | None = None, name: str = "") -> str:
        if isinstance(value, NODES):
            return self.layer_value(value, env)
        takes = layer is not None and not layer.registered and catalog.takes_layer(layer, name)
        if takes and value is not None and layer is not None and layer.name != "Identity":
            return self.layer_value(value, env)
        if isinstance(value, spec.Formula) and self.is_layer(value.tree, env):
            return self.layer_value(value, env)
        return self.value(value, env)

    def is_layer(self, tree: ast.expr, env: Env) -> bool:
        signatures = {name: block.args for name, block in env.blocks.items()}
        visible = spec.Visible(values=frozenset(env.names), signatures=signatures)
        return spec.Parser(Problems()).is_layer(tree, visible)

    def chooses_layer(self, tree: ast.expr, env: Env) -> bool:
        """Whether the value of a formula may be a layer that it names."""
        if isinstance(tree, ast.IfExp):
            return self.chooses_layer(tree.body, env) or self.chooses_layer(tree.orelse, env)
        if isinstance(tree, (ast.List, ast.Tuple)):
            return any(self.chooses_layer(each, env) for each in tree.elts)
        return self.is_layer(tree, env)

    def layer_value(self, value: Any, env: Env) -> str:
        """A value that stands for a layer, made."""
        if value is None:
            return "None"
        if isinstance(value, NODES):
            return self.child(value, env)
        if isinstance(value, spec.Formula):
            return self.computed(value.tree, spec.Computed(formula=value, key=value.key), env)
        node = self.seen.read(value, env.names, env.blocks)
        return self.node(node, env)

    def settled(self, name: str, values: list[tuple[Seen, Any]], key: Path, env: Env) -> str:
        """A size that the data decided: a number if all agree, else by the turn of a repeat, an arg, or one more."""
        distinct = {repr(value) for _, value in values}
        if len(distinct) == 1:
            return literal(values[0][1])
        by_owner: dict[int, dict[int | None, Any]] = {}
        owners: dict[int, Instance] = {}
        for each, value in values:
            if each.owner is None:
                fail(key, f"{name} was left out of a layer that is given as an argument.", f"Write {name}=...")
            owners[id(each.owner)] = each.owner
            by_owner.setdefault(id(each.owner), {})[each.index] = value
        turns = list(by_owner.values())
        if env.index is not None and all(each == turns[0] and [*each] == [*range(len(each))] for each in turns):
            return f"{literal(tuple(turns[0].values()))}[{env.index}]"
        for arg, text in env.cls.names.items():
            if all(
                owners[owner].values.get(arg) == value for owner, each in by_owner.items() for value in each.values()
            ):
                return text
        lifted = env.cls.fresh(name)
        if all(len({repr(value) for value in each.values()}) == 1 for each in turns):
            env.cls.lifted[lifted] = {owner: next(iter(each.values())) for owner, each in by_owner.items()}
            return lifted
        if env.index is None:
            fail(key, f"{name} was left out, and differs from copy to copy.", f"Write {name}=...")
        env.cls.lifted[lifted] = {owner: tuple(each.values()) for owner, each in by_owner.items()}
        return f"{lifted}[{env.index}]"

    # -- values

    def value(self, value: Any, env: Env) -> str:
        """A plain value, or a formula."""
        if isinstance(value, spec.Formula):
            if self.chooses_layer(value.tree, env):
                return self.recipe_formula(value.tree, env, value.key)
            return self.formula(value.tree, env, value.key)
        if isinstance(value, (list, tuple)) and any(isinstance(each, spec.Formula) for each in value):
            items = ", ".join(self.value(each, env) for each in value)
            return f"({items},)" if len(value) == 1 else f"({items})"
        if isinstance(value, dict):
            return "{" + ", ".join(f"{name!r}: {self.value(each, env)}" for name, each in value.items()) + "}"
        if isinstance(value, NODES):
            return self.recipe(value, env)
        return literal(value)

    def formula(self, tree: ast.expr, env: Env, key: Path) -> str:
        if isinstance(tree, (ast.List, ast.Tuple)):
            items = ", ".join(self.formula(each, env, key) for each in tree.elts)
            return f"({items},)" if len(tree.elts) == 1 else f"({items})"
        return formula(tree, env.names, self.imports, key)

    def recipe(self, value: Any, env: Env) -> str:
        """A layer as an argument: something to call."""
        if value is None or (isinstance(value, spec.Formula) and _is_none(value.tree)):
            return "None"
        if isinstance(value, spec.Formula):
            return self.recipe_formula(value.tree, env, value.key)
        if isinstance(value, (list, tuple)):
            items = ", ".join(self.recipe(each, env) for each in value)
            return f"({items},)" if len(value) == 1 else f"({items})"
        node = value if isinstance(value, NODES) else self.seen.read(value, env.names, env.blocks)
        return "None" if node is None else self.recipe_node(node, env)

    def recipe_formula(self, tree: ast.expr, env: Env, key: Path) -> str:
        if _is_none(tree):
            return "None"
        if isinstance(tree, ast.IfExp):
            yes, no = (self.recipe_formula(each, env, key) for each in (tree.body, tree.orelse))
            return f"{yes} if {self.formula(tree.test, env, key)} else {no}"
        if isinstance(tree, (ast.List, ast.Tuple)):
            items = ", ".join(self.recipe_formula(each, env, key) for each in tree.elts)
            return f"({items},)" if len(tree.elts) == 1 else f"({items})"
        if isinstance(tree, ast.Constant) and isinstance(tree.value, str):
            return self.recipe(tree.value, env)
        if self.is_layer(tree, env):
            return self.recipe_node(self.parsed_call(tree, env, key), env)
        return self.formula(tree, env, key)

    def recipe_node(self, node: spec.Node, env: Env) -> str:
        if isinstance(node, spec.Computed):
            return self.recipe_formula(node.formula.tree, env, node.key)
        if isinstance(node, spec.Call):
            if node.target in env.names and not node.arguments and not node.positional:
                return env.names[node.target]
            plain = not any(isinstance(each, NODES) for each in [*dict(node.arguments).values(), *node.positional])
            formulas = [each for each in dict(node.arguments).values() if isinstance(each, spec.Formula)]
            if plain and not any(self.is_layer(each.tree, env) for each in formulas):
                function = self.function(node, env)
                given = self.given(node, env)
                if function is not None and given is not None:
                    self.imports.partial |= bool(given)
                    return f"partial({', '.join([function, *given])})" if given else function
        before: list[Statement] = []
        inside = Env(cls=env.cls, names=env.names, blocks=env.blocks, frames=env.frames, before=before, index=env.index)
        text = self.child(node, inside)
        if before:
            name = env.cls.fresh("make")
            env.before.append((f"def {name}():", [*before, f"return {text}"]))
            return name
        return f"lambda: {text}"

    def function(self, node: spec.Call, env: Env) -> str | None:
        if node.target in env.names:
            return env.names[node.target]
        if node.target in env.blocks:
            block = env.blocks[node.target]
            return self.write(block, None, self.seen.visible(block)).name
        layer = catalog.find_layer(node.target)
        assert layer is not None
        if layer.name in CONTAINERS:
            return None
        return self.imports.add(layer.cls, node.key) if layer.registered else f"nn.{layer.name}"

    def given(self, node: spec.Call, env: Env) -> list[str] | None:
        if node.target in env.names:
            positional = [self.value(each, env) for each in node.positional]
            return positional + [f"{name}={self.value(value, env)}" for name, value in node.arguments]
        if node.target in env.blocks:
            block = env.blocks[node.target]
            layerlike = self.layer_args(block, self.seen.visible(block))
            return [
                f"{safe(name)}={self.recipe(value, env) if name in layerlike else self.value(value, env)}"
                for name, value in node.arguments
            ]
        layer = catalog.find_layer(node.target)
        assert layer is not None
        arguments = {name: self.value(value, env) for name, value in node.arguments}
        return _arranged(layer, arguments, [self.value(each, env) for each in node.positional])

    # -- what a block sees and takes

    def layer_args(self, block: spec.Block, blocks: Mapping[str, spec.Block]) -> set[str]:
        """The names that a block uses as layers: its args that are recipes, and those of blocks around it."""
        known = self.layerlike.get(id(block))
        if known is not None:
            return known
        found = self.layerlike[id(block)] = set()
        before = -1
        while before != len(found):
            before = len(found)
            for _, node in block.layers:
                self.uses(node, blocks, found)
            for each in reversed(block.args):
                if each.name in found:
                    self.chosen(each.default, found)
        return found

    def uses(self, node: Any, blocks: Mapping[str, spec.Block], found: set[str]) -> None:
        if isinstance(node, spec.Call):
            if node.target in blocks:
                inner = self.layer_args(blocks[node.target], self.seen.visible(blocks[node.target]))
                for name, value in node.arguments:
                    if name in inner:
                        self.chosen(value, found)
            elif catalog.find_layer(node.target) is None:
                found.add(node.target)
            else:
                layer = catalog.find_layer(node.target)
                assert layer is not None
                for name, value in node.arguments:
                    if not layer.registered and catalog.takes_layer(layer, name) and layer.name != "Identity":
                        self.chosen(value, found)
                if layer.name in CONTAINERS:
                    for value in items_of(node):
                        self.chosen(value, found)
            for value in [*dict(node.arguments).values(), *node.positional]:
                self.uses(value, blocks, found)
        elif isinstance(node, spec.Computed):
            self.chosen(node.formula, found)
        elif isinstance(node, (spec.Repeat, spec.Condition)):
            self.uses(node.node, blocks, found)
        elif isinstance(node, spec.Block):
            inside = {**blocks, **dict(node.blocks)}
            self.seen.owners.update((id(each), node) for _, each in node.blocks)
            own = {each.name for each in node.args}
            found |= self.layer_args(node, inside) - own
        elif isinstance(node, (list, tuple)):
            for each in node:
                self.uses(each, blocks, found)

    def chosen(self, value: Any, found: set[str]) -> None:
        """The names that the value of a formula may be."""
        if isinstance(value, spec.Formula):
            self.chosen(value.tree, found)
        elif isinstance(value, ast.Name):
            found.add(value.id)
        elif isinstance(value, ast.IfExp):
            self.chosen(value.body, found)
            self.chosen(value.orelse, found)
        elif isinstance(value, ast.Subscript):
            self.chosen(value.value, found)
        elif isinstance(value, (ast.List, ast.Tuple)):
            for each in value.elts:
                self.chosen(each, found)
        elif isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
            found.add(value.func.id)
        elif isinstance(value, spec.Call):
            found.add(value.target)

    def names_used(self, block: spec.Block) -> Iterator[str]:
        """Every name in the formulas and texts of a block and those written in place in it."""
        yield from _names(block.args)
        for each in (*block.tensors, *block.buffers):
            yield from _names(each.shape)
            yield from _names_of_fill(each.fill)
        yield from _names(tuple(node for _, node in block.layers))
        if block.forward is not None:
            own = {name for name, _ in block.layers} | {each.name for each in (*block.tensors, *block.buffers)}
            own |= {each.name for each in block.inputs}
            for statement in language.parse_statements(block.forward):
                called = {
                    id(each.func) for each in ast.walk(statement) if isinstance(each, ast.Call)
                }  # functions are no values
                for node in ast.walk(statement):
                    if isinstance(node, ast.Name) and id(node) not in called and node.id not in own:
                        yield node.id

    # -- forward and tensors

    def forward(self, cls: Class) -> tuple[list[Statement] | None, list[Statement]]:
        """The body of `forward`, and the args that `__init__` keeps for it."""
        block = cls.block
        if block.forward is None:
            return None, []
        names = spec.names_of(block, frozenset(cls.names))
        kept = {name: name if name not in spec.RESERVED else f"{name}_" for name in cls.names}
        written = method(
            block.forward,
            names,
            self.imports,
            block.key / "forward",
            values={name: f"self.{each}" for name, each in kept.items()},
            optional=[each.name for each in block.inputs if each.optional],
        )
        stored: list[Statement] = [
            f"self.{kept[name]} = {text}" for name, text in cls.names.items() if name in written.reads
        ]
        return statements(written.body), stored

    def tensors(self, cls: Class, env: Env) -> list[Statement]:
        """The block's own parameters and buffers, filled as it says."""
        found: list[Statement] = []
        for each in cls.block.tensors:
            value = self.tensor(each, cls, env)
            kind = catalog.DTYPES[each.dtype or "float32"]
            trains = "" if each.trainable and kind.is_floating_point else ", requires_grad=False"
            found.append(f"self.{each.name} = nn.Parameter({value}{trains})")
        for each in cls.block.buffers:
            persistent = "" if each.persistent else ", persistent=False"
            found.append(f'self.register_buffer("{each.name}", {self.tensor(each, cls, env)}{persistent})')
        return found

    def instances(self, cls: Class) -> list[Instance]:
        return [each.made for each in self.seen.of.get(-id(cls.block), ()) if each.made is not None]

    def shape(self, tensor: spec.Tensor, cls: Class, env: Env) -> str:
        """The sizes of a tensor as arguments of `torch.zeros`."""
        sizes = []
        made = self.instances(cls)
        for each in tensor.shape:
            text = self.value(each, env)
            if isinstance(each, spec.Formula) and made:
                scope = Scope(values=made[0].values, origins={}, blocks=env.blocks)
                if isinstance(self.seen.resolver.value(each, scope, each.key), (list, tuple)):
                    text = f"*{text}"
            sizes.append(text)
        return ", ".join(sizes) or "()"

    def tensor(self, tensor: spec.Tensor, cls: Class, env: Env) -> str:
        shape = self.shape(tensor, cls, env)
        dtype = "" if tensor.dtype in (None, "float32") else f", dtype=torch.{tensor.dtype}"
        kind = catalog.DTYPES[tensor.dtype or "float32"]
        fill = tensor.fill
        if fill is None:
            return f"torch.empty({shape}{dtype})"
        if fill.program:
            return self.program(tensor, fill, cls, env, shape)
        fixed = self.fixed(fill, shape, dtype, kind)
        if fixed:
            return fixed
        texts = {name: self.value(value, env) for name, value in fill.arguments}
        drawn = fill_call(fill.name, texts, f"torch.empty({shape})", self.imports, fill.key)
        if kind.is_floating_point:
            return drawn if not dtype else f"{drawn}.to(torch.{tensor.dtype})"
        return f"{drawn}{'' if kind.is_complex else '.floor()'}.to(torch.{tensor.dtype})"

    def fixed(self, fill: spec.Fill, shape: str, dtype: str, kind: torch.dtype) -> str:
        """A tensor of one number, or of torch's own distributions; "" for any other fill."""
        given = dict(fill.arguments)
        if fill.name in ("zeros", "ones"):
            return f"torch.{fill.name}({shape}{dtype})"
        if fill.name == "constant" and not isinstance(given["value"], spec.Formula):
            value = given["value"]
            if value in (0, 1):
                return f"torch.{'ones' if value else 'zeros'}({shape}{dtype})"
            size = shape if shape == "()" else f"({shape},)"
            return f"torch.full({size}, {literal(float(value) if kind.is_floating_point else value)}{dtype})"
        if kind is torch.float32 and fill.name == "uniform" and (given["a"], given["b"]) == (0, 1):
            return f"torch.rand({shape})"
        if kind is torch.float32 and fill.name == "normal" and (given["mean"], given["std"]) == (0, 1):
            return f"torch.randn({shape})"
        return ""

    def program(self, tensor: spec.Tensor, fill: spec.Fill, cls: Class, env: Env, shape: str) -> str:
        """A tensor that a text computes."""
        made = self.instances(cls)
        size = "()" if shape == "()" else f"({shape},)"
        text = fill_program(
            fill, env.names, self.imports, self.functions, self.function_name(f"fill_{tensor.name}"), size, None
        )
        value = sample(fill, made[0].values, made[0].shapes[tensor.name]) if made else None
        dtype = f"torch.{tensor.dtype or 'float32'}"
        if isinstance(value, Tensor):
            if made and tuple(value.shape) != made[0].shapes[tensor.name]:
                text = f"{_atom(text)}.expand({shape}).clone()"
            wanted = catalog.DTYPES[tensor.dtype or "float32"]
            return text if value.dtype is wanted else f"{_atom(text)}.to({dtype})"
        given = "" if tensor.dtype is None and not isinstance(value, (bool, int)) else f", dtype={dtype}"
        return f"torch.full({size}, {text}{given})"

    def function_name(self, name: str) -> str:
        return self.class_name(name)


def _arranged(layer: catalog.Layer, arguments: dict[str, str], extra: list[str]) -> list[str]:
    """The arguments of a layer: required ones by position, the others by name."""
    texts, by_position = [], True
    order = [*layer.signature, *(each for each in arguments if each not in layer.signature)]
    for number, name in enumerate(order):
        each = layer.signature.get(name)
        if name not in arguments:
            by_position &= bool(extra) and each is not None and each.kind is each.VAR_POSITIONAL
            continue
        positional = each is not None and each.kind is each.POSITIONAL_OR_KEYWORD and by_position
        required = each is not None and each.default is each.empty
        plain = number == 0 and name != "dim" and arguments[name][:1] not in ("'", '"', "T", "F", "N")
        if positional and (required or extra or plain):
            texts.append(arguments[name])
        else:
            by_position = False
            texts.append(f"{name}={arguments[name]}")
    return [*texts, *extra]


def _bare(node: spec.Node) -> spec.Node:
    while isinstance(node, spec.Condition):
        node = node.node
    return node


def _base(head: str) -> str:
    return head.partition("(")[2].rstrip("):")


def _named(head: str) -> str:
    return head.removeprefix("class ").partition("(")[0]


def _stem(name: str) -> str:
    return name.rstrip("0123456789")


def _atom(text: str) -> str:
    tree = ast.parse(text, mode="eval").body
    return text if isinstance(tree, (ast.Call, ast.Name, ast.Attribute, ast.Subscript)) else f"({text})"


def _is_none(tree: ast.expr) -> bool:
    return isinstance(tree, ast.Constant) and tree.value is None


def _is_computed(value: Any, known: Mapping[str, str]) -> bool:
    """Whether a default depends on other args."""
    return isinstance(value, (spec.Formula, *NODES)) and any(name in known for name in _names((value,)))


def _mentions(texts: tuple[str, ...], name: str) -> bool:
    trees = (ast.walk(ast.parse(text)) for text in texts if text)
    return any(isinstance(node, ast.Name) and node.id == name for tree in trees for node in tree)


def _parts(pattern: str) -> Iterator[tuple[int, str]]:
    for match in re.finditer(r"\{([^{}]*)\}", pattern):
        yield match.start(), match[1]


def _references(node: Any, hidden: frozenset[str] = frozenset()) -> Iterator[str]:
    """The first names of references in a node, down to blocks written in place that do not have the name themselves."""
    if isinstance(node, spec.Reference):
        if node.target[0] not in hidden:
            yield node.target[0]
    elif isinstance(node, spec.Block):
        inside = hidden | {name for name, _ in node.layers}
        for _, each in node.layers:
            yield from _references(each, inside)
        for parameter in node.args:
            yield from _references(parameter.default, hidden)
    elif isinstance(node, (spec.Repeat, spec.Condition)):
        yield from _references(node.node, hidden)
    elif isinstance(node, spec.Call):
        for _, value in node.arguments:
            yield from _references(value, hidden)
        for value in node.positional:
            yield from _references(value, hidden)
    elif isinstance(node, (list, tuple)):
        for each in node:
            yield from _references(each, hidden)
    elif isinstance(node, dict):
        for each in node.values():
            yield from _references(each, hidden)


def _names_of_fill(fill: spec.Fill | None) -> Iterator[str]:
    if fill is not None:
        yield from _names(fill.arguments)
        if fill.program:
            for statement in language.parse_statements(fill.program):
                yield from (each.id for each in ast.walk(statement) if isinstance(each, ast.Name))


def _names(value: Any) -> Iterator[str]:
    """Every name in formulas, down to blocks written in place."""
    if isinstance(value, spec.Formula):
        for node in ast.walk(value.tree):
            if isinstance(node, ast.Name):
                yield node.id
    elif isinstance(value, spec.Call):
        yield value.target
        yield from _names(value.arguments)
        yield from _names(value.positional)
    elif isinstance(value, spec.Block):
        own = {each.name for each in value.args}
        for name in Classes.names_used(None, value):  # type: ignore[arg-type]
            if name not in own:
                yield name
    elif isinstance(value, spec.Repeat):
        yield from _names(value.count)
        yield from (name for name in _names(value.node) if name != "i")
        for _, part in _parts(value.name):
            yield from (
                each.id
                for each in ast.walk(language.parse_expression(part))
                if isinstance(each, ast.Name) and each.id != "i"
            )
    elif isinstance(value, (spec.Condition, spec.Computed, spec.Parameter)):
        for name in ("test", "node", "formula", "default"):
            if hasattr(value, name):
                yield from _names(getattr(value, name))
    elif isinstance(value, dict):
        yield from _names(tuple(value.values()))
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _names(each)
