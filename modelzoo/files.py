"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import pathlib
import tempfile


def write_text(path: pathlib.Path, text: str, lasting: bool = True) -> None:
    """Writes a text; whatever happens, `path` holds the old content or the new one.

    Args:
        path: where the file is wanted.
        text: its content, written as UTF-8.
        lasting: whether it is on disk when this returns, which takes milliseconds.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_text(pathlib.Path(folder, "note.txt"), "whole")
    ...     os.listdir(folder)
    ['note.txt']
    """
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=path.parent) as folder:
        temporary = pathlib.Path(folder, path.name)
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            if lasting:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
