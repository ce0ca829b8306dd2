"""What compiled texts call, and how they are stopped."""

from __future__ import annotations

import contextlib
import linecache
import tokenize
from collections.abc import Callable, Iterator, Mapping
from types import CodeType
from typing import TYPE_CHECKING, Any, Protocol

from modelzoo import arithmetic, bounds
from modelzoo.catalog import functions

if TYPE_CHECKING:
    from torch import nn


class Reports(Protocol):
    """What the watched code of a text reports to, with the module that runs it and the place in the text."""

    def branch(self, owner: nn.Module, site: str, value: Any, leads_out: bool = False) -> Any:
        """The value of a condition, which may lead out of a turn of a `while`; returns what to do."""

    def turn(self, owner: nn.Module, site: str, value: Any, negated: bool = False) -> Any:
        """The same of the condition of a loop; `negated` where the loop ends if it is true."""

    def step(self, owner: nn.Module, site: str) -> None:
        """A `while` turns."""

    def enter(self, owner: nn.Module, site: str, tests: tuple[str, ...], **values: Any) -> None:
        """What the names stand for, in which a `while` may leave another value; with the places of its conditions."""

    def merge(self, owner: nn.Module, site: str, **values: Any) -> None:
        """What the names stand for in which a branch or loop may have left another value."""


class EndlessError(RuntimeError):
    """Texts took more operations than allowed."""


class LoopError(EndlessError):
    """A loop of a `forward` or `fill` text did not end within the greatest number of steps allowed."""

    def __init__(self, filename: str, line: int, steps: int) -> None:
        self.filename, self.line, self.steps = filename, line, steps
        super().__init__(filename, line, steps)

    @property
    def what(self) -> str:
        return f"this loop did not end after {self.steps:,} steps: {line_at(self.filename, self.line)}"

    def __str__(self) -> str:
        return f"{self.what} (line {self.line} of {self.filename.strip('<>')})"


def line_at(filename: str, number: int) -> str:
    """A line of a text, without the remark behind it."""
    line = linecache.getline(filename, number)
    with contextlib.suppress(tokenize.TokenError, SyntaxError):  # the line may be a part of a statement
        for token in tokenize.generate_tokens(iter([line]).__next__):
            if token.type == tokenize.COMMENT:
                return line[: token.start[1]].strip()
    return line.strip()


ON_CPU = 40
"""An operation of a dry run on the CPU counts as so many, each of which takes 1 µs: its size is estimated first, and
its floating-point operations may be counted."""

ON_META = 150
"""An operation on meta counts as so many, each of which takes 1 µs: its result is worked out in Python."""


class Operations:
    """Counts what texts do, all together, up to the bound.

    Args:
        kind: of texts, as a message calls them.
    """

    def __init__(self, kind: str) -> None:
        self.left, self.kind = bounds.OPERATIONS, kind

    def spend(self, count: int) -> None:
        """Counts so many operations.

        Raises:
            EndlessError: there were too many.
        """
        self.left -= count
        if self.left < 0:
            raise EndlessError(f"all {self.kind} together take more than {bounds.OPERATIONS:,} operations")


def globals_of(code: CodeType, known: Mapping[str, Any], called: Callable[[functions.Function], Any]) -> dict[str, Any]:
    """The globals that a code needs: of what is known, and of the catalog what is `called` for a function of it."""
    names = [*_names_in(code)]
    scope = {name: known[name] for name in names if name in known}
    for name in names:
        function = functions.find_function(name.removeprefix("_call_")) if name.startswith("_call_") else None
        if function is not None:
            scope[name] = called(function)
    return scope


def _names_in(code: CodeType) -> Iterator[str]:
    """The names that a code reads, those of comprehensions in it too."""
    yield from code.co_names
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _names_in(each)


HELPERS: Mapping[str, Any] = {
    "_add": arithmetic.add,
    "_alike": arithmetic.alike,
    "_enumerate": enumerate,
    "_gathered": arithmetic.gathered,
    "_items": arithmetic.counted,
    "_joined": arithmetic.joined,
    "_modulo": arithmetic.modulo,
    "_multiplied": arithmetic.multiplied,
    "_multiply": arithmetic.multiply,
    "_power": arithmetic.power,
    "_reversed": reversed,
    "_subtract": arithmetic.subtract,
    "_tuple": tuple,
    "_zip": zip,
}
"""What compiled texts call for plain values."""
