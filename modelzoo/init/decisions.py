"""A fill that reaches a tensor, and who asked for it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from types import CodeType
from typing import Any

from torch import Tensor

from modelzoo.catalog import fill as catalog_fill
from modelzoo.catalog.distributions import Fans
from modelzoo.errors import Path
from modelzoo.language import compiler
from modelzoo.spec.nodes import FILL_INPUTS, Fill
from modelzoo.spec.visible import fill_names


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One fill that reaches a tensor, and who asked for it.

    Attributes:
        rule: "torch", "constructor" (of a registered layer), a config key, "init.NAME" or "_init_".
        strength: 0 torch or a constructor, 1 the tensor's own fill, 2 rules, 3 `_init_`.
        exact: a name that decides alone where the homes of a shared tensor disagree.
    """

    rule: str
    strength: int
    key: Path = Path()
    exact: bool = False

    @property
    def draws(self) -> bool:
        """Whether it may draw numbers."""
        return False

    @property
    def reads_value(self) -> bool:
        """Whether it builds on what the tensor holds so far."""
        return False

    def text(self) -> str:
        """The fill as a person would write it."""
        raise NotImplementedError

    def content(self) -> Hashable:
        """Equal ones give tensors of one shape the same, but for what they draw."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedFill(Decision):
    """A fill of the catalog, with its arguments, and the fans of its tensor where its shape does not say them."""

    fill: catalog_fill.Fill
    arguments: Mapping[str, Any]
    fans: Fans | None = None

    @property
    def draws(self) -> bool:
        return self.fill.draws

    @property
    def reads_value(self) -> bool:
        return self.fill.measured

    def text(self) -> str:
        return self.fill.text(self.arguments)

    def content(self) -> Hashable:
        return self.fill.name, repr(self.arguments), self.fans


@dataclass(frozen=True, slots=True, kw_only=True)
class Program(Decision):
    """A text that computes the values, with the values that its names may have, and the fans of its tensor."""

    program: str
    values: Mapping[str, Any]
    fans: Fans | None = None

    @property
    def draws(self) -> bool:
        return True

    @property
    def reads_value(self) -> bool:
        return Fill(program=self.program).reads_value

    def translated(self) -> tuple[dict[str, Any], CodeType]:
        """The code of the text, and the values of the names that it reads."""
        values = {name: each for name, each in self.values.items() if name not in FILL_INPUTS}
        translation = compiler.translate(self.program, fill_names(frozenset(values)), "fill")
        if translation.code is None:
            raise translation.errors[0]
        return {name: values[name] for name in translation.names}, translation.code

    def text(self) -> str:
        lines = self.program.strip().lstrip("= ").splitlines()
        return "; ".join(line.strip() for line in lines)

    def content(self) -> Hashable:
        return self.program, self.fans, repr(self.translated()[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied(Decision):
    """What another tensor of the model starts with, by one of its names."""

    original: str

    def text(self) -> str:
        return f"copy of {self.original}"

    def content(self) -> Hashable:
        return self.original


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept(Decision):
    """What a tensor holds already: what the constructor of a registered layer left, or whoever had it before."""

    value: Tensor
    told: str = "as constructed"

    def text(self) -> str:
        return self.told

    def content(self) -> Hashable:
        return id(self.value)
