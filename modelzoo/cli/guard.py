"""The one place that meets exceptions, and says what is wrong in the words of `errors`."""

from __future__ import annotations

import pathlib
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress

from modelzoo import ranks, system
from modelzoo.cli import stdio
from modelzoo.errors import IN_FULL, ConfigError, render
from modelzoo.terminal import say

FAILED, INTERRUPTED = 1, 130


def guarded(command: Callable[[], int], patient: bool = True) -> int:
    """Runs a command; what is wrong is printed to stderr without a traceback.

    Args:
        command: returns its exit code.
        patient: whether it goes on when nobody reads what it prints, as one that writes files does.

    Returns:
        The exit code: that of the command, or 1 also where not all that it printed could be written.
    """
    with stdio.outlets(patient) as out:
        code = FAILED
        with suppress(stdio.Refused):
            code = _code(command)
            sys.stdout.flush()
        if out is None or out.refused is None:
            return code
        if not isinstance(out.refused, BrokenPipeError):  # a reader that leaves knows it
            say(f"Standard output cannot be written: {out.refused.strerror}.", sys.stderr)
        return code or FAILED


def _code(command: Callable[[], int]) -> int:
    try:
        pathlib.Path.cwd()  # where it is gone, libraries of torch end the process
        with stdio.silent(ranks.rank() > 0):
            return command()
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as end:  # of argparse, of Hydra after --help, or of a user's own code
        if isinstance(end.code, str):
            say(end.code, sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception as error:
        if system.told(error) is None and ranks.world() == 1:
            raise
        tell(error)
        return FAILED


def tell(error: Exception) -> None:
    """Prints to stderr what is wrong; of what nobody expected the traceback."""
    told = system.told(error)
    shown = told is None or flag("traceback=true")
    report(told or error, shown, None if flag("problems=all") else IN_FULL)


def report(error: Exception, with_traceback: bool, limit: int | None) -> None:
    """Prints the problems to stderr, or the traceback, which ends with them; of several processes the first does."""
    with ranks.telling() as first:
        if first and isinstance(error, ConfigError) and not with_traceback:
            say(render(error.problems, limit), sys.stderr, flush=True)
        elif first:
            say("".join(traceback.format_exception(error)).rstrip(), sys.stderr, flush=True)


def flag(override: str) -> bool:
    """Whether an option was typed so: before a config is composed nothing else knows it."""
    return override in sys.argv
