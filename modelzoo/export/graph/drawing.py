"""The picture of a data flow as SVG: layers of boxes from top to bottom, each block laid out inside its own frame.

Every container (the picture, a block, a loop) is laid out by itself, innermost first, by the steps of Sugiyama, Tagawa
and Toda, "Methods for visual understanding of hierarchical system structures", 1981: layers by longest path, order by
barycentres, then positions by least squares. An edge that crosses frames is cut into hops that meet in ports on them.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape

from modelzoo.escapes import printable
from modelzoo.export.graph.graph import SIGNS, Cluster, Edge, Graph, Node

LARGE, SMALL = 7.3, 6.1  # width of a character of a label, of a detail or shape
GAP, LOW, BESIDE, PAD, TITLE = 18.0, 12.0, 26.0, 16.0, 20.0
SWEEPS = 12
BEND = 8.0
INFINITE = float("inf")


def svg(graph: Graph) -> str:
    """An SVG element that follows the colours of its page, light or dark.

    >>> from modelzoo.export.graph.graph import Edge, Graph, Node
    >>> nodes = (Node(name="x", kind="input", label="x"), Node(name="a", kind="module", label="a", detail="ReLU"))
    >>> drawn = svg(Graph(nodes=nodes, edges=(Edge(source="x", target="a", label="[2, 4]"),)))
    >>> drawn.count("<path"), "[2, 4]" in drawn
    (2, True)
    """
    whole = _Frame(graph)
    whole.place(PAD, PAD)
    width, height = whole.width + 2 * PAD, whole.height + 2 * PAD
    parts = [
        f'<svg class="flow" xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="data flow">',
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto-start-reverse"><path class="head" d="M0,0.5 L8,4 L0,7.5 z"/></marker></defs>',
        *whole.frames(),
        *whole.lines(),
        *whole.boxes(),
        *whole.texts(),
        "</svg>",
    ]
    return "\n".join(parts)


@dataclass(slots=True, eq=False)
class _Item:
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
    frame: _Frame | None = None
    label: str = ""  # of a bend
    side: str = ""  # of a port: "top" or "bottom"
    ports: dict[object, float] = field(default_factory=dict)  # of a frame: where a hop enters, from its centre


@dataclass(slots=True, eq=False)
class _Hop:
    """A piece of an edge inside one container, from item to item; `up` ones lead to an earlier layer."""

    source: _Item
    target: _Item
    key: object
    up: bool
    label: str = ""
    kind: str = "data"
    head: bool = False
    chain: list[_Item] = field(default_factory=list)  # from the upper end to the lower one, with the bends between
    start: float = 0.0  # of the upper end, from its centre
    end: float = 0.0

    @property
    def upper(self) -> _Item:
        return self.target if self.up else self.source

    @property
    def lower(self) -> _Item:
        return self.source if self.up else self.target


class _Frame:
    """A container: the whole picture, or a cluster."""

    def __init__(self, graph: Graph, cluster: Cluster | None = None, parent: _Frame | None = None) -> None:
        self.cluster, self.parent = cluster, parent
        self.items: list[_Item] = []
        self.hops: dict[tuple[_Item, _Item, object], _Hop] = {}
        self.loops: list[tuple[_Item, str]] = []
        self.ports: dict[object, _Item] = {}
        self.width = self.height = self.left = self.top = 0.0
        self.layers: list[list[_Item]] = []
        self.tops: list[float] = []
        self.heights: list[float] = []
        if parent is None:
            _Sorter(graph, self)
            self.arrange()

    @property
    def title(self) -> str:
        return "" if self.cluster is None else self.cluster.label

    def port(self, key: object, side: str) -> _Item:
        if key not in self.ports:
            self.ports[key] = _Item(width=8, height=0, order=len(self.ports), side=side, weight=4)
            self.items.append(self.ports[key])
        return self.ports[key]

    def join(self, source: _Item, target: _Item, key: object, up: bool, edge: Edge, label: str, head: bool) -> None:
        hop = self.hops.setdefault((source, target, key), _Hop(source, target, key, up))
        if label and label not in hop.label.split(" · "):
            hop.label = " · ".join(filter(None, (hop.label, label)))
        hop.kind, hop.head = edge.kind, hop.head or head

    # -- layout

    def arrange(self) -> None:
        """Sizes and relative places of all that is inside, innermost frames first."""
        for item in self.items:
            if item.frame is not None:
                item.frame.arrange()
                item.width, item.height = item.frame.width, item.frame.height
                middle = item.frame.width / 2
                item.ports = {key: port.x - middle for key, port in item.frame.ports.items()}
        self.assign_layers()
        self.bend()
        self.sort()
        self.attach()
        self.settle()
        self.attach()
        self.settle()
        self.straighten()
        self.attach()
        self.stack()

    def assign_layers(self) -> None:
        below: dict[_Item, list[_Item]] = {each: [] for each in self.items}
        above: dict[_Item, list[_Item]] = {each: [] for each in self.items}
        for hop in self.hops.values():
            below[hop.upper].append(hop.lower)
            above[hop.lower].append(hop.upper)
        inner = sorted((each for each in self.items if not each.side), key=lambda each: each.order)
        top = any(each.side == "top" for each in self.items)
        for item in inner:
            item.layer = max((each.layer + 2 for each in above[item]), default=2 * top)
        for item in reversed(inner):  # what nothing flows into stands right above what reads it
            if not above[item] and below[item]:
                nearest = min((each.layer for each in below[item] if not each.side), default=0)
                item.layer = max(item.layer, nearest - 2)
        last = max((each.layer for each in inner), default=0) + 2
        for item in self.items:
            if item.side == "bottom":
                item.layer = last
        count = max((each.layer for each in self.items), default=0) + 1
        self.layers = [[] for _ in range(count)]
        for item in self.items:
            self.layers[item.layer].append(item)

    def bend(self) -> None:
        """Bends where a line passes a layer; of the lines of a fan with one label the shortest carries it."""
        told: set[tuple[_Item, str]] = set()
        for hop in sorted(self.hops.values(), key=lambda hop: hop.lower.layer - hop.upper.layer):
            shown = bool(hop.label) and (hop.source, hop.label) not in told
            told.add((hop.source, hop.label))
            written = hop.upper.layer + 1 if hop.up else hop.lower.layer - 1
            hop.chain = [hop.upper]
            for layer in range(hop.upper.layer + 1, hop.lower.layer):
                bend = _Item(width=BEND, height=0, order=hop.lower.order, weight=8, layer=layer)
                if shown and layer == written:
                    bend.label, bend.width, bend.height = hop.label, len(hop.label) * SMALL + 4, 13.0
                self.layers[layer].append(bend)
                hop.chain.append(bend)
            hop.chain.append(hop.lower)

    def pairs(self) -> Iterator[tuple[_Item, _Item, float, float, _Hop]]:
        """Neighbours along every hop, upper and lower, with where the line meets each of them."""
        for hop in self.hops.values():
            for one, other in zip(hop.chain, hop.chain[1:], strict=False):
                yield one, other, hop.start * (one is hop.upper), hop.end * (other is hop.lower), hop

    def sort(self) -> None:
        """The order in each layer, by the mean of the neighbours' places; the best of several sweeps."""
        for layer in self.layers:
            layer.sort(key=lambda each: each.order)
        self.attach_frames()
        best, least = [list(each) for each in self.layers], self.crossings()
        for sweep in range(SWEEPS):
            ups: dict[_Item, list[float]] = {}
            places = {item: float(index) for layer in self.layers for index, item in enumerate(layer)}
            down = sweep % 2 == 0
            for layer in self.layers if down else reversed(self.layers):
                ups.clear()
                for one, other, start, end, _ in self.pairs():
                    item, near, shift = (other, one, start) if down else (one, other, end)
                    if item in layer:
                        ups.setdefault(item, []).append(places[near] + shift / (near.width + 1))
                layer.sort(key=lambda each: sum(ups[each]) / len(ups[each]) if each in ups else places[each])
                places.update({item: float(index) for index, item in enumerate(layer)})
            crossings = self.crossings()
            if crossings < least:
                best, least = [list(each) for each in self.layers], crossings
        self.layers = best

    def crossings(self) -> int:
        places = {item: index for layer in self.layers for index, item in enumerate(layer)}
        gaps: dict[int, list[tuple[float, float]]] = {}
        for one, other, start, end, _ in self.pairs():
            line = (places[one] + start / (one.width + 1), places[other] + end / (other.width + 1))
            gaps.setdefault(one.layer, []).append(line)
        return sum(
            (a[0] - b[0]) * (a[1] - b[1]) < 0 for lines in gaps.values() for i, a in enumerate(lines) for b in lines[:i]
        )

    def attach_frames(self) -> None:
        for hop in self.hops.values():
            left, right = hop.source.ports.get((hop.key, "out"), 0.0), hop.target.ports.get((hop.key, "in"), 0.0)
            hop.start, hop.end = (right, left) if hop.up else (left, right)

    def attach(self) -> None:
        """Where lines meet nodes: what leaves together starts in one point, what arrives stands side by side."""
        sides: dict[tuple[_Item, bool], dict[object, list[tuple[float, _Hop]]]] = {}
        for hop in self.hops.values():
            next_below, next_above = hop.chain[1], hop.chain[-2]
            leaving_down, leaving_up = ("out" if not hop.up else hop), ("out" if hop.up else hop)
            at = next_below.x + (hop.end if next_below is hop.lower else 0)
            sides.setdefault((hop.upper, False), {}).setdefault(leaving_down, []).append((at, hop))
            at = next_above.x + (hop.start if next_above is hop.upper else 0)
            sides.setdefault((hop.lower, True), {}).setdefault(leaving_up, []).append((at, hop))
        self.attach_frames()
        for (item, top), slots in sides.items():
            if item.node is None:
                continue
            ordered = sorted(slots.values(), key=lambda slot: sum(at for at, _ in slot) / len(slot))
            step = min(item.width * 0.7 / len(ordered), 26.0)
            for index, slot in enumerate(ordered):
                offset = step * (index - (len(ordered) - 1) / 2)
                for _, hop in slot:
                    if top:
                        hop.end = offset
                    else:
                        hop.start = offset

    def settle(self) -> None:
        """Places in each layer: as near to the neighbours as the order and the widths allow."""
        near: dict[_Item, list[tuple[_Item, float, float, bool]]] = {}
        for one, other, start, end, _ in self.pairs():
            weight = (1.0, 2.0, 8.0)[(one.width == BEND) + (other.width == BEND)]
            near.setdefault(other, []).append((one, start - end, weight, True))
            near.setdefault(one, []).append((other, end - start, weight, False))
        for sweep in range(3 * SWEEPS):
            down = sweep % 2 == 0
            for layer in self.layers if down else reversed(self.layers):
                wanted, weights = [], []
                for item in layer:
                    lines = [each for each in near.get(item, ()) if each[3] is down or sweep >= SWEEPS]
                    total = sum(each[2] for each in lines)
                    wanted.append(sum((o.x + d) * w for o, d, w, _ in lines) / total if total else item.x)
                    weights.append((total or 0.05) * item.weight)
                _spread(layer, wanted, weights)
        left = min((each.x - each.width / 2 for layer in self.layers for each in layer), default=0.0)
        for layer in self.layers:
            for item in layer:
                item.x += PAD - left if self.parent is not None else -left
        right = max((each.x + each.width / 2 for layer in self.layers for each in layer), default=0.0)
        inside = right + (PAD if self.parent is not None else 0) + 28 * bool(self.loops)
        self.width = max(inside, len(self.title) * SMALL + 2 * PAD if self.parent is not None else 0)
        if self.width > inside and self.parent is not None:
            for layer in self.layers:
                for item in layer:
                    item.x += (self.width - inside) / 2

    def straighten(self) -> None:
        """Long lines run straight where their neighbours leave them room."""
        for hop in self.hops.values():
            run: list[_Item] = []
            low, high = -INFINITE, INFINITE
            for bend in hop.chain[1:-1]:
                left, right = self.room(bend)
                if run and (bend.label or max(low, left) > min(high, right)):
                    _align(run, low, high)
                    run, low, high = [], -INFINITE, INFINITE
                if not bend.label:
                    run.append(bend)
                    low, high = max(low, left), min(high, right)
            _align(run, low, high)

    def room(self, bend: _Item) -> tuple[float, float]:
        layer = self.layers[bend.layer]
        index = layer.index(bend)
        low, high = -INFINITE, INFINITE
        if index:
            low = layer[index - 1].x + (layer[index - 1].width + bend.width) / 2 + BEND
        if index + 1 < len(layer):
            high = layer[index + 1].x - (layer[index + 1].width + bend.width) / 2 - BEND
        return min(low, bend.x), max(high, bend.x)

    def stack(self) -> None:
        """Heights: every layer as high as its highest item, with a gap below it."""
        y = TITLE if self.parent is not None else 0.0
        self.tops, self.heights = [], []
        for index, layer in enumerate(self.layers):
            height = max((each.height for each in layer), default=0.0)
            self.tops.append(y)
            self.heights.append(height)
            for item in layer:
                item.y = y + height / 2
            told = any(each.label for near in self.layers[index : index + 2] for each in near)
            ports = not height and not index % 2
            y += height + (0 if index == len(self.layers) - 1 else GAP if told else 4 if ports else LOW)
        bottom = any(each.side == "bottom" for each in self.items)
        self.height = y + (0 if bottom or self.parent is None else PAD)
        for item in self.items:
            if item.side:
                item.y = 0.0 if item.side == "top" else self.height

    def place(self, left: float, top: float) -> None:
        self.left, self.top = left, top
        for item in self.items:
            if item.frame is not None:
                x, y = left + item.x - item.width / 2, top + item.y - item.height / 2
                item.frame.place(x, y)

    # -- drawing

    def inner(self) -> Iterator[_Frame]:
        return (each.frame for each in self.items if each.frame is not None)

    def frames(self) -> Iterator[str]:
        if self.cluster is not None:
            yield (
                f'<rect class="frame {self.cluster.kind}" x="{self.left:.1f}" y="{self.top:.1f}" '
                f'width="{self.width:.1f}" height="{self.height:.1f}" rx="8"/>'
            )
        for frame in self.inner():
            yield from frame.frames()

    def boxes(self) -> Iterator[str]:
        for item in self.items:
            if item.node is not None:
                yield _box(item.node, self.left + item.x, self.top + item.y, item.width, item.height)
        for frame in self.inner():
            yield from frame.boxes()

    def lines(self) -> Iterator[str]:
        for hop in self.hops.values():
            points = self.points(hop)
            breaks = [index for index, item in enumerate(hop.chain) if item.label]
            if hop.up:
                points, breaks = points[::-1], [len(hop.chain) - 1 - index for index in breaks]
            path = _path(points, breaks)
            marker = ' marker-end="url(#arrow)"' if hop.head else ""
            yield f'<path class="line {"back" if hop.up else hop.kind}" d="{path}"{marker}/>'
        for item, _ in self.loops:
            x, y = self.left + item.x + item.width / 2, self.top + item.y
            path = f"M{x:.1f},{y + 7:.1f} c26,8 26,-22 0,-14"
            yield f'<path class="line back" d="{path}" marker-end="url(#arrow)"/>'
        for frame in self.inner():
            yield from frame.lines()

    def points(self, hop: _Hop) -> list[tuple[float, float]]:
        """Where a line enters and leaves the layer of each item of its chain, from its upper end to its lower one."""
        left, top = self.left, self.top
        found = []
        for item in hop.chain:
            x, above = left + item.x, top + self.tops[item.layer]
            below = above + self.heights[item.layer]
            if item.side:
                above = below = top + item.y
            elif item is hop.upper:
                x, above = x + hop.start, top + item.y + item.height / 2
                below = max(below, above)
            elif item is hop.lower:
                x, below = x + hop.end, top + item.y - item.height / 2
                above = min(above, below)
            found += [(x, above), (x, below)]
        return found

    def texts(self) -> Iterator[str]:
        if self.cluster is not None:
            x, y = self.left + 10, self.top + 14
            yield f'<text class="title {self.cluster.kind}" x="{x:.1f}" y="{y:.1f}">{_text(self.title)}</text>'
        for item in (each for layer in self.layers for each in layer if each.label):
            yield _shape(self.left + item.x, self.top + item.y, item.label)
        for item, label in self.loops:
            yield _shape(self.left + item.x + item.width / 2 + 40, self.top + item.y, label)
        for frame in self.inner():
            yield from frame.texts()


