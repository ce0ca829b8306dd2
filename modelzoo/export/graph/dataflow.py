"""The data flow of a model: what its modules call and compute, met once as the forward does."""

from __future__ import annotations

from typing import Any

from torch import nn

from modelzoo.config import config
from modelzoo.errors import located
from modelzoo.export.graph.canvas import Canvas
from modelzoo.export.graph.expressions import Expressions
from modelzoo.export.graph.graph import Cluster, Graph
from modelzoo.export.graph.modules import Modules, local, type_of
from modelzoo.export.graph.scope import Scope
from modelzoo.export.graph.shapes import Seen, traced
from modelzoo.export.graph.texts import Text
from modelzoo.export.graph.wires import Value, wires, with_shape
from modelzoo.plans import draft as drafts
from modelzoo.plans.draft import Draft
from modelzoo.spec.instances import BlockInstance, Instance, LayerInstance
from modelzoo.spec.nodes import Block

SIMPLE, MOST = 24, 44
"""With more nodes than the first, blocks without layers of their own are drawn as one node each; with more than the
second, so is every later use of a definition, and then the innermost blocks."""


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
        return drawn(drafts.draft(given.model, given.init), most=most)


def drawn(draft: Draft, most: int = MOST) -> Graph:
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


class _Drawer:
    """Goes through a model once, as its forward does, and draws what it meets.

    Args:
        draft: the model.
        seen: the shapes of what it calls and names.
        simple: blocks without layers of their own are one node each.
        once: so is every later use of a definition.
        depth: how many blocks in each other are drawn.
    """

    def __init__(
        self, draft: Draft, seen: Seen, *, simple: bool = False, once: bool = False, depth: int = 1_000
    ) -> None:
        self.draft, self.seen = draft, seen
        self.simple, self.once, self.depth = simple, once, depth
        self.modules, self.canvas = Modules(draft), Canvas()
        self.entered: dict[nn.Module, int] = {}
        self.shown: dict[Block, str] = {}  # where each definition is drawn in full

    def graph(self) -> Graph:
        root = self.modules.root
        inputs = [self.canvas.made(f"input {name}", "input", name, shape=shape) for name, shape in self.inputs()]
        result = self.module(root, inputs, {})
        self.canvas.made("output", "output", "output", sources=list(wires(result)))
        return self.canvas.graph()

    def inputs(self) -> list[tuple[str, Any]]:
        """The inputs with an example; without any, all that are needed."""
        known = [(each.name, each.shape) for each in self.draft.plan.inputs]
        instance = self.modules.instance(self.modules.root)
        written = ["x"]
        if isinstance(instance, BlockInstance):
            written = [each.name for each in instance.block.inputs if not each.optional]
        return known or [(name, None) for name in written]

    def module(
        self, module: nn.Module, args: list[Value], named: dict[str, Value], span: str = "", times: int = 1
    ) -> Value:
        """A call of a module; its children are drawn where it is a block that is not folded.

        `span` is its name, where that is not its own: of several copies, or of a layer that an index picks.
        """
        instance = self.modules.instance(module)
        name = self.modules.name(module)
        title = span or local(name)
        if instance is not None and instance.sequence and times == 1 and len(self.canvas.around) < self.depth:
            groups = self.modules.groups([each for each in module._modules.values() if each is not None])
            if len(groups) == 1 and len(groups[0]) > 1:
                span = f"{title}.{self.modules.span(groups[0])}".lstrip(".")
                return self.module(groups[0][0], args, {}, span, len(groups[0]))
        if instance is None or self.folded(module, instance):
            return self.leaf(module, instance, [*args, *named.values()], title, times)
        if not name:
            return self.inside(module, instance, args, named)
        kind = "" if type_of(instance).lower() == title.replace("_", "").lower() else type_of(instance)
        shown = instance.block.name if isinstance(instance, BlockInstance) else instance.type
        copies = f"{times} x {shown}" if times > 1 else kind
        with self.canvas.cluster(name, "block", f"{title}: {copies}" if copies else title):
            return self.inside(module, instance, args, named)

    def folded(self, module: nn.Module, instance: Instance) -> bool:
        if isinstance(instance, LayerInstance):
            return True
        name, simple = self.modules.name(module), self.simple and not module._modules
        if not name or simple or len(self.canvas.around) >= self.depth:
            return bool(name)
        first = self.shown.setdefault(instance.block, name) if isinstance(instance, BlockInstance) else name
        return self.once and name != first and not name.startswith(f"{first}.")

    def inside(self, module: nn.Module, instance: Instance, args: list[Value], named: dict[str, Value]) -> Value:
        number = self.entered.get(module, 0)
        self.entered[module] = number + 1
        if not isinstance(instance, BlockInstance) or instance.block.forward is None:
            return self.sequence(module, args)
        value = self.text(module, instance).run(instance.block.forward, args, named)
        return with_shape(value, self.seen.call(module, number)[1])

    def text(self, module: nn.Module, instance: BlockInstance) -> Text:
        scope = Scope(module, instance, self.seen.names)
        return Text(scope, Expressions(scope, self.canvas, self.modules, self.module))

    def sequence(self, module: nn.Module, args: list[Value]) -> Value:
        """Children one after the other; equal neighbours are drawn once."""
        value: Value = args[0] if args else ()
        for group in self.modules.groups([each for each in module._modules.values() if each is not None]):
            span = self.modules.span(group) if len(group) > 1 else ""
            value = self.module(group[0], [value], {}, span, len(group))
        return value

    def leaf(self, module: nn.Module, instance: Instance | None, args: list[Value], title: str, times: int) -> Value:
        name = self.modules.name(module) or "model"
        known = self.canvas.nodes.get(name)
        taken, shape = self.seen.call(module, known.calls if known else 0)
        single = taken[0] if isinstance(taken, (tuple, list)) and len(taken) == 1 else None
        detail = self.modules.call(module)
        detail = f"{times} x {detail}" if times > 1 else detail
        return self.canvas.made(
            name, "module", title or "model", detail, shape, wires(args), single, self.modules.ties(module)
        )
