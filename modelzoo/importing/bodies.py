"""What a `forward` is as a text."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from torch import Tensor

from modelzoo.language.pieces import load


@dataclass(frozen=True, kw_only=True)
class Constant:
    """A tensor that depends on nothing, and how elements of it were assigned, as the text of a fill."""

    value: Tensor
    fill: str = ""


@dataclass(kw_only=True)
class Text:
    """A `forward`.

    Attributes:
        inputs: what it takes, in order.
        statements: what it does.
        constants: tensors that it uses and nobody holds, by the names that it gives to them.
        problems: what could not be said, each with the line of the source.
    """

    inputs: list[str]
    statements: list[ast.stmt]
    constants: dict[str, Constant] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)


def uncalled() -> Text:
    """The text of a block that nobody calls."""
    return Text(inputs=["x"], statements=[ast.Return(load("x"))])
