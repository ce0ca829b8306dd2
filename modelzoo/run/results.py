"""The answer of a sweep: one table of all its jobs, for the terminal, as CSV and JSON, and as a page."""

from __future__ import annotations

import csv
import io
import math
import pathlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelzoo import files
from modelzoo.escapes import cell, json_text, printable
from modelzoo.export import pages
from modelzoo.measuring.picture import Point, svg
from modelzoo.run import signalled
from modelzoo.run.coordinates import FACT
from modelzoo.run.curves import curves
from modelzoo.run.sweep import DIED, FAILED, NOT_RUN, Record

if TYPE_CHECKING:
    from rich.table import Table

ENDS = ("status", "error", "folder")
PLOTS = 4  # of as many columns a plot is drawn for each key that varies


@dataclass(frozen=True, slots=True)
class Summary:
    """A table with a row for each job.

    Attributes:
        keys: the overrides that vary.
        columns: what is known of each job, in the order of the first that has it.
        rows: for each job the values of `keys`, "status", `columns`, "error" and "folder", those it has.
    """

    keys: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[dict[str, Any], ...]

    @property
    def titles(self) -> tuple[str, ...]:
        return (*self.keys, "status", *self.columns, "error", "folder")

    def counts(self) -> str:
        """How many jobs ended how.

        >>> summary([]).counts()
        '0 jobs'
        """
        found = Counter(row["status"] for row in self.rows)
        parts = [
            f"{len(self.rows)} job{'s' * (len(self.rows) != 1)}",
            *(f"{count} {name}" for name, count in found.items()),
        ]
        return ", ".join(parts) if found else parts[0]


def summary(records: Sequence[Record]) -> Summary:
    """The table of a sweep's jobs."""
    typed = [dict(each.partition("=")[::2] for each in record.overrides) for record in records]
    names = list(dict.fromkeys(name for each in typed for name in each))
    keys = tuple(name for name in names if len({each.get(name) for each in typed}) > 1)
    columns = tuple(dict.fromkeys(name for record in records for name in record.facts if name != FACT))
    rows = tuple(
        {
            **{key: each[key] for key in keys if key in each},
            "status": record.status,
            **record.facts,
            "error": record.error,
            "folder": record.folder,
        }
        for record, each in zip(records, typed, strict=True)
    )
    return Summary(keys, columns, rows)


def terminal_table(found: Summary) -> Table:
    """For the terminal: only the first line of an error, no folders."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    columns = [name for name in found.titles if name != "folder"]
    if not any(row["error"] for row in found.rows):
        columns.remove("error")
    for name in columns:
        number = name in found.columns and all(isinstance(row.get(name, 0), (int, float)) for row in found.rows)
        table.add_column(printable(name, lines=False), justify="right" if number else "left", overflow="fold")
    for row in found.rows:
        bad = row["status"] in (FAILED, DIED, NOT_RUN)
        table.add_row(*(_shown(row.get(name, "")) for name in columns), style="red" if bad else None)
    return table


def as_csv(found: Summary) -> str:
    """Comma-separated values, one line for each job below the titles; a spreadsheet computes none of them."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(map(cell, found.titles))
    writer.writerows([cell(row.get(name, "")) for name in found.titles] for row in found.rows)
    return file.getvalue()


def as_json(found: Summary) -> str:
    """A list of rows; a number that is not finite is null."""
    return json_text(found.rows, indent=1) + "\n"


def as_page(found: Summary, directory: pathlib.Path | None = None) -> str:
    """One offline page: a table that sorts, a small plot for each key that varies, and the signals of all jobs."""
    rows = [[(row.get(name, ""), _shown(row.get(name, ""), line=False)) for name in found.titles] for row in found.rows]
    drawn = {"signals": _signals(found, directory), "curves": curves(found.keys, found.rows)}
    return pages.page("summary.html", summary=found, rows=rows, plots=plots(found), **drawn)


def _signals(found: Summary, directory: pathlib.Path | None) -> str:
    """The lines of the jobs that measured them, as one picture."""
    models: dict[str, Sequence[Point]] = {}
    for row in found.rows if directory is not None else ():
        points = signalled.read(directory / row["folder"]) if directory is not None and row["folder"] else []
        if points:
            models[", ".join(f"{key}={row[key]}" for key in found.keys if key in row) or row["folder"]] = points
    return svg(models) if models else ""


def write(found: Summary, directory: pathlib.Path) -> list[pathlib.Path]:
    """`summary.csv`, `summary.json` and `summary.html`, each whole or not at all."""
    written = []
    for suffix, content in (("csv", as_csv(found)), ("json", as_json(found)), ("html", as_page(found, directory))):
        path = directory / f"summary.{suffix}"
        files.write_text(path, content)
        written.append(path)
    return written


@dataclass(frozen=True, slots=True)
class Plot:
    """A column of numbers over a key that varies: points in percent of the plot's width and height."""

    key: str
    column: str
    ticks: tuple[tuple[float, str], ...]
    points: tuple[tuple[float, float, str], ...]
    low: str
    high: str


def plots(found: Summary) -> list[Plot]:
    """For each key that varies, one plot of each of the first columns that hold numbers."""
    numbers = [name for name in found.columns if any(_is_number(row.get(name)) for row in found.rows)]
    varying = [name for name in numbers if len({row.get(name) for row in found.rows if name in row}) > 1][:PLOTS]
    return [plot for key in found.keys for name in varying if (plot := _plot(found, key, name)) is not None]


def _plot(found: Summary, key: str, column: str) -> Plot | None:
    given = [(row[key], row[column]) for row in found.rows if key in row and _is_number(row.get(column))]
    if not given:
        return None
    places = _places(list(dict.fromkeys(value for value, _ in given)))
    low, high = min(value for _, value in given), max(value for _, value in given)
    span = (high - low) or 1
    points = tuple(
        (places[name], 100 * (1 - (value - low) / span), f"{name}: {_shown(value)}") for name, value in given
    )
    ticks = tuple((place, name) for name, place in places.items())
    return Plot(key, column, ticks, points, _shown(low), _shown(high))


def _places(names: list[str]) -> dict[str, float]:
    """Numbers stand where they belong, names side by side."""
    try:
        values = {name: float(name) for name in names}
    except ValueError:
        return {name: 100 * (index + 0.5) / len(names) for index, name in enumerate(names)}
    low, span = min(values.values()), (max(values.values()) - min(values.values())) or 1
    return {name: 100 * (value - low) / span for name, value in sorted(values.items(), key=lambda each: each[1])}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and not _bad(value)


def _bad(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _shown(value: Any, line: bool = True) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    text = str(value)
    return printable(next(iter(_told(text)), ""), lines=False) if line else text


def _told(text: str) -> list[str]:
    """The lines of an error that say something: not the place it starts with."""
    lines = text.strip().splitlines()
    return [each.strip() for each in (lines[1:] if len(lines) > 1 else lines)]
