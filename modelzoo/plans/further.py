"""What else is wrong with a config whose texts are: ties, rules and fills, which need no forward that can be read."""

from __future__ import annotations

from dataclasses import replace

import torch

from modelzoo.errors import ConfigError, Path, Problems
from modelzoo.init import decide
from modelzoo.modules import construct
from modelzoo.plans.reading import Read
from modelzoo.spec.instances import BlockInstance, Instance, args_of, walk
from modelzoo.spec.resolve import resolve

SILENT = "return 0"
"""Stands for a `forward` that cannot be read: the block has its layers and tensors, whatever it does with them."""


def look(read: Read, *, seed: int) -> None:
    """Adds what is wrong beside texts of `forward`, and beside rules that cannot be read.

    Nothing is looked for where sizes are left out, since only a run decides them.

    Args:
        read: the config, with what was found so far.
        seed: of what constructors of registered layers draw.
    """
    texts, problems = read.texts, read.problems
    if not texts:
        return
    further = Problems()
    try:
        instance = resolve(read.node, further)
        further.check()
        if instance is None:
            return
        _silence(instance, texts)
        skeleton = construct.construct(instance, torch.device("meta"), torch.float32, seed=seed)
        if not skeleton.unsized:
            further.found += [each for each in problems.found if each.key not in texts]
            construct.finish(skeleton, further)
            decide.decide(skeleton, read.init, args_of(instance), seed, further)
    except ConfigError as error:
        for each in error.problems:
            problems.note(each)


def _silence(instance: Instance, texts: frozenset[Path]) -> None:
    for each in walk(instance):
        if isinstance(each, BlockInstance) and each.block.key / "forward" in texts:
            each.block = replace(each.block, forward=SILENT)