class _Sorter:
    """Puts nodes and clusters into their frames, and cuts edges into hops."""

    def __init__(self, graph: Graph, root: _Frame) -> None:
        self.frames: dict[str, _Frame] = {"": root}
        self.items: dict[str, _Item] = {}
        self.within: dict[str, _Item] = {}
        for cluster in graph.clusters:
            self.frames[cluster.name] = _Frame(graph, cluster, root)
        for order, node in enumerate(graph.nodes):
            width, height = _size(node)
            self.items[node.name] = _Item(width=width, height=height, order=order, node=node)
            self.frames[node.parent].items.append(self.items[node.name])
        first = {name: min(self.orders(graph, name), default=0) for name in self.frames}
        for cluster in graph.clusters:
            self.within[cluster.name] = _Item(width=0, height=0, order=first[cluster.name])
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

    def cycles(self, edges: Sequence[Edge]) -> set[tuple[_Item, _Item]]:
        """What leads back, between items of one frame: a line that closes a cycle, seen from the first item on."""
        below: dict[_Item, list[_Item]] = {}
        for edge in edges:
            if edge.source != edge.target and edge.kind != "back":
                left, right, common = self.ends(edge)
                below.setdefault(self.item(left[common]), []).append(self.item(right[common]))
        found, done, path = set(), set(), set()

        def visit(item: _Item) -> None:
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

    def item(self, name: str) -> _Item:
        return self.within[name] if name in self.within else self.items[name]


