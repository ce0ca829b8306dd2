"""What is not as expected: every problem with its place in the test."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping

from modelzoo.errors import Path, Problem, nearest
from modelzoo.testing.configs import Configs


class Found:
    """What is found to be not as expected.

    Attributes:
        configs: those that the test speaks of.
        problems: what was found so far.
    """

    def __init__(self, configs: Configs) -> None:
        self.configs = configs
        self.problems: list[Problem] = []

    def add(self, key: Path, expected: str, found: str, about: str = "") -> None:
        """One thing that is not as expected."""
        gap = "\n" if "\n" in found else " "
        end = "" if gap == "\n" or found.endswith("?") else "."
        what = f"Expected {expected}, found{':' * (gap != ' ')}{gap}{found}{end}"
        what += f"\n{about}" if about else ""
        self.problems.append(Problem(where=self.configs.document.place(key), path=str(key), what=what, key=key))

    def matching(self, key: Path, what: str, pattern: str, named: Mapping[str, object]) -> list[str]:
        """The names that a glob selects, one for each thing; none is a problem."""
        chosen = [name for name in named if fnmatch.fnmatchcase(name, pattern)]
        if not chosen:
            self.add(key, f"a {what} '{pattern}'", f"none. {nearest(pattern, named)}".rstrip(". "))
        return list({id(named[name]): name for name in reversed(chosen)}.values())[::-1]
