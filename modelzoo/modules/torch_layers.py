"""Calls the constructors of torch's layers: nothing is drawn or filled, and equal layers are copies of the first."""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_FACTORIES = {torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn}
_PLACED = _FACTORIES | {torch.tensor, torch.full, torch.arange, torch.eye}
_FILLS = {
    *(getattr(nn.init, name) for name in dir(nn.init) if name.endswith("_") and not name.startswith("_")),
    *(getattr(Tensor, name) for name in ("uniform_", "normal_", "fill_", "zero_", "exponential_", "bernoulli_")),
}
_RESETS = ("reset_parameters", "_reset_parameters")
_VALUES = (bool, int, float, str, type(None))
_CONTAINERS = (dict, OrderedDict, list, set)


class TooLargeError(Exception):
    """The tensors made so far exceed the limit."""


class Factory:
    """Makes layers whose tensors are untouched memory or zeros.

    Args:
        device: where tensors are made; on the CPU untouched memory costs nothing until it is written.
        dtype: of floating tensors for which a constructor names none.
        zeroed: whether parameters are zeros instead of untouched memory.
        limit: how many bytes all tensors may have.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype, zeroed: bool, limit: float) -> None:
        self.device, self.dtype, self.zeroed, self.left = device, dtype, zeroed, limit
        self.patterns: dict[tuple[type[nn.Module], str], Pattern] = {}
        self.same: dict[int, tuple[Mapping[str, Any], Pattern]] = {}  # by the id of the arguments, which must live on
        self.plain: set[type[nn.Module]] = set()

    def layer(self, cls: type[nn.Module], positional: Sequence[Any], named: Mapping[str, Any]) -> nn.Module:
        """A layer of torch.

        Raises:
            TooLargeError: the limit is reached.
            Exception: whatever the constructor raises.
        """
        if self.knows(named):
            return self.copy(self.same[id(named)][1])
        key = cls, f"{positional} {named}"
        pattern = self.patterns.get(key)
        if pattern is not None:
            self.same[id(named)] = named, pattern
            return self.copy(pattern)
        if cls in self.plain:
            made = self.constructed(cls, positional, {**named, **self.options(cls)})
            for each in made._parameters.values():
                if each is not None:
                    self.empty(each.detach())
        else:
            with _Constructing(self):
                made = self.constructed(cls, positional, named)
        if cls in self.plain or _is_plain(made):
            self.plain.add(cls)
            self.patterns[key] = pattern = Pattern(made)
            self.same[id(named)] = named, pattern
        return made

    def knows(self, named: Mapping[str, Any]) -> bool:
        """Whether a layer was made with these very arguments, which nobody changes."""
        return id(named) in self.same

    def forget(self) -> None:
        """Copies none of the layers made so far."""
        self.patterns.clear()
        self.same.clear()

    def copy(self, pattern: Pattern) -> nn.Module:
        self.left -= pattern.bytes
        if self.left < 0:
            raise TooLargeError
        return pattern.copy(torch.zeros_like if self.zeroed else torch.empty_like)

    def equal(self) -> list[list[nn.Module]]:
        """The layers made so far that are equal but for their values, together."""
        return [pattern.made for pattern in self.patterns.values() if len(pattern.made) > 1]

    def constructed(self, cls: type[nn.Module], positional: Sequence[Any], named: Mapping[str, Any]) -> nn.Module:
        """Without what fills the tensors at its end, which takes half the time of a small layer."""
        made = cls.__new__(cls)
        made.__dict__.update(dict.fromkeys(_RESETS, _nothing))
        cls.__init__(made, *positional, **named)
        for name in _RESETS:
            del made.__dict__[name]
        return made

    def options(self, cls: type[nn.Module]) -> dict[str, Any]:
        placed = _is_placed(cls)  # type: ignore[arg-type]  # a class is hashable whatever its instances are
        return {"device": self.device, "dtype": self.dtype} if placed else {}

    def tensor(self, shape: Sequence[int], dtype: torch.dtype | None = None) -> Tensor:
        """A tensor of a block."""
        return self.empty(torch.empty(tuple(shape), dtype=dtype or self.dtype, device=self.device))

    def empty(self, tensor: Tensor) -> Tensor:
        """Counts a tensor of untouched memory, and makes it zeros if they are wanted."""
        self.spend(tensor)
        return tensor.zero_() if self.zeroed else tensor

    def spend(self, tensor: Tensor) -> None:
        self.left -= tensor.nbytes
        if self.left < 0:
            raise TooLargeError


class Pattern:
    """A layer that was just constructed, to be copied as `deepcopy` does it, in a sixth of the time."""

    def __init__(self, module: nn.Module) -> None:
        self.made = [module]

    @cached_property
    def state(self) -> dict[str, Any]:
        """What it was made with; a run that gives it a `forward` for its time, or a mode, may go on."""
        own = {**self.made[0].__dict__, "training": True}
        own.pop("forward", None)
        return own

    @cached_property
    def containers(self) -> list[tuple[str, Callable[[], Any]]]:
        """How those parts of the state are copied that are not shared."""
        own = ("_parameters", "_buffers")
        return [(n, v.copy().copy) for n, v in self.state.items() if n not in own and type(v) in _CONTAINERS]

    @cached_property
    def parameters(self) -> list[tuple[str, Tensor | None, bool]]:
        own = self.made[0]._parameters.items()
        return [
            (name, None if each is None else each.detach(), getattr(each, "requires_grad", False)) for name, each in own
        ]

    @cached_property
    def bytes(self) -> int:
        """Of the parameters of one."""
        return sum(each.nbytes for _, each, _ in self.parameters if each is not None)

    def copy(self, fresh: Callable[[Tensor], Tensor]) -> nn.Module:
        """Another one, with parameters made by `fresh` and copies of the buffers."""
        first = self.made[0]
        made = first.__class__.__new__(first.__class__)
        state = made.__dict__
        state.update(self.state)
        for name, copy in self.containers:
            state[name] = copy()
        state["_parameters"] = {
            name: None if each is None else nn.Parameter(fresh(each), trains) for name, each, trains in self.parameters
        }
        buffers = self.state["_buffers"]
        state["_buffers"] = {name: None if each is None else each.clone() for name, each in buffers.items()}
        self.made.append(made)
        return made


class _Constructing(TorchFunctionMode):
    """While a constructor of torch runs: its tensors get our device and dtype, and nothing is drawn or filled."""

    def __init__(self, factory: Factory) -> None:
        super().__init__()
        self.factory = factory

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _FILLS:
            return args[0] if args else kwargs["tensor"]
        kwargs = dict(kwargs or {})
        if func in _PLACED:
            if kwargs.get("device") is None:
                kwargs["device"] = self.factory.device
            if func in _FACTORIES and kwargs.get("dtype") is None:
                kwargs["dtype"] = self.factory.dtype
            if func is torch.empty:
                return self.factory.empty(func(*args, **kwargs))
        return func(*args, **kwargs)


@cache
def _is_placed(cls: type[nn.Module]) -> bool:
    """Whether a constructor takes a device and a dtype."""
    return {"device", "dtype"} <= inspect.signature(cls).parameters.keys()


def _is_plain(module: nn.Module) -> bool:
    """Whether a module is its tensors and immutable values, so that a copy of its `__dict__` is a module of its own."""
    return not module._modules and all(
        map(_is_value, (value for name, value in module.__dict__.items() if name not in ("_parameters", "_buffers")))
    )


def _is_value(value: Any) -> bool:
    if type(value) in (dict, OrderedDict):
        return not value
    return type(value) in _VALUES or (type(value) in (tuple, list, set) and all(map(_is_value, value)))


def _nothing() -> None:
    """Takes the place of `reset_parameters`."""
