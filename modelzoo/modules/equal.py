"""Modules that are equal but for the values of their tensors, and runs in which one of them stands for all.

In a dry run all weights are zeros, or on meta, so that equal modules return the same for the same inputs: a model of
eighty equal blocks is checked in the time of one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

import torch
from torch import Tensor, nn

from modelzoo.modules import construct
from modelzoo.modules.blocks import Generated
from modelzoo.modules.flops import Counter
from modelzoo.modules.sequences import is_plain
from modelzoo.modules.skeleton import Skeleton, Unsized
from modelzoo.spec.instances import LayerInstance, instances_in

Returned = list[tuple[nn.Module, Any]]
"""What modules returned, in the order of their calls."""

_CONTAINERS = (nn.ModuleList, nn.ModuleDict)
_SCALARS = (bool, int, float, str, type(None))

SHORT = 2**10
"""So many bytes of a tensor are compared as they are, more of them by their hash."""

MOST = 2**26
"""So many bytes of outputs are kept to be returned again."""


@contextmanager
def once(
    skeleton: Skeleton,
    modules: list[nn.Module],
    returned: Returned | None = None,
    counter: Counter | None = None,
) -> Iterator[Memory]:
    """While it lasts, of equal modules one runs for each input; the others return what it did.

    Args:
        modules: all of the model.
        returned: a hook of the caller's adds to it; what would be added inside a module that does not run is.
        counter: counts the operations of those that run.
    """
    recorded = returned is not None or counter is not None
    memory = Memory(returned, counter, left=math.inf if skeleton.device.type == "meta" else MOST)
    own = [(module, module.__dict__["forward"]) for module in modules if "forward" in module.__dict__]
    changed: list[nn.Module] = []
    try:
        for group in groups(skeleton, modules):
            changed += group
            memory.share(group)
        for module in modules if not recorded else ():
            if type(module) is nn.Sequential and "forward" not in module.__dict__:
                changed.append(module)
                module.__dict__["forward"] = _in_turn(list(module))
        yield memory
    finally:
        for module in changed:
            module.__dict__.pop("forward", None)
        for module, forward in own:
            module.__dict__["forward"] = forward


class Memory:
    """What modules returned, by what they were given; `left` is how many bytes of it may be kept."""

    def __init__(self, returned: Returned | None, counter: Counter | None, left: float) -> None:
        self.returned, self.counter = returned, counter
        self.repeated = 0  # the operations of those that did not run
        self.left = left
        self.kept: dict[int, tuple[int, Hashable]] = {}  # of tensors that are kept: the version, and what it holds

    @property
    def flops(self) -> int:
        return self.repeated + (0 if self.counter is None else self.counter.total)

    def share(self, group: list[nn.Module]) -> None:
        """From now on these modules share what they return."""
        known: dict[Hashable, Any] = {}
        if not group[0]._modules:
            forward = self.remembering(group[0], known)
            for module in group:
                module.__dict__["forward"] = forward
        else:
            for module in group:
                module.__dict__["forward"] = self.remembering(module, known)

    def remembering(self, module: nn.Module, known: dict[Hashable, Any]) -> Callable[..., Any]:
        forward = module.forward

        def remembering(*inputs: Any, **keywords: Any) -> Any:
            with torch._C.DisableTorchFunction():  # this is no operation of the run
                key = self.contents(inputs, keywords)
            if key is None:
                return forward(*inputs, **keywords)
            found = known.get(key)
            if found is None:
                start, before = len(self.returned or ()), self.flops
                output = forward(*inputs, **keywords)
                with torch._C.DisableTorchFunction():
                    self.left -= bytes_of(output)
                if self.left >= 0:
                    known[key] = output, module, (self.returned or [])[start:], self.flops - before
                    self.kept.setdefault(id(output), UNKNOWN)
                return output
            output, first, inside, flops = found
            if inside and not self.repeat(first, module, inside):
                return forward(*inputs, **keywords)
            self.repeated += flops
            return output

        return remembering

    def contents(self, inputs: Sequence[Any], keywords: Mapping[str, Any]) -> Hashable | None:
        """What an output depends on where all weights are equal; None where that is not known."""
        found = [(name, self.content(each)) for name, each in (*enumerate(inputs), *keywords.items())]
        return None if any(content is None for _, content in found) else tuple(found)

    def content(self, value: Any) -> Hashable | None:
        """All that a value is; of a tensor that is kept it is looked at again where it was changed."""
        kept = self.kept.get(id(value))
        if kept is None or not isinstance(value, Tensor) or value.is_inference():
            return _content(value)
        if kept[0] != value._version:
            self.kept[id(value)] = kept = value._version, _content(value)
        return kept[1]

    def repeat(self, first: nn.Module, module: nn.Module, inside: Returned) -> bool:
        """Adds what the modules inside `module` would return; whether those inside `first` are the same ones."""
        own = _counterparts(first, module)
        if own is None or self.returned is None or not all(each in own for each, _ in inside):
            return False
        self.returned += [(own[each], output) for each, output in inside]
        return True


UNKNOWN = (-1, None)


def _content(value: Any) -> Hashable | None:
    """All that a value is; None where that is not known."""
    if not isinstance(value, Tensor):
        return (type(value), repr(value)) if type(value) in _SCALARS else None
    if not value.is_contiguous():
        return None
    if value.is_meta:
        return value.shape, value.dtype
    held = value.detach()
    try:
        numbers = (held.view(-1).view(torch.uint8) if value.dtype is torch.bfloat16 else held).numpy().tobytes()
    except (RuntimeError, TypeError):  # such as one that is conjugated when it is read
        return None
    return value.shape, value.dtype, numbers if len(numbers) <= SHORT else sha256(numbers).digest()


def bytes_of(value: Any) -> int:
    """Of all tensors of an output."""
    if isinstance(value, (dict, tuple, list)):
        return sum(map(bytes_of, value.values() if isinstance(value, dict) else value))
    return value.nbytes if isinstance(value, Tensor) else 0


def _counterparts(first: nn.Module, other: nn.Module) -> dict[nn.Module, nn.Module] | None:
    """The module of `other` for each of `first`; None where one is shared inside `first` and two there."""
    pairs = zip(first.named_modules(remove_duplicate=False), other.named_modules(remove_duplicate=False), strict=True)
    found: dict[nn.Module, nn.Module] = {}
    for (_, one), (_, same) in pairs:
        if found.setdefault(one, same) is not same:
            return None
    return found


def _in_turn(layers: list[nn.Module]) -> Callable[[Any], Any]:
    """As `nn.Sequential`; where one layer returned what it was given, equal ones after it would."""

    def in_turn(value: Any) -> Any:
        before, settled = None, False
        for layer in layers:
            forward = layer.__dict__.get("forward")
            if settled and forward is not None and forward is before:
                continue
            given, value = value, layer(value)
            before, settled = forward, value is given
        return value

    return in_turn


# -- which are equal --------------------------------------------------------------------------------------------------


def groups(skeleton: Skeleton, modules: list[nn.Module]) -> list[list[nn.Module]]:
    """The modules that are equal but for the values of their tensors, together."""
    found = list(skeleton.equal)
    whole = [module for module in modules if module._modules]
    if len(whole) < 2:
        return found
    kinds = _Kinds(skeleton)
    larger: dict[int, list[nn.Module]] = {}
    for module in whole:
        if type(module) not in _CONTAINERS:
            larger.setdefault(kinds.of(module), []).append(module)
    return [*found, *(group for group in larger.values() if len(group) > 1)]


class _Kinds:
    """Numbers modules; equal ones have the same number."""

    def __init__(self, skeleton: Skeleton) -> None:
        self.skeleton = skeleton
        self.numbers: dict[Hashable, int] = {}
        self.known = {module: self.number(group[0]) for group in skeleton.equal for module in group}

    def number(self, key: Hashable) -> int:
        return self.numbers.setdefault(key, len(self.numbers))

    def of(self, module: nn.Module) -> int:
        if module not in self.known:
            self.known[module] = self.number(self.key(module))
        return self.known[module]

    def key(self, module: nn.Module) -> Hashable:
        if type(module) in _CONTAINERS or is_plain(type(module)) or isinstance(module, Generated):
            children = tuple(
                (name, None if child is None else self.of(child)) for name, child in module._modules.items()
            )
            own = (*module._parameters.items(), *module._buffers.items())
            return (
                type(module),
                children,
                tuple((name, each.shape, each.dtype) for name, each in own if each is not None),
            )
        instance = self.skeleton.instances.get(module)
        if isinstance(module, Unsized) or not isinstance(instance, LayerInstance) or _nests(instance):
            return module
        return type(module), instance.call()


def _nests(instance: LayerInstance) -> bool:
    """Whether a layer was given others, which its call does not show whole."""
    return any(instances_in(instance.given))


def can_share(skeleton: Skeleton) -> bool:
    """Whether no code runs that may see, change or copy a layer of torch: a user's, or a constructor's in the run."""
    return not construct.has_registered(skeleton) and not any(_nests(each.instance) for each in skeleton.unsized)
