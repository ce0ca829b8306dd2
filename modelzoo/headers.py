"""The header of a safetensors file, read within bounds, and the model that one of ours holds there."""

from __future__ import annotations

import json
import os
import pathlib
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any, NoReturn

from modelzoo import bounds, files
from modelzoo.escapes import printable

SUFFIX = ".safetensors"

KEY = "modelzoo"
"""The key of the metadata under which a dump of ours says what only we ask for, as JSON."""

HEADER = 2**25
"""Bytes of a header or an index: those of the largest models have a quarter."""


def header(path: pathlib.Path) -> Any:
    """What stands in front of the values of a file.

    Raises:
        ConfigError: it is too large, or names something twice.
        OSError: the file cannot be opened.
        ValueError: it is no JSON.
    """
    length = check_size(path)
    with path.open("rb") as file:
        return without_repetition(file.read(8 + length)[8:], path)


def check_size(path: pathlib.Path) -> int:
    """The bytes of a header, as the file says, if they can be read."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if length > HEADER:
        claimed = f"its header would have {length:,} bytes, and at most {HEADER:,} are read"
        files.fail(path, f"This file cannot be read as safetensors: {claimed}.")
    return length


def without_repetition(text: bytes, path: pathlib.Path) -> Any:
    """JSON without a name that stands twice: readers differ in which of the two they take."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
            files.fail(path, f"'{printable(twice, lines=False)}' stands twice in this file.")
        return found

    return json.loads(text.decode(), object_pairs_hook=once)


def is_named(path: str | os.PathLike[str]) -> bool:
    """Whether a path has the name of a safetensors file.

    >>> is_named("run/parameters.safetensors"), is_named("model.yaml")
    (True, False)
    """
    return os.fspath(path).endswith(SUFFIX)


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """The model that the tensors of a file are the values of.

    Attributes:
        model: a model file, as text.
        seed, dtype: with which it was built.
    """

    model: str
    seed: int
    dtype: str


def saved(path: pathlib.Path) -> Saved:
    """The model of a file.

    Raises:
        ConfigError: it has none, or what it says of one cannot be; it is no safetensors file, or cannot be opened.
    """
    try:
        if not path.is_file():
            files.fail(path, "There is no such file." if not path.exists() else "This is not a regular file.")
        told = header(path)
        metadata = told.get("__metadata__") if isinstance(told, dict) else None
        ours = metadata.get(KEY) if isinstance(metadata, dict) else None
        about = None if ours is None else without_repetition(ours.encode(), path)
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        files.fail(path, "This file cannot be read as safetensors.", cause=error)
    if about is None:
        _lacks(path, "This file has tensors and no model: modelzoo did not write it.")
    if not isinstance(about, dict) or "model" not in about:
        _lacks(path, "This file has tensors and no model: an older modelzoo wrote it, or its model is above 1 MB.")
    model, seed, dtype = about["model"], about.get("seed"), about.get("dtype")
    if not isinstance(model, str) or re.search("[\ud800-\udfff]", model) or len(model.encode()) > bounds.FILE:
        files.fail(path, "The model in its metadata must be a text of at most 1 MB.")
    if type(seed) is not int or not isinstance(dtype, str):
        files.fail(path, "The model in its metadata must have a seed and a dtype.")
    return Saved(model=model, seed=seed, dtype=dtype)


def _lacks(path: pathlib.Path, what: str) -> NoReturn:
    files.fail(path, what, f"Give it to a model: python run.py model=NAME load={path}")
