"""What the texts of blocks took in a dry run: which of their inputs are tensors, and which of those are floating."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from modelzoo.errors import ConfigError
from modelzoo.modules import dry_run
from modelzoo.modules.blocks import Generated
from modelzoo.modules.inputs import example
from modelzoo.modules.recording import calls
from modelzoo.plans.draft import Draft
from modelzoo.spec import nodes
from modelzoo.spec.instances import Instance

Way = tuple[Any, ...]
"""The indices and keys that lead from an input to a tensor."""

Taken = Sequence[dict[str, tuple[Way | None, Way | None]]]
"""Of each call, by input: the way to its first tensor, and to its first floating one; None if it has none."""


@dataclass(slots=True)
class Calls:
    """What one dry run, made when it is first asked for, shows of the blocks of a model."""

    draft: Draft
    block_of: Callable[[Any], nodes.Block | None]
    found: dict[int, list[dict[str, tuple[Way | None, Way | None]]]] = field(default_factory=dict)
    ran: bool = False

    def of(self, block: nodes.Block) -> Taken:
        """What all modules of a block took; nothing where none was called."""
        if not self.ran:
            self.ran = True
            self.run()
        return self.found.get(id(block), [])

    def own(self, instances: Iterable[Instance]) -> str:
        """Where the modules of a block have their first floating tensor: "parameters", "buffers" or nowhere."""
        modules = [self.draft.skeleton.made[each] for each in instances if each in self.draft.skeleton.made]
        for name in ("parameters", "buffers"):
            if any(each.is_floating_point() for module in modules for each in getattr(module, name)()):
                return name
        return ""

    def run(self) -> None:
        root = self.draft.skeleton.root
        modes = [(module, module.training) for module in root.modules()]
        device = next((each.device for each in (*root.parameters(), *root.buffers())), self.draft.skeleton.device)
        try:
            with suppress(ConfigError), calls(self.called, named=True):
                dry_run.dry_run(self.draft.skeleton, example(self.draft.plan.inputs, device))
        finally:
            for module, mode in modes:
                module.training = mode

    def called(self, module: nn.Module, positional: tuple[Any, ...], named: dict[str, Any], _: Any) -> None:
        block = self.block_of(self.draft.skeleton.instances.get(module))
        if block is None or not isinstance(module, Generated):
            return
        inputs = [each.name for each in block.inputs]
        given = {**dict(zip(inputs, positional, strict=False)), **named}
        seen = {each: (way(given.get(each), False), way(given.get(each), True)) for each in inputs}
        known = self.found.setdefault(id(block), [])
        if seen not in known:
            known.append(seen)


def way(value: Any, floating: bool) -> Way | None:
    """The way to the first tensor in a value.

    >>> import torch
    >>> way([1, {"a": torch.zeros(2)}], False), way(torch.arange(2), True)
    ((1, 'a'), None)
    """
    if isinstance(value, Tensor):
        return () if not floating or value.is_floating_point() else None
    if isinstance(value, (tuple, list, dict)):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            found = way(each, floating)
            if found is not None:
                return key, *found
    return None
