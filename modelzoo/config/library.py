"""Definitions that several model files share: they stand in a file beside them, which a model file names."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Callable, Mapping
from typing import Any

from modelzoo import bounds
from modelzoo.config.document import read
from modelzoo.config.places import File
from modelzoo.config.plain import plain
from modelzoo.errors import Path, Problem, Problems

KEY = "_from_"
"""What names the files, among the definitions of a model."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\.ya?ml")
_BLOCKS = Path(("model", "blocks"))


def included(
    data: dict[str, Any], path: pathlib.Path, text_of: Callable[[pathlib.Path], str], problems: Problems
) -> tuple[dict[str, Any], list[File]]:
    """Data with the definitions of the files that they name, and those files.

    Args:
        data: `{"model": ...}`, as it is written.
        path: the file that they are from.
        text_of: reads a file, within the bounds.
        problems: collects what is wrong with the names, and with what the files hold.

    Raises:
        ConfigError: a file that cannot be read.
    """
    model = data.get("model")
    blocks = model.get("blocks") if isinstance(model, Mapping) else None
    if not isinstance(blocks, Mapping) or KEY not in blocks:
        return data, []
    found: dict[str, Any] = {}
    sources: list[File] = []
    own = {name: each for name, each in blocks.items() if name != KEY}
    for name in _names(blocks[KEY], path, problems):
        beside = path.parent / name
        if beside.is_symlink():
            problems.add(_BLOCKS / KEY, f"'{name}' is a link.", "Put the file itself there.")
            continue
        document = read(text_of(beside), str(beside))
        definitions = plain(document, problems)
        sources.append(File(document=document, package=tuple(map(str, _BLOCKS))))
        for problem in _wrong(definitions, document.place(Path()), {*found, *own}):
            problems.note(problem)
        found |= definitions if isinstance(definitions, dict) else {}
    assert isinstance(model, Mapping)
    return {**data, "model": {**model, "blocks": {**found, **own}}}, sources


def _names(given: Any, path: pathlib.Path, problems: Problems) -> list[str]:
    """The names of the files, without those that lead elsewhere."""
    names = [given] if isinstance(given, str) else given
    if path == pathlib.Path("-"):
        problems.add(_BLOCKS / KEY, "what comes in by a pipe has no file beside it.", "Put it into a file.")
        return []
    if not isinstance(names, list) or len(names) > bounds.LIBRARIES or not all(isinstance(each, str) for each in names):
        what = f"{KEY} must be the name of a file, or a list of at most {bounds.LIBRARIES} names."
        problems.add(_BLOCKS / KEY, what, "Write _from_: parts.yaml")
        return []
    for each in names:
        if not _NAME.fullmatch(each):
            what = f"'{each}' is not the name of a YAML file in the folder of this one."
            problems.add(_BLOCKS / KEY, what, "Write _from_: parts.yaml")
        elif each == path.name:
            problems.add(_BLOCKS / KEY, "a file does not name itself.", "Move its definitions to another.")
    return [each for each in dict.fromkeys(names) if _NAME.fullmatch(each) and each != path.name]


def _wrong(definitions: Any, where: str, taken: set[str]) -> list[Problem]:
    """What is wrong with a file of definitions as a whole."""
    if not isinstance(definitions, dict):
        return [Problem(where=where, what="This is no mapping of definitions.", hint="Write Name: {args: [dim], ...}.")]
    if KEY in definitions:
        return [
            Problem(where=where, path=KEY, what="A file of definitions names no other.", hint="Name both in the model.")
        ]
    both = [name for name in definitions if name in taken]
    return [Problem(where=where, path=name, what=f"'{name}' is defined twice.", hint="Rename one.") for name in both]
