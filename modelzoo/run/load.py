"""Weights from elsewhere: a safetensors file, or a sharded one's index, matched with a model name by name."""

from __future__ import annotations

import os
import pathlib
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from modelzoo import bounds, files
from modelzoo.errors import IN_FULL, ConfigError, Path, Problem, fail, nearest
from modelzoo.escapes import printable
from modelzoo.run import compare
from modelzoo.run.stored import Stored, stored

COMPARED = 1_000
"""Names beyond which none is looked for that is like a missing one."""


def load_parameters(model: nn.Module, path: str | os.PathLike[str], *, strict: bool = True) -> tuple[Problem, ...]:
    """Copies the tensors of a file into a model in place, so that shared and tied tensors stay so.

    The file may be a dump of ours, another's checkpoint (tied tensors under one name or several), or the index of a
    sharded one (`*.safetensors.index.json`). Where no name fits, the names may differ by one prefix: the checkpoint
    of `transformer` alone loads into a model that holds one, and the other way round. Values are converted between
    floating dtypes. Nothing is changed unless everything fits.

    Args:
        model: any module that is not on meta.
        path: the file.
        strict: whether every tensor of the state dict must be in the file, and nothing else. Otherwise what is
            missing stays as it is and what is unexpected is left out.

    Returns:
        what is missing and unexpected; nothing if `strict`.

    Raises:
        ConfigError: with everything that is missing, unexpected or does not fit; or the file cannot be read.
    """
    from safetensors import SafetensorError

    if not isinstance(path, (str, os.PathLike)):
        fail(Path(("load",)), f"load must be the path of a file, not {path!r}.", "Type load=FILE.")
    path = pathlib.Path(path)
    with suppress(RuntimeError):  # there is nobody of that name
        path = path.expanduser()
    with ExitStack() as opened:
        try:
            match = _match(path, model, stored(path, opened))
            absent = [*match.missing, *match.unexpected]
            if match.misfits or (absent and (strict or not match.fitting)):
                raise ConfigError([*_account(path, match), *absent, *match.misfits])
            with torch.no_grad():
                for target, source in match.fitting:
                    target.copy_(source.read())
        except (OSError, SafetensorError) as error:
            files.fail(path, f"This file cannot be read as safetensors: {error}.", cause=error)
    return tuple(absent)


# --- matching --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """What is missing in a file, unexpected, or does not fit; and what is copied where."""

    missing: list[Problem]
    unexpected: list[Problem]
    misfits: list[Problem]
    fitting: list[tuple[Tensor, Stored]]


def _match(path: pathlib.Path, model: nn.Module, found: list[Stored]) -> Match:
    homes: dict[Tensor, list[str]] = {}
    for name, value in model.state_dict(keep_vars=True).items():
        if isinstance(value, Tensor):
            homes.setdefault(value, []).append(name)
    wanted = {name: None for names in homes.values() for name in names}  # a set would have an order of chance
    known = _renamed(found, wanted)
    by_name = {name: each for each in found for name in known[each.name]}
    by_name |= {known[each.name][0]: each for each in found}  # what is stored under a name goes before an alias
    fitting: list[tuple[Tensor, Stored]] = []
    misfits: list[Problem] = []
    for target, names in homes.items():
        sources = {by_name[name].name: by_name[name] for name in names if name in by_name}
        wrong = [_problem(path, name, what) for name, each in sources.items() if (what := _misfit(target, each))]
        if sources and not wrong:
            first, *others = sources.values()
            what = f"This and '{first.name}' are one tensor in the model and differ in the file."
            wrong = [_problem(path, each.name, what) for each in others if not _same(first, each, target.dtype)]
            fitting.append((target, first))
        misfits += wrong
    lacking = [names for names in homes.values() if by_name.keys().isdisjoint(names)]
    extra = [each.name for each in found if not any(name in wanted for name in known[each.name])]
    near = [name for names in lacking for name in names] or [*wanted]
    missing = _each(path, [names[0] for names in lacking], "The file has no such tensor.", extra)
    unexpected = _each(path, extra, "The model has no such tensor.", near)
    return Match(missing=missing, unexpected=unexpected, misfits=misfits, fitting=fitting)


def _each(path: pathlib.Path, names: list[str], what: str, near: Collection[str]) -> list[Problem]:
    # Hints only for those that are shown in full: comparing every name with every other takes seconds.
    looked = IN_FULL if len(near) <= COMPARED else 0
    hints = [nearest(name, near) for name in names[:looked]] + [""] * len(names)
    return [_problem(path, name, what, hint) for name, hint in zip(names, hints, strict=False)]


def _account(path: pathlib.Path, match: Match) -> list[Problem]:
    """How many of each, where not all of them are shown."""
    missing, unexpected, misfits = len(match.missing), len(match.unexpected), len(match.misfits)
    if missing + unexpected + misfits <= IN_FULL:
        return []
    counts = f"{missing} missing, {unexpected} unexpected and {misfits} misfitting tensors"
    return [_problem(path, "", f"The file does not fit this model: {counts}.")]


def _renamed(found: list[Stored], wanted: Mapping[str, None]) -> dict[str, tuple[str, ...]]:
    """The names of each stored tensor in the model's terms: all as they are, or with one prefix more or less."""
    names = {each.name: (each.name, *each.others) for each in found}
    every = Counter(name for own in names.values() for name in own)
    if any(name in wanted for name in every):
        return names
    fits: Counter[tuple[str, str]] = Counter()
    for name in wanted:
        if head := _first(name):
            fits[head, ""] += every[name.removeprefix(head)]
    for name, count in every.items():
        if name.removeprefix(_first(name)) in wanted:
            fits["", _first(name)] += count
    (more, less), most = max(fits.items(), key=lambda each: each[1], default=(("", ""), 0))
    if not most:
        return names
    return {name: tuple(more + each.removeprefix(less) for each in own) for name, own in names.items()}


def _first(name: str) -> str:
    """The first part of a dotted name, with its dot."""
    head, dot, _ = name.partition(".")
    return head + dot if dot else ""


def _misfit(target: Tensor, source: Stored) -> str:
    """What keeps a stored tensor from being copied into `target`; "" if nothing does."""
    if target.is_meta:
        return "The model is on meta and holds no values."
    shape = source.shape
    if len(shape) > bounds.DIMENSIONS:
        return f"It has {len(shape):,} dimensions in the file and {target.ndim} in the model."
    if shape != tuple(target.shape):
        return f"The shape is {list(shape)} in the file and {list(target.shape)} in the model."
    if source.dtype is None or _kind(source.dtype) != _kind(target.dtype):
        return f"The dtype is {source.written} in the file and {target.dtype} in the model."
    return ""


def _kind(dtype: torch.dtype) -> str:
    return "floating" if dtype.is_floating_point else "complex" if dtype.is_complex else "integer"


def _same(one: Stored, other: Stored, dtype: torch.dtype) -> bool:
    """Whether a model would get the same values from both."""
    return compare.identical(one.read().to(dtype), other.read().to(dtype))


def _problem(path: pathlib.Path, name: str, what: str, hint: str = "") -> Problem:
    one_line = printable(what, lines=False), printable(hint, lines=False)
    return Problem(where=str(path), path=name, what=one_line[0], hint=one_line[1])
