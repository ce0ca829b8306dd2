"""What is typed beside a model file: options, overrides and an init, as `python run.py` takes them."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from modelzoo import files
from modelzoo.cli import typed_load
from modelzoo.config import answers, modelfile, plain
from modelzoo.config.places import Override
from modelzoo.errors import ConfigError, Locate, Path, Problem, nearest
from modelzoo.plans.options import NAMES, OF_RANKS

_ROOTS = modelfile.KINDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """What was typed beside a file.

    Attributes:
        options: such as seed and dtype, by name.
        init, groups: the path of a file of rules, and of groups.
        overrides: what is changed in the file and in the rules.
    """

    options: dict[str, Any] = field(default_factory=dict)
    init: str | None = None
    groups: str | None = None
    overrides: tuple[Override, ...] = ()

    def over(self, kept: Mapping[str, Any]) -> dict[str, Any]:
        """These options, and those that a file of values keeps; what is typed of `load` is about that file."""
        load = self.options.get("load")
        if isinstance(load, Mapping) and load.get("file") is None and "load" in kept:
            return {**kept, **self.options, "load": {**load, "file": kept["load"]}}
        return {**kept, **self.options}

    def locate(self, other: Locate) -> Locate:
        """As another; options stand on the command line."""
        return _typed(other, self.options)

    def json(self) -> dict[str, Any]:
        """Plain data, for another process."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Typed:
        """What `json` made plain."""
        overrides = tuple(Override(**{**each, "key": tuple(each["key"])}) for each in data["overrides"])
        return cls(**{**data, "overrides": overrides})


def read_typed(texts: Iterable[str], more: Iterable[str] = ()) -> Typed:
    """What texts say.

    Args:
        more: names of options besides those of `conf/config.yaml`.

    Raises:
        ConfigError: a text that is no override, and an option that does not exist.
    """
    known = [*(each for each in NAMES if each not in OF_RANKS), *more]
    options: dict[str, Any] = {}
    files_of: dict[str, str | None] = {}
    typed_overrides: list[str] = []
    of_load: list[str] = []
    problems: list[Problem] = []
    for text in texts:
        name, equals, value = text.partition("=")
        if name.lstrip("~+").partition(".")[0] in _ROOTS and name not in _ROOTS:
            typed_overrides.append(text)
        elif name in ("init", "groups") and equals:
            files_of[name] = None if value == "null" else _file_of(name, text, value, problems)
        elif typed_load.is_of_load(name) and equals:
            of_load.append(text)
        elif name in known and equals:
            options[name] = plain.typed(value)
        else:
            problems.append(_refused(text, name, equals, known))
    overrides = _overrides(typed_overrides, problems) if typed_overrides else ()
    try:
        options |= {"load": typed_load.option(of_load)} if of_load else {}
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(problems)
    return Typed(options=options, overrides=overrides, **files_of)


def _overrides(texts: list[str], problems: list[Problem]) -> tuple[Override, ...]:
    from modelzoo.config import grammar

    try:
        return grammar.read(texts)
    except ConfigError as error:
        problems += error.problems
        return ()


def _refused(text: str, name: str, equals: str, known: list[str]) -> Problem:
    """What is wrong with a text that sets no option."""
    if not equals and not name.startswith("~"):
        what, hint = "This sets nothing: an override is written key=value.", ""
    elif name == "model":
        what, hint = "The file is the model.", "Type the path of the other one instead."
    elif name.partition(".")[0] == "hydra":
        what, hint = "A model file is opened without Hydra, so there is nothing to set.", "Leave it out."
    elif name.partition(".")[0] in OF_RANKS:
        what, hint = "Only run.py splits a model over ranks.", "Leave it out."
    else:
        root = name.lstrip("~+").partition(".")[0]
        what, hint = answers.unknown(root, "", [*known, *_ROOTS], name, "", last=True)
    return Problem(where="command line", path=text, what=what, hint=hint)


def _file_of(group: str, text: str, value: str, problems: list[Problem]) -> str | None:
    """The path of rules or groups: a file, or a config of Hydra's group of that name."""
    if modelfile.is_file(value):
        return value
    from modelzoo.config import search_path

    found = search_path.file_of(group, value)
    if found is None:
        written = f"A file is written as a path: {group}={'rules' if group == 'init' else group}.yaml."
        hint = " ".join(filter(None, (nearest(value, search_path.options(group)), written)))
        what = f"There is no '{value}' in conf/{group}."
        problems.append(Problem(where="command line", path=text, what=what, hint=hint))
        return None
    return files.shown(found, pathlib.Path.cwd())


def _typed(locate: Locate, options: Mapping[str, Any]) -> Locate:
    """As `locate`; options stand on the command line."""

    def at(key: Path, line: int = 0, column: int = 0) -> tuple[str, str]:
        name = key[0] if len(key) == 1 else ""
        if key[:1] == ("load",) and "load" in options:
            return "command line", typed_load.shown(key, options["load"])
        if name not in options:
            return locate(key, line, column)
        value = options[str(name)]
        return "command line", f"{name}={str(value).lower() if isinstance(value, bool) else value}"

    return at
