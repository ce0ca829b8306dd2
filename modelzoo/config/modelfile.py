"""Opens a model file from anywhere: YAML in, checked plain data out, nothing composed and nothing executed."""

from __future__ import annotations

import os
import pathlib
import re
import stat
from typing import Any

import yaml

from modelzoo import bounds
from modelzoo.config import interpolation, places
from modelzoo.config.document import Document, read
from modelzoo.config.plain import plain
from modelzoo.errors import ConfigError, Locate, Path, Problem, Problems, located

SUFFIXES = (".yaml", ".yml")
_HEADER = re.compile(r"\s*#\s*@\w")
_SHAPE = "A model file holds a block, or 'model' and optionally 'init', and nothing else."


class ModelFile(dict[str, Any]):
    """The plain data of a model file: `model`, and `init` where the file has rules.

    Attributes:
        locate: finds the place of a key in the file, for error messages.
    """

    def __init__(self, data: dict[str, Any], locate: Locate) -> None:
        super().__init__(data)
        self.locate = locate


def is_override(target: str) -> bool:
    """Whether what was typed sets or deletes a key; a file may have such a name too.

    >>> is_override("seed=1"), is_override("~init"), is_override("nested"), is_override("./a=b.yaml")
    (True, True, False, False)
    """
    is_path = target.startswith((".", os.sep)) or (target.endswith(SUFFIXES) and pathlib.Path(target).is_file())
    return not is_path and ("=" in target or target.startswith("~"))


def is_file(target: str) -> bool:
    """Whether what was typed is meant as a file: no override, and not the name of a config.

    >>> is_file("nested"), is_file("nested.yaml"), is_file("./nested"), is_file("init=rules.yaml")
    (False, True, True, False)
    """
    named = target.endswith(SUFFIXES) or target.startswith((".", os.sep)) or pathlib.Path(target).is_file()
    return named and not is_override(target)


def load(path: str | os.PathLike[str]) -> ModelFile:
    """Reads a model file, whoever wrote it.

    Args:
        path: a UTF-8 YAML file of at most 1 MB that holds a block, or `model` and optionally `init`.

    Returns:
        A dictionary with `model` and, where the file has rules, `init`; references such as `${args.dim}` are resolved,
        and count from the root of what `python run.py` would compose (`${model.args.dim}`).

    Raises:
        ConfigError: with file, line and column of everything that is no plain data.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder, "tiny.yaml")
    ...     _ = file.write_text("args: {dim: 4}\\nlayers: ['Linear(dim, 1)']")
    ...     load(file)
    {'model': {'args': {'dim': 4}, 'layers': ['Linear(dim, 1)']}}
    """
    return _load(path, "model")


def load_rules(path: str | os.PathLike[str]) -> ModelFile:
    """Reads a file of init rules as `load` reads a model; the dictionary has `init` alone.

    Raises:
        ConfigError: with file, line and column of everything that is no plain data.
    """
    return _load(path, "init")


def _load(path: str | os.PathLike[str], kind: str) -> ModelFile:
    shown = os.fspath(path)
    document = read(_text(pathlib.Path(path)), shown)
    problems = Problems()
    _check_root(document, problems)
    problems.check()
    data = plain(document, problems)
    whole = kind == "model" and "model" in data
    if whole:
        for name in data.keys() - {"model", "init"}:
            problems.add(Path((name,)), f"'{name}' stands beside 'model'.", _SHAPE)

    file = places.File(document=document, package=() if whole else (kind,))
    where = places.Places(sources=lambda: [file])
    with located(where.locate):
        problems.check()
        data = interpolation.resolve(data if whole else {kind: data}, problems)
        problems.check()
    return ModelFile(data, where.trace)


def _text(path: pathlib.Path) -> str:
    """The file's text; reads no more than is allowed, and from nothing but a regular file."""

    def refuse(what: str, cause: BaseException | None = None) -> ConfigError:
        error = ConfigError([Problem(where=str(path), what=what)])
        error.__cause__ = cause
        return error

    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise refuse("This is not a regular file.")
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
