"""Standard output and error of a command: what nobody takes is dropped, so that work does not end halfway."""

from __future__ import annotations

import contextlib
import io
import os
import pathlib
import select
import sys
from collections.abc import Iterator
from typing import Any, TextIO

ESCAPED = "backslashreplace"  # a letter that the terminal does not have ends no run


class Refused(BaseException):
    """Nobody takes what is printed; no mistake, and none of a handler of exceptions."""


class Outlet(io.RawIOBase):
    """Takes all that is written and hands it on, until the system refuses it once.

    Attributes:
        patient: whether the writer is not told.
        refused: what the system said then: that the reader has left, or that the disk is full.
    """

    def __init__(self, raw: io.RawIOBase, patient: bool = True) -> None:
        self.raw, self.patient = raw, patient
        self.refused: OSError | None = None

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.raw.fileno()

    def isatty(self) -> bool:
        return self.raw.isatty()

    def write(self, data: Any) -> int:
        try:
            while self.refused is None:
                if (count := self.raw.write(data)) is not None:
                    return count
                select.select((), (self.raw,), ())  # whoever made it non-blocking has not read yet
        except OSError as error:
            self.refused = error
            if not self.patient:
                raise Refused from error
        return len(data)


@contextlib.contextmanager
def silent(really: bool) -> Iterator[None]:
    """Nothing that is printed to standard output is seen, if that is so."""
    if not really:
        yield
        return
    with pathlib.Path(os.devnull).open("w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


@contextlib.contextmanager
def outlets(patient: bool = True) -> Iterator[Outlet | None]:
    """Lets `sys.stdout` and `sys.stderr` take everything meanwhile; yields what stands behind the first.

    Args:
        patient: whether work goes on when nobody takes what it prints; if not, printing raises `Refused` once.

    Where the program was started without one of them, a null device takes its place. A stream that is not the
    process's own, as in a test or a notebook, stays as it is.
    """
    before = sys.stdout, sys.stderr
    sys.stdout, out = _outlet(sys.stdout, 1, patient)
    sys.stderr, _ = _outlet(sys.stderr, 2, True)
    try:
        yield out
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = before


def _outlet(stream: TextIO | None, number: int, patient: bool) -> tuple[TextIO, Outlet | None]:
    if stream is None:
        return _null(number), None
    if not isinstance(stream, io.TextIOWrapper):
        return stream, None
    raw = stream.buffer if isinstance(stream.buffer, io.RawIOBase) else getattr(stream.buffer, "raw", None)
    if raw is None:
        stream.reconfigure(errors=ESCAPED)
        return stream, None
    with contextlib.suppress(OSError):
        stream.flush()
    outlet = Outlet(raw, patient)
    by_line = stream.line_buffering or stream.write_through
    buffer: Any = io.BufferedWriter(outlet)
    return io.TextIOWrapper(buffer, stream.encoding, ESCAPED, line_buffering=by_line), outlet


def _null(number: int) -> TextIO:
    """A null device, also under the number of what was closed: the next file would get what a library prints there."""
    try:
        os.fstat(number)
        free = False
    except OSError:
        free = True
    null = os.open(os.devnull, os.O_WRONLY)
    if free:
        os.dup2(null, number)
        os.set_inheritable(number, True)
    return open(null, "w", encoding="utf-8", closefd=False)
