"""What a change of a model means for its weights: which still fit, and with which line."""

from __future__ import annotations

import pathlib
from dataclasses import dataclass

import torch
from torch import Tensor

from modelzoo.diff.pairing import Pairs
from modelzoo.diff.renames import MOST, moved, rules_of
from modelzoo.diff.snapshots import Held, Snapshot
from modelzoo.diff.spans import globs
from modelzoo.diff.tensor_changes import both
from modelzoo.errors import ConfigError
from modelzoo.weights import repairs
from modelzoo.weights.matching import Match, match
from modelzoo.weights.names import Naming, Target
from modelzoo.weights.request import Request
from modelzoo.weights.stored import Content, Stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """What an old checkpoint is to a new model.

    Attributes:
        fit: how many of its tensors go into the new model, of how many.
        line: what to type so that they do; empty where no such line is known.
    """

    fit: int
    of: int
    line: str


def carried(before: Snapshot, after: Snapshot, pairs: Pairs) -> Carried:
    """What a checkpoint of one model is to another; the line was tried on the names and shapes of both."""
    content = Content(tensors=tuple(map(_stored, _kept(before))), ordered=False)
    targets = [Target(tensor=_empty(each), names=each.homes) for each in _kept(after)]
    plain = Request(file=pathlib.Path("FILE"))
    of = len(content.tensors)
    found = _tried(content, targets, plain)
    if found is not None and not found.left:
        return Carried(fit=_count(found), of=of, line="load=FILE")
    moves = moved(before, after, pairs)
    if len(moves) > MOST:
        same = [each for each in both(before, after, pairs) if each.one.persistent and each.one.shape == each.two.shape]
        return Carried(fit=len({each.one.name for each in same}), of=of, line="")
    rules = tuple(rules_of(moves, [each.name for each in _kept(before)]))
    naming = Naming(targets, Request(file=plain.file, rename=rules))
    if (found := _matched(content, naming)) is not None:
        rules = tuple(each for each in rules if ("rename", each.old) in naming.used)  # others are refused
        found = _tried(content, targets, Request(file=plain.file, rename=rules))
    if found is None:
        return Carried(fit=0, of=of, line="")
    names = [home for each in targets for home in each.names]
    known = [*names, *found.unexpected]
    left = [home for each in found.missing for home in each.names]
    skip = tuple(globs([*left, *found.unexpected, *(each.name for each in found.misfits)], dict.fromkeys(known)))
    tried = _tried(content, targets, Request(file=plain.file, rename=rules, skip=skip))
    if tried is None or tried.left or not tried.placements:
        return Carried(fit=_count(found), of=of, line="")
    parts = [repairs.typed(rules)] if rules else []
    parts += [f"'load.skip=[{','.join(skip)}]'"] if skip else []
    return Carried(fit=_count(tried), of=of, line=" ".join(["load=FILE", *parts]))


def _count(found: Match) -> int:
    """How many tensors of the file are used: one may go into several of a model."""
    return len({each.piece.name for each in found.placements})


def _kept(whole: Snapshot) -> list[Held]:
    return [each for each in whole.tensors.values() if each.persistent]


def _stored(held: Held) -> Stored:
    dtype: torch.dtype = getattr(torch, held.dtype)
    first, *others = held.homes
    return Stored(
        path=tuple(first.split(".")),
        shape=held.shape,
        written=held.dtype,
        dtype=dtype,
        read=lambda: _empty(held),
        others=tuple(others),
    )


def _empty(held: Held) -> Tensor:
    return torch.empty(held.shape, dtype=getattr(torch, held.dtype), device="meta")


def _tried(content: Content, targets: list[Target], request: Request) -> Match | None:
    return _matched(content, Naming(targets, request))


def _matched(content: Content, naming: Naming) -> Match | None:
    try:
        return match(content, naming, lambda *_: True)
    except ConfigError:
        return None
