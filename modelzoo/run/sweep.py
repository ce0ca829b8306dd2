"""A sweep: one folder for each of its jobs, what became of them, and which are done already.

    DIRECTORY/
      1f0c2a9b7d3e/        the files of a finished job; its name is the hash of all that decides its results
      .jobs/4.json         what became of the job with this number in the last run of the sweep
      .lock                held by the process that runs a sweep here
      summary.*            the table of all jobs

A folder has its final name only when its job has ended: a job that was killed leaves `NAME.partial` behind, until a
sweep runs there again.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from modelzoo import files, system
from modelzoo.config.config import Config
from modelzoo.errors import Path, fail, nearest, render
from modelzoo.escapes import printable
from modelzoo.plans.options import WITHOUT_EFFECT
from modelzoo.weights.request import file_of

if TYPE_CHECKING:
    from filelock import BaseFileLock

RUNNING, DONE, REUSED, FAILED, DIED, NOT_RUN = "running", "done", "reused", "failed", "died", "not run"
ELSEWHERE = "hydra.sweep.dir=DIR"
FLAGS = ("-m", "--multirun")

_PARTIAL = re.compile(r"([0-9a-f]{12}|job\d+)\.\d+\.partial")

Facts = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What became of one job.

    Attributes:
        number: its place in the sweep, from 0.
        overrides: what was typed for it.
        status: "running", "done", "reused" (done by an earlier run), "failed", "died" (its process was killed) or
            "not run".
        folder: the name of its folder.
        error: what went wrong.
        facts: parameters, statistics, metrics, seconds: the columns of the table.
        attempts: how often it was started in this run of the sweep.
    """

    number: int
    overrides: tuple[str, ...]
    status: str = NOT_RUN
    folder: str = ""
    error: str = ""
    facts: Facts = field(default_factory=dict)
    attempts: int = 0

    @property
    def ended(self) -> bool:
        return self.status not in (RUNNING, NOT_RUN)

    @property
    def good(self) -> bool:
        return self.status in (DONE, REUSED)


def is_typed(arguments: Iterable[str]) -> bool:
    """Whether a command line asks for a sweep.

    >>> is_typed(["model=mlp,nested", "-m"]), is_typed(["model=mlp"])
    (True, False)
    """
    return not {*FLAGS, "hydra.mode=MULTIRUN"}.isdisjoint(arguments)


def name_of(arguments: Iterable[str]) -> str:
    """The directory of a sweep below `multirun`: the same for the same command, whatever does not change its results.

    >>> name_of(["model=mlp", "seed=1,2"]) == name_of(["seed=1,2", "model=mlp", "fail_fast=true"])
    True
    """
    kept = [each for each in arguments if not each.startswith(("-", "hydra", *(f"{name}=" for name in WITHOUT_EFFECT)))]
    return hashlib.sha256("\n".join(sorted(kept)).encode("utf-8", "surrogateescape")).hexdigest()[:8]


