"""What the blocks of a model took in the dry run, and what they own, by which a source decides devices and dtypes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from modelzoo.modules.recording import Inputs
from modelzoo.plans.draft import Draft
from modelzoo.spec import nodes
from modelzoo.spec.instances import Instance


@dataclass(frozen=True, slots=True)
class Calls:
    """What the dry run of a draft shows of the blocks of its model."""

    draft: Draft
    block_of: Callable[[Any], nodes.Block | None]

    def of(self, block: nodes.Block) -> list[Inputs]:
        """What all modules of a block took; nothing where none was called."""
        instances, taken = self.draft.skeleton.instances, self.draft.record.taken
        return [
            each for module, seen in taken.items() if self.block_of(instances.get(module)) is block for each in seen
        ]

    def own(self, instances: Iterable[Instance]) -> str:
        """Where the modules of a block have their first floating tensor: "parameters", "buffers" or nowhere."""
        modules = [self.draft.skeleton.made[each] for each in instances if each in self.draft.skeleton.made]
        for name in ("parameters", "buffers"):
            if any(each.is_floating_point() for module in modules for each in getattr(module, name)()):
                return name
        return ""
