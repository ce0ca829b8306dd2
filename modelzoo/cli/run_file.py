"""`python -m modelzoo run FILE`: runs a model file from anywhere, uncomposed, in a child process with limits."""

from __future__ import annotations

import argparse
import datetime
import os
import pathlib
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from modelzoo import system
from modelzoo.cli import sandbox
from modelzoo.config import document, plain
from modelzoo.errors import ConfigError, Locate, Path, Problem, located, nearest
from modelzoo.terminal import say

_NOT_HERE = ("defaults", "hydra")
_ADDED = ("init", "seconds")


def command(arguments: list[str]) -> int:
    """Runs a model file as `python run.py` runs a config; outputs go to a new directory below `outputs`.

    Args:
        arguments: the file, then options as in `seed=1`; `memory=4GB` and `seconds=60` limit the process, `init=FILE`
            takes other rules.

    Raises:
        ConfigError: an option that does not exist, or what ended the process from outside.
    """
    parser = argparse.ArgumentParser(prog="python -m modelzoo run", description=__doc__)
    parser.add_argument("file", help="a model file: a block, or model and init")
    parser.add_argument("options", nargs="*", help="as in seed=1 memory=8GB seconds=600 init=rules.yaml")
    given = parser.parse_args(arguments)
    options = read_options(given.options)
    return sandbox.start(
        "modelzoo.cli.run_file:inside", [given.file, options], sandbox.limits(options), shown_as=given.file
    )


def read_options(texts: list[str]) -> dict[str, Any]:
    """Options as they are typed, with their values as YAML reads them.

    Raises:
        ConfigError: it is no option of a file that is not composed.
    """
    from modelzoo.config import search_path

    known = document.read((search_path.conf_directory() / "config.yaml").read_text("utf-8"), "config.yaml").root
    names = [key.value for key, _ in known.value if key.value not in _NOT_HERE] if known is not None else []
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or name not in [*names, *_ADDED]:
            what = "A file from elsewhere is run as it is: this is no option."
            hint = f"Options are written seed=1. {nearest(name, [*names, *_ADDED])}"
            raise ConfigError([Problem(where="command line", path=text, what=what, hint=hint)])
        found[name] = plain.typed(value)
    return found


def inside(given: sandbox.Limits, file: str, options: dict[str, Any]) -> int:
    """What happens in the child process.

    Raises:
        ConfigError: everything that is wrong with the file, and what ran out.
    """
    return reported(lambda: _run(given, file, options), given, file, options.get("traceback") is True)


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


def _run(given: sandbox.Limits, file: str, options: dict[str, Any]) -> None:
    from modelzoo.config import config
    from modelzoo.run.job import run

    options = dict(options)
    opened = config.from_mapping(file, options.pop("init", None))
    locate = typed(opened.locate, options)
    options["memory"] = given.memory
    with located(locate):
        directory = _new_directory()
        try:
            run(config.Config(model=opened.model, init=opened.init, options=options, locate=locate), directory)
        finally:
            if not any(directory.iterdir()):
                directory.rmdir()


def typed(locate: Locate, options: Mapping[str, Any]) -> Locate:
    """As `locate`; options stand on the command line."""

    def at(key: Path, line: int = 0, column: int = 0) -> tuple[str, str]:
        name = key[0] if len(key) == 1 else ""
        if name not in options:
            return locate(key, line, column)
        value = options[str(name)]
        return "command line", f"{name}={str(value).lower() if isinstance(value, bool) else value}"

    return at


def _new_directory() -> pathlib.Path:
    """A directory that nobody else has, named after the time; readable as the umask allows."""
    directory = pathlib.Path.cwd() / "outputs" / datetime.datetime.now().strftime("%Y-%m-%d/%H-%M-%S-%f")
    try:
        os.makedirs(directory)  # noqa: PTH103 (refuses one that exists)
    except OSError as error:
        raise system.told(error, elsewhere="Go to another directory: cd DIR") or error from error
    return directory
