"""Nodes in the frames of their clusters: items, and the edges between them cut into hops that meet in ports."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from modelzoo.export.graph.graph import Cluster, Edge, Graph, Node


@dataclass(slots=True, eq=False)
class Item:
    """Something with a place in a layer: a node, a frame, a port on the frame around it, or a bend of a line.

    Boxes stand in even layers; the shapes that lines carry are bends with a label, in odd ones.
    """

    width: float
    height: float
    order: int
    weight: float = 1.0
    layer: int = 0
    x: float = 0.0  # the centre
    y: float = 0.0
    node: Node | None = None
    frame: Frame | None = None
    label: str = ""  # of a bend
    side: str = ""  # of a port: "top" or "bottom"
    ports: dict[object, float] = field(default_factory=dict)  # of a frame: where a hop enters, from its centre


@dataclass(slots=True, eq=False)
class Hop:
    """A piece of an edge inside one container, from item to item; `up` ones lead to an earlier layer."""

    source: Item
    target: Item
    key: object
    up: bool
    label: str = ""
    kind: str = "data"
    head: bool = False
    chain: list[Item] = field(default_factory=list)  # from the upper end to the lower one, with the bends between
    start: float = 0.0  # of the upper end, from its centre
    end: float = 0.0

    @property
    def upper(self) -> Item:
        """The end in the earlier layer."""
        return self.target if self.up else self.source

    @property
    def lower(self) -> Item:
        """The end in the later layer."""
        return self.source if self.up else self.target


@dataclass(slots=True, eq=False)
class Frame:
    """A container: the whole picture, or a cluster.

    Attributes:
        cluster, parent: None of the whole picture.
        items, hops, loops, ports: what lies in it.
        layers, tops, heights: its items from top to bottom, and where each layer stands, as laid out.
        width, height, left, top: its size and its place, as laid out.
    """

    cluster: Cluster | None = None
    parent: Frame | None = None
    items: list[Item] = field(default_factory=list)
    hops: dict[tuple[Item, Item, object], Hop] = field(default_factory=dict)
    loops: list[tuple[Item, str]] = field(default_factory=list)
    ports: dict[object, Item] = field(default_factory=dict)
    layers: list[list[Item]] = field(default_factory=list)
    tops: list[float] = field(default_factory=list)
    heights: list[float] = field(default_factory=list)
    width: float = 0.0
    height: float = 0.0
    left: float = 0.0
    top: float = 0.0

    @property
    def title(self) -> str:
        """What is written on it."""
        return "" if self.cluster is None else self.cluster.label

    def port(self, key: object, side: str) -> Item:
        """Where the hops of a key cross the frame, made when it is first asked for."""
        if key not in self.ports:
            self.ports[key] = Item(width=8, height=0, order=len(self.ports), side=side, weight=4)
            self.items.append(self.ports[key])
        return self.ports[key]

    def join(self, source: Item, target: Item, key: object, up: bool, edge: Edge, label: str, head: bool) -> None:
        """Adds a hop; those of one key between the same items are one, with all their labels."""
        hop = self.hops.setdefault((source, target, key), Hop(source, target, key, up))
        if label and label not in hop.label.split(" · "):
            hop.label = " · ".join(filter(None, (hop.label, label)))
        hop.kind, hop.head = edge.kind, hop.head or head

    def pairs(self) -> Iterator[tuple[Item, Item, float, float, Hop]]:
        """Neighbours along every hop, upper and lower, with where the line meets each of them."""
        for hop in self.hops.values():
            for one, other in zip(hop.chain, hop.chain[1:], strict=False):
                yield one, other, hop.start * (one is hop.upper), hop.end * (other is hop.lower), hop

    def inner(self) -> Iterator[Frame]:
        """The frames in it."""
        return (each.frame for each in self.items if each.frame is not None)


def nested(graph: Graph, size: Callable[[Node], tuple[float, float]]) -> Frame:
    """The whole picture as frames in frames, not yet laid out.

    Args:
        graph: what is to be drawn.
        size: the width and height of a node.

    >>> nodes = (Node(name="x", kind="input", label="x"), Node(name="a.b", kind="module", label="b", parent="a"))
    >>> cluster = Cluster(name="a", kind="block", label="a")
    >>> graph = Graph(nodes=nodes, edges=(Edge(source="x", target="a.b"),), clusters=(cluster,))
    >>> whole = nested(graph, lambda node: (1, 1))
    >>> [len(frame.hops) for frame in (whole, *whole.inner())]  # the edge enters the cluster by a port
    [1, 1]
    """
    return _Sorter(graph, size).frames[""]


class _Sorter:
    """Puts nodes and clusters into their frames, and cuts edges into hops."""

    def __init__(self, graph: Graph, size: Callable[[Node], tuple[float, float]]) -> None:
        self.frames: dict[str, Frame] = {"": Frame()}
        self.items: dict[str, Item] = {}
        self.within: dict[str, Item] = {}
        for cluster in graph.clusters:
            self.frames[cluster.name] = Frame(cluster)
        for order, node in enumerate(graph.nodes):
            width, height = size(node)
            self.items[node.name] = Item(width=width, height=height, order=order, node=node)
            self.frames[node.parent].items.append(self.items[node.name])
        first = {name: min(self.orders(graph, name), default=0) for name in self.frames}
        for cluster in graph.clusters:
            self.within[cluster.name] = Item(width=0, height=0, order=first[cluster.name])
            self.within[cluster.name].frame = self.frames[cluster.name]
            self.frames[cluster.parent].items.append(self.within[cluster.name])
            self.frames[cluster.name].parent = self.frames[cluster.parent]
        self.parents = {node.name: node.parent for node in graph.nodes}
        self.parents |= {cluster.name: cluster.parent for cluster in graph.clusters}
        self.ups = self.cycles(graph.edges)
        for edge in graph.edges:
            self.cut(edge)

    def orders(self, graph: Graph, name: str) -> Iterator[int]:
        for order, node in enumerate(graph.nodes):
            if node.parent == name:
                yield order
        for cluster in graph.clusters:
            if cluster.parent == name and name != cluster.name:
                yield from self.orders(graph, cluster.name)

    def around(self, name: str) -> list[str]:
        """The clusters around a node or cluster, outermost first, and itself."""
        found = [name]
        while self.parents[found[0]]:
            found.insert(0, self.parents[found[0]])
        return found

    def ends(self, edge: Edge) -> tuple[list[str], list[str], int]:
        """The ways to both ends of an edge, and how much of them is common."""
        left, right = self.around(edge.source), self.around(edge.target)
        common = 0
        while left[common] == right[common]:
            common += 1
        return left, right, common

    def cycles(self, edges: Sequence[Edge]) -> set[tuple[Item, Item]]:
        """What leads back, between items of one frame: a line that closes a cycle, seen from the first item on."""
        below: dict[Item, list[Item]] = {}
        for edge in edges:
            if edge.source != edge.target and edge.kind != "back":
                left, right, common = self.ends(edge)
                below.setdefault(self.item(left[common]), []).append(self.item(right[common]))
        found, done, path = set(), set(), set()

        def visit(item: Item) -> None:
            done.add(item)
            path.add(item)
            for other in sorted(below.get(item, ()), key=lambda each: each.order):
                if other in path:
                    found.add((item, other))
                elif other not in done:
                    visit(other)
            path.discard(item)

        for item in sorted(below, key=lambda each: each.order):
            if item not in done:
                visit(item)
        return found

    def cut(self, edge: Edge) -> None:
        if edge.source == edge.target:
            self.frames[self.parents[edge.source]].loops.append((self.items[edge.source], edge.label))
            return
        left, right, common = self.ends(edge)
        one, other = self.item(left[common]), self.item(right[common])
        up = (one, other) in self.ups or edge.kind == "back"
        key = (edge.source, edge.kind == "control", up)
        # Inside the frames around the source, then in the common one, then inside those around the target.
        for index in range(len(left) - 1, common, -1):
            frame = self.frames[left[index - 1]]
            port = frame.port((key, "out"), "top" if up else "bottom")
            frame.join(self.item(left[index]), port, key, up, edge, "", False)
        outer = self.frames[left[common - 1] if common else ""]
        outer.join(one, other, key, up, edge, edge.label, common == len(right) - 1)
        for index in range(common + 1, len(right)):
            frame = self.frames[right[index - 1]]
            port = frame.port((key, "in"), "bottom" if up else "top")
            frame.join(port, self.item(right[index]), key, up, edge, "", index == len(right) - 1)

    def item(self, name: str) -> Item:
        return self.within[name] if name in self.within else self.items[name]
