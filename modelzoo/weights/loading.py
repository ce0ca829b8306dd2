"""The way of a file into a model on one page: opened, matched, refused or placed."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import torch
from torch import nn

from modelzoo import files
from modelzoo.errors import ConfigError, Problem
from modelzoo.parts import put
from modelzoo.weights import refusal
from modelzoo.weights.formats import opened
from modelzoo.weights.matching import Match, match
from modelzoo.weights.names import Naming, targets_of
from modelzoo.weights.pieces import Piece, agree
from modelzoo.weights.request import Request
from modelzoo.weights.sections import section


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What became of a file.

    Attributes:
        file: its path.
        key: what the weights stand under in it; "" if that was no question.
        match: what went where, and what is left.
        left: what is missing, unexpected and does not fit, in words.
        done: whether the values were read, and not only planned to be.
    """

    file: pathlib.Path
    key: str
    match: Match
    left: tuple[Problem, ...]
    done: bool = False

    @property
    def fills(self) -> dict[str, str]:
        """Of each name of the model that the file decides, where its value stands: `x.safetensors#fc.weight`."""
        start = self.file.name + "#" + (f"{self.key}." if self.key else "")
        return {name: start + each.piece.name for each in self.match.placements for name in each.target.names}


def load(model: nn.Module, request: Request) -> Loaded:
    """Copies the tensors of a file into a model in place, one at a time, so that shared and tied ones stay so.

    Values are converted between floating dtypes. Nothing is changed unless everything fits.

    Args:
        model: any module that is not on meta.

    Raises:
        ConfigError: with everything that is missing, unexpected or does not fit; or the file cannot be read.
    """
    with ExitStack() as stack:
        found = _decided(model, request, stack, agree)
        on_meta = [each for each in found.match.placements if each.target.tensor.is_meta]
        if on_meta:
            what = "The model is on meta and holds no values."
            raise ConfigError(Problem(where=str(request.file), path=each.name, what=what) for each in on_meta)
        with torch.no_grad(), _read_errors(request.file):
            for each in found.match.placements:
                put(each.target.tensor, each.piece.read())
    return replace(found, done=True)


def planned(model: nn.Module, request: Request) -> Loaded:
    """What `load` would do, from what a file says of its tensors; no value is read, and a model may be on meta."""
    with ExitStack() as stack:
        return _decided(model, request, stack, lambda *_: True)


def _decided(
    model: nn.Module, request: Request, stack: ExitStack, same: Callable[[Piece, Piece, torch.dtype], bool]
) -> Loaded:
    """What goes where, if that is all."""
    targets = targets_of(model)
    path = request.file
    with _read_errors(path):
        content, key = section(path, opened(path, stack), request.key)

        def attempt(request: Request) -> Match | None:
            try:
                return match(content, Naming(targets, request), lambda *_: True)
            except ConfigError:
                return None

        naming = Naming(targets, request)
        found = match(content, naming, same)
    refused = found.disputed or (found.left and (request.strict or not found.placements))
    names = [each.name for each in content.tensors]
    left = refusal.left(path, found, request, targets, attempt if refused else None)
    idle = refusal.idle(request, naming, names)
    if refused or idle:
        raise ConfigError([*idle, *(left.all() if refused else [])])
    return Loaded(file=path, key=key, match=found, left=tuple(left.all()))


@contextmanager
def _read_errors(path: pathlib.Path) -> Iterator[None]:
    """What goes wrong while a file is read, as a problem with it."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError) as error:
        files.fail(path, f"This file cannot be read: {error}.", cause=error)
