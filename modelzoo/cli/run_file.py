"""`python -m modelzoo run FILE`: runs a model file from anywhere, uncomposed, in a child process with limits."""

from __future__ import annotations

import argparse
import datetime
import os
import pathlib
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from modelzoo import system
from modelzoo.cli import sandbox
from modelzoo.cli.typed import Typed, read_typed
from modelzoo.errors import ConfigError, Problem, located
from modelzoo.terminal import say


def command(arguments: list[str]) -> int:
    """Runs a model file as `python run.py` runs a config; outputs go to a new directory below `outputs`.

    Args:
        arguments: the file, then options as in `seed=1` and overrides as in `model.args.dim=16`; `memory=4GB` and
            `seconds=60` limit the process, `init=FILE` or the name of an init takes other rules,
            `groups=FILE` other groups.

    Raises:
        ConfigError: an option that does not exist, or what ended the process from outside.
    """
    parser = argparse.ArgumentParser(prog="python -m modelzoo run", description=__doc__)
    parser.add_argument("file", help="a model file: a block, or model, init and groups")
    parser.add_argument("options", nargs="*", help="as in seed=1 model.args.dim=16 init=rules.yaml memory=8GB")
    given = parser.parse_args(arguments)
    typed = read_typed(given.options, more=["seconds"])
    limits = sandbox.limits(typed.options)
    return sandbox.start("modelzoo.cli.run_file:inside", [given.file, typed.json()], limits, shown_as=given.file)


def inside(given: sandbox.Limits, file: str, typed: dict[str, Any]) -> int:
    """What happens in the child process.

    Raises:
        ConfigError: everything that is wrong with the file, and what ran out.
    """
    found = Typed.from_json(typed)
    return reported(lambda: _run(given, file, found), given, file, found.options.get("traceback") is True)


def reported(task: Callable[[], object], given: sandbox.Limits, file: str, with_traceback: bool = False) -> int:
    """Does a task on a stranger's file; whatever it raises becomes a problem that says what ended it."""
    try:
        task()
    except ConfigError as error:
        raise sandbox.explained(error, given) from error
    except Exception as error:
        if with_traceback:
            say(traceback.format_exc().rstrip(), sys.stderr)
        raise sandbox.explained(system.told(error, file) or _impossible(error, file), given) from error
    return 0


def _impossible(error: Exception, file: str) -> ConfigError:
    kind, *_ = traceback.format_exception_only(error)
    what = f"This file ended in an error that should not be possible: {kind.strip().splitlines()[0]}."
    hint = "Please report it with the file. traceback=true shows more."
    return ConfigError([Problem(where=file, what=what, hint=hint)])


def _run(given: sandbox.Limits, file: str, typed: Typed) -> None:
    from modelzoo.config import config
    from modelzoo.run.job import run

    opened = config.from_mapping(file, typed.init, typed.overrides, typed.groups)
    locate = typed.locate(opened.locate)
    options = {**typed.over(opened.options), "memory": given.memory}
    with located(locate):
        directory = _new_directory()
        try:
            run(replace(opened, options=options, locate=locate), directory)
        finally:
            if not any(directory.iterdir()):
                directory.rmdir()


def _new_directory() -> pathlib.Path:
    """A directory that nobody else has, named after the time; readable as the umask allows."""
    directory = pathlib.Path.cwd() / "outputs" / datetime.datetime.now().strftime("%Y-%m-%d/%H-%M-%S-%f")
    try:
        os.makedirs(directory)  # noqa: PTH103 (refuses one that exists)
    except OSError as error:
        raise system.told(error, elsewhere="Go to another directory: cd DIR") or error from error
    return directory
