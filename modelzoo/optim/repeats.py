"""The index of the copy that a tensor belongs to."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn


class Repeats:
    """Finds copies in modules: layers of one type, side by side in a `Sequential` or a `ModuleList`.

    Args:
        named: every module by each of its names.
        block_of: says which block a module was made from; "" for none.

    >>> def block(module: nn.Module) -> str:
    ...     return ""
    >>> model = nn.ModuleDict({"stem": nn.Linear(2, 2), "h": nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))})
    >>> repeats = Repeats(dict(model.named_modules()), block)
    >>> repeats.index("h.1.weight"), repeats.index("stem.weight")
    (1, None)
    """

    def __init__(self, named: Mapping[str, nn.Module], block_of: Callable[[nn.Module], str]) -> None:
        self.named, self.block_of = named, block_of
        self.known: dict[str, dict[str, int]] = {}

    def index(self, name: str) -> int | None:
        """Which copy holds a tensor: of the outermost repeat, one of several copies before one of a single one."""
        above, alone = "", None
        for part in name.split(".")[:-1]:
            places = self.places(above)
            if part in places and len(places) > 1:
                return places[part]
            if part in places and alone is None:
                alone = places[part]
            above = f"{above}.{part}" if above else part
        return alone

    def places(self, name: str) -> dict[str, int]:
        """The place of each copy in a module; none if it holds no copies."""
        if name not in self.known:
            module = self.named[name]
            layers = isinstance(module, (nn.Sequential, nn.ModuleList))
            children = module._modules if layers else {}
            kinds = {self.block_of(each) or type(each).__name__ for each in children.values() if each is not None}
            self.known[name] = {local: index for index, local in enumerate(children)} if len(kinds) == 1 else {}
        return self.known[name]
