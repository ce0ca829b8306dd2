"""Layers of torch that a config hides."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from modelzoo.errors import Path, Problem

if TYPE_CHECKING:
    from modelzoo.config.config import Config


def hiding(config: Config) -> Iterator[Problem]:
    """Definitions that hide a layer of torch."""
    from modelzoo.catalog.layers import LAYERS

    waiting: list[tuple[Path, Any]] = [(Path(("model",)), config.model)]
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, list):
            waiting.extend((key / index, each) for index, each in enumerate(value))
        elif isinstance(value, dict):
            waiting.extend((key / name, each) for name, each in value.items())
            if key[-1] == "blocks":
                for name in (each for each in value if each in LAYERS):
                    what = f"This definition hides torch's '{name}'."
                    where, path = config.locate(key / name, 0, 0)
                    yield Problem(where=where, path=path, what=what, hint=f"torch.nn.{name} is always torch's.")
