"""The one way to the terminal: nothing of a config is obeyed there. Tables fit it, and stay unbroken in a pipe."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from modelzoo.escapes import printable

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

NARROWEST = 60  # below this many columns a table is left to the terminal to break
UNBOUNDED = 10_000


def say(line: object = "", file: TextIO | None = None, flush: bool = False) -> None:
    """Prints a line, or several, to stdout or another file, escaped."""
    out = file or sys.stdout
    _write(printable(str(line)) + "\n", out)
    if flush:
        out.flush()


def text(renderable: RenderableType, width: int | None = None) -> str:
    """A rich table or text as plain text without colour; `width=None` breaks no line."""
    return _rendered(renderable, width or UNBOUNDED, terminal=False)


def show(renderable: RenderableType, file: TextIO | None = None) -> None:
    """Prints a rich table or text: fitted to a terminal, unbroken into a pipe, escaped."""
    out = file or sys.stdout
    terminal = out.isatty()
    width = max(shutil.get_terminal_size().columns, NARROWEST) if terminal else UNBOUNDED
    _write(_rendered(renderable, width, terminal) + "\n", out)


def _write(text: str, out: TextIO) -> None:
    """Letters that the encoding does not have are escaped too."""
    encoding = out.encoding or "utf-8"
    out.write(text.encode(encoding, "backslashreplace").decode(encoding))


def _rendered(renderable: RenderableType, width: int, terminal: bool) -> str:
    from rich.console import Console

    file = io.StringIO()
    # False, not None: without a terminal FORCE_COLOR would put escapes into a pipe's text.
    console = Console(
        file=file,
        width=width,
        force_terminal=terminal,
        force_jupyter=False,
        legacy_windows=False,
        markup=False,
        emoji=False,
        highlight=False,
    )
    console.print(_Escaped(renderable), crop=False)
    return "\n".join(line.rstrip() for line in file.getvalue().rstrip("\n").split("\n"))


@dataclass(frozen=True, slots=True)
class _Escaped:
    """Something of rich whose own styles reach the terminal, and whose texts are escaped."""

    inner: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for each in console.render(self.inner, options):
            yield each if each.control else each._replace(text=printable(each.text))
