"""What else is wrong with a config whose texts are: ties, rules and fills, which need no forward that can be read."""

from __future__ import annotations

from dataclasses import replace

import torch

from modelzoo.errors import ConfigError, Path, Problems
from modelzoo.init import decide
from modelzoo.modules import construct
from modelzoo.spec import nodes
from modelzoo.spec.instances import BlockInstance, Instance, args_of, walk
from modelzoo.spec.resolve import resolve

_HOLDERS = ("args", "inputs", "layers", "parameters", "buffers", "blocks", "tie")
"""What holds names: one of them may be `forward`, which is no text."""

SILENT = "return 0"
"""Stands for a `forward` that cannot be read: the block has its layers and tensors, whatever it does with them."""


def look(node: nodes.Node, init: nodes.Init, problems: Problems, *, seed: int) -> None:
    """Adds what is wrong beside texts of `forward`, and beside rules that cannot be read.

    A layer that cannot be read has names and tensors that ties and rules may mean, so nothing is looked for beside
    one; nor where sizes are left out, since only a run decides them.

    Args:
        node: the model, as it was parsed.
        init: the rules that can be read.
        problems: what was found so far.
        seed: of what constructors of registered layers draw.
    """
    texts = {each.key for each in problems.found if each.key[-1:] == ("forward",) and each.key[-2] not in _HOLDERS}
    if not texts or any(each.key not in texts and each.key[:1] != ("init",) for each in problems.found):
        return
    further = Problems()
    try:
        instance = resolve(node, further)
        further.check()
        if instance is None:
            return
        _silence(instance, texts)
        skeleton = construct.construct(instance, torch.device("meta"), torch.float32, seed=seed)
        if not skeleton.unsized:
            further.found += [each for each in problems.found if each.key not in texts]
            construct.finish(skeleton, further)
            decide.decide(skeleton, init, args_of(instance), seed, further)
    except ConfigError as error:
        for each in error.problems:
            problems.note(each)


def _silence(instance: Instance, texts: set[Path]) -> None:
    for each in walk(instance):
        if isinstance(each, BlockInstance) and each.block.key / "forward" in texts:
            each.block = replace(each.block, forward=SILENT)