def _align(run: Sequence[_Item], low: float, high: float) -> None:
    if len(run) > 1:
        middle = sorted(each.x for each in run)[len(run) // 2]
        for bend in run:
            bend.x = min(max(middle, low), high)


def _spread(layer: Sequence[_Item], wanted: Sequence[float], weights: Sequence[float]) -> None:
    """Centres in a given order, none nearer than the widths allow, with the least squared distance from `wanted`.

    Pool adjacent violators: whoever would overlap moves together with the neighbour, as one group.
    """
    shifts, total = [], 0.0
    for index, item in enumerate(layer):
        if index:
            before = layer[index - 1]
            total += (before.width + item.width) / 2 + (BESIDE if before.node or item.node else BESIDE * 0.6)
        shifts.append(total)
    groups: list[tuple[float, float, int]] = []  # place, weight, number of items
    for want, weight, shift in zip(wanted, weights, shifts, strict=True):
        place, count = want - shift, 1
        while groups and groups[-1][0] > place:
            other, heavy, more = groups.pop()
            place, weight, count = (place * weight + other * heavy) / (weight + heavy), weight + heavy, count + more
        groups.append((place, weight, count))
    places = [place for place, _, count in groups for _ in range(count)]
    for item, place, shift in zip(layer, places, shifts, strict=True):
        item.x = place + shift


def _lines(node: Node) -> tuple[list[str], list[str]]:
    """The label and the detail of a node, folded."""
    label = _folded(node.label, 34, 2)
    detail = [*_folded(node.detail, 40, 2), *_folded(node.note, 44, 1)]
    return label, detail


def _folded(text: str, width: int, most: int) -> list[str]:
    lines = textwrap.wrap(printable(text), width, break_long_words=False)
    if len(lines) > most:
        lines = [*lines[: most - 1], lines[most - 1][: width - 1].rstrip() + "…"]
    return lines


def _size(node: Node) -> tuple[float, float]:
    if node.label in SIGNS.values():
        return 26.0, 26.0
    label, detail = _lines(node)
    width = max([*(len(each) * LARGE for each in label), *(len(each) * SMALL for each in detail)], default=0.0)
    height = 15 * len(label) + 13 * len(detail)
    return max(width + (34 if node.kind in ("loop", "condition") else 22), 46.0), height + 13.0


def _box(node: Node, x: float, y: float, width: float, height: float) -> str:
    left, top = x - width / 2, y - height / 2
    around = f'x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}"'
    if node.kind in ("loop", "condition"):
        upper = [(left, y), (left + 12, top), (left + width - 12, top), (left + width, y)]
        corners = [*upper, (left + width - 12, top + height), (left + 12, top + height)]
        shape = f'<polygon points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in corners)}"/>'
    else:
        radius = {"module": 5.0, "parameter": 0.0, "constant": 0.0}.get(node.kind, height / 2)
        shape = f'<rect {around} rx="{min(radius, 14.0):.1f}"/>'
    label, detail = _lines(node)
    at = y - (15 * len(label) + 13 * len(detail)) / 2 + 11.5
    texts = []
    for index, line in enumerate([*label, *detail]):
        kind = "name" if index < len(label) else "detail"
        texts.append(f'<text class="{kind}" x="{x:.1f}" y="{at:.1f}" text-anchor="middle">{_text(line)}</text>')
        at += 15 if index < len(label) - 1 else 13.5
    calls = f" (called {node.calls} times)" if node.calls > 1 and node.kind == "module" else ""
    told = "  ".join(filter(None, (node.name if node.kind == "module" else node.label, node.detail, node.note))) + calls
    shared = " shared" if calls else ""
    return f'<g class="node {node.kind}{shared}"><title>{_text(told)}</title>{shape}{"".join(texts)}</g>'


def _shape(x: float, y: float, label: str) -> str:
    return f'<text class="shape" x="{x:.1f}" y="{y + 3:.1f}" text-anchor="middle">{_text(label)}</text>'


def _text(text: str) -> str:
    """A text between tags."""
    return escape(printable(text, lines=False))


def _path(points: Sequence[tuple[float, float]], breaks: Sequence[int]) -> str:
    """Smooth between the layers, straight through them; broken where a label stands."""
    (x, y), *rest = points
    parts = [f"M{x:.1f},{y:.1f}"]
    for index, (z, w) in enumerate(rest):
        if (z, w) == (x, y):
            continue
        if index % 2 == 0 or abs(z - x) < 0.5:
            parts.append(f"{'M' if index % 2 == 0 and index // 2 in breaks else 'L'}{z:.1f},{w:.1f}")
        else:
            middle = (y + w) / 2
            parts.append(f"C{x:.1f},{middle:.1f} {z:.1f},{middle:.1f} {z:.1f},{w:.1f}")
        x, y = z, w
    return " ".join(parts)
