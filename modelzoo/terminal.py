"""How something of rich becomes text: fitted to a terminal, unbroken into a pipe."""

from __future__ import annotations

import io
import shutil
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import RenderableType

NARROWEST = 60  # below this many columns a table is left to the terminal to break
UNBOUNDED = 10_000


def text(renderable: RenderableType, width: int | None = None) -> str:
    """A rich table or text as plain text without colour; `width=None` breaks no line."""
    return _rendered(renderable, width or UNBOUNDED, terminal=False)


def show(renderable: RenderableType, file: TextIO | None = None) -> None:
    """Prints a rich table or text: fitted to a terminal, unbroken into a pipe, escaped where need be."""
    out = file or sys.stdout
    terminal = out.isatty()
    width = max(shutil.get_terminal_size().columns, NARROWEST) if terminal else UNBOUNDED
    encoding = out.encoding or "utf-8"
    out.write(_rendered(renderable, width, terminal).encode(encoding, "backslashreplace").decode(encoding) + "\n")


def _rendered(renderable: RenderableType, width: int, terminal: bool) -> str:
    from rich.console import Console

    file = io.StringIO()
    # False, not None: without a terminal FORCE_COLOR would put escapes into a pipe's text.
    console = Console(file=file, width=width, force_terminal=terminal, force_jupyter=False, legacy_windows=False)
    console.print(renderable, markup=False, highlight=False, emoji=False, crop=False)
    return "\n".join(line.rstrip() for line in file.getvalue().rstrip("\n").split("\n"))
