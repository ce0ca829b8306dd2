"""A fill that reaches a tensor, and who asked for it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

from torch import Tensor

from modelzoo.catalog import fill as catalog_fill
from modelzoo.errors import Path
from modelzoo.language import compiler
from modelzoo.spec.nodes import FILL_INPUTS, Fill, fill_names


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One fill that reaches a tensor, and who asked for it.

    Attributes:
        rule: "torch", "constructor" (of a registered layer), a config key, "init.NAME" or "_init_".
        strength: 0 torch or a constructor, 1 the tensor's own fill, 2 rules, 3 `_init_`.
        exact: a name that decides alone where the homes of a shared tensor disagree.
        value: what the constructor of a registered layer left.
    """

    rule: str
    strength: int
    fill: catalog_fill.Fill | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    program: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    key: Path = Path()
    exact: bool = False
    value: Tensor | None = None

    @property
    def reads_value(self) -> bool:
        return bool(self.program) and Fill(program=self.program).reads_value

    def translated(self) -> tuple[dict[str, Any], CodeType]:
        """The code of its text, and the values of the names that it reads."""
        values = {name: each for name, each in self.values.items() if name not in FILL_INPUTS}
        translation = compiler.translate(self.program, fill_names(frozenset(values)), "fill")
        if translation.code is None:
            raise translation.errors[0]
        return {name: values[name] for name in translation.names}, translation.code

    def content(self) -> Hashable:
        """Equal ones give tensors of one shape the same, but for what they draw."""
        if self.fill is not None:
            return self.fill.name, repr(self.arguments)
        return id(self.value) if self.value is not None else (self.program, repr(self.translated()[0]))

    def text(self) -> str:
        if self.fill is not None:
            return self.fill.text(self.arguments)
        if self.value is not None:
            return "as constructed"
        lines = self.program.strip().lstrip("= ").splitlines()
        return "; ".join(line.strip() for line in lines)
