"""What a pass through a model did: what each module returned, and how often it was called."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor, nn
from torch.nn.modules import module as hooks

from modelzoo.errors import Path
from modelzoo.modules import equal
from modelzoo.modules.memory import shown
from modelzoo.modules.skeleton import Unsized
from modelzoo.modules.torch_layers import TooLargeError

MAX_ACTIVATIONS = 2**30
"""Up to this many bytes of what layers return a run on the CPU takes less time than the first operation on meta."""

Way = tuple[Any, ...]
"""The indices and keys that lead from an input to a tensor."""

Inputs = dict[str, tuple[Way | None, Way | None]]
"""Of a call, by input: the way to its first tensor, and to its first floating one; None if it has none."""

Taken = dict[nn.Module, list[Inputs]]
"""Of each call that differs from those before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Largest:
    """The largest tensor of a pass.

    Attributes:
        bytes: that it takes.
        text: the line that makes it, where a text does.
        key, line: where that stands.
    """

    bytes: int
    text: str = ""
    key: Path = Path(("model",))
    line: int = 0

    def __str__(self) -> str:
        where = f" in `{self.text}`" if self.text else ""
        return f"a forward pass makes a tensor of {shown(self.bytes)}{where}"


@dataclass(slots=True, kw_only=True)
class Record:
    """What a dry run saw, by module.

    Attributes:
        outputs: the shapes of what each module returned last.
        calls: how often it was called.
        notes: what could not be checked, and why.
        activations: the bytes of what all layers returned.
        flops: the floating-point operations of one forward pass, where they were counted.
        largest: the largest tensor on the way, from a gigabyte on.
        turns: how often each `while` of a module's text turned, by the module and its place; a dry run does not say.
        taken: what blocks were given whose texts make tensors from nothing; only a dry run says it.
    """

    outputs: dict[nn.Module, Any] = field(default_factory=dict)
    calls: dict[nn.Module, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    activations: int = 0
    flops: int | None = None
    largest: Largest | None = None
    turns: dict[nn.Module, dict[str, int]] = field(default_factory=dict)
    taken: Taken = field(default_factory=dict)

    def renamed(self, others: Mapping[nn.Module, nn.Module]) -> Record:
        """The same of the modules that took the places of others."""
        return replace(
            self,
            outputs={others[each]: seen for each, seen in self.outputs.items() if each in others},
            calls={others[each]: seen for each, seen in self.calls.items() if each in others},
            turns={others[each]: seen for each, seen in self.turns.items() if each in others},
            taken={others[each]: seen for each, seen in self.taken.items() if each in others},
        )

    def add(self, returned: Iterable[tuple[nn.Module, Any]]) -> None:
        """What modules returned, in the order of their calls."""
        for module, output in returned:
            self.outputs[module] = shape_of(output)
            self.calls[module] = self.calls.get(module, 0) + 1
            if not (module._modules or isinstance(module, Unsized)):  # what it became returns the same
                self.activations += equal.bytes_of(output)


def shape_of(value: Any) -> Any:
    """The shapes of an output, nested as it is.

    >>> import torch
    >>> shape_of((torch.zeros(2, 3), None))
    ((2, 3), None)
    """
    if isinstance(value, Tensor):
        return tuple(value.shape)
    if isinstance(value, dict):
        return {name: shape_of(each) for name, each in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)(map(shape_of, value)) if type(value) in (tuple, list) else tuple(map(shape_of, value))
    return None


@contextmanager
def recording(returned: equal.Returned) -> Iterator[None]:
    """While it lasts, what each module of this thread returns is kept."""
    activations = 0

    def after(module: nn.Module, _: Any, output: Any) -> None:
        nonlocal activations
        returned.append((module, output))
        if isinstance(output, Tensor) and not output.is_meta:
            activations += output.nbytes
            if activations > MAX_ACTIVATIONS:
                raise TooLargeError

    with calls(after):
        yield


@contextmanager
def calls(after: Callable[..., None], named: bool = False) -> Iterator[None]:
    """While it lasts, a function gets each module that this thread has called, with what it took and returned.

    Args:
        after: takes the module, its inputs by position, and the output.
        named: whether it takes the inputs by name too, between those by position and the output.
    """
    thread = threading.get_ident()

    def told(module: nn.Module, *seen: Any) -> None:
        if threading.get_ident() == thread:
            after(module, *seen)

    handle = hooks.register_module_forward_hook(told, with_kwargs=named)
    try:
        yield
    finally:
        handle.remove()
        hooks._global_forward_hooks_with_kwargs.pop(handle.id, None)  # torch forgets it, and warns who compiles later
