"""The summary of a model: its table with all that can be known of it, for a terminal, a notebook and a pipe."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from modelzoo import terminal
from modelzoo.escapes import printable
from modelzoo.modules.inputs import Input
from modelzoo.plans import ambient, table
from modelzoo.plans.lines import shape_text
from modelzoo.plans.rows import Row

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Summary:
    """What `summary` returns: `print`, `rich.print` and notebooks show it as a table.

    Attributes:
        rows: one for each place of a module or tensor.
        totals: the elements of all unique tensors, and their bytes, as torch counts them.
        inputs: what the shapes, calls and FLOPs are for.
        flops: floating-point operations of one forward pass; None if they were not counted.
        activations: the bytes of what all layers return in it.
        messages: warnings and notes.
    """

    rows: tuple[Row, ...]
    totals: table.Totals
    inputs: tuple[Input, ...] = ()
    flops: int | None = None
    activations: int = 0
    messages: tuple[str, ...] = ()

    def text(self, width: int | None = None) -> str:
        """The summary as plain text; `width=None` breaks no line."""
        with ambient.kept():
            return terminal.text(self, width)

    def __str__(self) -> str:
        return self.text(max(shutil.get_terminal_size().columns, terminal.NARROWEST) if sys.stdout.isatty() else None)

    __repr__ = __str__

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        above, below = self._above(), self._below()
        yield from map(Text, [*above, *[""] * bool(above)])
        yield table.model_table(self.rows)
        yield from map(Text, below)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        whole = table.model_table(self.rows)
        titles, *cells = whole.cells()
        lines = [_html_row("th", titles, titles, "")]
        for line, each in zip(whole.lines, cells, strict=True):
            lines.append(_html_row("td", titles, each, "" if line.module else "opacity: 0.7"))
        around = ["".join(f"<div>{escape(each)}</div>" for each in part) for part in (self._above(), self._below())]
        return f"{around[0]}<table>{''.join(lines)}</table><div>{escape(whole.totals)}</div>{around[1]}"

    def _above(self) -> list[str]:
        return [printable(f"input {each.name}  {shape_text(each.shape)}  {each.dtype}") for each in self.inputs]

    def _below(self) -> list[str]:
        costs = [] if self.flops is None else [f"{self.flops:,} FLOPs, {self.activations:,} bytes of activations"]
        return [*costs, *map(printable, self.messages)]


def _html_row(tag: str, titles: Sequence[str], cells: Sequence[str], style: str) -> str:
    found = []
    for title, cell in zip(titles, cells, strict=True):
        side = "right" if title in table.NUMBERS else "left"
        # A notebook's own style would centre the titles and drop the indentation.
        found.append(f'<{tag} style="text-align: {side}; white-space: pre-wrap">{escape(cell)}</{tag}>')
    return f'<tr style="{style}">{"".join(found)}</tr>' if style else f"<tr>{''.join(found)}</tr>"
