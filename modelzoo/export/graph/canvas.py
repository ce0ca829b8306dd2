"""What is drawn while a model is gone through: nodes, edges and clusters, as they are met."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from modelzoo.export.graph.graph import Cluster, Edge, Graph, Node
from modelzoo.export.graph.wires import Wire
from modelzoo.plans.lines import shape_text


@dataclass(slots=True)
class Canvas:
    """What is drawn so far: nodes, the clusters around them, and the edges with the calls that they belong to.

    Attributes:
        around: the clusters in which one stands, outermost first.

    >>> canvas = Canvas()
    >>> x = canvas.made("input x", "input", "x", shape=(2, 4))
    >>> with canvas.cluster("block", "block", "a block"):
    ...     out = canvas.made("block.relu", "function", "relu", sources=x)
    >>> [(edge.source, edge.target, edge.label) for edge in canvas.graph().edges]
    [('input x', 'block.relu', '[2, 4]')]
    """

    nodes: dict[str, Node] = field(default_factory=dict)
    clusters: dict[str, Cluster] = field(default_factory=dict)
    edges: dict[tuple[str, str, str, str], tuple[set[int], set[int]]] = field(default_factory=dict)
    around: list[str] = field(default_factory=list)

    def made(
        self,
        name: str,
        kind: str,
        label: str,
        detail: str = "",
        shape: Any = None,
        sources: Iterable[Wire] = (),
        taken: Any = None,
        note: str = "",
    ) -> tuple[Wire, ...]:
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
        return (Wire(name, shape, node.calls),)

    def edge(self, wire: Wire, target: str, kind: str, call: int = 1, taken: Any = None) -> None:
        """An edge, labelled with the shape of the wire, or else with the one that was taken."""
        label = shape_text(wire.shape if wire.shape is not None else taken)
        left, arrived = self.edges.setdefault((wire.node, target, label, kind), (set(), set()))
        left.add(wire.call)
        arrived.add(call)

    def answer(self, condition: str, target: str, label: str) -> None:
        """An edge from a condition to the first node of what it decides."""
        self.edges.setdefault((condition, target, label, "control"), (set(), set()))

    @contextmanager
    def cluster(self, name: str, kind: str, label: str) -> Iterator[None]:
        """A cluster: all that is made meanwhile lies in it."""
        parent = self.around[-1] if self.around else ""
        self.clusters.setdefault(name, Cluster(name=name, kind=kind, label=label, parent=parent))
        self.around.append(name)
        yield
        self.around.pop()

    def graph(self) -> Graph:
        """All that was drawn, without clusters that nothing lies in."""
        held = {each.parent for each in self.nodes.values()} | {each.parent for each in self.clusters.values()}
        return Graph(
            nodes=tuple(self.nodes.values()),
            edges=tuple(self.labelled()),
            clusters=tuple(each for each in self.clusters.values() if each.name in held),
        )

    def labelled(self) -> Iterator[Edge]:
        """The edges; of a layer that is called several times each says which call it belongs to."""
        for (source, target, label, kind), (left, arrived) in self.edges.items():
            number: set[int] = set()
            for name, calls in ((target, arrived), (source, left)):
                if not number and 0 < len(calls) < self.nodes[name].calls and self.nodes[name].kind != "loop":
                    number = calls
            shown = " ".join([*(f"#{each}" for each in sorted(number)), label]).strip()
            yield Edge(source=source, target=target, label=shown, kind=kind)
