"""The picture of a data flow as SVG: layers of boxes from top to bottom, each block inside its own frame."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from types import MappingProxyType

from modelzoo.escapes import printable
from modelzoo.export.graph.graph import SIGNS, Graph, Node
from modelzoo.export.graph.layers import SMALL
from modelzoo.export.graph.layout import PAD, arrange, place
from modelzoo.export.graph.nesting import Frame, Hop, nested

LARGE = 7.3
"""The width of a character of a label."""

_UNMARKED: Mapping[str, str] = MappingProxyType({})


def svg(graph: Graph, marks: Mapping[str, str] = _UNMARKED) -> str:
    """An SVG element that follows the colours of its page, light or dark.

    Args:
        graph: what to draw.
        marks: classes of nodes and clusters, by their names, with which a page tells them from others.

    >>> from modelzoo.export.graph.graph import Edge, Graph, Node
    >>> nodes = (Node(name="x", kind="input", label="x"), Node(name="a", kind="module", label="a", detail="ReLU"))
    >>> drawn = svg(Graph(nodes=nodes, edges=(Edge(source="x", target="a", label="[2, 4]"),)))
    >>> drawn.count("<path"), "[2, 4]" in drawn
    (2, True)
    """
    whole = nested(graph, _size)
    arrange(whole)
    place(whole, PAD, PAD)
    width, height = whole.width + 2 * PAD, whole.height + 2 * PAD
    parts = [
        f'<svg class="flow" xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="data flow">',
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto-start-reverse"><path class="head" d="M0,0.5 L8,4 L0,7.5 z"/></marker></defs>',
        *_frames(whole, marks),
        *_lines(whole),
        *_boxes(whole, marks),
        *_texts(whole),
        "</svg>",
    ]
    return "\n".join(parts)


def _frames(frame: Frame, marks: Mapping[str, str]) -> Iterator[str]:
    if frame.cluster is not None:
        marked = _marked(frame.cluster.name, marks)
        yield (
            f'<rect class="frame {frame.cluster.kind}{marked}" x="{frame.left:.1f}" y="{frame.top:.1f}" '
            f'width="{frame.width:.1f}" height="{frame.height:.1f}" rx="8"/>'
        )
    for inner in frame.inner():
        yield from _frames(inner, marks)


def _boxes(frame: Frame, marks: Mapping[str, str]) -> Iterator[str]:
    for item in frame.items:
        if item.node is not None:
            marked = _marked(item.node.name, marks)
            yield _box(item.node, frame.left + item.x, frame.top + item.y, item.width, item.height, marked)
    for inner in frame.inner():
        yield from _boxes(inner, marks)


def _marked(name: str, marks: Mapping[str, str]) -> str:
    return f" marked {marks[name]}" if name in marks else ""


def _lines(frame: Frame) -> Iterator[str]:
    for hop in frame.hops.values():
        points = _points(frame, hop)
        breaks = [index for index, item in enumerate(hop.chain) if item.label]
        if hop.up:
            points, breaks = points[::-1], [len(hop.chain) - 1 - index for index in breaks]
        path = _path(points, breaks)
        marker = ' marker-end="url(#arrow)"' if hop.head else ""
        yield f'<path class="line {"back" if hop.up else hop.kind}" d="{path}"{marker}/>'
    for item, _ in frame.loops:
        x, y = frame.left + item.x + item.width / 2, frame.top + item.y
        path = f"M{x:.1f},{y + 7:.1f} c26,8 26,-22 0,-14"
        yield f'<path class="line back" d="{path}" marker-end="url(#arrow)"/>'
    for inner in frame.inner():
        yield from _lines(inner)


def _points(frame: Frame, hop: Hop) -> list[tuple[float, float]]:
    """Where a line enters and leaves the layer of each item of its chain, from its upper end to its lower one."""
    left, top = frame.left, frame.top
    found = []
    for item in hop.chain:
        x, above = left + item.x, top + frame.tops[item.layer]
        below = above + frame.heights[item.layer]
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


def _texts(frame: Frame) -> Iterator[str]:
    if frame.cluster is not None:
        x, y = frame.left + 10, frame.top + 14
        yield f'<text class="title {frame.cluster.kind}" x="{x:.1f}" y="{y:.1f}">{_text(frame.title)}</text>'
    for item in (each for layer in frame.layers for each in layer if each.label):
        yield _shape(frame.left + item.x, frame.top + item.y, item.label)
    for item, label in frame.loops:
        yield _shape(frame.left + item.x + item.width / 2 + 40, frame.top + item.y, label)
    for inner in frame.inner():
        yield from _texts(inner)


def _written(node: Node) -> tuple[list[str], list[str]]:
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
    label, detail = _written(node)
    width = max([*(len(each) * LARGE for each in label), *(len(each) * SMALL for each in detail)], default=0.0)
    height = 15 * len(label) + 13 * len(detail)
    return max(width + (34 if node.kind in ("loop", "condition") else 22), 46.0), height + 13.0


def _box(node: Node, x: float, y: float, width: float, height: float, marked: str) -> str:
    left, top = x - width / 2, y - height / 2
    around = f'x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}"'
    if node.kind in ("loop", "condition"):
        upper = [(left, y), (left + 12, top), (left + width - 12, top), (left + width, y)]
        corners = [*upper, (left + width - 12, top + height), (left + 12, top + height)]
        shape = f'<polygon points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in corners)}"/>'
    else:
        radius = {"module": 5.0, "parameter": 0.0, "constant": 0.0}.get(node.kind, height / 2)
        shape = f'<rect {around} rx="{min(radius, 14.0):.1f}"/>'
    label, detail = _written(node)
    at = y - (15 * len(label) + 13 * len(detail)) / 2 + 11.5
    texts = []
    for index, line in enumerate([*label, *detail]):
        kind = "name" if index < len(label) else "detail"
        texts.append(f'<text class="{kind}" x="{x:.1f}" y="{at:.1f}" text-anchor="middle">{_text(line)}</text>')
        at += 15 if index < len(label) - 1 else 13.5
    calls = f" (called {node.calls} times)" if node.calls > 1 and node.kind == "module" else ""
    told = "  ".join(filter(None, (node.name if node.kind == "module" else node.label, node.detail, node.note))) + calls
    shared = " shared" if calls else ""
    return f'<g class="node {node.kind}{shared}{marked}"><title>{_text(told)}</title>{shape}{"".join(texts)}</g>'


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
