"""A tensor in a file, not yet read, and what a file holds."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NoReturn

import torch
from torch import Tensor

from modelzoo import files
from modelzoo.errors import first_line
from modelzoo.escapes import printable
from modelzoo.weights.patterns import NAME

COUNT = 2**20
"""Tensors of a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One tensor in a file.

    Attributes:
        path: the keys that it stands under, the name in a state dict last.
        shape: as the file says, which was compared with the size of its values.
        written: its dtype as the format writes it.
        dtype: None where this torch has no such dtype.
        read: its values.
        others: the other names it has in a dump of ours.
    """

    path: tuple[str, ...]
    shape: tuple[int, ...]
    written: str
    dtype: torch.dtype | None
    read: Callable[[], Tensor]
    others: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return ".".join(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a file holds.

    Attributes:
        tensors: each of them, in the order of the file if it is `ordered`, else by name.
        ordered: whether the format keeps the order that its tensors had in a state dict.
    """

    tensors: tuple[Stored, ...]
    ordered: bool


def content(path: pathlib.Path, found: Iterable[Stored], ordered: bool) -> Content:
    """What was found in a file, if its names can be told apart.

    Raises:
        ConfigError: a name that stands twice or is very long.
    """
    named: dict[str, Stored] = {}
    for each in found:
        if len(each.name) > NAME:
            start = printable(each.name[:40], lines=False)
            files.fail(path, f"A name has {len(each.name):,} characters, and at most {NAME:,} are read: {start}...")
        if each.name in named:
            files.fail(path, f"'{printable(each.name, lines=False)}' stands twice in this file.")
        if len(named) >= COUNT:
            files.fail(path, f"This file has more than {COUNT:,} tensors.")
        named[each.name] = each
    tensors = tuple(named.values()) if ordered else tuple(named[name] for name in sorted(named))
    return Content(tensors=tensors, ordered=ordered)


def unreadable(path: pathlib.Path, kind: str, error: BaseException | str, hint: str = "") -> NoReturn:
    """Refuses a file that is not what its name says.

    Args:
        kind: what it should be, as in "safetensors".
        error: the reason.
    """
    reason = error if isinstance(error, str) else first_line(error)
    cause = None if isinstance(error, str) else error
    told = printable(reason, lines=False).rstrip(".")[:300]
    files.fail(path, f"This file cannot be read as {kind}: {told}.", hint, cause=cause)
