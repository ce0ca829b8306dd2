"""Groups for an optimiser in a job: decided as its options say, and told."""

from __future__ import annotations

from dataclasses import replace

from modelzoo.errors import fail
from modelzoo.escapes import printable
from modelzoo.init import selection
from modelzoo.optim import optimisers
from modelzoo.optim.grouping import Grouping
from modelzoo.optim.groups import Known, grouping
from modelzoo.optim.stepping import STEP
from modelzoo.plans.draft import Draft
from modelzoo.plans.options import Options
from modelzoo.terminal import say


def grouped(draft: Draft, options: Options) -> tuple[Draft, Grouping]:
    """A draft with the group of each tensor; what groups freeze is frozen in its modules.

    A step needs them even where there is but one.

    Raises:
        ConfigError: everything that is wrong with the groups.
    """
    if options.groups is None and options.optimizer is None and not options.steps:
        return draft, Grouping(trainable={})
    if options.steps:
        optimisers.stepping(options.optimizer)
    root, block_of = draft.skeleton.root, selection.block_of(draft.skeleton)
    known = Known(args=draft.values, block_of=block_of, base_shapes=draft.base_shapes)
    found = grouping(root, options.groups, options.optimizer, {}, known)
    if options.steps and not found.parts:
        fail(STEP, "no parameter is trained, so there is nothing to step.", "Type step=false.")
    found.freeze(root)
    return replace(draft, grouped=found.by_tensor() if options.groups else {}), found


def tell(draft: Draft, found: Grouping) -> None:
    """Prints which groups there are, where some were asked for."""
    if draft.grouped:
        sizes = {each.name: each.elements for each in draft.plan.tensors}
        say("\n".join(["", *(printable(each, lines=False) for each in found.lines(sizes))]))
