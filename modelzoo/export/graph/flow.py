"""The data flow of a model: what each block's forward text calls and computes, read once from its first line on."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from modelzoo import api
from modelzoo.catalog import functions
from modelzoo.config import config
from modelzoo.errors import located
from modelzoo.export.graph.graph import SIGNS, Cluster, Edge, Graph, Node
from modelzoo.export.graph.shapes import Seen, traced
from modelzoo.language import formulas, syntax
from modelzoo.plans.lines import shape_text
from modelzoo.spec.instances import Instance

SIMPLE, MOST = 24, 44
"""With more nodes than the first, blocks without layers of their own are drawn as one node each; with more than the
second, so is every later use of a definition, and then the innermost blocks."""

UNROLLED = 8
"""A loop over at most so many layers that differ is drawn turn by turn."""

_FACTS = ("shape", "ndim", "dtype", "device")  # what is read of a tensor without its values


def graph(model: config.Source, init: config.Source | None = None, *, most: int = MOST) -> Graph:
    """The data flow of a model.

    Args:
        model, init: as for `modelzoo.plan`.
        most: a model with more nodes is folded: a definition is drawn in full once, then the innermost blocks are not.

    Raises:
        ConfigError: all problems found.

    >>> found = graph({"inputs": {"x": [2, 4]}, "layers": {"a": "Linear(4, 8)", "act": "ReLU"}})
    >>> [(edge.source, edge.target, edge.label) for edge in found.edges]
    [('input x', 'a', '[2, 4]'), ('a', 'act', '[2, 8]'), ('act', 'output', '[2, 8]')]
    """
    given = config.from_mapping(model, init)
    with located(given.locate):
        return drawn(api.draft(given.model, given.init), most=most)


def drawn(draft: api.Draft, most: int = MOST) -> Graph:
    """The data flow of a model that was planned already; blocks are folded until it is small enough."""
    seen = traced(draft)
    found = _Drawer(draft, seen).graph()
    if len(found.nodes) > SIMPLE:
        found = _Drawer(draft, seen, simple=True).graph()
    if len(found.nodes) > most:
        found = _Drawer(draft, seen, simple=True, once=True).graph()
    depth = max((_level(found, each) for each in found.clusters), default=0)
    while len(found.nodes) > most and depth:
        depth -= 1
        found = _Drawer(draft, seen, simple=True, once=True, depth=depth).graph()
    return found


def _level(found: Graph, cluster: Cluster) -> int:
    parents = {each.name: each.parent for each in found.clusters}
    level, name = 0, cluster.name
    while name:
        level, name = level + 1, parents[name]
    return level


# -- values -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Wire:
    """Data that leaves a node: its shapes, and in which call of the node it was made."""

    node: str
    shape: Any = None
    call: int = 1


Value = Any
"""What a name of a text stands for: a tuple of wires, a list or dict of values, a module, a number, or None."""


def _wires(value: Value) -> Iterator[_Wire]:
    if isinstance(value, _Wire):
        yield value
    elif isinstance(value, (tuple, list)):
        for each in value:
            yield from _wires(each)
    elif isinstance(value, dict):
        yield from _wires(list(value.values()))


def _part(value: Value, index: Any) -> Value:
    """One element of a value, as far as it is known."""
    if isinstance(value, (list, dict)):
        with suppress(KeyError, IndexError, TypeError):
            return value[index]
    if isinstance(value, tuple):
        return tuple(replace(each, shape=_part_of_shape(each.shape, index)) for each in value)
    return value


def _part_of_shape(shape: Any, index: Any) -> Any:
    nested = isinstance(shape, (list, dict)) or (
        isinstance(shape, tuple) and not all(isinstance(n, int) for n in shape)
    )
    with suppress(KeyError, IndexError, TypeError):
        return shape[index] if nested else None
    return None


def _with_shape(value: Value, shape: Any) -> Value:
    """Wires whose shape is not known get it from what was seen."""
    if isinstance(value, list) and isinstance(shape, (list, tuple)) and len(value) == len(shape):
        return [_with_shape(*pair) for pair in zip(value, shape, strict=True)]
    if isinstance(value, dict) and isinstance(shape, dict):
        return {name: _with_shape(each, shape.get(name)) for name, each in value.items()}
    if isinstance(value, tuple) and shape is not None:
        return tuple(each if each.shape is not None else replace(each, shape=shape) for each in value)
    return value


def _merged(one: Value, other: Value) -> Value:
    """What a name stands for after two ways through a text."""
    if one is None or other is None or isinstance(one, (nn.Module, int)):
        return other if one is None else one
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [_merged(left, right) for left, right in zip(one, other, strict=True)]
    return tuple(dict.fromkeys((*_wires(one), *_wires(other))))


# -- drawing ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Drawer:
    """Goes through a model once, as its forward does, and notes what it meets."""

    draft: api.Draft
    seen: Seen
    simple: bool = False
    once: bool = False
    depth: int = 1_000
    nodes: dict[str, Node] = field(default_factory=dict)
    clusters: dict[str, Cluster] = field(default_factory=dict)
    edges: dict[tuple[str, str, str, str], tuple[set[int], set[int]]] = field(default_factory=dict)
    around: list[str] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    entered: dict[int, int] = field(default_factory=dict)
    shown: dict[int, str] = field(default_factory=dict)  # where each definition is drawn in full, by its id

    def graph(self) -> Graph:
        root = self.draft.skeleton.root
        self.names = {id(module): name for name, module in root.named_modules()}
        inputs = [self.made(f"input {name}", "input", name, shape=shape) for name, shape in self.inputs()]
        result = self.module(root, inputs, {})
        self.made("output", "output", "output", sources=list(_wires(result)))
        return Graph(
            nodes=tuple(self.nodes.values()),
            edges=tuple(self.labelled()),
            clusters=tuple(each for each in self.clusters.values() if self.holds(each.name)),
        )

    def inputs(self) -> list[tuple[str, Any]]:
        """The inputs with an example; without any, all that are needed."""
        known = [(each.name, each.shape) for each in self.draft.plan.inputs]
        instance = self.draft.skeleton.instances.get(id(self.draft.skeleton.root))
        block = None if instance is None else instance.block
        written = [each.name for each in block.inputs if not each.optional] if block is not None else ["x"]
        return known or [(name, None) for name in written]

    def holds(self, cluster: str) -> bool:
        parents = {each.parent for each in self.nodes.values()} | {each.parent for each in self.clusters.values()}
        return cluster in parents

    def labelled(self) -> Iterator[Edge]:
        """The edges; of a layer that is called several times each says which call it belongs to."""
        for (source, target, label, kind), (left, arrived) in self.edges.items():
            number: set[int] = set()
            for name, calls in ((target, arrived), (source, left)):
                if not number and 0 < len(calls) < self.nodes[name].calls and self.nodes[name].kind != "loop":
                    number = calls
            shown = " ".join([*(f"#{each}" for each in sorted(number)), label]).strip()
            yield Edge(source=source, target=target, label=shown, kind=kind)

    # -- nodes, clusters, edges

    def made(
        self,
        name: str,
        kind: str,
        label: str,
        detail: str = "",
        shape: Any = None,
        sources: Iterable[_Wire] = (),
        taken: Any = None,
        note: str = "",
    ) -> tuple[_Wire, ...]:
        """A node, new or called again, with its incoming edges; what leaves it."""
        known = self.nodes.get(name)
        if known is None:
            parent = self.around[-1] if self.around else ""
            node = Node(name=name, kind=kind, label=label, detail=detail, note=note, parent=parent)
        else:
            node = replace(known, calls=known.calls + 1)
        self.nodes[name] = node
        for wire in dict.fromkeys(sources):
            self.edge(wire, name, "data", node.calls, taken)
        return (_Wire(name, shape, node.calls),)

    def edge(self, wire: _Wire, target: str, kind: str, call: int = 1, taken: Any = None) -> None:
        label = "" if kind == "control" else shape_text(wire.shape if wire.shape is not None else taken)
        left, arrived = self.edges.setdefault((wire.node, target, label, kind), (set(), set()))
        left.add(wire.call)
        arrived.add(call)

    @contextmanager
    def cluster(self, name: str, kind: str, label: str) -> Iterator[None]:
        parent = self.around[-1] if self.around else ""
        self.clusters.setdefault(name, Cluster(name=name, kind=kind, label=label, parent=parent))
        self.around.append(name)
        yield
        self.around.pop()

    # -- modules

    def module(
        self, module: nn.Module, args: list[Value], named: dict[str, Value], span: str = "", times: int = 1
    ) -> Value:
        """A call of a module; its children are drawn where it is a block that is not folded.

        `span` is its name, where that is not its own: of several copies, or of a layer that an index picks.
        """
        instance = self.draft.skeleton.instances.get(id(module))
        name = self.names[id(module)]
        title = span or _local(name)
        if instance is not None and instance.sequence and times == 1 and len(self.around) < self.depth:
            groups = self.groups([each for each in module._modules.values() if each is not None])
            if len(groups) == 1 and len(groups[0]) > 1:
                span = f"{title}.{self.span(groups[0])}".lstrip(".")
                return self.module(groups[0][0], args, {}, span, len(groups[0]))
        if instance is None or self.folded(module, instance):
            return self.leaf(module, instance, [*args, *named.values()], title, times)
        if not name:
            return self.inside(module, instance, args, named)
        kind = "" if _type(instance).lower() == title.replace("_", "").lower() else _type(instance)
        copies = f"{times} x {instance.block.name if instance.block else instance.type}" if times > 1 else kind
        with self.cluster(name, "block", f"{title}: {copies}" if copies else title):
            return self.inside(module, instance, args, named)

    def folded(self, module: nn.Module, instance: Instance) -> bool:
        if instance.layer is not None:
            return True
        name, simple = self.names[id(module)], self.simple and not module._modules
        if not name or simple or len(self.around) >= self.depth:
            return bool(name)
        first = self.shown.setdefault(id(instance.block), name) if instance.block is not None else name
        return self.once and name != first and not name.startswith(f"{first}.")

    def inside(self, module: nn.Module, instance: Instance, args: list[Value], named: dict[str, Value]) -> Value:
        number = self.entered.get(id(module), 0)
        self.entered[id(module)] = number + 1
        if instance.block is None or instance.block.forward is None:
            return self.sequence(module, args)
        value = _Text(self, module, instance).run(args, named)
        return _with_shape(value, self.seen.call(module, number)[1])

    def sequence(self, module: nn.Module, args: list[Value]) -> Value:
        """Children one after the other; equal neighbours are drawn once."""
        value: Value = args[0] if args else ()
        for group in self.groups([each for each in module._modules.values() if each is not None]):
            span = self.span(group) if len(group) > 1 else ""
            value = self.module(group[0], [value], {}, span, len(group))
        return value

    def span(self, group: Sequence[nn.Module]) -> str:
        """The names of equal copies: `0-11`; of one module in several places, its name."""
        first, last = (_local(self.names[id(each)]) for each in (group[0], group[-1]))
        return first if first == last else f"{first}-{last}"

    def groups(self, modules: Iterable[nn.Module]) -> list[list[nn.Module]]:
        """Blocks side by side that are equal, together."""
        found: list[list[nn.Module]] = []
        for module in modules:
            same = found and self.is_block(module) and self.alike(found[-1][-1], module)
            found[-1].append(module) if same else found.append([module])
        return found

    def is_block(self, module: nn.Module) -> bool:
        return bool(module._modules)

    def alike(self, one: nn.Module, other: nn.Module) -> bool:
        return one is other or self.signature(one) == self.signature(other)

    def signature(self, module: nn.Module) -> Any:
        """All that makes a module what it is, but its name and the values of its tensors."""
        instance = self.draft.skeleton.instances.get(id(module))
        tensors = tuple((name, tuple(each.shape)) for name, each in module._parameters.items() if each is not None)
        text = (instance.block.forward or "") if instance is not None and instance.block is not None else ""
        own = _call(instance) if instance is not None else type(module).__name__
        children = tuple((n, None if c is None else self.signature(c)) for n, c in module._modules.items())
        return own, text, tensors, children

    def leaf(self, module: nn.Module, instance: Instance | None, args: list[Value], title: str, times: int) -> Value:
        name = self.names[id(module)] or "model"
        known = self.nodes.get(name)
        taken, shape = self.seen.call(module, known.calls if known else 0)
        single = taken[0] if isinstance(taken, (tuple, list)) and len(taken) == 1 else None
        detail = _call(instance) if instance is not None else type(module).__name__
        detail = f"{times} x {detail}" if times > 1 else detail
        return self.made(name, "module", title or "model", detail, shape, _wires(args), single, self.note(module))

    def note(self, module: nn.Module) -> str:
        """Which tensors of a module are another's, by a tie."""
        name = self.names[id(module)]
        own = {f"{name}.{local}" for local in module._parameters}
        ties = [
            f"{alias.rpartition('.')[2]} = {each.name}"
            for each in self.draft.plan.tensors
            for alias in each.aliases
            if alias in own and each.name not in own
        ]
        return ", ".join(ties)


