"""Sizes of what layers return over a width, as lines on logarithmic axes: the picture of a coordinate check."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelzoo.run.coordinates import FACT


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """The sizes after one step, over the key that is a width.

    Attributes:
        title: what the other keys are.
        step: how many steps were made.
        lines: for each layer its number, its name, and points in percent of the panel's width and height.
    """

    title: str
    step: int
    lines: tuple[tuple[int, str, tuple[tuple[float, float], ...]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """All panels, with axes that they share.

    Attributes:
        key: the key that is a width.
        ticks: places in percent, and what stands there.
        low, high: the ends of the sizes.
        layers: names, by number.
        panels: a row of them for each of the other keys' values.
    """

    key: str
    ticks: tuple[tuple[float, str], ...]
    low: str
    high: str
    layers: tuple[str, ...]
    panels: tuple[tuple[Panel, ...], ...]


def curves(keys: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Curves | None:
    """The picture of jobs that know their sizes; None if there are none, or no key of them is a width."""
    known = [row for row in rows if isinstance(row.get(FACT), dict)]
    widths = {key: {row[key] for row in known if key in row} for key in keys}
    fitting = [key for key, values in widths.items() if len(values) > 1 and all(map(_positive, values))]
    if not fitting:
        return None
    key = max(fitting, key=lambda each: len(widths[each]))
    known = sorted((row for row in known if key in row), key=lambda row: float(row[key]))
    sizes = [size for row in known for each in row[FACT].values() for size in each if _drawn(size)]
    if not sizes:
        return None
    across, up = _scale([float(each) for each in widths[key]]), _scale(sizes)
    layers = tuple(dict.fromkeys(name for row in known for name in row[FACT]))
    others = [each for each in keys if each != key]
    together: dict[str, list[Mapping[str, Any]]] = {}
    for row in known:
        together.setdefault(", ".join(f"{each}={row[each]}" for each in others if each in row), []).append(row)
    panels = []
    for title, group in together.items():
        steps = range(1, min(len(each) for row in group for each in row[FACT].values()))
        panels.append(
            tuple(Panel(title=title, step=step, lines=_lines(group, key, layers, step, across, up)) for step in steps)
        )
    ticks = sorted((across(float(each)), each) for each in widths[key])
    low, high = (f"{each:.2g}" for each in (min(sizes), max(sizes)))
    return Curves(key=key, ticks=tuple(ticks), low=low, high=high, layers=layers, panels=tuple(panels))


def _lines(group: Any, key: str, layers: Any, step: int, across: Any, up: Any) -> Any:
    found = []
    for number, name in enumerate(layers):
        points = [(float(row[key]), row[FACT][name][step]) for row in group if name in row[FACT]]
        drawn = tuple((across(width), 100 - up(size)) for width, size in points if _drawn(size))
        found.append((number, name, drawn))
    return tuple(found)


def _positive(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False


def _drawn(size: Any) -> bool:
    return isinstance(size, float) and 0 < size < math.inf


def _scale(values: Sequence[float]) -> Any:
    """From a value to its place between the least and the greatest, in percent of a logarithmic axis."""
    low, high = math.log(min(values)), math.log(max(values))
    return lambda value: 100 * (math.log(value) - low) / ((high - low) or 1)
