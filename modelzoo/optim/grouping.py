"""Groups of tensors for an optimiser, decided."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from modelzoo.errors import Problem
from modelzoo.modules.homes import tensors_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Tensors that an optimiser treats alike.

    Attributes:
        name: of the group; a group whose options differ from tensor to tensor has several parts, `blocks.0` and so on.
        tensors: their first names.
        options: of the optimiser; what it has beside them are its defaults.
    """

    name: str
    tensors: tuple[str, ...]
    options: Mapping[str, Any]


def shown(value: Any) -> str:
    """An option as people read it: six digits, and lists without the brackets of Python's tuples.

    >>> shown(0.1 * 3), shown((0.9, 0.95)), shown(True)
    ('0.3', '[0.9, 0.95]', 'true')
    """
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(shown, value))}]"
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """What an optimiser is to be given.

    Attributes:
        parts: every tensor that is trained is in one of them.
        trainable: those tensors of which groups say whether they are trained.
        warnings: groups without effect.
    """

    parts: tuple[Part, ...] = ()
    trainable: Mapping[str, bool]
    warnings: tuple[Problem, ...] = ()

    def freeze(self, model: nn.Module) -> None:
        """Lets the tensors of a model be trained, or not."""
        tensors = tensors_of(model)
        for name, each in self.trainable.items():
            tensors[name].requires_grad_(each)

    def of(self, model: nn.Module) -> list[dict[str, Any]]:
        """What every class of `torch.optim` takes in the place of parameters."""
        tensors = tensors_of(model)
        return [
            {"name": part.name, "params": [tensors[name] for name in part.tensors], **part.options}
            for part in self.parts
        ]

    def by_tensor(self) -> dict[str, tuple[str, Mapping[str, Any]]]:
        """The name and the options of the part of each tensor that is trained."""
        return {name: (part.name, part.options) for part in self.parts for name in part.tensors}

    def lines(self, sizes: Mapping[str, int]) -> Iterator[str]:
        """A table of the parts, with how many tensors and elements each has."""
        rows = [("group", "tensors", "parameters", "options")]
        for part in self.parts:
            elements = sum(sizes[name] for name in part.tensors)
            options = ", ".join(f"{name}={shown(each)}" for name, each in part.options.items())
            rows.append((part.name, f"{len(part.tensors):,}", f"{elements:,}", options))
        wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for name, count, size, options in rows:
            yield f"{name:<{wide[0]}}  {count:>{wide[1]}}  {size:>{wide[2]}}  {options}".rstrip()
