"""Patterns for names: regular expressions with a limit of time, since the names are a stranger's, and globs."""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from modelzoo.errors import Path, fail

SECONDS = 5.0
"""For all renaming of one file."""

NAME = 10_000
"""Characters of a name."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What is searched for in names, and what takes its place."""

    old: str
    new: str


def rule(old: str, new: str) -> Rule:
    """A rule that can be carried out.

    Raises:
        ValueError: what is no regular expression.

    >>> rule("layer.(", "x")
    Traceback (most recent call last):
    ValueError: 'layer.(' is no regular expression: missing ) at position 7
    """
    import regex

    try:
        regex.compile(old)
    except (regex.error, RecursionError, OverflowError) as error:
        raise ValueError(f"'{old}' is no regular expression: {error}") from error
    return Rule(old, new)


class Renaming:
    """Carries rules out; all together they may take some seconds.

    >>> Renaming().renamed("encoder.layer.3.weight", [Rule(r"encoder\\.layer\\.(\\d+)", r"blocks.\\1")])
    'blocks.3.weight'
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self.seconds, self.end = seconds, time.monotonic() + seconds
        self.compiled: dict[str, Any] = {}

    def renamed(self, name: str, rules: Iterable[Rule]) -> str:
        """A name after each rule in turn."""
        for each in rules:
            name = self._sub(each, name)
        return name

    def each_of(self, name: str, rules: Sequence[Rule]) -> tuple[str, ...]:
        """A name after every one of some rules for itself; none where these do not find anything in it."""
        return tuple(self._sub(each, name) for each in rules) if self._finds(rules[0], name) else ()

    def _pattern(self, each: Rule) -> Any:
        import regex

        return self.compiled.setdefault(each.old, regex.compile(each.old))

    def _finds(self, each: Rule, name: str) -> bool:
        return self._in_time(each, name, lambda left: self._pattern(each).search(name, timeout=left)) is not None

    def _sub(self, each: Rule, name: str) -> str:
        found: str = self._in_time(each, name, lambda left: self._pattern(each).sub(each.new, name, timeout=left))
        if len(found) > NAME:
            fail(Path(("load", "rename")), f"'{each.old}' makes a name of {len(found):,} characters.")
        return found

    def _in_time(self, each: Rule, name: str, work: Any) -> Any:
        import regex

        try:
            return work(max(self.end - time.monotonic(), 1e-3))
        except TimeoutError as error:
            what = f"'{each.old}' takes more than {self.seconds:g} seconds on names of this file, as '{name[:80]}'."
            fail(Path(("load", "rename")), what, "Write it without a repetition inside a repetition.", cause=error)
        except (regex.error, IndexError) as error:  # it refers to a group that there is not
            what = f"'{each.new}' cannot take the place of '{each.old}': {error}."
            fail(Path(("load", "rename")), what, r"Write \1 for what the first brackets find.", cause=error)


def chosen(name: str, globs: Iterable[str]) -> bool:
    """Whether one of some globs means a name.

    >>> chosen("head.fc.weight", ["head.*"]), chosen("head.fc.weight", ["head"])
    (True, False)
    """
    return any(fnmatch.fnmatchcase(name, each) for each in globs)
