"""The models that a command compares, as they are typed: names and files with overrides, runs, old revisions."""

from __future__ import annotations

import pathlib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelzoo.cli import revisions
from modelzoo.cli.typed import read_typed
from modelzoo.config import config, modelfile
from modelzoo.config.config import Config
from modelzoo.errors import ConfigError, Locate, Problem, located, nearest
from modelzoo.plans.options import Options

if TYPE_CHECKING:
    from modelzoo.diff.snapshots import Snapshot
    from modelzoo.plans.draft import Draft

FILES = ("parameters.safetensors", "model.yaml")
"""What the directory of a run says of its model, the better one first."""


@dataclass(frozen=True, slots=True)
class Side:
    """A model as it was typed: what it is, and the overrides behind it."""

    target: str
    overrides: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " ".join((self.target.removeprefix("model="), *self.overrides))


def sides(words: Sequence[str]) -> list[Side]:
    """The models of a command line: an override belongs to the model before it.

    Raises:
        ConfigError: an override comes first.

    >>> [str(each) for each in sides(["gpt2", "gpt2", "model.args.layers=6"])]
    ['gpt2', 'gpt2 model.args.layers=6']
    """
    found: list[Side] = []
    for word in words:
        target, *overrides = [word] if pathlib.Path(word).exists() else _split(word)
        if modelfile.is_override(target) and not target.startswith("model="):
            if not found:
                hint = f"Type the model before it: python -m modelzoo diff NAME NAME {word}"
                raise ConfigError([Problem(where="command line", path=word, what="This changes no model.", hint=hint)])
            found[-1] = Side(found[-1].target, (*found[-1].overrides, word))
        else:
            found.append(Side(target, tuple(overrides)))
    return found


def _split(word: str) -> list[str]:
    """A model with its overrides as one word, or a word."""
    if modelfile.is_override(word.partition(" ")[0]):
        return [word]
    try:
        return shlex.split(word) or [word]
    except ValueError:  # a quote that is never closed
        return [word]


def taken(side: Side) -> tuple[Snapshot, Draft | None]:
    """What a model is, and its draft; a lock has none.

    Raises:
        ConfigError: everything that is wrong with it.
    """
    from modelzoo.diff import locks, snapshots

    if side.target.endswith(locks.SUFFIX):
        if side.overrides:
            what = "A lock is what it is, and nothing changes it."
            raise ConfigError([Problem(where="command line", path=str(side), what=what, hint="Leave the rest out.")])
        return locks.read(pathlib.Path(side.target)).model, None
    draft = drafted(side)
    return snapshots.snapshot(draft), draft


def drafted(side: Side) -> Draft:
    """The draft of a model, without values.

    Raises:
        ConfigError: everything that is wrong with it.
    """
    if side.target.startswith(revisions.MARK):
        old = revisions.revision(side.target)
        with revisions.checked_out(old) as path:
            return _composed(path.stem, side.overrides) if old.group == "model" else _of_file(str(path), side.overrides)
    path = pathlib.Path(side.target)
    if path.is_dir():
        found = next((path / each for each in FILES if (path / each).is_file()), None)
        if found is None:
            what = "There is no run in this directory."
            raise ConfigError([Problem(where=side.target, what=what, hint=f"It has none of {' and '.join(FILES)}.")])
        return _of_file(str(found), side.overrides)
    if modelfile.is_file(side.target):
        return _of_file(side.target, side.overrides)
    return _composed(side.target.removeprefix("model="), side.overrides)


def _composed(name: str, overrides: Sequence[str]) -> Draft:
    from modelzoo.config import compose, search_path

    known = search_path.options("model")
    if name not in known:
        what = f"There is no config '{name}'."
        raise ConfigError([Problem(where="command line", path=name, what=what, hint=nearest(name, known))])
    given = compose.compose([f"model={name}", *overrides])
    return _drafted(given, given.options, given.locate)


def _of_file(file: str, overrides: Sequence[str]) -> Draft:
    typed = read_typed(overrides)
    given = config.from_mapping(file, typed.init, typed.overrides, typed.groups)
    return _drafted(given, typed.over(given.options), typed.locate(given.locate))


def _drafted(given: Config, options: Mapping[str, Any], locate: Locate) -> Draft:
    from modelzoo.plans import draft
    from modelzoo.run import groups

    chosen = Options.of(options)
    with located(locate):
        return groups.grouped(draft.drafted(given, chosen, count=True), chosen)[0]
