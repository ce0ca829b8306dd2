"""What went where, as a table: one line for all the copies of a layer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from modelzoo.names import as_one, without_numbers
from modelzoo.weights.loading import Loaded
from modelzoo.weights.matching import Placement


@dataclass(frozen=True, slots=True)
class Line:
    """Tensors that differ in the numbers of their names alone: their names in the file and here, and how many."""

    there: str
    here: str
    shape: tuple[int, ...]
    dtype: str
    count: int


def lines(loaded: Loaded) -> list[Line]:
    """What went where, in the order of the model."""
    groups: dict[tuple[str, str, tuple[int, ...], str], list[Placement]] = {}
    for each in loaded.match.placements:
        tensor = each.target.tensor
        key = (without_numbers(each.piece.name), without_numbers(each.name), tuple(tensor.shape), _dtype(each))
        groups.setdefault(key, []).append(each)
    return [
        Line(
            there=as_one([each.piece.name for each in group]),
            here=as_one([each.name for each in group]),
            shape=shape,
            dtype=dtype,
            count=len(group),
        )
        for (_, _, shape, dtype), group in groups.items()
    ]


def _dtype(each: Placement) -> str:
    here, there = each.target.tensor.dtype, each.piece.dtype
    text = str(here).removeprefix("torch.")
    return text if there == here else f"{str(there).removeprefix('torch.')} -> {text}"


def text(loaded: Loaded) -> str:
    """What was loaded, and the table."""
    rows = [("in the file", "here", "shape", "dtype", "")]
    rows += [
        (each.there, each.here, str(list(each.shape)), each.dtype, f"x {each.count}" if each.count > 1 else "")
        for each in lines(loaded)
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join([summary(loaded), *(f"  {row}" for row in table)])


def summary(loaded: Loaded) -> str:
    """How many tensors of which file, what was taken from their names, and what was left out."""
    count = len(loaded.match.placements)
    does = "loaded" if loaded.done else "would load"
    return f"{does} {count} tensor{'s' * (count != 1)} of {loaded.file}{_how(loaded)}"


def _how(loaded: Loaded) -> str:
    match = loaded.match
    constants = _collapsed(each.name for each in match.constants)
    skipped = _collapsed(each.name for each in match.skipped)
    told = [
        f"under '{loaded.key}'" if loaded.key else "",
        match.wrapping.told(),
        f"left out what a model can do without: {constants}" if constants else "",
        f"left out as asked: {skipped}" if skipped else "",
    ]
    return "".join(f", {each}" for each in told if each)


def _collapsed(names: Iterable[str]) -> str:
    groups: dict[str, list[str]] = {}
    for each in names:
        groups.setdefault(without_numbers(each), []).append(each)
    shown = [as_one(group) for group in groups.values()]
    more = f" and {len(shown) - 10} more" if len(shown) > 10 else ""
    return ", ".join(shown[:10]) + more
