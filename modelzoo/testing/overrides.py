"""What a test sets in a config: as Hydra reads it, as it is typed, and in plain data."""

from __future__ import annotations

import copy
import pathlib
import re
import shlex
from collections.abc import Iterable
from typing import Any

from modelzoo.config.modelfile import KINDS
from modelzoo.errors import Path, fail
from modelzoo.testing.case import OPTIONS, Case


def override_value(value: Any) -> str:
    """A value as Hydra reads it in an override.

    >>> override_value({"a": [1, True, None, "ReLU", "Linear(4, 2)"]})
    "{a:[1,true,null,ReLU,'Linear(4, 2)']}"
    """
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case list():
            return "[" + ",".join(map(override_value, value)) + "]"
        case dict():
            return "{" + ",".join(f"{name}:{override_value(each)}" for name, each in value.items()) + "}"
        case str() if not re.fullmatch(r"[A-Za-z_][\w./-]*", value) or value.lower() in ("true", "false", "null"):
            return "'" + value.replace("'", r"\'") + "'"
    return str(value)


def overrides(given: tuple[str, ...], point: Iterable[tuple[str, Any]]) -> list[str]:
    """What a test gives and what its sweep sets, as typed."""
    return [*given, *(f"{key}={override_value(value)}" for key, value in point)]


def command(case: Case, folder: pathlib.Path) -> str:
    """The command that shows the model of a test; empty where there is none, as for an inline model.

    Args:
        case: the test.
        folder: where its file lies; the command is for the current directory.
    """
    if isinstance(case.given, tuple):
        program = ["python", "run.py"] if pathlib.Path("run.py").is_file() else ["modelzoo"]
        return shlex.join([*program, *overrides(case.given, case.point)])
    if isinstance(case.given, str) and all(key in OPTIONS for key, _ in case.point):
        file = near(folder / case.given)
        return shlex.join(["python", "-m", "modelzoo", "run", str(file), *overrides((), case.point)])
    return ""


def near(path: pathlib.Path) -> pathlib.Path:
    """A path as it is typed in the current directory."""
    cwd = pathlib.Path.cwd()
    return path.relative_to(cwd) if path.is_relative_to(cwd) else path


def changed(data: dict[str, Any], point: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Plain data with values set by dotted key, from the model or from the whole; a `+` adds what is not there."""
    data = copy.deepcopy(dict(data))
    for key, value in point:
        whole = key.lstrip("+").partition(".")[0] in (*KINDS, *OPTIONS)
        path = key.lstrip("+") if whole else f"model.{key.lstrip('+')}"
        *parents, last = path.split(".")
        at: Any = data
        for index, part in enumerate(parents):
            at = _below(at, part, ".".join(parents[: index + 1]))
        name = _name_in(at, last)
        if name is None and (len(parents) or last not in OPTIONS) and not key.startswith("+"):
            fail(Path((key,)), f"There is no '{key}' in the model.", f"To add it, write +{key}.")
        at[last if name is None else name] = value
    return data


def _below(data: Any, part: str, key: str) -> Any:
    name = _name_in(data, part)
    if name is None or not isinstance(data[name], (dict, list)):
        fail(Path((key,)), f"There is no mapping or list '{key}' in the model.")
    return data[name]


def _name_in(data: Any, part: str) -> Any:
    names = range(len(data)) if isinstance(data, list) else data
    return next((name for name in names if str(name) == part), None)
