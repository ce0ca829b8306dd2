"""What a test says about the output of the forward pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from modelzoo.errors import Path
from modelzoo.modules import gradients
from modelzoo.run import compare
from modelzoo.testing import tensor_facts
from modelzoo.testing.case import Fact, Output, Same
from modelzoo.testing.found import Found
from modelzoo.testing.subject import Built, build, copy_weights, forward


def output(found: Found, built: Built, fact: Fact) -> None:
    """`output`: of the forward pass on the example inputs."""
    _nested(found, built, forward(built), fact.value, fact.key)


def _nested(found: Found, built: Built, output: Any, wanted: Output, key: Path) -> None:
    """A tensor, or a tuple or dict of outputs."""
    if isinstance(wanted, tuple):
        for fact in wanted:
            if isinstance(fact.value, Same):
                _same_output(found, built, fact, output)
            elif isinstance(output, Tensor):
                tensor_facts.value(found, output, fact)
            elif isinstance(output, (bool, int, float)):
                tensor_facts.value(found, torch.tensor(output), fact)
            else:
                found.add(fact.key, "a tensor", compare.kind(output))
    elif isinstance(wanted, dict):
        if not isinstance(output, Mapping):
            found.add(key, "a dict", compare.kind(output))
            return
        for name, each in wanted.items():
            if name in output:
                _nested(found, built, output[name], each, key / name)
            else:
                found.add(key / name, f"an output '{name}'", ", ".join(map(str, output)) or "an empty dict")
    elif not isinstance(output, (tuple, list)) or len(output) != len(wanted):
        found.add(key, f"{len(wanted)} outputs", compare.kind(output))
    else:
        for index, each in enumerate(wanted):
            _nested(found, built, output[index], each, key / index)


def _same_output(found: Found, built: Built, fact: Fact, output: Any) -> None:
    """Whether another config gives the same output with the same weights."""
    wanted: Same = fact.value
    key = fact.key
    written = found.configs.document.find(key / "config")
    other = build(found.configs.open(wanted.given, key=key / "config" if written and written.depth > len(key) else key))
    problem = copy_weights(built.model, other.model)
    if problem:
        found.add(key, "a model that can take the same weights", problem)
        return
    other.inputs = dict(zip(other.inputs or built.inputs, built.inputs.values(), strict=False))
    theirs = forward(other)
    mine, others = list(gradients.tensors(output)), list(gradients.tensors(theirs))
    if len(mine) != len(others):
        found.add(key, "the same output", f"{compare.kind(output)} and {compare.kind(theirs)}")
    for one, two in zip(mine, others, strict=False):
        apart = None
        if one.shape != two.shape or one.dtype != two.dtype:
            apart = f"{compare.dtype(one)} {list(one.shape)} and {compare.dtype(two)} {list(two.shape)}"
        elif not compare.identical(one, two) and not compare.all_close(one, two, wanted.within):
            apart = compare.difference(one, two)
        if apart:
            found.add(key, f"the same output{f' within {wanted.within:g}' * (wanted.within > 0)}", apart)
