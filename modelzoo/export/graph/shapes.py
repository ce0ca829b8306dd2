"""The shapes of everything that a model calls and names, seen in one more dry run."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from torch import Tensor, nn

from modelzoo.errors import ConfigError
from modelzoo.modules import dry_run, recording
from modelzoo.modules.inputs import example
from modelzoo.plans import ambient
from modelzoo.plans.draft import Draft


@dataclass(slots=True)
class Seen:
    """Shapes that a dry run met.

    Attributes:
        calls: what each module took and returned, call by call, by module.
        names: what the names of a text stood for, by its module, the line that set it, and the name.
    """

    calls: dict[nn.Module, list[tuple[Any, Any]]] = field(default_factory=dict)
    names: dict[tuple[nn.Module, int, str], Any] = field(default_factory=dict)

    def called(self, module: nn.Module, inputs: Any, output: Any) -> None:
        self.calls.setdefault(module, []).append((recording.shape_of(inputs), recording.shape_of(output)))

    def trace(self, frame: FrameType, event: str, _: Any) -> Any:
        """As `sys.settrace` wants it: follows the forwards of blocks line by line."""
        own = event == "call" and ".forward " in frame.f_code.co_filename and frame.f_code.co_filename[0] == "<"
        if not own:
            return None
        owner, last = frame.f_locals["_self"], frame.f_lineno

        def line(inside: FrameType, event: str, _: Any) -> Any:
            nonlocal last
            for name, value in inside.f_locals.items():
                if isinstance(value, Tensor):
                    self.names.setdefault((owner, last, name), tuple(value.shape))
            last = inside.f_lineno
            return line

        return line

    def call(self, module: nn.Module, number: int) -> tuple[Any, Any]:
        """What a module took and returned when it was called for the nth time, as far as that was seen."""
        calls = self.calls.get(module, [(None, None)])
        return calls[min(number, len(calls) - 1)]


@ambient.kept()
def traced(draft: Draft) -> Seen:
    """One more dry run, which notes the shapes of all that is called and named."""
    found, root = Seen(), draft.skeleton.root
    modes = [(module, module.training) for module in root.modules()]
    tensor = next(iter(root.state_dict().values()), None)
    device = draft.skeleton.device if tensor is None else tensor.device
    before = sys.gettrace()
    try:
        sys.settrace(found.trace)
        with suppress(ConfigError), recording.calls(found.called):  # a picture without shapes beats none
            dry_run.dry_run(draft.skeleton, example(draft.plan.inputs, device))
    finally:
        sys.settrace(before)
        for module, mode in modes:
            module.training = mode
    return found
