"""A child process with limits on memory and processor time: what cannot be bounded by reading a file ends there."""

from __future__ import annotations

import importlib
import io
import json
import pathlib
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import IO, Any

from modelzoo import late
from modelzoo.cli.guard import guarded
from modelzoo.errors import ConfigError, Path, Problem, TextError, fail
from modelzoo.modules.memory import available, shown, size
from modelzoo.system import out_of_memory

MEMORY = 4 * 10**9
SECONDS = 60

_ENDED = {
    "SIGKILL": "something outside ended it, such as the system when memory ran out",
    "SIGABRT": "a library gave up, as most do when memory runs out",
    "SIGSEGV": "a library crashed",
    "SIGBUS": "a library crashed",
    "SIGFPE": "a library divided by zero",
    "SIGTERM": "it was asked to end",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a process may use.

    Attributes:
        memory: bytes, beyond what importing torch takes.
        seconds: of processor time, all threads together, after the imports.
    """

    memory: int
    seconds: int


def limits(options: dict[str, Any]) -> Limits:
    """Takes `memory` and `seconds` out of options; by default 4 GB, or what is free if that is less, and 60 s.

    Raises:
        ConfigError: one of them is no limit.

    >>> limits({"memory": "1GB", "seconds": 5, "seed": 0})
    Limits(memory=1000000000, seconds=5)
    """
    memory, seconds = options.pop("memory", None), options.pop("seconds", SECONDS)
    if type(seconds) is not int or not 0 < seconds < 10**6:
        fail(Path(("seconds",)), f"seconds must be a positive integer, not {seconds!r}.", f"Type seconds={SECONDS}.")
    try:
        return Limits(memory=min(MEMORY, available()) if memory is None else size(memory), seconds=seconds)
    except TextError as error:
        fail(Path(("memory",)), error.what, error.hint, cause=error)


def start(
    task: str,
    arguments: Any,
    given: Limits,
    *,
    shown_as: str,
    stdout: IO[str] | int | None = None,
    late: bool = False,
) -> int:
    """Runs a task in a child process; returns its exit code.

    Args:
        task: a module and a function of it, as in `modelzoo.cli.run_file:inside`; it returns the exit code.
        arguments: what the function takes after the limits: plain data.
        given: the limits.
        shown_as: the file that messages are about.
        stdout: where the child writes to, as `subprocess.run` takes it.
        late: whether the task may end without torch, which is imported when it is needed; else before the limits.

    Raises:
        ConfigError: a limit, or anything else than the task itself, ended the child.
    """
    message = json.dumps({"task": task, "limits": asdict(given), "arguments": arguments, "late": late})
    code = (
        f"import sys; sys.path[:] = {sys.path!r}; from modelzoo.cli.sandbox import child; sys.exit(child(sys.argv[1]))"
    )
    child = subprocess.run([sys.executable, "-c", code, message], stdout=stdout, check=False)
    if child.returncode < 0:
        raise ConfigError([ended(-child.returncode, given, shown_as)])
    return child.returncode


def ended(number: int, given: Limits, shown_as: str) -> Problem:
    """What a signal says that ended a child.

    >>> print(ended(signal.SIGXCPU, Limits(memory=10**9, seconds=5), "x.yaml"))
    x.yaml
      The limit ended it: it had used 5 s of processor time. Type seconds=20 to allow more.
    """
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    if name == "SIGXCPU":
        what = f"The limit ended it: it had used {given.seconds} s of processor time."
        return Problem(where=shown_as, what=what, hint=f"Type seconds={given.seconds * 4} to allow more.")
    return Problem(
        where=shown_as, what=f"{name} ended it: {_ENDED.get(name, 'nobody expected that')}.", hint=_more(given)
    )


def explained(error: ConfigError, given: Limits) -> ConfigError:
    """An error, which also says that memory ran out, if it did."""
    if not out_of_memory(error):
        return error
    first, *others = error.problems
    what = f"{first.what}\nThe limit ended it: it had used {shown(given.memory)} of memory."
    problem = Problem(where=first.where, path=first.path, what=what, hint=_more(given), key=first.key)
    return ConfigError([problem, *others])


def _more(given: Limits) -> str:
    return f"Type memory={max(given.memory * 2 // 10**9, 1)}GB to allow more."


def impose(given: Limits) -> None:
    """Limits this process from here on; what it has used so far does not count.

    Raises:
        ConfigError: the system has no such limits.
    """
    try:
        import resource
    except ImportError as error:
        what = "This system cannot limit a process."
        raise ConfigError([Problem(what=what, hint="If you trust the file: modelzoo.build(path)")]) from error
    seconds = _seconds() + 1 + given.seconds
    # not RLIMIT_AS: drivers of accelerators reserve terabytes
    limits = {resource.RLIMIT_DATA: _data() + given.memory, resource.RLIMIT_CPU: seconds, resource.RLIMIT_CORE: 0}
    if "torch" in sys.modules:
        _limit(limits)
    else:
        late.around = lambda: _uncounted(limits)
        _limit(limits, forever=False)


def _limit(limits: Mapping[int, int], forever: bool = True) -> None:
    """Sets limits of this process, as far as it may; `forever`, so that it cannot raise them again."""
    import resource

    for limit, wanted in limits.items():
        hard = resource.getrlimit(limit)[1]
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        lowest = value + 1 if limit == resource.RLIMIT_CPU and value != hard else value
        resource.setrlimit(limit, (value, lowest if forever else hard))


@contextmanager
def _uncounted(limits: Mapping[int, int]) -> Iterator[None]:
    """Lifts limits while something is imported; what that takes does not count."""
    import resource

    for limit in limits:
        resource.setrlimit(limit, (resource.getrlimit(limit)[1],) * 2)
    data, seconds = _data(), _seconds()
    yield
    taken = {resource.RLIMIT_DATA: _data() - data, resource.RLIMIT_CPU: _seconds() - seconds}
    _limit({limit: value + taken.get(limit, 0) for limit, value in limits.items()})


def _seconds() -> int:
    """The processor time of this process so far."""
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    return int(used.ru_utime + used.ru_stime)


def _data() -> int:
    """The private memory of this process in bytes, as `RLIMIT_DATA` counts it; a guess where the system is silent."""
    try:
        found = re.search(r"^VmData:\s*(\d+) kB", pathlib.Path("/proc/self/status").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return int(found[1]) * 1024 if found else 2**30


def child(message: str) -> int:
    """What the child process runs: imposes the limits, then does the task."""
    told = json.loads(message)

    def limited() -> int:
        if not told.get("late"):
            late.need()  # before the limits begin
        module, _, name = told["task"].partition(":")
        task, given = getattr(importlib.import_module(module), name), Limits(**told["limits"])
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(line_buffering=True)  # what was printed is seen, whatever ends this process
        impose(given)
        return int(task(given, *told["arguments"]))

    return guarded(limited)
