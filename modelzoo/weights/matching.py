"""What of a file goes where, and what does not fit: decided from names, shapes and dtypes, before a value is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from modelzoo import bounds
from modelzoo.weights import pieces
from modelzoo.weights.constants import is_known
from modelzoo.weights.names import Named, Naming, Target, named
from modelzoo.weights.pieces import Piece
from modelzoo.weights.stored import Content, Stored
from modelzoo.weights.wrappers import Wrapping

Same = Callable[[Piece, Piece, torch.dtype], bool]
"""Whether a model would get the same values from two pieces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """A tensor of a model, and what is put into it; `name` is the one of its names that led there."""

    target: Target
    name: str
    piece: Piece


@dataclass(frozen=True, slots=True)
class Misfit:
    """A name of the model for which the file has something that does not fit, and why.

    Attributes:
        size: whether that is its shape alone.
        disputed: whether the file has several values for it.
    """

    name: str
    what: str
    size: bool = False
    disputed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """What goes where, and what is left.

    Attributes:
        placements: what is put where.
        missing: tensors of the model that the file does not have.
        unexpected: names that the model does not have, each with its tensor in the file.
        misfits: what does not fit.
        constants: tensors of the file that models can do without.
        skipped: how many tensors of the file were left out on purpose.
        wrapping: what was taken from the names of the file.
    """

    placements: list[Placement] = field(default_factory=list)
    missing: list[Target] = field(default_factory=list)
    unexpected: dict[str, Stored] = field(default_factory=dict)
    misfits: list[Misfit] = field(default_factory=list)
    constants: list[Stored] = field(default_factory=list)
    skipped: list[Stored] = field(default_factory=list)
    wrapping: Wrapping

    @property
    def left(self) -> int:
        """How many do not fit."""
        return len(self.missing) + len(self.unexpected) + len(self.misfits)

    @property
    def disputed(self) -> bool:
        """Whether the file has several values for a tensor."""
        return any(each.disputed for each in self.misfits)


def match(content: Content, naming: Naming, same: Same) -> Match:
    """What of a file goes where.

    Args:
        same: compares what a file has for several names of one tensor.

    Raises:
        ConfigError: the names fit in several ways.
    """
    known, wrapping = named(content, naming)
    found = Match(wrapping=wrapping)
    sources = _sources(known, naming, found)
    present = dict.fromkeys(sources)
    for target in naming.targets:
        if naming.lacking(target, present):
            if not any(each.name in target.names for each in found.misfits):
                found.missing.append(target)
            continue
        given = {name: piece for name in target.names if (piece := _given(name, target, sources, naming, found))}
        wrong = [bad for name, piece in given.items() if (bad := misfit(name, target, piece)) is not None]
        found.misfits.extend(wrong)
        if given and not wrong:
            (name, first), *others = ({piece.name: (name, piece) for name, piece in given.items()}).values()
            what = f"This and '{first.name}' are one tensor in the model and differ in the file."
            differing = [
                Misfit(piece.name, what, disputed=True)
                for _, piece in others
                if not same(first, piece, target.tensor.dtype)
            ]
            found.misfits.extend(differing)
            found.placements.append(Placement(target=target, name=name, piece=first))
    return found


def _sources(known: list[Named], naming: Naming, found: Match) -> dict[str, Piece]:
    """What the file has, by name in the model; what is stored under a name goes before an alias."""
    sources: dict[str, Piece] = {}
    aliases: dict[str, Piece] = {}
    for each in known:
        first, *others = each.names
        if not any(map(naming.fits, each.names)):
            if is_known(each.stored):
                found.constants.append(each.stored)
            else:
                new = (name for name in naming.produced(first) if name not in naming.known)
                found.unexpected.update(dict.fromkeys(new, each.stored))
            continue
        if not any(part in naming.expected for name in each.names for part in naming.produced(name)):
            found.skipped.append(each.stored)
            continue
        for name, piece in _parts(each.stored, first, naming, found):
            if name in sources and sources[name].name != piece.name:
                what = f"'{sources[name].name}' and '{piece.name}' of the file would both be this tensor."
                found.misfits.append(Misfit(name, what, disputed=True))
            sources[name] = piece
        for other in others:
            aliases |= dict(_parts(each.stored, other, naming, found))
    return {**aliases, **sources}


def _parts(stored: Stored, name: str, naming: Naming, found: Match) -> list[tuple[str, Piece]]:
    """A tensor of the file as what the model knows it as: one, or what it is split into."""
    piece = pieces.whole(stored)
    if naming.means("transpose", stored.name, name):
        piece = pieces.turned(piece)
    names = naming.produced(name)
    if names == (name,):
        return [(name, piece)]
    sizes = [naming.known[each].tensor.shape[:1] for each in names if each in naming.known]
    cut = pieces.cut(piece, [each[0] for each in sizes if each]) if len(sizes) == len(names) else []
    if not cut:
        rows = " + ".join(str(each[0]) for each in sizes if each) or "no"
        what = f"The shape of '{piece.name}' is {list(piece.shape)} in the file, and the model has {rows} rows for it."
        found.misfits.append(Misfit(names[0], what, size=True))
    return [
        (part, pieces.turned(each) if naming.means("transpose", part) else each)
        for part, each in zip(names, cut, strict=False)
    ]


def _given(name: str, target: Target, sources: dict[str, Piece], naming: Naming, found: Match) -> Piece | None:
    """What there is for a name; None if it is not there, or not asked for."""
    wanted = naming.parts.get(name, ())
    parts = [sources[part] for part in wanted if part in sources]
    if not parts or len(parts) < len(wanted):
        return None
    if not pieces.joinable(parts):
        shapes = ", ".join(f"{each.written} {list(each.shape)}" for each in parts)
        found.misfits.append(Misfit(name, f"Its parts in the file cannot be joined: {shapes}."))
        return None
    piece = pieces.joined(parts) if len(parts) > 1 else parts[0]
    if wanted != (name,) and naming.means("transpose", name):
        piece = pieces.turned(piece)
    shape = tuple(target.tensor.shape)
    return pieces.reshaped(piece, shape) if naming.means("reshape", name, piece.name) else piece


def misfit(name: str, target: Target, piece: Piece) -> Misfit | None:
    """What keeps a piece from being put into a tensor; None if nothing does."""
    shape, wanted = piece.shape, target.tensor
    if len(shape) > bounds.DIMENSIONS:
        return Misfit(name, f"It has {len(shape):,} dimensions in the file and {wanted.ndim} in the model.")
    if shape != tuple(wanted.shape):
        what = f"The shape is {list(shape)} in the file and {list(wanted.shape)} in the model."
        return Misfit(name, what, size=True)
    if piece.dtype is None or _kind(piece.dtype) != _kind(wanted.dtype):
        return Misfit(name, f"The dtype is {piece.written} in the file and {wanted.dtype} in the model.")
    return None


def _kind(dtype: torch.dtype) -> str:
    return "floating" if dtype.is_floating_point else "complex" if dtype.is_complex else "integer"
