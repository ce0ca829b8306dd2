"""Weights from elsewhere: a safetensors file, or a sharded one's index, matched with a model name by name."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from modelzoo import files
from modelzoo.dump import METADATA
from modelzoo.errors import IN_FULL, ConfigError, Path, Problem, fail, nearest

INDEX = ".safetensors.index.json"
PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One tensor in a file, not yet read.

    Attributes:
        name: what the file calls it.
        others: the other names it has in a dump of ours.
        file: the open file.
    """

    name: str
    others: tuple[str, ...] = ()
    file: Any

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.file.get_slice(self.name).get_shape())

    @property
    def dtype(self) -> str:
        """As the format writes it: F32, BF16, F8_E4M3, C64, I64, BOOL, ..."""
        return str(self.file.get_slice(self.name).get_dtype())

    def read(self) -> Tensor:
        value: Tensor = self.file.get_tensor(self.name)
        return value


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
    path = pathlib.Path(path).expanduser()
    with ExitStack() as opened:
        try:
            stored = _open(path, opened)
            match = _match(path, model, stored)
            absent = [*match.missing, *match.unexpected]
            if match.misfits or (absent and (strict or not match.fitting)):
                raise ConfigError([*_account(path, match), *absent, *match.misfits])
            with torch.no_grad():
                for target, source in match.fitting:
                    target.copy_(source.read())
        except (OSError, SafetensorError) as error:
            files.fail(path, f"This file cannot be read as safetensors: {error}.", cause=error)
    return tuple(absent)


# --- the file --------------------------------------------------------------------------------------------------------


def _open(path: pathlib.Path, opened: ExitStack) -> list[Stored]:
    """The tensors of a file or of its shards."""
    from safetensors import SafetensorError, safe_open

    if path.suffix.lower() in PICKLES:
        files.fail(
            path,
            "This is a pickle: opening one can run its author's code.",
            "If you trust it, convert it once in Python and load the result: "
            f"safetensors.torch.save_file({{k: v.clone() for k, v in torch.load({str(path)!r}, weights_only=True)"
            f".items()}}, {str(path.with_suffix('.safetensors'))!r})",
        )
    if not path.is_file():
        what = "There is no such file." if not path.exists() else "This is no regular file."
        files.fail(path, what, "Type the path of a .safetensors file: load=FILE")
    found: dict[str, Stored] = {}
    for part in _shards(path) if path.name.endswith(INDEX) else [path]:
        try:
            file = opened.enter_context(safe_open(part, framework="pt"))
        except (OSError, SafetensorError) as error:
            files.fail(part, f"This file cannot be read as safetensors: {error}.", cause=error)
        aliases = _aliases(file.metadata())
        for name in file.keys():  # noqa: SIM118 (not a mapping)
            if name in found:
                files.fail(path, f"Two files of this index hold '{name}'.")
            found[name] = Stored(name=name, others=aliases.get(name, ()), file=file)
    return list(found.values())


def _shards(path: pathlib.Path) -> list[pathlib.Path]:
    try:
        parts = sorted(set(json.loads(path.read_bytes())["weight_map"].values()))
        inside = all(pathlib.PurePath(part).name == part for part in parts)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        files.fail(path, "This index has no 'weight_map' from names to files.", cause=error)
    if not inside:
        files.fail(path, "This index names files outside its own directory.")
    missing = [part for part in parts if not (path.parent / part).is_file()]
    if missing:
        files.fail(path, f"This index names files that are not there: {', '.join(missing)}.")
    return [path.parent / part for part in parts]


