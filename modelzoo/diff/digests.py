"""What the values of a model are, in a few letters for each tensor."""

from __future__ import annotations

import hashlib
import platform

import torch
from torch import Tensor

from modelzoo.modules.homes import tensors_of
from modelzoo.plans.draft import Draft, fill

LETTERS = 16
"""Hexadecimal digits of the digest of a tensor."""


def digests(draft: Draft) -> dict[str, str]:
    """The digest of each tensor of a model, which is built for it on the CPU.

    >>> from modelzoo.plans.draft import draft
    >>> digests(draft({"layers": ["BatchNorm1d(2)"]}))["0.running_mean"]
    'af5570f5a1810b7a'
    """
    values = tensors_of(fill(draft, "cpu"))
    return {name: _digest(value) for name, value in values.items()}


def _digest(value: Tensor) -> str:
    whole = value.detach().contiguous().reshape(-1).view(torch.uint8).numpy()
    return hashlib.sha256(whole.data).hexdigest()[:LETTERS]


def together(each: dict[str, str]) -> str:
    """One digest of all tensors.

    >>> len(together({"weight": "af5570f5a1810b7a"}))
    64
    """
    return hashlib.sha256("".join(f"{name} {digest}\n" for name, digest in sorted(each.items())).encode()).hexdigest()


def machine() -> str:
    """What computes values: the instructions that torch uses decide the last bits of some of them."""
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
