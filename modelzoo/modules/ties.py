"""Tensors that are tied: one of them in the homes of all."""

from __future__ import annotations

from torch import Tensor, nn

from modelzoo.errors import Code, Path, Problems, nearest
from modelzoo.modules.homes import tensors_of
from modelzoo.spec.instances import BlockInstance


class Ties:
    """Joins tensors, then puts one of those that were joined into each of their homes.

    Args:
        tied: of each tied tensor the module and name it comes from; kept up to date.
        problems: collects ties that cannot be made.
    """

    def __init__(self, tied: dict[Tensor, tuple[nn.Module, str]], problems: Problems) -> None:
        self.tied, self.problems = tied, problems
        self.joined: dict[Tensor, Tensor] = {}  # what took a tensor's place
        self.homes: list[tuple[nn.Module, str, Path]] = []
        self.deciding: dict[tuple[nn.Module, str], tuple[nn.Module, str]] = {}  # of each home that is tied, to what

    def tie(self, block: nn.Module, instance: BlockInstance, left: str, right: str) -> None:
        """`left` becomes `right`, wherever it stands already: no tie undoes another, in whatever order they come."""
        key = instance.key / "tie"
        home, other = (self.tensor_at(block, instance, key / left, each) for each in (left, right))
        if home is None or other is None:
            return
        (owner, name, old), (source, local, new) = home, other
        if old is new:
            self.problems.add(key / left, f"'{left}' is tied to itself.", "Remove it.")
            return
        if self.leads((source, local), (owner, name)):
            what = f"'{left}' and '{right}' are tied in a circle, so that neither decides."
            self.problems.add(key / left, what, "Remove one of them.")
            return
        self.deciding[owner, name] = source, local
        if old.shape != new.shape:
            what = f"'{left}' has shape {list(old.shape)} and '{right}' {list(new.shape)}: one tensor cannot have both."
            self.problems.add(key / left, what, "Tie tensors of equal shape.")
            return
        self.homes += [(owner, name, key / left), (source, local, key / left)]
        old, new = self.last(old), self.last(new)
        if old is not new:
            self.joined[old] = new
            self.tied.pop(old, None)
            self.tied.setdefault(new, (source, local))

    def leads(self, home: tuple[nn.Module, str], to: tuple[nn.Module, str]) -> bool:
        """Whether what decides a home, or decides that, is another."""
        passed = set()
        while home != to and home in self.deciding and home not in passed:
            passed.add(home)
            home = self.deciding[home]
        return home == to

    def last(self, tensor: Tensor) -> Tensor:
        """What took a tensor's place; each that is passed on the way points there from then on."""
        passed = []
        while tensor in self.joined:
            passed.append(tensor)
            tensor = self.joined[tensor]
        for each in passed:
            self.joined[each] = tensor
        return tensor

    def settle(self) -> None:
        """Puts tensors in place with setattr, which RNNs need for their second list."""
        for module, name, key in self.homes:
            old = module._parameters.get(name, module._buffers.get(name))
            new = None if old is None else self.last(old)
            if new is old or new is None:
                continue
            if name in module._buffers:
                module._buffers[name] = new
                continue
            setattr(module, name, new)
            if getattr(module, name) is not new:
                self.problems.add(key, f"'{key[-1]}' could not be tied.")

    def tensor_at(
        self, block: nn.Module, instance: BlockInstance, key: Path, dotted: str
    ) -> tuple[nn.Module, str, Tensor] | None:
        *owners, name = dotted.split(".")
        module = _module_at(block, owners)
        tensor = None if module is None else module._parameters.get(name, module._buffers.get(name))
        first = (*owners, name)[0]
        if instance.lacks(first):
            what = f"there is no tensor '{dotted}' to tie: the _if_ of '{first}' is false."
            self.problems.add(key, what, "Give the tie the same _if_.", code=Code.UNKNOWN)
            return None
        if module is None or tensor is None:
            hint = nearest(dotted, tensors_of(block, every=True))
            self.problems.add(key, f"there is no tensor '{dotted}' to tie.", hint, code=Code.UNKNOWN)
            return None
        return module, name, tensor


def _module_at(module: nn.Module | None, path: list[str]) -> nn.Module | None:
    for name in path:
        module = None if module is None else module._modules.get(name)
    return module
