"""The layers of a frame: by longest path, with bends where lines pass, in an order in which few of them cross.

The first two steps of Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical system structures",
1981.
"""

from __future__ import annotations

from modelzoo.export.graph.nesting import Frame, Item

SMALL = 6.1
"""The width of a character of a detail, a shape or a title."""

SWEEPS = 12
BEND = 8.0
"""The width of a bend without a label."""


def layered(frame: Frame) -> None:
    """Puts what lies in a frame into layers, each in an order; the frames in it have their sizes already."""
    _assign(frame)
    _bend(frame)
    _sort(frame)


def attach_frames(frame: Frame) -> None:
    """Lines meet the frames in a frame at their ports."""
    for hop in frame.hops.values():
        left, right = hop.source.ports.get((hop.key, "out"), 0.0), hop.target.ports.get((hop.key, "in"), 0.0)
        hop.start, hop.end = (right, left) if hop.up else (left, right)


def _assign(frame: Frame) -> None:
    below: dict[Item, list[Item]] = {each: [] for each in frame.items}
    above: dict[Item, list[Item]] = {each: [] for each in frame.items}
    for hop in frame.hops.values():
        below[hop.upper].append(hop.lower)
        above[hop.lower].append(hop.upper)
    inner = sorted((each for each in frame.items if not each.side), key=lambda each: each.order)
    top = any(each.side == "top" for each in frame.items)
    for item in inner:
        item.layer = max((each.layer + 2 for each in above[item]), default=2 * top)
    for item in reversed(inner):  # what nothing flows into stands right above what reads it
        if not above[item] and below[item]:
            nearest = min((each.layer for each in below[item] if not each.side), default=0)
            item.layer = max(item.layer, nearest - 2)
    last = max((each.layer for each in inner), default=0) + 2
    for item in frame.items:
        if item.side == "bottom":
            item.layer = last
    count = max((each.layer for each in frame.items), default=0) + 1
    frame.layers = [[] for _ in range(count)]
    for item in frame.items:
        frame.layers[item.layer].append(item)


def _bend(frame: Frame) -> None:
    """Bends where a line passes a layer; of the lines of a fan with one label the shortest carries it."""
    told: set[tuple[Item, str]] = set()
    for hop in sorted(frame.hops.values(), key=lambda hop: hop.lower.layer - hop.upper.layer):
        shown = bool(hop.label) and (hop.source, hop.label) not in told
        told.add((hop.source, hop.label))
        written = hop.upper.layer + 1 if hop.up else hop.lower.layer - 1
        hop.chain = [hop.upper]
        for layer in range(hop.upper.layer + 1, hop.lower.layer):
            bend = Item(width=BEND, height=0, order=hop.lower.order, weight=8, layer=layer)
            if shown and layer == written:
                bend.label, bend.width, bend.height = hop.label, len(hop.label) * SMALL + 4, 13.0
            frame.layers[layer].append(bend)
            hop.chain.append(bend)
        hop.chain.append(hop.lower)


def _sort(frame: Frame) -> None:
    """The order in each layer, by the mean of the neighbours' places; the best of several sweeps."""
    for layer in frame.layers:
        layer.sort(key=lambda each: each.order)
    attach_frames(frame)
    best, least = [list(each) for each in frame.layers], _crossings(frame)
    for sweep in range(SWEEPS):
        ups: dict[Item, list[float]] = {}
        places = {item: float(index) for layer in frame.layers for index, item in enumerate(layer)}
        down = sweep % 2 == 0
        for layer in frame.layers if down else reversed(frame.layers):
            ups.clear()
            for one, other, start, end, _ in frame.pairs():
                item, near, shift = (other, one, start) if down else (one, other, end)
                if item in layer:
                    ups.setdefault(item, []).append(places[near] + shift / (near.width + 1))
            layer.sort(key=lambda each: sum(ups[each]) / len(ups[each]) if each in ups else places[each])
            places.update({item: float(index) for index, item in enumerate(layer)})
        crossings = _crossings(frame)
        if crossings < least:
            best, least = [list(each) for each in frame.layers], crossings
    frame.layers = best


def _crossings(frame: Frame) -> int:
    places = {item: index for layer in frame.layers for index, item in enumerate(layer)}
    gaps: dict[int, list[tuple[float, float]]] = {}
    for one, other, start, end, _ in frame.pairs():
        line = (places[one] + start / (one.width + 1), places[other] + end / (other.width + 1))
        gaps.setdefault(one.layer, []).append(line)
    return sum(
        (a[0] - b[0]) * (a[1] - b[1]) < 0 for lines in gaps.values() for i, a in enumerate(lines) for b in lines[:i]
    )
