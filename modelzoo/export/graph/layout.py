"""Where everything stands: the sizes of frames, and the place of each item, as near to its neighbours as there is room.

Every frame is laid out by itself, innermost first: its layers, then positions by least squares, the last step of
Sugiyama, Tagawa and Toda.
"""

from __future__ import annotations

from collections.abc import Sequence

from modelzoo.export.graph.layers import BEND, SMALL, SWEEPS, attach_frames, layered
from modelzoo.export.graph.nesting import Frame, Hop, Item

GAP, LOW, BESIDE, PAD, TITLE = 18.0, 12.0, 26.0, 16.0, 20.0
INFINITE = float("inf")


def arrange(frame: Frame) -> None:
    """Sizes and relative places of all that is inside, innermost frames first."""
    for item in frame.items:
        if item.frame is not None:
            arrange(item.frame)
            item.width, item.height = item.frame.width, item.frame.height
            middle = item.frame.width / 2
            item.ports = {key: port.x - middle for key, port in item.frame.ports.items()}
    layered(frame)
    _attach(frame)
    _settle(frame)
    _attach(frame)
    _settle(frame)
    _straighten(frame)
    _attach(frame)
    _stack(frame)


def place(frame: Frame, left: float, top: float) -> None:
    """Puts a frame that is arranged, and all in it, on the page."""
    frame.left, frame.top = left, top
    for item in frame.items:
        if item.frame is not None:
            x, y = left + item.x - item.width / 2, top + item.y - item.height / 2
            place(item.frame, x, y)


def _attach(frame: Frame) -> None:
    """Where lines meet nodes: what leaves together starts in one point, what arrives stands side by side."""
    sides: dict[tuple[Item, bool], dict[object, list[tuple[float, Hop]]]] = {}
    for hop in frame.hops.values():
        next_below, next_above = hop.chain[1], hop.chain[-2]
        leaving_down, leaving_up = ("out" if not hop.up else hop), ("out" if hop.up else hop)
        at = next_below.x + (hop.end if next_below is hop.lower else 0)
        sides.setdefault((hop.upper, False), {}).setdefault(leaving_down, []).append((at, hop))
        at = next_above.x + (hop.start if next_above is hop.upper else 0)
        sides.setdefault((hop.lower, True), {}).setdefault(leaving_up, []).append((at, hop))
    attach_frames(frame)
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


def _settle(frame: Frame) -> None:
    """Places in each layer: as near to the neighbours as the order and the widths allow."""
    near: dict[Item, list[tuple[Item, float, float, bool]]] = {}
    for one, other, start, end, _ in frame.pairs():
        weight = (1.0, 2.0, 8.0)[(one.width == BEND) + (other.width == BEND)]
        near.setdefault(other, []).append((one, start - end, weight, True))
        near.setdefault(one, []).append((other, end - start, weight, False))
    for sweep in range(3 * SWEEPS):
        down = sweep % 2 == 0
        for layer in frame.layers if down else reversed(frame.layers):
            wanted, weights = [], []
            for item in layer:
                lines = [each for each in near.get(item, ()) if each[3] is down or sweep >= SWEEPS]
                total = sum(each[2] for each in lines)
                wanted.append(sum((o.x + d) * w for o, d, w, _ in lines) / total if total else item.x)
                weights.append((total or 0.05) * item.weight)
            _spread(layer, wanted, weights)
    left = min((each.x - each.width / 2 for layer in frame.layers for each in layer), default=0.0)
    for layer in frame.layers:
        for item in layer:
            item.x += PAD - left if frame.parent is not None else -left
    right = max((each.x + each.width / 2 for layer in frame.layers for each in layer), default=0.0)
    inside = right + (PAD if frame.parent is not None else 0) + 28 * bool(frame.loops)
    frame.width = max(inside, len(frame.title) * SMALL + 2 * PAD if frame.parent is not None else 0)
    if frame.width > inside and frame.parent is not None:
        for layer in frame.layers:
            for item in layer:
                item.x += (frame.width - inside) / 2


def _straighten(frame: Frame) -> None:
    """Long lines run straight where their neighbours leave them room."""
    for hop in frame.hops.values():
        run: list[Item] = []
        low, high = -INFINITE, INFINITE
        for bend in hop.chain[1:-1]:
            left, right = _room(frame, bend)
            if run and (bend.label or max(low, left) > min(high, right)):
                _align(run, low, high)
                run, low, high = [], -INFINITE, INFINITE
            if not bend.label:
                run.append(bend)
                low, high = max(low, left), min(high, right)
        _align(run, low, high)


def _room(frame: Frame, bend: Item) -> tuple[float, float]:
    layer = frame.layers[bend.layer]
    index = layer.index(bend)
    low, high = -INFINITE, INFINITE
    if index:
        low = layer[index - 1].x + (layer[index - 1].width + bend.width) / 2 + BEND
    if index + 1 < len(layer):
        high = layer[index + 1].x - (layer[index + 1].width + bend.width) / 2 - BEND
    return min(low, bend.x), max(high, bend.x)


def _stack(frame: Frame) -> None:
    """Heights: every layer as high as its highest item, with a gap below it."""
    y = TITLE if frame.parent is not None else 0.0
    frame.tops, frame.heights = [], []
    for index, layer in enumerate(frame.layers):
        height = max((each.height for each in layer), default=0.0)
        frame.tops.append(y)
        frame.heights.append(height)
        for item in layer:
            item.y = y + height / 2
        told = any(each.label for near in frame.layers[index : index + 2] for each in near)
        ports = not height and not index % 2
        y += height + (0 if index == len(frame.layers) - 1 else GAP if told else 4 if ports else LOW)
    bottom = any(each.side == "bottom" for each in frame.items)
    frame.height = y + (0 if bottom or frame.parent is None else PAD)
    for item in frame.items:
        if item.side:
            item.y = 0.0 if item.side == "top" else frame.height


def _align(run: Sequence[Item], low: float, high: float) -> None:
    if len(run) > 1:
        middle = sorted(each.x for each in run)[len(run) // 2]
        for bend in run:
            bend.x = min(max(middle, low), high)


def _spread(layer: Sequence[Item], wanted: Sequence[float], weights: Sequence[float]) -> None:
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
