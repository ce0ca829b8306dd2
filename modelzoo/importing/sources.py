"""The source of the block that runs: where it is, and what its variables are called."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from types import FrameType

from torch import Tensor

from modelzoo.importing.graph import Ref, Size
from modelzoo.importing.records import Record


def running(until: Sequence[FrameType]) -> Iterator[FrameType]:
    """The frames of the code of a block, the innermost first, up to the one that called it."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame not in until:
        if not frame.f_globals.get("__name__", "").startswith(("torch.", "modelzoo.importing")):
            yield frame
        frame = frame.f_back


def name(record: Record, until: Sequence[FrameType]) -> None:
    """Takes over what the author calls values, and lists that end with one."""
    for frame in running(until):
        for called, value in frame.f_locals.items():
            found = None
            if isinstance(value, Tensor):
                found = record.known.get(id(value))
            elif isinstance(value, Size):
                found = value.node.args[0] if value.node.name == "item" else Ref(value.node)
            elif type(value) in (list, tuple) and value and id(value[-1]) in record.known:
                found = record.several(value)
                if isinstance(value, list):
                    record.lists.setdefault(record.known[id(value[-1])], called)
            if found is not None:
                record.names.setdefault(found, called)
