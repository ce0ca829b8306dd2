"""Where the modules and tensors of a model stand: all their paths."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn

from modelzoo.importing.graph import Path


class Owners:
    """The places of everything in a module.

    Attributes:
        root: the module.
        paths: of each module all its paths; the first one is where it belongs.
        tensors: the same of each parameter and buffer, by its identity.
    """

    def __init__(self, root: nn.Module) -> None:
        self.root = root
        self.paths: dict[nn.Module, list[Path]] = {}
        self.tensors: dict[int, list[Path]] = {}
        for dotted, module in root.named_modules(remove_duplicate=False):
            path = tuple(dotted.split(".")) if dotted else ()
            self.paths.setdefault(module, []).append(path)
            for local, tensor in own_tensors(module):
                self.tensors.setdefault(id(tensor), []).append((*path, local))

    def below(self, owner: nn.Module, module: nn.Module) -> Path | None:
        """The way from a module to one in it, or None."""
        return self._below(owner, self.paths.get(module, ()))

    def tensor_below(self, owner: nn.Module, tensor: Tensor) -> Path | None:
        """The way from a module to a tensor of it or of a module in it, or None."""
        return self._below(owner, self.tensors.get(id(tensor), ()))

    def _below(self, owner: nn.Module, paths: Iterable[Path]) -> Path | None:
        start = self.paths[owner][0]
        inside = [path[len(start) :] for path in paths if path[: len(start)] == start and len(path) > len(start)]
        return min(inside, key=len, default=None)


def own_tensors(module: nn.Module) -> list[tuple[str, Tensor]]:
    """The parameters and buffers of a module itself, each with its name."""
    held = [*module._parameters.items(), *module._buffers.items()]
    return [(name, tensor) for name, tensor in held if tensor is not None]
