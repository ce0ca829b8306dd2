"""The table of a model: its lines in columns that fit the terminal, and the totals below them."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

import torch
from rich.cells import cell_len

from modelzoo.plans.lines import TITLES, Line, lines_of, tree
from modelzoo.plans.rows import Row

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

NUMBERS = ("parameters", "mean", "std")
LEAST = {"shape": 16, "name": 16, "layer": 10}  # how narrow a column may become, in the order of squeezing
GAP = 2


def model_table(rows: Sequence[Row]) -> ModelTable:
    """A rich table of a model, one line for each module and tensor, with the totals below it.

    A module's parameters include those below it. Equal neighbours with numbered names are one line (`0-11`) with the
    lines of one copy below it; mean and std are then those of all copies together, and `*` is a first size in which
    their outputs differ. What lies below the second place of a shared module is not repeated. Where the columns do not
    fit, a tensor's fill, mean and std stand in a line of their own below it.
    """
    dtypes = Counter(row.type for row in rows if row.kind == "parameter")
    usual = dtypes.most_common(1)[0][0] if dtypes else ""
    return ModelTable(tuple(lines_of(tree(rows), usual)), str(totals(rows)))


@dataclass(frozen=True, slots=True)
class ModelTable:
    """What `model_table` returns, for `rich.print`, `text` and `show`."""

    lines: tuple[Line, ...]
    totals: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        for line, style in self._laid(options.max_width):
            yield Text(line, style, no_wrap=True, overflow="ignore")
        yield Text()
        yield Text(self.totals)

    def cells(self) -> tuple[tuple[str, ...], ...]:
        """The titles, then a row of cells for each line; columns that say nothing are left out."""
        known = [line.cells() for line in self.lines]
        titles = [title for title in TITLES if title in TITLES[:4] or any(each[title] for each in known)]
        return (tuple(titles), *(tuple(each[title] for title in titles) for each in known))

    def _laid(self, room: int) -> Iterator[tuple[str, str]]:
        """The lines of the table, with their styles."""
        titles, *cells = self.cells()
        whole = [max(map(cell_len, column)) for column in zip(titles, *cells, strict=True)]
        fits = _total(whole) <= room
        widths = whole if fits else _squeezed(whole[:4], room)
        yield from ((line, "bold underline") for line in _padded(titles, titles, widths))
        for line, each in zip(self.lines, cells, strict=True):
            style = "" if line.module else "dim"
            yield from ((text, style) for text in _padded(titles, each, widths))
            if not fits:
                yield from ((text, style) for text in _folded(line.below(), room))


def _squeezed(widths: Sequence[int], room: int) -> list[int]:
    """Widths of the first columns that fit, if they can: numbers stay whole, the others are folded."""
    found = dict(zip(TITLES, widths, strict=False))
    for title, least in LEAST.items():
        excess = max(_total(found.values()) - room, 0)
        found[title] = max(found[title] - excess, min(found[title], least))
    return list(found.values())


def _total(widths: Iterable[int]) -> int:
    return sum(width + GAP for width in widths) - GAP


def _padded(titles: Sequence[str], cells: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    """One row: its cells side by side, those that are wider than their column folded."""
    columns = [_folded(cell, width) for cell, width in zip(cells, widths, strict=False)]
    for each in zip_longest(*columns, fillvalue=""):
        padded = []
        for title, cell, width in zip(titles, each, widths, strict=False):
            space = " " * (width - cell_len(cell))
            padded.append(space + cell if title in NUMBERS else cell + space)
        yield (" " * GAP).join(padded).rstrip()


def _folded(cell: str, width: int) -> list[str]:
    """A text in lines of some width, each indented like the first."""
    if cell_len(cell) <= width:
        return [cell] if cell else []
    indent = min(len(cell) - len(cell.lstrip()), width // 2)
    return textwrap.wrap(" " * indent + cell.lstrip(), width, subsequent_indent=" " * indent, break_on_hyphens=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Elements of all unique tensors, and their bytes; it reads as the line below the table."""

    trainable: int
    frozen: int
    buffers: int
    bytes: int

    @property
    def parameters(self) -> int:
        return self.trainable + self.frozen

    def __str__(self) -> str:
        return (
            f"{self.parameters:,} parameters ({self.trainable:,} trainable, {self.frozen:,} frozen), "
            f"{self.buffers:,} in buffers, {self.bytes:,} bytes"
        )


def totals(rows: Iterable[Row]) -> Totals:
    """What the rows add up to, each tensor counted once."""
    trained = frozen = buffers = size = 0
    for row in rows:
        if row.kind == "module" or row.same_as:
            continue
        elements = math.prod(row.shape)
        size += elements * getattr(torch, row.type).itemsize
        if row.kind == "buffer":
            buffers += elements
        elif row.mark == "frozen":
            frozen += elements
        else:
            trained += elements
    return Totals(trainable=trained, frozen=frozen, buffers=buffers, bytes=size)
