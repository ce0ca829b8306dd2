"""The index of a sharded checkpoint: which file beside it has which tensor."""

from __future__ import annotations

import pathlib

from modelzoo import files
from modelzoo.errors import IN_FULL
from modelzoo.escapes import printable
from modelzoo.headers import HEADER, without_repetition

INDEX = ".index.json"


def shards(path: pathlib.Path) -> list[pathlib.Path]:
    """The files that an index names, each once, in the order of their names.

    Raises:
        ConfigError: it is no index, or names what is not beside it.
    """
    size = path.stat().st_size
    if size > HEADER:
        files.fail(path, f"This index has {size:,} bytes, and at most {HEADER:,} are read.")
    try:
        parts = sorted(dict.fromkeys(without_repetition(path.read_bytes(), path)["weight_map"].values()))
        inside = all(pathlib.PurePath(part).name == part for part in parts)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        files.fail(path, "This index has no 'weight_map' from names to files.", cause=error)
    if not inside:
        files.fail(path, "This index names files outside its own directory.")
    missing = [part for part in parts if not (path.parent / part).is_file()]
    if missing:
        more = f" and {len(missing) - IN_FULL} more" if len(missing) > IN_FULL else ""
        names = printable(", ".join(missing[:IN_FULL]), lines=False)
        files.fail(path, f"This index names files that are not there: {names}{more}.")
    return [path.parent / part for part in parts]
