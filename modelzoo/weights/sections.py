"""Under which key of a file its weights stand: a trainer's checkpoint holds more than one model."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable
from dataclasses import replace

from modelzoo import files
from modelzoo.errors import nearest
from modelzoo.escapes import printable
from modelzoo.weights.stored import Content, Stored

WEIGHTS = (
    *("state_dict", "model_state_dict", "model_state", "model", "module", "net", "network", "weights", "params"),
    *("ema", "ema_state_dict", "state_dict_ema", "model_ema", "ema_model", "params_ema"),
)
"""Keys under which a trainer keeps the weights of a whole model."""

_OTHERS = ("optim", "sched", "scaler", "callback", "loop", "rng", "grad")
"""What the names of keys begin with under which it keeps anything else."""


def section(path: pathlib.Path, found: Content, key: str) -> tuple[Content, str]:
    """The weights in a file, with the names that they have below its key.

    Args:
        key: "" where a file has only one choice, which is taken.

    Returns:
        What is below the key, and the key.

    Raises:
        ConfigError: there is no such key, or several would do.
    """
    if key:
        inside = _below(found, key)
        if not inside.tensors:
            names = dict.fromkeys(part for each in found.tensors for part in _heads(each))
            files.fail(path, f"There is no '{key}' in this file.", printable(nearest(key, names), lines=False))
        return inside, key
    keys = dict.fromkeys(each.path[0] for each in found.tensors if len(each.path) > 1)
    at_root = any(len(each.path) == 1 for each in found.tensors)
    known = [each for each in keys if each in WEIGHTS]
    others = [] if at_root else [each for each in keys if not each.startswith(_OTHERS)]
    chosen = known or others
    if not chosen:
        return found, ""
    if len(chosen) > 1:
        shown = " and ".join(f"'{printable(each[:80], lines=False)}'" for each in chosen[:10])
        what = f"This file holds weights under {shown}."
        files.fail(path, what, f"Type which: load.key={printable(chosen[0][:80], lines=False)}")
    return _below(found, chosen[0], dotted=False), chosen[0]


def _heads(each: Stored) -> Iterable[str]:
    parts = each.path[:-1] or each.path[0].split(".")[:-1]
    return (".".join(parts[: end + 1]) for end in range(len(parts)))


def _below(found: Content, key: str, dotted: bool = True) -> Content:
    """What stands under a key; `dotted`, it may lead several levels down, and into names."""
    start = f"{key}."
    tensors = tuple(
        replace(each, path=(each.name[len(start) :],), others=_inside(each.others, start))
        for each in found.tensors
        if (each.name.startswith(start) if dotted else each.path[0] == key)
    )
    return replace(found, tensors=tensors)


def _inside(names: tuple[str, ...], start: str) -> tuple[str, ...]:
    return tuple(each.removeprefix(start) for each in names if each.startswith(start))
