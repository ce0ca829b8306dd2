"""What every tensor of a file is called in a model, after everything that was asked and every wrapper."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from modelzoo.weights import order
from modelzoo.weights.constants import is_known, is_newer
from modelzoo.weights.patterns import Renaming, Rule, chosen
from modelzoo.weights.request import Request
from modelzoo.weights.stored import Content, Stored
from modelzoo.weights.wrappers import Names, Wrapping, wrapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A tensor of a model, with all its names in the state dict, the first one first."""

    tensor: Tensor
    names: tuple[str, ...]


def targets_of(model: nn.Module) -> list[Target]:
    """Every tensor of a state dict, once."""
    homes: dict[Tensor, list[str]] = {}
    for name, value in model.state_dict(keep_vars=True).items():
        if isinstance(value, Tensor):
            homes.setdefault(value, []).append(name)
    return [Target(tensor=tensor, names=tuple(names)) for tensor, names in homes.items()]


class Naming:
    """The names of a model and of a file in its terms.

    Attributes:
        known: the tensor of each name of the model.
        parts: of each name that is loaded, what the file has for it: the name itself, or those that are joined.
        expected: all those.
        used: the patterns that meant something, as (option, pattern).
    """

    def __init__(self, targets: Sequence[Target], request: Request) -> None:
        self.targets, self.request, self.renaming = targets, request, Renaming()
        self.known = {name: target for target in targets for name in target.names}
        self.used: dict[tuple[str, str], None] = {}
        self.parts = {name: self._parts(name) for name in self.known if self.is_asked(name)}
        self.expected = {part: None for parts in self.parts.values() for part in parts}
        self._produced: dict[str, tuple[str, ...]] = {}

    def is_asked(self, name: str) -> bool:
        """Whether a name is one that is to be loaded, wherever it stands."""
        if self.means("skip", name):
            return False
        return not self.request.only or self.means("only", name)

    def means(self, option: str, *names: str) -> bool:
        """Whether the globs of an option mean one of some names."""
        found = [each for each in getattr(self.request, option) if any(chosen(name, [each]) for name in names)]
        self.used.update(dict.fromkeys((option, each) for each in found))
        return bool(found)

    def _parts(self, name: str) -> tuple[str, ...]:
        return self._each_of("join", name) or (name,)

    def produced(self, name: str) -> tuple[str, ...]:
        """What a name of the file, in the model's terms, becomes: itself, or those that it is split into."""
        if name not in self._produced:
            self._produced[name] = self._each_of("split", name) or (name,)
        return self._produced[name]

    def _each_of(self, option: str, name: str) -> tuple[str, ...]:
        rules: tuple[Rule, ...]
        for rules in getattr(self.request, option):
            if found := self.renaming.each_of(name, rules):
                self.used[option, rules[0].old] = None
                return found
        return ()

    def renamed(self, name: str) -> str:
        """A name of the file as `rename` says."""
        for rule in self.request.rename:
            before, name = name, self.renaming.renamed(name, [rule])
            if name != before:
                self.used["rename", rule.old] = None
        return name

    def fits(self, name: str) -> bool:
        """Whether a name is one of the model, or left out on purpose."""
        return all(
            each in self.expected or each in self.known or not self.is_asked(each) for each in self.produced(name)
        )

    def covers(self, names: Iterable[str]) -> bool:
        """Whether these names leave nothing out that is to be loaded."""
        present = {each: None for name in names for each in self.produced(name)}
        return not any(self.lacking(target, present) for target in self.targets)

    def lacking(self, target: Target, present: dict[str, None]) -> bool:
        """Whether a tensor is to be loaded, and no name that is there gives it."""
        asked = [name for name in target.names if name in self.parts]
        if not asked or is_newer(target.names[0], present):
            return False
        return not any(all(part in present for part in self.parts[name]) for name in asked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A tensor of a file with its names in the model, the one it is stored under first."""

    stored: Stored
    names: tuple[str, ...]


def named(content: Content, naming: Naming) -> tuple[list[Named], Wrapping]:
    """The tensors of a file with their names in the model, and the wrapping that was taken from these.

    Raises:
        ConfigError: the names fit in several ways, or, in order, not layer by layer.
    """
    if naming.request.match == "order":
        pairs = order.matched(content, naming.parts)
        return [Named(stored=each, names=(name,)) for each, name in pairs], Wrapping()
    renamed = {each.name: tuple(map(naming.renamed, (each.name, *each.others))) for each in content.tensors}
    found = [renamed[each.name][0] for each in content.tensors if not is_known(each)]
    off = wrapping(Names(found=found, wanted=naming.expected, fits=naming.fits, covers=naming.covers))
    names = {name: tuple(map(off.unwrapped, own)) for name, own in renamed.items()}
    return [Named(stored=each, names=names[each.name]) for each in content.tensors], off