def _aliases(metadata: dict[str, str] | None) -> dict[str, tuple[str, ...]]:
    """The other names in a dump of ours; none in any other file."""
    try:
        aliases = json.loads((metadata or {})[METADATA])["aliases"]
        return {name: tuple(map(str, others)) for name, others in aliases.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


# --- matching --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """What is missing in a file, unexpected, or does not fit; and what is copied where."""

    missing: list[Problem]
    unexpected: list[Problem]
    misfits: list[Problem]
    fitting: list[tuple[Tensor, Stored]]


def _match(path: pathlib.Path, model: nn.Module, stored: list[Stored]) -> Match:
    homes: dict[Tensor, list[str]] = {}
    for name, value in model.state_dict(keep_vars=True).items():
        if isinstance(value, Tensor):
            homes.setdefault(value, []).append(name)
    wanted = {name for names in homes.values() for name in names}
    known = _renamed(stored, wanted)
    by_name = {name: each for each in stored for name in known[each.name]}
    by_name |= {known[each.name][0]: each for each in stored}  # what is stored under a name goes before an alias
    fitting: list[tuple[Tensor, Stored]] = []
    misfits: list[Problem] = []
    for target, names in homes.items():
        found = {by_name[name].name: by_name[name] for name in names if name in by_name}
        wrong = [_problem(path, name, what) for name, each in found.items() if (what := _misfit(target, each))]
        if found and not wrong:
            first, *others = found.values()
            what = f"This and '{first.name}' are one tensor in the model and differ in the file."
            wrong = [_problem(path, each.name, what) for each in others if not torch.equal(first.read(), each.read())]
            fitting.append((target, first))
        misfits += wrong
    lacking = [names for names in homes.values() if by_name.keys().isdisjoint(names)]
    extra = [each.name for each in stored if wanted.isdisjoint(known[each.name])]
    near = [name for names in lacking for name in names] or wanted
    missing = _each(path, [names[0] for names in lacking], "The file has no such tensor.", extra)
    unexpected = _each(path, extra, "The model has no such tensor.", near)
    return Match(missing=missing, unexpected=unexpected, misfits=misfits, fitting=fitting)


def _each(path: pathlib.Path, names: list[str], what: str, near: Collection[str]) -> list[Problem]:
    # Hints only for those that are shown in full: comparing every name with every other takes seconds.
    hints = [nearest(name, near) for name in names[:IN_FULL]] + [""] * len(names)
    return [_problem(path, name, what, hint) for name, hint in zip(names, hints, strict=False)]


def _account(path: pathlib.Path, match: Match) -> list[Problem]:
    """How many of each, where not all of them are shown."""
    missing, unexpected, misfits = len(match.missing), len(match.unexpected), len(match.misfits)
    if missing + unexpected + misfits <= IN_FULL:
        return []
    counts = f"{missing} missing, {unexpected} unexpected and {misfits} misfitting tensors"
    return [_problem(path, "", f"The file does not fit this model: {counts}.")]


def _renamed(stored: list[Stored], wanted: Collection[str]) -> dict[str, tuple[str, ...]]:
    """The names of each stored tensor in the model's terms: all as they are, or with one prefix more or less."""
    ways = [("", ""), *((_first(name), "") for name in wanted), *(("", _first(each.name)) for each in stored)]
    best: dict[str, tuple[str, ...]] = {}
    most = -1
    for more, less in dict.fromkeys(ways):
        known = {
            each.name: tuple(more + name.removeprefix(less) for name in (each.name, *each.others)) for each in stored
        }
        fit = sum(name in wanted for names in known.values() for name in names)
        if fit > most:
            best, most = known, fit
        if most and not more + less:
            break
    return best


def _first(name: str) -> str:
    """The first part of a dotted name, with its dot."""
    head, dot, _ = name.partition(".")
    return head + dot if dot else ""


def _misfit(target: Tensor, source: Stored) -> str:
    """What keeps a stored tensor from being copied into `target`; "" if nothing does."""
    if target.is_meta:
        return "The model is on meta and holds no values."
    if source.shape != tuple(target.shape):
        return f"The shape is {list(source.shape)} in the file and {list(target.shape)} in the model."
    dtype = source.dtype
    stored = "floating" if dtype.startswith(("F", "BF")) else "complex" if dtype.startswith("C") else "integer"
    wanted = "floating" if target.is_floating_point() else "complex" if target.is_complex() else "integer"
    if stored != wanted:
        return f"The dtype is {dtype} in the file and {target.dtype} in the model."
    return ""


def _problem(path: pathlib.Path, name: str, what: str, hint: str = "") -> Problem:
    return Problem(where=str(path), path=name, what=what, hint=hint)
