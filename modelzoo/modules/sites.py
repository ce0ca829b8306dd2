"""Where a module is called: in which line of a text, or at which name of a sequence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

from torch import nn

from modelzoo.errors import Path
from modelzoo.language import compiler
from modelzoo.modules.skeleton import Skeleton, Unsized
from modelzoo.spec import nodes
from modelzoo.spec.instances import BlockInstance

Frames = Sequence[tuple[FrameType, int, int]]
"""Frames with the line and the instruction that each is at, the innermost first."""

_CALLING = frozenset({"_wrapped_call_impl", "_call_impl", "inner"})
"""What of `nn.Module` stands between who calls a module and its `forward`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where a text calls.

    Attributes:
        owner: the block of the text.
        line, column: in it, from 1.
        direct: whether the module itself is called there, and not what holds it.
    """

    owner: nn.Module
    line: int
    column: int
    direct: bool


def frames_of(error: BaseException) -> Frames:
    """The frames that an error came through."""
    found = []
    trace = error.__traceback__
    while trace is not None:
        found.append((trace.tb_frame, trace.tb_lineno, trace.tb_lasti))
        trace = trace.tb_next
    return found[::-1]


def frames_from(frame: FrameType | None) -> Frames:
    """A frame and those that wait for it."""
    found = []
    while frame is not None:
        found.append((frame, frame.f_lineno, frame.f_lasti))
        frame = frame.f_back
    return found


def text_site(frames: Frames, module: nn.Module) -> Site | None:
    """The innermost text through which a module was called; None if no text calls it."""
    direct = True
    for frame, line, instruction in _around(frames, module):
        if compiler.is_text(frame.f_code):
            column = compiler.column_of(frame.f_code, instruction, line)
            return Site(owner=frame.f_locals["_self"], line=line, column=column, direct=direct)
        direct = direct and _is_call(frame)
    return None


def item(skeleton: Skeleton, frames: Frames, module: nn.Module, returned: Iterable[nn.Module]) -> Path | None:
    """The place in a sequence that calls a module, where that is a reference to it."""
    holder = next((frame for frame, _, _ in _around(frames, module) if not _is_call(frame)), None)
    if holder is None or holder.f_code is not nn.Sequential.forward.__code__:
        return None
    instance = skeleton.instances.get(holder.f_locals["self"])
    if not isinstance(instance, BlockInstance):
        return None
    made = skeleton.instances.get(module)
    known = dict(instance.block.layers)
    written = [known.get(name) for name, each in instance.written.items() if each is made]
    children = list(holder.f_locals["self"]._modules.values())
    held = [at for at, each in enumerate(children) if each is module]
    if len(written) != len(held):
        return None
    last = next(reversed(list(returned)), None)
    after = [k for k, at in enumerate(held) if at and children[at - 1] is last]
    node = written[after[-1] if after else 0]
    return node.key if isinstance(node, nodes.Reference) else None


def _around(frames: Frames, module: nn.Module) -> Iterator[tuple[FrameType, int, int]]:
    """The frames outside of a module's call."""
    inside = True
    for each in frames:
        if not inside:
            yield each
        elif each[0].f_code is nn.Module._call_impl.__code__ and _is_of(each[0].f_locals["self"], module):
            inside = False


def _is_of(called: nn.Module, module: nn.Module) -> bool:
    return called is module or (isinstance(called, Unsized) and module in called.layer)


def _is_call(frame: FrameType) -> bool:
    code: Any = frame.f_code
    return code.co_name in _CALLING or code is Unsized.forward.__code__
