"""Weights from elsewhere: a safetensors file, or a sharded one's index, matched with a model name by name."""

from __future__ import annotations

import itertools
import os
import pathlib
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from modelzoo import bounds, files
from modelzoo.errors import IN_FULL, ConfigError, Path, Problem, fail, nearest
from modelzoo.escapes import printable
from modelzoo.plans import options
from modelzoo.run import compare
from modelzoo.run.stored import Stored, stored

_TYPED = re.compile(r"[\w.-]+")
"""Names that can be typed as they are."""

PREFIX = 4
"""Parts of a prefix that a name may have more or less."""

COMPARED = 1_000
"""Names beyond which none is looked for that is like a missing one."""


def load_parameters(
    model: nn.Module, path: str | os.PathLike[str], *, strict: bool = True, rename: Mapping[str, str] | None = None
) -> tuple[Problem, ...]:
    """Copies the tensors of a file into a model in place, so that shared and tied tensors stay so.

    The file may be a dump of ours, another's checkpoint (tied tensors under one name or several), or the index of a
    sharded one (`*.safetensors.index.json`). Where no name fits, the names may differ by a prefix, as in
    `module._orig_mod.`: the checkpoint of `transformer` alone loads into a model that holds one, and the other way
    round. Values are converted between floating dtypes. Nothing is changed unless everything fits.

    Args:
        model: any module that is not on meta.
        path: the file.
        strict: whether every tensor of the state dict must be in the file, and nothing else; but for
            `num_batches_tracked`, which older checkpoints lack. Otherwise what is missing or has another shape or
            dtype stays as it is, and what is unexpected is left out.
        rename: other names for tensors of the file, or for what is in front of a dot in them: `{"linear": "fc"}`.

    Returns:
        what is missing, unexpected and does not fit; nothing if `strict`.

    Raises:
        ConfigError: with everything that is missing, unexpected or does not fit; or the file cannot be read.
    """
    return loaded(model, path, strict=strict, rename=rename).left


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What became of a file.

    Attributes:
        left: what is missing, unexpected and does not fit.
        names: of the tensors that have its values now, all that they have in the model.
    """

    left: tuple[Problem, ...]
    names: frozenset[str]


def loaded(
    model: nn.Module, path: str | os.PathLike[str], *, strict: bool = True, rename: Mapping[str, str] | None = None
) -> Loaded:
    """As `load_parameters`, with what was copied."""
    from safetensors import SafetensorError

    for name, wrong in (("load", options.path("load", path)), ("rename", options.renaming("rename", rename))):
        if wrong is not None:
            fail(Path((name,)), *wrong)
    path = pathlib.Path(path)
    with suppress(RuntimeError):  # there is nobody of that name
        path = path.expanduser()
    with ExitStack() as opened:
        try:
            match = _match(path, model, stored(path, opened), rename or {})
            left = [*match.missing, *match.unexpected, *match.misfits]
            if match.disputed or (left and (strict or not match.fitting)):
                raise ConfigError([*_account(path, match), *left])
            with torch.no_grad():
                for target, source, _ in match.fitting:
                    target.copy_(source.read())
        except (OSError, SafetensorError) as error:
            files.fail(path, f"This file cannot be read as safetensors: {error}.", cause=error)
    return Loaded(left=tuple(left), names=frozenset(name for *_, names in match.fitting for name in names))


# --- matching --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """What is missing in a file, unexpected, or does not fit; whether a tensor has two values; what is copied where."""

    missing: list[Problem]
    unexpected: list[Problem]
    misfits: list[Problem]
    disputed: bool
    fitting: list[tuple[Tensor, Stored, list[str]]]


def _match(path: pathlib.Path, model: nn.Module, found: list[Stored], rename: Mapping[str, str]) -> Match:
    homes: dict[Tensor, list[str]] = {}
    for name, value in model.state_dict(keep_vars=True).items():
        if isinstance(value, Tensor):
            homes.setdefault(value, []).append(name)
    wanted = {name: None for names in homes.values() for name in names}  # a set would have an order of chance
    known = _renamed(found, wanted, rename)
    by_name = {name: each for each in found for name in known[each.name]}
    by_name |= {known[each.name][0]: each for each in found}  # what is stored under a name goes before an alias
    fitting: list[tuple[Tensor, Stored, list[str]]] = []
    misfits: list[Problem] = []
    disputed = False
    for target, names in homes.items():
        sources = {by_name[name].name: by_name[name] for name in names if name in by_name}
        wrong = [_problem(path, name, what) for name, each in sources.items() if (what := _misfit(target, each))]
        if sources and not wrong:
            first, *others = sources.values()
            what = f"This and '{first.name}' are one tensor in the model and differ in the file."
            wrong = [_problem(path, each.name, what) for each in others if not _same(first, each, target.dtype)]
            disputed = disputed or bool(wrong)
            fitting.append((target, first, names))
        misfits += wrong
    lacking = [
        names for names in homes.values() if by_name.keys().isdisjoint(names) and not _is_newer(names[0], by_name)
    ]
    extra = [each.name for each in found if not any(name in wanted for name in known[each.name])]
    near = [name for names in lacking for name in names] or [*wanted]
    missing = _each(path, [names[0] for names in lacking], "The file has no such tensor.", extra)
    unexpected = _each(path, extra, "The model has no such tensor.", near)
    if unexpected and not missing and not misfits:  # then none is the misspelt name of another
        unexpected = [replace(each, hint="") for each in unexpected]
        unexpected[0] = replace(unexpected[0], hint="To leave out what the model does not have, type strict=false.")
    if unexpected and missing and _TYPED.fullmatch(extra[0]):
        hint = f"To give it another name, type rename={_mapping(extra[0], [names[0] for names in lacking])}"
        unexpected[0] = replace(unexpected[0], hint=f"{unexpected[0].hint} {hint}".strip())
    return Match(missing=missing, unexpected=unexpected, misfits=misfits, disputed=disputed, fitting=fitting)


def _mapping(name: str, lacking: list[str]) -> str:
    """How a name of a file becomes the first of the model's that ends as it does."""
    parts = name.split(".")
    for other in lacking:
        theirs = other.split(".")
        pairs = zip(reversed(parts), reversed(theirs), strict=False)
        same = len([*itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)])
        if 0 < same < min(len(parts), len(theirs)):
            return f"{{{'.'.join(parts[:-same])}: {'.'.join(theirs[:-same])}}}"
    return f"{{{name}: {lacking[0]}}}"