def _local(name: str) -> str:
    return name.rpartition(".")[2]


def _type(instance: Instance) -> str:
    """A block's name, where it has one of its own."""
    if instance.block is None or instance.block.name == "Block":
        return ""
    return instance.block.name


def _call(instance: Instance) -> str:
    if instance.layer is not None:
        return _short_call(instance)
    if instance.block is None:
        return f"{instance.type} of {len(instance.children)}"
    own = {each.name: instance.values.get(each.name) for each in instance.block.args}
    shown = [f"{name}={value!r}" for name, value in own.items() if isinstance(value, (int, float, str, list, tuple))]
    return f"{_type(instance) or instance.type}({', '.join(shown)})" if shown else _type(instance) or instance.type


def _short_call(instance: Instance) -> str:
    """A layer as one would write it: the first two sizes without their names."""
    names = list(instance.arguments)
    leading = [n for n in list(instance.layer.signature)[:2] if n in names[:2]] if instance.layer else []
    parts = [repr(each) for each in instance.positional]
    parts += [repr(v) if n in leading else f"{n}={v!r}" for n, v in instance.arguments.items()]
    return f"{instance.type}({', '.join(parts)})" if parts else instance.type


# -- texts ------------------------------------------------------------------------------------------------------------


class _Text:
    """One call of a block that has a `forward` text."""

    def __init__(self, drawer: _Drawer, module: nn.Module, instance: Instance) -> None:
        self.drawer, self.owner, self.instance = drawer, module, instance
        self.name = drawer.names[id(module)]
        self.names: dict[str, Value] = {}
        self.results: list[Value] = []
        self.turn = ""

    def run(self, args: list[Value], named: dict[str, Value]) -> Value:
        block = self.instance.block
        assert block is not None
        assert block.forward is not None
        inputs = [each.name for each in block.inputs]
        self.names = {**dict.fromkeys(inputs), **dict(zip(inputs, args, strict=False)), **named}
        self.block(syntax.parse_statements(block.forward))
        result = self.results[0] if self.results else ()
        for each in self.results[1:]:
            result = _merged(result, each)
        return result

    # -- statements

    def block(self, body: Sequence[ast.stmt]) -> bool:
        """Whether the way through statements ends in a `return`."""
        ends = [self.statement(each) for each in body]
        return any(ends)

    def statement(self, node: ast.stmt) -> bool:
        if isinstance(node, ast.Return):
            self.results.append(() if node.value is None else self.value(node.value))
            return True
        if isinstance(node, ast.Assign):
            self.bind(node.targets[0], self.value(node.value), node)
        elif isinstance(node, ast.AugAssign):
            target = ast.Name(ast.unparse(node.target), ast.Load())
            whole = ast.copy_location(ast.BinOp(target, node.op, node.value), node)
            self.bind(node.target, self.value(whole), node)
        elif isinstance(node, ast.If):
            return self.branches(node)
        elif isinstance(node, ast.While):
            self.while_loop(node)
        elif isinstance(node, ast.For):
            self.for_loop(node)
        return False

    def bind(self, target: ast.expr, value: Value, place: ast.stmt | None = None) -> None:
        if isinstance(target, (ast.Tuple, ast.List)):
            for index, each in enumerate(target.elts):
                self.bind(each, _part(value, index), place)
        elif isinstance(target, ast.Name):
            lines = range(place.lineno, (place.end_lineno or place.lineno) + 1) if place is not None else ()
            shapes = [self.drawer.seen.names.get((id(self.owner), line, target.id)) for line in lines]
            self.names[target.id] = _with_shape(value, next((each for each in shapes if each is not None), None))

    def branches(self, node: ast.If) -> bool:
        decided = self.decided(node.test)
        if decided is not None:
            return self.block(node.body if decided else node.orelse)
        sources: list[_Wire] = []
        label = f"if {self.text(node.test, sources)}"
        head = self.node(node, "condition", label, sources)
        before, ends, left = dict(self.names), [], []
        for body, answer in ((node.body, "yes"), (node.orelse, "no")):
            self.names = dict(before)
            known = set(self.drawer.nodes)
            ends.append(self.block(body))
            first = next((name for name in self.drawer.nodes if name not in known), None)
            if first is not None:
                self.drawer.edges.setdefault((head[0].node, first, answer, "control"), (set(), set()))
            if not ends[-1]:
                left.append(self.names)
        self.names = left[0] if left else before
        for other in left[1:]:
            self.names = {name: _merged(self.names.get(name), other.get(name)) for name in {**self.names, **other}}
        return all(ends)

    def while_loop(self, node: ast.While) -> None:
        sources: list[_Wire] = []
        label = f"while {self.text(node.test, sources)}"
        self.loop(node, label, node.body, sources)

    def for_loop(self, node: ast.For) -> None:
        turns = self.turns(node.iter)
        target = ast.unparse(node.target)
        alike = all(self.drawer.alike(turns[0], each) for each in turns[1:] if isinstance(each, nn.Module))
        modules = bool(turns) and isinstance(turns[0], nn.Module)
        picks = any(isinstance(each, nn.Module) for each in self.picked(node, turns))
        differ = (modules and not alike) or (picks and not self.picked_alike(node, turns))
        if differ and len(turns) <= UNROLLED:
            before = self.turn
            for index, each in enumerate(turns):
                self.turn = f"{before}.{index}"
                self.bind(node.target, each)
                self.block(node.body)
            self.turn = before
            return
        if modules:
            self.bind(node.target, turns[0])
        elif isinstance(node.target, ast.Name):
            self.names[node.target.id] = ()
        times = f" ({len(turns)} x)" if turns else ""
        self.loop(node, f"for {target} in {ast.unparse(node.iter)}{times}", node.body, [])

    def turns(self, iterated: ast.expr) -> list[Value]:
        """What a loop goes over: layers, or numbers; empty if that depends on data."""
        layer = self.layer(iterated)
        if layer is not None:
            return [each for each in layer._modules.values() if each is not None]
        with suppress(Exception):  # anything that cannot be known before there is data
            assert isinstance(iterated, ast.Call)
            return list(range(*map(self.number, iterated.args)))[:1_000]
        return []

    def number(self, node: ast.expr) -> Any:
        """A number that args decide, or how many layers there are."""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "len":
            layer = self.layer(node.args[0])
            if layer is not None:
                return len(layer._modules)
        return formulas.evaluate(node, self.known())

    def picked(self, node: ast.For, turns: list[Value]) -> list[nn.Module | None]:
        """The layers that `layers[i](x)` in the body takes, turn by turn."""
        found: list[nn.Module | None] = []
        if not isinstance(node.target, ast.Name) or not turns or not isinstance(turns[0], int):
            return found
        index = node.target.id
        for each in (each for statement in node.body for each in ast.walk(statement)):
            if isinstance(each, ast.Subscript) and any(
                isinstance(name, ast.Name) and name.id == index for name in ast.walk(each.slice)
            ):
                for turn in turns[: UNROLLED + 1]:
                    self.names[index] = turn
                    found.append(self.layer(each))
        return found

    def picked_alike(self, node: ast.For, turns: list[Value]) -> bool:
        modules = [each for each in self.picked(node, turns) if each is not None]
        return all(self.drawer.alike(modules[0], each) for each in modules[1:])

    def loop(self, node: ast.While | ast.For, label: str, body: Sequence[ast.stmt], test: list[_Wire]) -> None:
        """The head of a loop, which what changes in the body goes through, and one turn of the body."""
        stored = {name for statement in body for each in ast.walk(statement) if (name := _stored(each))}
        changed = sorted(stored & self.names.keys())
        changed = [name for name in changed if any(_wires(self.names[name]))]
        with self.drawer.cluster(f"{self.name}:{node.lineno}{self.turn} loop", "loop", "loop"):
            before = [wire for name in changed for wire in _wires(self.names[name])]
            head = self.node(node, "loop", label, [*before, *(each for each in test if each not in before)])
            through = {name: tuple(replace(each, shape=_shape(self.names[name])) for each in head) for name in changed}
            self.names.update(through)
            self.block(body)
            for name in changed:
                for wire in _wires(self.names[name]):
                    if wire.node != head[0].node:
                        self.drawer.edge(wire, head[0].node, "back", head[0].call)
            self.names.update(through)

    # -- what is known before there is data

    def known(self) -> dict[str, Any]:
        return {**self.instance.values, **{name: each for name, each in self.names.items() if type(each) is int}}

    def decided(self, test: ast.expr) -> bool | None:
        """A condition on args, on the presence of a layer or of an input; None if it depends on more."""
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            inner = self.decided(test.operand)
            return None if inner is None else not inner
        if isinstance(test, ast.BoolOp):
            parts = [self.decided(each) for each in test.values]
            stop = isinstance(test.op, ast.Or)
            return stop if stop in parts else None if None in parts else not stop
        if isinstance(test, ast.Compare) and isinstance(test.ops[0], (ast.Is, ast.IsNot)):
            return self.absent(test.left) is isinstance(test.ops[0], ast.Is)
        if isinstance(test, ast.Name) and test.id in self.owner._modules:
            return not self.absent(test)
        with suppress(Exception):  # a name whose value is data
            return bool(formulas.evaluate(test, self.known()))
        return None

    def absent(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Name):
            for known in (self.names, self.owner._modules, self.instance.values):
                if node.id in known:
                    return known[node.id] is None
        return False

    # -- expressions

    def value(self, node: ast.expr) -> Value:
        """What an expression stands for; an expression of its own becomes a node."""
        if isinstance(node, ast.Name) and node.id in self.names:
            return self.names[node.id]
        if isinstance(node, ast.Constant) and node.value is None:
            return None
        if isinstance(node, (ast.Tuple, ast.List)):
            return [self.value(each) for each in node.elts]
        if isinstance(node, ast.Dict):
            return {ast.literal_eval(k): self.value(v) for k, v in zip(node.keys, node.values, strict=True) if k}
        if isinstance(node, ast.IfExp) and (decided := self.decided(node.test)) is not None:
            return self.value(node.body if decided else node.orelse)
        if (
            isinstance(node, ast.Subscript)
            and isinstance(node.value, ast.Name)
            and isinstance(node.slice, ast.Constant)
        ):
            owner = self.names.get(node.value.id)
            if isinstance(owner, (list, dict)):
                return _part(owner, node.slice.value)
        if isinstance(node, ast.Call) and (layer := self.layer(node.func)) is not None:
            return self.call(layer, node)
        tensor = self.tensor(node)
        if tensor is not None:
            return tensor
        return self.expression(node)

    def expression(self, node: ast.expr) -> Value:
        sources: list[_Wire] = []
        text = self.text(node, sources)
        if not sources and not any(
            isinstance(each, ast.Call) and isinstance(each.func, ast.Name) and each.func.id in _tensor_makers()
            for each in ast.walk(node)
        ):
            with suppress(Exception):  # a number that data decides
                return formulas.evaluate(node, self.known())
            return ()
        return self.node(node, "function", text, sources)

    def call(self, layer: nn.Module, node: ast.Call) -> Value:
        args = [self.value(each) for each in node.args]
        named = {str(each.arg): self.value(each.value) for each in node.keywords}
        label = ""
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name in self.names and not self.turn:  # the name that a loop gives to each of its layers
            label = name
        elif isinstance(node.func, ast.Subscript) and not self.certain(node.func.slice):
            label = ast.unparse(node.func)
        return self.drawer.module(layer, args, named, label)

    def certain(self, index: ast.expr) -> bool:
        with suppress(Exception):  # the index of a loop that is drawn once
            formulas.evaluate(index, self.known())
            return True
        return False

    def layer(self, node: ast.expr) -> nn.Module | None:
        """The module that an expression names; of `layers[i]` with an open index the first."""
        if isinstance(node, ast.Name):
            found = self.names.get(node.id, self.owner._modules.get(node.id))
            return found if isinstance(found, nn.Module) else None
        if isinstance(node, ast.Attribute):
            owner = self.layer(node.value)
            return None if owner is None else owner._modules.get(node.attr)
        if isinstance(node, ast.Subscript):
            owner = self.layer(node.value)
            children = [] if owner is None else list(owner._modules.items())
            index: Any = 0
            with suppress(Exception):  # the index of a loop that is drawn once
                index = formulas.evaluate(node.slice, self.known())
            if isinstance(index, str):
                return dict(children).get(index)
            with suppress(IndexError):
                child: nn.Module | None = children[index][1]
                return child
        return None

    def tensor(self, node: ast.expr) -> tuple[_Wire, ...] | None:
        """A parameter or buffer of the block, or of a layer in it."""
        if isinstance(node, ast.Name):
            owner, local = self.owner, node.id
        elif isinstance(node, ast.Attribute) and (layer := self.layer(node.value)) is not None:
            owner, local = layer, node.attr
        else:
            return None
        value, kind = owner._parameters.get(local, owner._buffers.get(local)), "parameter"
        if value is None:
            return None
        if local in owner._buffers:
            kind = "constant"
        shape, name = tuple(value.shape), ".".join(filter(None, (self.drawer.names[id(owner)], local)))
        known = self.drawer.nodes.get(name)
        if known is not None:
            return (_Wire(name, shape, 1),)
        if self.drawer.names[id(owner)] in self.drawer.nodes:  # a layer that is drawn as one node
            return (_Wire(self.drawer.names[id(owner)], shape, 1),)
        shown = ast.unparse(node)
        return self.drawer.made(name, kind, shown, shape_text(shape), shape)

    def text(self, node: ast.expr, sources: list[_Wire]) -> str:
        """An expression as it is shown: each layer that it calls by its name; `sources` gets what flows into it."""
        return _shown(_Shown(self, sources).visit(copy.deepcopy(node)))

    def node(self, place: ast.AST, kind: str, label: str, sources: Iterable[_Wire]) -> tuple[_Wire, ...]:
        where = f"{getattr(place, 'lineno', 0)}:{getattr(place, 'col_offset', 0)}"
        return self.drawer.made(f"{self.name}:{where}{self.turn}", kind, label, sources=sources)


