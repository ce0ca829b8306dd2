"""A test written as a config: what is to be built, and what is expected of it, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from modelzoo.errors import Path, Problem

OPTIONS = ("seed", "dtype", "device", "training", "max_steps", "memory", "load", "optimizer", "batch", "limits")
"""What may stand beside `model`, `init` and `groups`."""

OF_CALLS = {
    "output_mean": "mean",
    "output_std": "std",
    "output_largest": "largest",
    "output_zeros": "zeros",
    "output_rank": "rank",
    "gradient_std": "gradient",
    "ratio": "ratio",
    "dead": "dead",
    "saturated": "saturated",
    "entropy": "entropy",
}
"""What may be said of the calls of a module, and what that is called where it is measured."""

Given = tuple[str, ...] | dict[str, Any] | str
"""What is to be built: overrides of the project's configs, an inline model, or the path of a model file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """A number, or nested lists of them, and how far from it a value may be.

    Attributes:
        within: the largest difference; None allows for rounding: 1e-5, and 1e-5 of the number.
    """

    value: Any
    within: float | None = None

    def __str__(self) -> str:
        return f"{self.value}" + (f" within {self.within:g}" if self.within is not None else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One statement about one thing, as in `shape: [2, 10]`."""

    name: str
    value: Any
    key: Path


Facts = tuple[Fact, ...]
Output = Facts | list["Output"] | dict[str, "Output"]  # of a tensor, of a tuple, of a dict


@dataclass(frozen=True, slots=True, kw_only=True)
class Same:
    """Another model that gives the same output with the same weights."""

    given: Given
    within: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchanged:
    """Overrides under which the tensors that match the globs stay bit-identical."""

    overrides: tuple[str, ...]
    tensors: tuple[str, ...]
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A problem that has to be reported.

    Attributes:
        text: what its rendered form has to contain; "" is anything.
        where: its place: `file`, `file:line`, `file:line:column` or `command line`; "" is anywhere.
        path: its config key or override; "" is any.
    """

    text: str = ""
    where: str = ""
    path: str = ""

    def __str__(self) -> str:
        parts = [f"'{self.text}'"] if self.text else []
        parts += [f"at {self.where}"] if self.where else []
        parts += [f"for {self.path}"] if self.path else []
        return " ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One test: a config, and what is expected of it.

    Attributes:
        name: its key in the file, and in brackets the point of its sweep.
        key: its key in the file.
        given, point: what is to be built, and what the sweep sets in it.
        expect: the statements, in their written order.
        marks, skip, xfail: for pytest; the reasons are empty where the test is to run.
        problems: what is wrong with the test itself; it fails with them.
    """

    name: str
    key: Path
    given: Given = ()
    point: tuple[tuple[str, Any], ...] = ()
    expect: Facts = ()
    marks: tuple[str, ...] = ()
    skip: str = ""
    xfail: str = ""
    problems: tuple[Problem, ...] = ()
