"""Ways out of a model and back: what comes back has to be the same."""

from __future__ import annotations

import copy
import dataclasses
import pathlib
import pickle
import tempfile
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from modelzoo.errors import Path, fail
from modelzoo.modules import gradients
from modelzoo.modules.homes import homes, tensors_of
from modelzoo.run import compare, load, save
from modelzoo.testing.subject import Built, build, forward


def _save_load(built: Built) -> nn.Module:
    """Written by the dump, and read into a model that was built with another seed."""
    options = {**built.config.options, "seed": built.draft.plan.seed + 1, "load": None}
    other = build(dataclasses.replace(built.config, options=options))
    with tempfile.TemporaryDirectory() as folder:
        save.write_parameters(folder, built.draft.plan, built.model)
        load.load_parameters(other.model, pathlib.Path(folder, "parameters.safetensors"))
    return other.model


def _pickle(built: Built) -> nn.Module:
    back: nn.Module = pickle.loads(pickle.dumps(built.model))
    return back


def _source(built: Built) -> nn.Module:
    """Exported to plain Python, which is run, and given the same state."""
    try:
        from modelzoo.export.source.model import source
    except ImportError as error:
        fail(Path(("round_trip",)), "the export to source is not available", cause=error)
    plan, given = built.draft.plan, {"model": built.config.model, "init": built.config.init}
    names: dict[str, Any] = {"__name__": "model"}
    exec(compile(source(given, seed=plan.seed, dtype=plan.dtype), "model.py", "exec"), names)
    back: nn.Module = names["Model"]()
    back.load_state_dict(built.model.state_dict())
    return back.train(built.model.training)


ROUND_TRIPS: dict[str, Callable[[Built], nn.Module]] = {
    "save_load": _save_load,
    "deepcopy": lambda built: copy.deepcopy(built.model),
    "pickle": _pickle,
    "source": _source,
}


def changed_by_trip(built: Built, back: nn.Module) -> str:
    """What is different in a model that came back; empty if nothing is."""
    before, after = built.names, tensors_of(back, every=True)
    if list(before) != list(after):
        missing = [name for name in before if name not in after] + [name for name in after if name not in before]
        return f"other names: {', '.join(missing) or 'in another order'}"
    for name in before:
        if not compare.identical(before[name], after[name]):
            return f"{name}: {compare.difference(after[name], before[name])}"
    if _homes(before) != _homes(after):
        lost = sorted(_homes(before).symmetric_difference(_homes(after)))
        return "tensors that are shared otherwise: " + "; ".join(", ".join(each) for each in lost)
    if built.inputs:
        outputs = zip(gradients.tensors(forward(built)), gradients.tensors(forward(built, model=back)), strict=True)
        for one, other in outputs:
            if not compare.identical(one, other):
                return f"another output: {compare.difference(other, one)}"
    return ""


def _homes(names: dict[str, Tensor]) -> set[tuple[str, ...]]:
    """Which names are one tensor."""
    return {tuple(each) for each in homes(names.items()).values() if len(each) > 1}
