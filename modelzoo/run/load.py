"""Weights from elsewhere in a job: loaded as its options say, and told."""

from __future__ import annotations

import os
from collections.abc import Mapping

from torch import nn

from modelzoo.errors import Problem
from modelzoo.escapes import printable
from modelzoo.terminal import say
from modelzoo.weights import listing, loading
from modelzoo.weights.request import Request, parsed


def load_parameters(
    model: nn.Module, path: str | os.PathLike[str], *, strict: bool = True, rename: Mapping[str, str] | None = None
) -> tuple[Problem, ...]:
    """Copies the tensors of a file into a model in place, so that shared and tied tensors stay so.

    The file may be a dump of ours, another's checkpoint (tied tensors under one name or several), the index of a
    sharded one (`*.index.json`), what `torch.save` wrote, an `.npz`, or a folder of `torch.distributed.checkpoint`.
    What wrappers put in front of names, as in `module._orig_mod.`, is taken away if all names fit then. Values are
    converted between floating dtypes. Nothing is changed unless everything fits.

    Args:
        model: any module that is not on meta.
        path: the file.
        strict: whether every tensor of the state dict must be in the file, and nothing else; but for
            `num_batches_tracked`, which older checkpoints lack, and known constants. Otherwise what is missing or has
            another shape or dtype stays as it is, and what is unexpected is left out.
        rename: regular expressions, and what takes the place of what they find in the names of the file.

    Returns:
        what is missing, unexpected and does not fit; nothing if `strict`.

    Raises:
        ConfigError: with everything that is missing, unexpected or does not fit; or the file cannot be read.
    """
    return loading.load(model, parsed({"file": path, "strict": strict, "rename": rename})).left


def loaded(model: nn.Module, request: Request | None) -> loading.Loaded | None:
    """Puts weights into a model, if that is asked."""
    return None if request is None else loading.load(model, request)


def planned(model: nn.Module, request: Request | None) -> loading.Loaded | None:
    """As `loaded`, but nothing is loaded and no value read: the model may be on meta."""
    return None if request is None else loading.planned(model, request)


summary = listing.summary


def told(found: loading.Loaded | None) -> dict[str, str]:
    """Prints what went where, and returns where the value of each tensor stands, by its names in the model."""
    if found is None:
        return {}
    for problem in found.left:
        place = printable(f"{problem.where}  {problem.path}", lines=False)
        say(f"warning: {place}: {problem.what} {problem.hint}".rstrip())
    say(listing.text(found))
    return found.fills
