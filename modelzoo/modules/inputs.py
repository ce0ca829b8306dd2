"""Example inputs of the root: what they are, and tensors for a dry run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """An example input of the root."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * getattr(torch, self.dtype).itemsize  # type: ignore[no-any-return]


def call_with(root: nn.Module, inputs: dict[str, Tensor]) -> Any:
    """Calls a model with inputs by name: a block by these names, a sequence in their order."""
    return root(**inputs) if takes_names(root) else root(*inputs.values())


def takes_names(root: nn.Module) -> bool:
    """Whether a model is a block of a config, whose forward knows its inputs by name."""
    return hasattr(type(root), "__frozen__")


def example(inputs: tuple[Input, ...], device: torch.device) -> dict[str, Tensor]:
    """Inputs for a dry run: zeros of the right shapes."""
    return {each.name: torch.zeros(each.shape, dtype=getattr(torch, each.dtype), device=device) for each in inputs}
