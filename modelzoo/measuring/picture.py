"""The two lines of one model or of several over their depth, as a picture for a page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby

from modelzoo.escapes import one_line

WIDTH, HEIGHT, LEFT, TOP = 860, 150, 60, 24
COLOURS = ("--accent", "--bad", "--quiet", "--text")
MOST = 8
"""Of so many models the lines are told apart by their colour and dashes; more are drawn without a legend."""


@dataclass(frozen=True, slots=True)
class Point:
    """A call in the trunk: its name, and the std of its output and of the gradient of that."""

    name: str
    signal: float | None
    gradient: float | None


def svg(models: Mapping[str, Sequence[Point]]) -> str:
    """Both lines on a logarithmic scale over depth; a point tells its name when it is pointed at.

    Args:
        models: the trunk of each by a label; the copies of a block are shaded where there is one model.
    """
    parts: list[str] = []
    for index, (title, gradient) in enumerate(
        (("forward: std of the output", False), ("backward: std of its gradient", True))
    ):
        top = TOP + index * (HEIGHT + 2 * TOP)
        lines = {
            label: [each.gradient if gradient else each.signal for each in points] for label, points in models.items()
        }
        parts += _chart(title, lines, models, top)
    height = 2 * (HEIGHT + 2 * TOP) + 18 * (len(models) if 1 < len(models) <= MOST else 0)
    parts += _legend(models, 2 * (HEIGHT + 2 * TOP)) if 1 < len(models) <= MOST else []
    box = f'viewBox="0 0 {WIDTH + LEFT + 10} {height}" width="100%"'
    return "".join([f'<svg {box} role="img" aria-label="signals over depth">', *parts, "</svg>"])


def _chart(
    title: str, lines: Mapping[str, Sequence[float | None]], models: Mapping[str, Sequence[Point]], top: int
) -> Iterator[str]:
    logs = [math.log10(each) for line in lines.values() for each in line if each and math.isfinite(each)]
    low, high = (math.floor(min(logs)), math.ceil(max(logs))) if logs else (0, 1)
    high = max(high, low + 1)
    if len(models) == 1:
        yield from _bands(next(iter(models.values())), top)
    step = max((high - low) // 4, 1)
    for exponent in range(low, high + 1, step):
        height = top + HEIGHT * (high - exponent) / (high - low)
        yield f'<line class="axis" x1="{LEFT}" y1="{height:.1f}" x2="{LEFT + WIDTH}" y2="{height:.1f}"/>'
        yield f'<text x="{LEFT - 6}" y="{height + 4:.1f}" text-anchor="end">1e{exponent}</text>'
    yield f'<text x="{LEFT}" y="{top - 8}">{title}</text>'
    for index, (label, line) in enumerate(lines.items()):
        places = [(_x(at, len(line)), _y(each, low, high, top), each) for at, each in enumerate(line)]
        names = [each.name for each in models[label]]
        way = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places if y is not None)
        yield f'<polyline points="{way}" style="{_style(index)}"/>'
        for (x, y, value), name in zip(places, names, strict=True):
            if y is not None and value is not None:
                of = f"{label}, " if len(models) > 1 else ""
                shown = escape(one_line(f"{of}{name or 'model'}: {value:.3g}"))
                fill = f'style="fill: var({_colour(index)})"'
                yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" {fill}><title>{shown}</title></circle>'


def _x(at: int, count: int) -> float:
    return LEFT + WIDTH * (at + 0.5) / count


def _y(value: float | None, low: int, high: int, top: int) -> float | None:
    """The place of a value; zero is at the bottom, and what is not finite at the top."""
    if value is None:
        return None
    if not value:
        return top + HEIGHT
    share = (math.log10(value) - low) / (high - low) if math.isfinite(value) else 1.0
    return top + HEIGHT * (1 - share)


def _bands(points: Sequence[Point], top: int) -> Iterator[str]:
    """The copies of a block, shaded."""
    at = 0
    for start, group in groupby(points, key=lambda each: _block(each.name)):
        members = [*group]
        if start and len({each.name.removeprefix(start).split(".")[1] for each in members}) > 1:
            x, width = _x(at, len(points)) - WIDTH / len(points) / 2, WIDTH * len(members) / len(points)
            shown = escape(one_line(f"{start}.*"))
            box = f'x="{x:.1f}" y="{top}" width="{width:.1f}" height="{HEIGHT}"'
            yield f'<rect {box} style="fill: var(--soft)"><title>{shown}</title></rect>'
        at += len(members)


def _block(name: str) -> str:
    """What a copy belongs to: all before its number.

    >>> _block("encoder.layers.3.norm"), _block("head")
    ('encoder.layers', '')
    """
    parts = name.split(".")
    number = next((at for at, each in enumerate(parts) if each.isdigit()), 0)
    return ".".join(parts[:number])


def _legend(models: Mapping[str, Sequence[Point]], top: int) -> Iterator[str]:
    for index, label in enumerate(models):
        y = top + 18 * index
        yield f'<polyline points="{LEFT},{y} {LEFT + 30},{y}" style="{_style(index)}"/>'
        yield f'<text x="{LEFT + 38}" y="{y + 4}">{escape(one_line(label))}</text>'


def _colour(index: int) -> str:
    return COLOURS[index % len(COLOURS)]


def _style(index: int) -> str:
    dashes = "; stroke-dasharray: 5 3" if index // len(COLOURS) % 2 else ""
    return f"fill: none; stroke: var({_colour(index)}); stroke-width: 1.6{dashes}"
