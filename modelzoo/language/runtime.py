"""What compiled texts call, and how they are stopped."""

from __future__ import annotations

import contextlib
import linecache
import tokenize
from collections.abc import Iterator, Mapping
from types import CodeType
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from modelzoo import arithmetic, bounds
from modelzoo.catalog import functions, guards


class Reports(Protocol):
    """What the watched code of a text reports to, with the module that runs it and the place in the text."""

    def branch(self, owner: nn.Module, site: str, value: Any, leads_out: bool = False) -> Any:
        """The value of a condition, which may lead out of a turn of a `while`; returns what to do."""

    def turn(self, owner: nn.Module, site: str, value: Any, negated: bool = False) -> Any:
        """The same of the condition of a loop; `negated` where the loop ends if it is true."""

    def step(self, owner: nn.Module, site: str) -> None:
        """A `while` turns."""

    def enter(self, owner: nn.Module, site: str, tests: tuple[str, ...], **values: Any) -> None:
        """What the names stand for, in which a `while` may leave another value; with the places of its conditions."""

    def merge(self, owner: nn.Module, site: str, **values: Any) -> None:
        """What the names stand for in which a branch or loop may have left another value."""


class EndlessError(RuntimeError):
    """Texts took more operations than allowed."""


class LoopError(EndlessError):
    """A loop of a `forward` or `fill` text did not end within the greatest number of steps allowed."""

    def __init__(self, filename: str, line: int, steps: int) -> None:
        self.filename, self.line, self.steps = filename, line, steps
        super().__init__(filename, line, steps)

    @property
    def what(self) -> str:
        return f"this loop did not end after {self.steps:,} steps: {line_at(self.filename, self.line)}"

    def __str__(self) -> str:
        return f"{self.what} (line {self.line} of {self.filename.strip('<>')})"


def line_at(filename: str, number: int) -> str:
    """A line of a text, without the remark behind it."""
    line = linecache.getline(filename, number)
    with contextlib.suppress(tokenize.TokenError, SyntaxError):  # the line may be a part of a statement
        for token in tokenize.generate_tokens(iter([line]).__next__):
            if token.type == tokenize.COMMENT:
                return line[: token.start[1]].strip()
    return line.strip()


ON_CPU = 40
"""An operation of a dry run on the CPU counts as so many, each of which takes 1 µs: its size is estimated first, and
its floating-point operations may be counted."""

ON_META = 150
"""An operation on meta counts as so many, each of which takes 1 µs: its result is worked out in Python."""


class Operations:
    """Counts what texts do, all together, up to the bound.

    Args:
        kind: of texts, as a message calls them.
    """

    def __init__(self, kind: str) -> None:
        self.left, self.kind = bounds.OPERATIONS, kind

    def spend(self, count: int) -> None:
        """Counts so many operations.

        Raises:
            EndlessError: there were too many.
        """
        self.left -= count
        if self.left < 0:
            raise EndlessError(f"all {self.kind} together take more than {bounds.OPERATIONS:,} operations")


def globals_of(code: CodeType, known: Mapping[str, Any]) -> dict[str, Any]:
    """The globals that a code needs: of what is known, and of the catalog."""
    names = [*_names_in(code)]
    scope = {name: known[name] for name in names if name in known}
    for name in names:
        function = functions.find_function(name.removeprefix("_call_")) if name.startswith("_call_") else None
        if function is not None:
            scope[name] = guards.function(function)
    return scope


def _names_in(code: CodeType) -> Iterator[str]:
    """The names that a code reads, those of comprehensions in it too."""
    yield from code.co_names
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _names_in(each)


def device_of(owner: Any, *inputs: Any) -> torch.device:
    """The device of the first tensor among a block's inputs; without one, of its first own tensor; else the CPU.

    >>> device_of(None, 1, [torch.zeros(1, device="meta")])
    device(type='meta')
    """
    tensor = _first_tensor(inputs, owner)
    return torch.device("cpu") if tensor is None else tensor.device


def dtype_of(owner: Any, *inputs: Any) -> torch.dtype | None:
    """The dtype of the first floating tensor, looked for in the same places; None, which is torch's default.

    >>> dtype_of(None, torch.arange(3), [torch.zeros(1, dtype=torch.float16)])
    torch.float16
    """
    tensor = _first_tensor(inputs, owner, floating=True)
    return None if tensor is None else tensor.dtype


def _first_tensor(inputs: Any, owner: Any, floating: bool = False) -> Tensor | None:
    found = _tensor_in(inputs, floating)
    if found is not None or owner is None:
        return found
    for tensors in (owner.parameters, owner.buffers):
        for own in tensors():
            if not floating or own.is_floating_point():
                return own  # type: ignore[no-any-return]
    return None


def _tensor_in(value: Any, floating: bool) -> Tensor | None:
    if isinstance(value, Tensor):
        return value if not floating or value.is_floating_point() else None
    if isinstance(value, (tuple, list, dict)):
        for each in value.values() if isinstance(value, dict) else value:
            tensor = _tensor_in(each, floating)
            if tensor is not None:
                return tensor
    return None


def as_tensor(value: Any) -> Tensor:
    """A value whose elements a text assigns.

    Raises:
        TypeError: it is no tensor.
    """
    if not isinstance(value, Tensor):
        raise TypeError(f"elements of a tensor are assigned, not of {type(value).__name__}")
    return value


def own_buffer(owner: nn.Module, name: str) -> Tensor | None:
    """A buffer that a text sets in training: there a copy, which a gradient may go back through when it was set."""
    held: Tensor | None = getattr(owner, name)
    return held.clone() if held is not None and owner.training else held


def set_buffer(owner: nn.Module, name: str, value: Any) -> Tensor:
    """Gives a buffer the values that a text computed in training, and returns them; no gradient goes through.

    Raises:
        TypeError: the value is no tensor, or the block has no such buffer.
        ValueError: it has another shape.
    """
    held = getattr(owner, name)
    if not isinstance(value, Tensor) or held is None:
        raise TypeError(f"'{name}' is a buffer, and is set to a tensor, not to {type(value).__name__}")
    if value.shape != held.shape:
        raise ValueError(f"'{name}' is a buffer of shape {list(held.shape)}, and is set to one of {list(value.shape)}")
    new = value.detach().to(held.dtype)
    held.copy_(new)
    return new


HELPERS: Mapping[str, Any] = {
    **{f"_{name}": dtype for name, dtype in functions.DTYPES.items()},
    **{f"_method_{name}": guards.method(name) for name in guards.METHODS},
    "_add": arithmetic.add,
    "_alike": arithmetic.alike,
    "_device_of": device_of,
    "_dtype_of": dtype_of,
    "_enumerate": enumerate,
    "_gathered": arithmetic.gathered,
    "_items": arithmetic.counted,
    "_joined": arithmetic.joined,
    "_modulo": arithmetic.modulo,
    "_multiplied": arithmetic.multiplied,
    "_multiply": arithmetic.multiply,
    "_own": own_buffer,
    "_power": arithmetic.power,
    "_reversed": reversed,
    "_set": set_buffer,
    "_subtract": arithmetic.subtract,
    "_tensor": as_tensor,
    "_tuple": tuple,
    "_zip": zip,
}
