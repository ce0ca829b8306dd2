"""What is seen of a sweep: a bar or lines while it runs, and the table of its jobs when it ends, however it ends."""

from __future__ import annotations

import contextlib
import pathlib
import shutil
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from modelzoo import files, terminal
from modelzoo.run.sweep import DIED, REUSED, RUNNING, Record, Sweep

if TYPE_CHECKING:
    from filelock import BaseFileLock

PAUSE = 0.1  # seconds between two looks at the records

_watching: list[Watch] = []


def begin(directory: pathlib.Path) -> None:
    """Says that the jobs of a sweep are about to begin, in the process that launches them."""
    for watch in _watching:
        watch.begin(Sweep(directory))


class Watch:
    """Looks at the records of a sweep's jobs until it ends, then shows and writes the table.

    Args:
        planned: the overrides of all jobs, as far as they are known.
        out: where lines, bar and table go; stdout by default.
    """

    def __init__(self, planned: Sequence[tuple[str, ...]], out: TextIO | None = None) -> None:
        self.planned, self.out = planned, out or sys.stdout
        self.sweep: Sweep | None = None
        self.lock: BaseFileLock | None = None
        self.failed = False
        self.told: set[int] = set()
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        _watching.append(self)
        return self

    def begin(self, sweep: Sweep) -> None:
        if self.sweep is None:
            self.lock = sweep.claim()
            sweep.begin()
            self.sweep = sweep
            self.thread.start()

    def unfinished(self) -> bool:
        """Whether a job was running when all ended, as it is when a worker was killed."""
        return self.sweep is not None and any(each.status == RUNNING for each in self.sweep.records())

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        _watching.remove(self)
        if self.sweep is None:
            return
        self.ending.set()
        self.thread.join()
        why = "it was interrupted." if kind is KeyboardInterrupt else "its worker was killed."
        for record in self.sweep.records():
            if record.status == RUNNING:
                self.sweep.write(replace(record, status=DIED, error=why))
        self._tell()
        self._clear()
        records = self.sweep.records(self.planned)
        self.failed = not all(record.good for record in records)
        if records:
            self._conclude(records, self.sweep)
        if self.lock is not None:
            self.lock.release()

    def _conclude(self, records: list[Record], sweep: Sweep) -> None:
        from modelzoo.run import results

        found = results.summary(records)
        terminal.say(file=self.out)
        terminal.show(results.terminal_table(found), self.out)
        terminal.say(found.counts(), self.out)
        written = results.write(found, sweep.directory)
        terminal.say("\n".join(["written:", *(f"  {files.shown(path)}" for path in written)]), self.out)

    def _look(self) -> None:
        while not self.ending.wait(PAUSE):
            with contextlib.suppress(OSError):  # a later look reads what this one could not
                self._tell()

    def _tell(self) -> None:
        assert self.sweep is not None
        count = len(self.planned) or "?"
        for number in self.sweep.numbers():
            record = None if number in self.told else self.sweep.read(number)
            if record is not None and record.ended:
                self.told.add(number)
                if not self.out.isatty() or not record.good:
                    self._clear()
                    terminal.say(f"{len(self.told)}/{count}  {_line(record)}", self.out, flush=True)
        if self.out.isatty() and self.planned:
            self._bar(len(self.told) / len(self.planned), f"{len(self.told)}/{count}")

    def _bar(self, part: float, text: str) -> None:
        width = max(10, min(50, shutil.get_terminal_size().columns - len(text) - 4))
        filled = round(width * part)
        self.out.write(f"\r[{'#' * filled}{'.' * (width - filled)}] {text}")
        self.out.flush()

    def _clear(self) -> None:
        if self.out.isatty():
            self.out.write("\r\x1b[K")


def _line(record: Record) -> str:
    seconds = sum(value for name, value in record.facts.items() if name.endswith("_seconds") and _is_number(value))
    lines = record.error.strip().splitlines()
    shown = (
        f": {' '.join(map(str.strip, lines[:2]))}"
        if lines
        else f" in {seconds:.2f} s"
        if record.status != REUSED
        else ""
    )
    return f"{' '.join(record.overrides)}  {record.status}{shown}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))
