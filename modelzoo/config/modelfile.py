"""Opens a model file from anywhere: YAML in, checked plain data out, nothing composed and nothing executed."""

from __future__ import annotations

import os
import pathlib
import re
import stat
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from modelzoo import bounds, headers
from modelzoo.config import changes, interpolation, library, places
from modelzoo.config.document import Document, read
from modelzoo.config.plain import plain
from modelzoo.errors import ConfigError, Locate, Path, Problem, Problems, located

SUFFIXES = (".yaml", ".yml")
_HEADER = re.compile(r"\s*#\s*@\w")
_SHAPE = "A model file holds a block, or 'model' and optionally 'init' and 'groups', and nothing else."

KINDS = ("model", "init", "groups")
"""What a model file may hold."""


class ModelFile(dict[str, Any]):
    """The plain data of a model file: `model`, and `init` and `groups` where the file has them.

    Attributes:
        places: where its keys stand.
        locate: finds the place of a key, for error messages.
        referred: the names in its references, which were followed.
        options: with which it was built, if it is a file of its values: seed, dtype, and itself as what to load.
    """

    def __init__(
        self,
        data: dict[str, Any],
        where: places.Places,
        referred: frozenset[str] = frozenset(),
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(data)
        self.referred, self.options = referred, dict(options or {})
        self.places = where
        self.locate: Locate = where.trace


def is_override(target: str) -> bool:
    """Whether what was typed sets or deletes a key; a file may have such a name too.

    >>> is_override("seed=1"), is_override("~init"), is_override("nested"), is_override("./a=b.yaml")
    (True, True, False, False)
    """
    is_path = target.startswith((".", os.sep)) or (target.endswith(SUFFIXES) and pathlib.Path(target).is_file())
    return not is_path and ("=" in target or target.startswith("~"))


PIPE = "-"
"""What is typed for the standard input."""


def is_file(target: str) -> bool:
    """Whether what was typed is meant as a file: no override, and not the name of a config.

    `-` is what comes in by a pipe.

    >>> is_file("nested"), is_file("nested.yaml"), is_file("./nested"), is_file("init=rules.yaml"), is_file("-")
    (False, True, True, False, True)
    """
    named = (
        target == PIPE
        or target.endswith((*SUFFIXES, headers.SUFFIX))
        or target.startswith((".", os.sep))
        or pathlib.Path(target).is_file()
    )
    return named and not is_override(target)


def load(path: str | os.PathLike[str]) -> ModelFile:
    """As `modelzoo.load`, without changes."""
    return opened(path, "model")


def opened(path: str | os.PathLike[str], kind: str = "", overrides: Sequence[places.Override] = ()) -> ModelFile:
    """Reads a model file (`kind` is "model"), or a file of rules ("init") or of groups, whoever wrote it.

    See `opening.load`.

    Without a `kind` it is what the file holds that decides.

    Raises:
        ConfigError: with file, line and column of everything that is no plain data; an override that does not fit.
    """
    shown = os.fspath(path)
    saved = headers.saved(pathlib.Path(path)) if headers.is_named(path) else None
    document = read(_text(pathlib.Path(path)) if saved is None else saved.model, shown)
    options = {} if saved is None else {"seed": saved.seed, "dtype": saved.dtype, "load": shown}
    problems = Problems()
    _check_root(document, problems)
    problems.check()
    data = plain(document, problems)
    kind = kind or ("init" if _is_rules(data) else "model")
    if kind == "model" and _is_rules(data):
        what = "This file has rules of an init, and no model."
        hint = f"Give them to a model: python -m modelzoo check MODEL.yaml init={shown}"
        raise ConfigError([Problem(where=document.place(Path()), what=what, hint=hint)])
    whole = _is_whole(data, kind)
    if whole:
        for name in data.keys() - {*KINDS}:
            problems.add(Path((name,)), f"'{name}' stands beside 'model'.", _SHAPE)

    file = places.File(document=document, package=() if whole else (kind,))
    with located(places.Places(sources=lambda: [file]).locate):
        problems.check()
        data, beside = library.included(data if whole else {kind: data}, pathlib.Path(path), _text, problems)
        problems.check()
    return resolved(data, [*beside, file], overrides, options)


def resolved(
    data: dict[str, Any],
    sources: Sequence[places.File | places.Data],
    overrides: Sequence[places.Override],
    options: Mapping[str, Any] | None = None,
) -> ModelFile:
    """Data from their sources, changed by overrides, with every reference followed, and their options.

    Raises:
        ConfigError: an override that does not fit, or a wrong reference.
    """
    problems = Problems()
    data = changes.apply(data, overrides, problems)
    problems.check()
    where = places.Places(sources=lambda: [*sources, *overrides])
    referred = interpolation.referred(data)
    with located(where.locate):
        data = interpolation.resolve(data, problems)
        problems.check()
    return ModelFile(data, where, referred, options)


def _is_whole(data: Mapping[Any, Any], kind: str) -> bool:
    """Whether what a file holds stands under names of kinds, rather than being of one kind itself."""
    if kind == "init":
        return [*data] == ["init"] and not _is_rule(data["init"])
    return "model" in data or [*data] == [kind]


def _is_rules(data: Mapping[Any, Any]) -> bool:
    """Whether all that a file holds are rules: by themselves, or as `init`."""
    init = data["init"] if [*data] == ["init"] else data
    rules = [each for name, each in init.items() if name not in ("args", "base")] if isinstance(init, Mapping) else []
    return bool(rules) and all(map(_is_rule, rules))


def _is_rule(value: Any) -> bool:
    return isinstance(value, Mapping) and "fill" in value and not {"shape", "_target_"} & value.keys()


def _text(path: pathlib.Path) -> str:
    """The file's text; reads no more than is allowed, and from nothing but a regular file or the standard input."""

    def refuse(what: str, cause: BaseException | None = None) -> ConfigError:
        error = ConfigError([Problem(where=str(path), what=what)])
        error.__cause__ = cause
        return error

    try:
        if str(path) == PIPE:
            content = sys.stdin.buffer.read(bounds.FILE + 1)
        elif not stat.S_ISREG(path.stat().st_mode):
            raise refuse("This is not a regular file.")
        else:
            with path.open("rb") as file:
                content = file.read(bounds.FILE + 1)
    except FileNotFoundError as error:
        raise refuse("There is no such file.", error) from error
    except OSError as error:
        raise refuse(f"The file cannot be read: {error.strerror}.", error) from error
    if len(content) > bounds.FILE:
        raise refuse("The file is larger than 1 MB.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refuse(no_utf8(content, error.start), error) from error


def no_utf8(content: bytes, at: int) -> str:
    """What to say of a file with a byte that UTF-8 has not.

    >>> no_utf8(b"layers: [a]\\n# caf\\xe9", 17)
    'The file is not UTF-8: line 2 has the byte 0xe9.'
    """
    line = content.count(b"\n", 0, at) + 1
    return f"The file is not UTF-8: line {line} has the byte 0x{content[at]:02x}."


def _check_root(document: Document, problems: Problems) -> None:
    """Refuses what only a composed config may hold."""
    name = pathlib.Path(document.shown).stem

    def refuse(key: str, what: str, hint: str = "") -> None:
        place = document.place(Path((key,)) if key else Path())
        problems.found.append(Problem(where=place, path=key, what=what, hint=hint))

    for number, row in enumerate(document.text.splitlines(), start=1):
        if row.strip() and not row.lstrip().startswith("#"):
            break
        if _HEADER.match(row):
            where = f"{document.shown}:{number}:1"
            problems.found.append(
                Problem(where=where, what="A model file has no '# @package' header.", hint="Remove it.")
            )
    if document.root is None:
        problems.found.append(Problem(where=document.shown, what="The file is empty.", hint=_SHAPE))
        return
    if not isinstance(document.root, yaml.MappingNode):
        refuse("", "This is no mapping.", _SHAPE)
        return
    for key, what in {"defaults": "'defaults' refers to other files.", "hydra": "'hydra' configures the run."}.items():
        found = document.find(Path((key,)))
        if found and found.depth:
            refuse(key, what, f"Compose it: python run.py model={name}")