class _Shown(ast.NodeTransformer):
    """Shortens an expression for a label, and collects what flows into it."""

    def __init__(self, text: _Text, sources: list[_Wire]) -> None:
        self.owner, self.sources = text, sources

    def visit_Name(self, node: ast.Name) -> ast.AST:
        value = self.owner.names.get(node.id)
        self.sources += _wires(self.owner.tensor(node) if node.id not in self.owner.names else value)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        tensor = self.owner.tensor(node)
        if tensor is not None:
            self.sources += tensor
            return node
        return node if node.attr in _FACTS else self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        decided = self.owner.decided(node.test)
        if decided is None:
            return self.generic_visit(node)
        return self.visit(node.body if decided else node.orelse)  # type: ignore[no-any-return]

    def visit_Call(self, node: ast.Call) -> ast.AST:
        layer = self.owner.layer(node.func)
        if layer is None:
            return self.generic_visit(node)
        self.sources += _wires(self.owner.call(layer, node))
        return ast.copy_location(ast.Name(ast.unparse(node.func), ast.Load()), node)


def _shown(tree: ast.expr) -> str:
    """`x + y` as "+", `relu(x)` as "relu", `x.flatten(1)` as "flatten(1)"; else the expression."""
    if isinstance(tree, ast.BinOp) and isinstance(tree.left, ast.Name) and isinstance(tree.right, ast.Name):
        sign = SIGNS.get(type(tree.op))
        if sign:
            return sign
    if isinstance(tree, ast.Call) and not tree.keywords and [type(each) for each in tree.args] == [ast.Name]:
        return ast.unparse(tree.func) if isinstance(tree.func, ast.Name) else ast.unparse(tree)
    text, root = ast.unparse(tree), tree
    while isinstance(root, (ast.Call, ast.Attribute)):
        root = root.func if isinstance(root, ast.Call) else root.value
    chain = isinstance(tree, ast.Call) and isinstance(tree.func, ast.Attribute) and isinstance(root, ast.Name)
    names = [each.id for each in ast.walk(tree) if isinstance(each, ast.Name)]
    if chain and isinstance(root, ast.Name) and names.count(root.id) == 1:
        return text.removeprefix(f"{root.id}.")
    return text


def _tensor_makers() -> frozenset[str]:
    return frozenset(functions.function_names())


def _stored(node: ast.AST) -> str:
    """The name that a node of a tree assigns to; "" if it is none."""
    return node.id if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) else ""


def _shape(value: Value) -> Any:
    return next((each.shape for each in _wires(value)), None)