def _is_newer(name: str, known: Collection[str]) -> bool:
    """Whether a tensor is one that a norm did not have when older checkpoints were written; torch lets it be."""
    owner, _, local = name.rpartition(".")
    return local == "num_batches_tracked" and f"{owner}.running_mean".lstrip(".") in known


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


def _renamed(found: list[Stored], wanted: Mapping[str, None], rename: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """The names of each stored tensor in the model's terms: as written or typed, or with a prefix more or less."""
    names = {each.name: tuple(_typed(one, rename) for one in (each.name, *each.others)) for each in found}
    every = Counter(name for own in names.values() for name in own)
    if any(name in wanted for name in every):
        return names
    fits: Counter[tuple[str, str]] = Counter()
    for name in wanted:
        for head in _heads(name):
            if count := every[name.removeprefix(head)]:
                fits[head, ""] += count
    for name, count in every.items():
        for head in _heads(name):
            if name.removeprefix(head) in wanted:
                fits["", head] += count
    (more, less), most = max(fits.items(), key=lambda each: each[1], default=(("", ""), 0))
    if not most:
        return names
    return {name: tuple(more + each.removeprefix(less) for each in own) for name, own in names.items()}


def _typed(name: str, rename: Mapping[str, str]) -> str:
    """The name of a tensor with its first part that was given another name.

    >>> _typed("linear.weight", {"linear": "fc"}), _typed("linear2.weight", {"linear": "fc"})
    ('fc.weight', 'linear2.weight')
    """
    for old, new in ((str(old), new) for old, new in rename.items()):
        if name == old or name.startswith(f"{old}."):
            return new + name.removeprefix(old)
    return name


def _heads(name: str) -> Iterator[str]:
    """The first parts of a dotted name, with their dots: of `a.b.fc` these are `a.` and `a.b.`."""
    end = 0
    for _ in range(PREFIX):
        end = name.find(".", end) + 1
        if not end:
            return
        yield name[:end]


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
