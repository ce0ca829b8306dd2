"""What is known of one config after it was checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from modelzoo.errors import Problem, told_once
from modelzoo.modules import memory

SHOWN = ("where", "path", "what", "hint")
"""What a user is shown of a problem."""

SENT = (*SHOWN, "code")
"""What the process that checks a file tells the one that shows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What is known of one config.

    Attributes:
        config: how it was named: "model=nested init=xavier", or a file.
        problems: what is wrong with it; nothing in a config that can be built.
        warnings: rules without effect, definitions that hide a layer of torch, and what nothing uses.
        notes: what could not be checked.
        parameters, bytes, flops: as in a plan; None where it has problems, and for rules without a model.
        rules: how many there are in a file that holds nothing else.
    """

    config: str
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    parameters: int | None = None
    bytes: int | None = None
    flops: int | None = None
    rules: int | None = None

    def line(self, width: int = 0) -> str:
        """One line for people.

        >>> print(Checked(config="tiny.yaml", parameters=12, bytes=48).line())
        ok      tiny.yaml  12 parameters, 48 bytes
        """
        if self.rules is not None:
            return f"ok      {self.config:<{width}}  {self.rules} rule{'s' * (self.rules > 1)}"
        if self.parameters is None or self.bytes is None:
            count = len(told_once(self.problems))
            return f"failed  {self.config:<{width}}  {count} problem{'s' * (count > 1)}"
        warned = f", {len(self.warnings)} warning{'s' * (len(self.warnings) > 1)}" if self.warnings else ""
        facts = f"{self.parameters:,} parameters, {memory.shown(self.bytes)}{warned}"
        return f"ok      {self.config:<{width}}  {facts}"

    def json(self, shown: Sequence[str] = SHOWN) -> dict[str, Any]:
        """Plain data: `ok`, and every attribute, with what is `shown` of problems and warnings."""
        listed = {each.name: getattr(self, each.name) for each in fields(self)}
        for kind in ("problems", "warnings"):
            listed[kind] = [{name: getattr(each, name) for name in shown} for each in listed[kind]]
        return {"ok": not self.problems, **listed}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Checked:
        """What `json` made plain."""
        told = {name: value for name, value in data.items() if name != "ok"}
        for kind in ("problems", "warnings"):
            told[kind] = tuple(Problem(**each) for each in told[kind])
        return cls(**{**told, "notes": tuple(told["notes"])})
