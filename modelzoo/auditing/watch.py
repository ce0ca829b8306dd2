"""Sees every write while a module is made or initialised, and poisons memory that is fresh."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode, is_traceable_wrapper_subclass

from modelzoo.auditing import poison
from modelzoo.auditing.places import Place, here

REGIONS = 100
"""Of so many parts of a tensor it is remembered what was written there."""

_FRESH = {"empty", "empty_like", "empty_strided", "empty_permuted", "new_empty", "new_empty_strided"}
_OVER = {
    *("fill_", "zero_", "copy_", "normal_", "uniform_", "random_", "bernoulli_"),
    *("exponential_", "geometric_", "log_normal_", "cauchy_"),
}
_TENSORS = {Tensor, torch.nn.Parameter}
_EVEN = {"fill_", "zero_", "zeros", "ones", "full", "zeros_like", "ones_like", "full_like", "new_zeros", "new_full"}


class Region(NamedTuple):
    """A part of a storage, as `torch.as_strided` takes it."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int


class Write(NamedTuple):
    """What one call wrote over what was there.

    Attributes:
        place: who.
        even: whether every element became the same number.
        region: which part of the tensor; None: the whole.
        value: the number that a part became.
    """

    place: Place | None
    even: bool
    region: Region | None = None
    value: Any = None


@dataclass(slots=True)
class Story:
    """What happened to a storage.

    Attributes:
        reference: keeps its address from being given to another.
        fresh: whether nobody wrote the whole of it.
        random: whether torch's global generator had a part in it.
        garbage: whether what nobody wrote had.
        writes: over what was there, in order.
        last: who wrote to it last, or made it.
    """

    reference: StorageWeakRef
    fresh: bool = False
    random: bool = False
    garbage: bool = False
    writes: list[Write] = field(default_factory=list)
    last: Place | None = None

    @property
    def whole(self) -> list[Write]:
        """What wrote all of it."""
        return [each for each in self.writes if each.region is None]


class _Kind(NamedTuple):
    """What an operation does: which arguments it writes to, by place and by name, and how."""

    fresh: bool
    views: bool
    over: bool
    even: bool
    draws: bool
    writes: tuple[tuple[int, str], ...]


@cache
def _kind(func: Any) -> _Kind:
    name = func._schema.name.rpartition("::")[2]
    given = [(place, each) for place, each in enumerate(func._schema.arguments) if each.alias_info is not None]
    writes = tuple((place, each.name) for place, each in given if each.alias_info.is_write)
    return _Kind(
        fresh=name in _FRESH,
        views=bool(given) and not writes and name != "lift_fresh",  # which is what a list or an array becomes
        over=name in _OVER or any(func._schema.arguments[place].is_out for place, _ in writes),
        even=name in _EVEN,
        draws=torch.Tag.nondeterministic_seeded in func.tags,
        writes=writes,
    )


class _Mode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A mode that does without torch's compiler, which takes a second to import."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False


class Watch(_Mode):
    """Keeps a story of every storage that is made or written to while it is on."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.stories: dict[int, Story] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        made, kind = func(*args, **kwargs), _kind(func)
        if kind.views:
            return made
        if kind.fresh:
            poison.poison(made)
            story = self.begun(made)
            story.fresh = story.garbage = True
            story.last = here()
            return made
        targets = [*_tensors([kwargs[name] if name in kwargs else args[place] for place, name in kind.writes])]
        read = [each for each in _tensors(args, kwargs) if all(each is not target for target in targets)]
        given = [known for each in read if (known := self.of(each)) is not None]
        random = (kind.draws and kwargs.get("generator") is None) or any(each.random for each in given)
        garbage = any(each.garbage for each in given)
        if targets:
            for each in targets:
                self.written(each, kind, random, garbage)
        else:
            for each in _tensors((made,)):
                story = self.begun(each)
                story.last, story.random = here(), random
                story.garbage = garbage
                story.writes.append(Write(story.last, kind.even or (not given and each.numel() == 1)))
        return made

    def begun(self, tensor: Tensor) -> Story:
        """The story of a storage, which begins where there is none."""
        storage = tensor.untyped_storage()
        story = self.stories.get(storage._cdata)
        if story is None:
            story = self.stories[storage._cdata] = Story(StorageWeakRef(storage))  # type: ignore[no-untyped-call]
        return story

    def written(self, tensor: Tensor, kind: _Kind, random: bool, garbage: bool) -> None:
        """Notes what was written over a tensor."""
        story = self.begun(tensor)
        story.last = here()
        whole = tensor.numel() * tensor.element_size() >= tensor.untyped_storage().nbytes()
        if kind.over and whole:
            story.fresh, story.random = False, random
            story.garbage = garbage and not kind.even
            story.writes.append(Write(story.last, kind.even))
            return
        story.random, story.garbage = story.random or random, story.garbage or garbage
        if kind.over and tensor.numel() and len(story.writes) < REGIONS:
            flat = tensor.detach().reshape(-1)
            even = bool((flat == flat[0]).all())
            region = Region(tuple(tensor.shape), tuple(tensor.stride()), int(tensor.storage_offset()))
            story.writes.append(Write(story.last, even, region, flat[0].item() if even else None))

    def of(self, tensor: Tensor) -> Story | None:
        """What happened to a tensor, if anything was seen."""
        return self.stories.get(tensor.untyped_storage()._cdata)


class Unfilled(_Mode):  # type: ignore[no-untyped-call]
    """Leaves out what is written over tensors on meta, which have no values: torch takes long to find out how."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if _kind(func).over and args and isinstance(args[0], Tensor) and args[0].is_meta:
            return args[0]
        return func(*args, **(kwargs or {}))


def _tensors(args: Sequence[Any], kwargs: Mapping[str, Any] = MappingProxyType({})) -> Iterator[Tensor]:
    """The tensors with memory of their own among arguments, also in lists of them."""
    for each in (*args, *kwargs.values()):
        if isinstance(each, (list, tuple)):
            yield from (one for one in each if is_plain(one))
        elif is_plain(each):
            yield each


def is_plain(each: Any) -> bool:
    """Whether it is a tensor with memory of its own."""
    if type(each) in _TENSORS:  # as most are
        return each.layout is torch.strided
    return isinstance(each, Tensor) and each.layout is torch.strided and not is_traceable_wrapper_subclass(each)
