"""`python -m modelzoo diff A B`: what a change of a config does to the model, and to its weights."""

from __future__ import annotations

import argparse
import pathlib
from typing import TYPE_CHECKING

from modelzoo import files, terminal
from modelzoo.cli import sides
from modelzoo.cli.guard import tell
from modelzoo.errors import ConfigError, Problem
from modelzoo.escapes import json_text
from modelzoo.terminal import say

if TYPE_CHECKING:
    from modelzoo.diff.difference import Difference

EQUAL, DIFFERENT, WRONG = 0, 1, 2
"""Exit codes."""


def command(arguments: list[str]) -> int:
    """Compares two models; returns 0 if they are equal, 1 if they differ, and 2 where one of them is wrong.

    Args:
        arguments: two models, each with the overrides behind it: a name in `conf/model`, a model file, the directory of
            a run, a `parameters.safetensors`, a lock, or `git:REV:PATH`.
    """
    parser = argparse.ArgumentParser(prog="python -m modelzoo diff", description=__doc__)
    what = "two models, each with overrides behind it: a name, a file, a run's directory, git:REV:PATH"
    parser.add_argument("what", nargs="+", help=what)
    parser.add_argument("--format", choices=("text", "json", "markdown"), default="text")
    parser.add_argument("--html", metavar="FILE", help="writes a page with both pictures")
    parser.add_argument("--all", action="store_true", help="tells all changes, and all sizes one by one")
    given = parser.parse_args(arguments)
    try:
        return _compared(given)
    except Exception as error:  # the exit code of what nobody expected would say something else
        tell(error)
        return WRONG


def _compared(given: argparse.Namespace) -> int:
    typed = sides.sides([each for each in given.what if each not in ("problems=all", "traceback=true")])
    if len(typed) != 2:
        what = f"diff compares two models, not {len(typed)}."
        hint = "As in: python -m modelzoo diff gpt2 gpt2 model.args.layers=6"
        raise ConfigError([Problem(where="command line", path=" ".join(map(str, typed)), what=what, hint=hint)])
    from modelzoo.diff import written
    from modelzoo.diff.difference import difference

    (before, draft), (after, other) = map(sides.taken, typed)
    found = difference(before, after)
    names = str(typed[0]), str(typed[1])
    if given.html is not None:
        if draft is None or other is None:
            raise ConfigError([Problem(where="command line", path="--html", what="A lock has no picture.")])
        from modelzoo.diff.page import page

        files.write_text(pathlib.Path(given.html), page(found, (draft, other), names))
    if given.format == "json":
        say(json_text(written.data(found, *names)))
    elif given.format == "markdown":
        say(written.markdown(found, *names, every=given.all))
    else:
        show(found, names, given.all)
    return EQUAL if found.equal else DIFFERENT


def show(found: Difference, names: tuple[str, str], every: bool) -> None:
    """Prints a difference for people.

    Args:
        found: what to print.
        names: what the models are called.
        every: whether to tell all sizes one by one.
    """
    from rich.text import Text

    from modelzoo.diff import written

    say(f"{names[0]} -> {names[1]}")
    for line, style in written.text(found, every):
        terminal.show(Text(line, style))