def digest(config: Config, version: str, scheme: int, code: str = "") -> str:
    """The name of a job's folder: the hash of its resolved config, of the package's version and of the seed scheme.

    Where a user's own code was registered, that is told apart by a hash too: `code`.
    """
    options = {name: value for name, value in config.options.items() if name not in WITHOUT_EFFECT}
    weights = _stamp(file_of(options.get("load")))
    content = [config.model, config.init, options, weights, version, scheme, *filter(None, [code])]
    text = json.dumps(content, sort_keys=False, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _stamp(path: Any) -> Any:
    """What tells that a file of weights is another one now; of a folder that is the list in it."""
    try:
        file = pathlib.Path(path)
        return (found := (file / ".metadata" if file.is_dir() else file).stat()).st_size, found.st_mtime_ns
    except (OSError, TypeError):
        return None


class Sweep:
    """The directory of a sweep and the records in it."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory, self.jobs = directory, directory / ".jobs"

    def claim(self) -> BaseFileLock:
        """Keeps every other process from running a sweep here, until the lock is released or this process ends.

        Raises:
            ConfigError: another process has it, or there can be no such directory.
        """
        from filelock import FileLock, Timeout

        lock = FileLock(self.directory / ".lock")
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
        except Timeout as error:
            hint = f"Wait until it has ended, or choose another directory: {ELSEWHERE}"
            files.fail(self.directory, "Another process runs a sweep in this directory.", hint, cause=error)
        except OSError as error:
            found = system.told(error, str(self.directory), f"Choose another directory: {ELSEWHERE}")
            raise found or error from error
        return lock

    def begin(self) -> None:
        """Forgets what became of the jobs of an earlier run, and clears what killed ones left; finished ones stay."""
        for left in self.directory.glob("*.partial"):
            if _PARTIAL.fullmatch(left.name):
                shutil.rmtree(left, ignore_errors=True)
        files.clear(self.directory)
        shutil.rmtree(self.jobs, ignore_errors=True)
        self.jobs.mkdir(parents=True)

    @property
    def begun(self) -> bool:
        return self.jobs.is_dir()

    def write(self, record: Record) -> None:
        _write(self.jobs / f"{record.number}.json", asdict(record))

    def read(self, number: int) -> Record | None:
        try:
            found = json.loads((self.jobs / f"{number}.json").read_text("utf-8"))
        except FileNotFoundError:
            return None
        return Record(**{**found, "overrides": tuple(found["overrides"])})

    def numbers(self) -> list[int]:
        """The jobs that left a trace, in their order."""
        return sorted(int(path.stem) for path in self.jobs.glob("*.json"))

    def records(self, planned: Iterable[tuple[str, ...]] = ()) -> list[Record]:
        """All jobs in their order; those that left no trace are "not run"."""
        known = {number: record for number in self.numbers() if (record := self.read(number)) is not None}
        for number, overrides in enumerate(planned):
            known.setdefault(number, Record(number=number, overrides=overrides))
        return [known[number] for number in sorted(known)]

    def stop(self) -> None:
        """No further job begins."""
        (self.jobs / "stop").touch()

    @property
    def stopped(self) -> bool:
        return (self.jobs / "stop").exists()

    def perform(
        self,
        number: int,
        overrides: tuple[str, ...],
        config: Config,
        folder: str,
        work: Callable[[pathlib.Path], Facts],
        apart: bool = False,
    ) -> Record:
        """Does one job, or finds that it is done already.

        Args:
            number, overrides: of the job.
            config: its options `resume` and `fail_fast` are read.
            folder: the name its folder gets when it has ended.
            work: does the job in the folder it is given; what it prints goes to the folder's `log.txt`.
            apart: whether to work in a process of its own, so that being killed ends this job only.
        """
        before = self.read(number)
        record = Record(number=number, overrides=overrides, folder=folder)
        if before is not None and before.status == RUNNING and before.attempts > 1:
            before = replace(before, status=DIED, error="its worker was killed twice.")
            self.write(before)
        if before is not None and before.ended:
            return before
        if self.stopped:
            return record
        if flag(config.options, "resume", True) and (facts := self._done(folder)) is not None:
            record = replace(record, status=REUSED, facts=facts)
            self.write(record)
            return record
        record = replace(record, status=RUNNING, attempts=1 if before is None else before.attempts + 1)
        self.write(record)
        if not apart:
            self._work(record, work)
        elif killed := _apart(lambda: self._work(record, work)):
            self.write(replace(record, status=DIED, error=killed))
        ended = self.read(number)
        assert ended is not None
        if not ended.good and flag(config.options, "fail_fast", False):
            self.stop()
        return ended

    def assist(self, config: Config, folder: str, work: Callable[[pathlib.Path], Facts]) -> None:
        """Takes part in a job of several processes, which the first of them records, unless it is done already."""
        if not self.stopped and not (flag(config.options, "resume", True) and self._done(folder) is not None):
            work(self.directory)

    def _work(self, record: Record, work: Callable[[pathlib.Path], Facts]) -> None:
        partial = self.directory / f"{record.folder}.{record.number}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            with logged(partial / "log.txt"):
                facts = work(partial)
            ended = replace(record, status=DONE, facts=facts)
        except Exception as error:
            (partial / "traceback.txt").write_text(printable("".join(traceback.format_exception(error))), "utf-8")
            told = system.told(error)
            text = render(told.problems, None) if told else printable(f"{type(error).__name__}: {error}")
            (partial / "error.txt").write_text(text + "\n", "utf-8")
            ended = replace(record, status=FAILED, error=text)
        _write(partial / "result.json", asdict(ended))
        final = self.directory / record.folder
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
        self.write(ended)

    def _done(self, folder: str) -> Facts | None:
        try:
            result = json.loads((self.directory / folder / "result.json").read_text("utf-8"))
        except (OSError, ValueError):
            return None
        match result:
            case {"status": status, "facts": dict() as facts} if status == DONE:
                return facts
        return None


def objective(facts: Mapping[str, Any], name: str | None) -> float | None:
    """The number of a job that a sweeper is told.

    Raises:
        ConfigError: a job has no such column, or no number in it.
    """
    if name is None:
        return None
    numbers = {each: value for each, value in facts.items() if isinstance(value, (int, float))}
    if name not in numbers:
        fail(Path(("objective",)), f"this job has no number '{name}'.", nearest(name, numbers))
    return float(numbers[name])


def flag(options: Mapping[str, Any], name: str, default: bool) -> bool:
    """An option that is true or false."""
    value = options.get(name, default)
    if not isinstance(value, bool):
        fail(Path((name,)), f"{name} must be true or false, not {value!r}.", f"Type {name}={str(not default).lower()}.")
    return value


@contextlib.contextmanager
def logged(path: pathlib.Path) -> Iterator[None]:
    """What is printed meanwhile goes to a file."""
    with (
        path.open("w", encoding="utf-8", errors="backslashreplace") as file,
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(file),
    ):
        yield


def _apart(work: Callable[[], None]) -> str:
    """Does work in a child of this process; returns what killed it, or nothing."""
    if not hasattr(os, "fork"):
        work()
        return ""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other threads of this process hold nothing we need
        child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError, ValueError, io.UnsupportedOperation):
                    stream.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return f"its process was killed by {signal.Signals(os.WTERMSIG(status)).name}."
    return "" if os.WEXITSTATUS(status) == 0 else f"its process ended with code {os.WEXITSTATUS(status)}."


def _write(path: pathlib.Path, content: Any) -> None:
    files.write_text(path, json.dumps(content, indent=1, default=repr) + "\n", lasting=False)
