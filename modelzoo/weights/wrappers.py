"""What wrappers put in front of names: taken away, or added, where that makes all names fit, and never otherwise."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from modelzoo.errors import Path, fail

WRAPPERS = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module")
"""What DataParallel, torch.compile, FSDP, checkpointing and Fabric call the module that they wrap."""

PREFIX = 4
"""Parts of a prefix that a name may have more or less."""


@dataclass(frozen=True, slots=True)
class Wrapping:
    """How the names of a file differ from those of a model.

    Attributes:
        drop: parts that are left out wherever they stand.
        less: what the names of the file begin with.
        more: what those of the model begin with.
    """

    drop: tuple[str, ...] = ()
    less: str = ""
    more: str = ""

    def unwrapped(self, name: str) -> str:
        """The name of a tensor in the model.

        >>> Wrapping(drop=("module",), less="net.").unwrapped("net.module.fc.weight")
        'fc.weight'
        """
        if self.drop:
            name = ".".join(part for part in name.split(".") if part not in self.drop)
        return self.more + name.removeprefix(self.less)

    def told(self) -> str:
        """What was done, in words; nothing where names fit as they are."""
        less = [*(f"'{each}.'" for each in self.drop), *([f"'{self.less}'"] if self.less else [])]
        parts = [f"{' and '.join(less)} taken from its names"] if less else []
        return " and ".join([*parts, *([f"'{self.more}' added to its names"] if self.more else [])])


@dataclass(frozen=True, slots=True)
class Names:
    """What the names of a file are compared with.

    Attributes:
        found: the names in the file that belong to the model.
        wanted: those of the model.
        fits: whether a name of the file, without a wrapper, is one of the model.
        covers: whether such names leave nothing of the model out.
    """

    found: list[str]
    wanted: Mapping[str, object]
    fits: Callable[[str], bool]
    covers: Callable[[Iterable[str]], bool]


def wrapping(names: Names) -> Wrapping:
    """The wrapping without which all names of a file fit; if all do as they are, or with none, an empty one.

    Raises:
        ConfigError: several would do: a file of a part that the model has twice.
    """
    if not names.found:
        return Wrapping()
    whole: list[Wrapping] = []
    parts: list[Wrapping] = []
    for stage in _stages(names):
        fitting = [each for each in stage if all(names.fits(each.unwrapped(name)) for name in names.found)]
        whole = [each for each in fitting if names.covers(map(each.unwrapped, names.found))]
        parts = parts or fitting
        if whole:
            break
    chosen = whole or parts
    if len(chosen) > 1:
        shown = ", ".join(f"'{each.more or each.less}'" for each in chosen[:10])
        what = f"The names of this file fit the model in several ways: with each of {shown} in front of them."
        fail(Path(("load",)), what, f"Type the one that is meant: 'load.rename={{\\A: {chosen[0].more}}}'")
    return chosen[0] if chosen else Wrapping()


def _stages(names: Names) -> Iterator[list[Wrapping]]:
    """Wrappings that may be meant, the simplest first; those of one stage are equally simple."""
    yield [Wrapping()]
    inside = {part: None for name in names.found for part in name.split(".")[:-1] if part in WRAPPERS}
    drops = [(), *([tuple(inside)] if inside else [])]
    for drop in drops[1:]:
        yield [Wrapping(drop=drop)]
    for drop in drops:
        unwrapped = [Wrapping(drop=drop).unwrapped(name) for name in names.found]
        last = max(unwrapped)
        for head in itertools.takewhile(last.startswith, _heads(min(unwrapped))):  # then all between begin with it
            yield [Wrapping(drop=drop, less=head)]
    for drop in drops:
        first = Wrapping(drop=drop).unwrapped(names.found[0])
        heads = (name.removesuffix(first) for name in names.wanted if name.endswith(f".{first}"))
        yield [Wrapping(drop=drop, more=head) for head in dict.fromkeys(heads) if head.count(".") <= PREFIX]


def _heads(name: str) -> Iterator[str]:
    """The first parts of a dotted name, with their dots: of `a.b.fc` these are `a.` and `a.b.`."""
    end = 0
    for _ in range(PREFIX):
        end = name.find(".", end) + 1
        if not end:
            return
        yield name[:end]
