"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import pathlib
import platform
import re
import shutil
import stat
import tempfile
from collections.abc import Callable
from typing import NoReturn

from modelzoo.errors import ConfigError, Problem


def write_atomically(path: pathlib.Path, write: Callable[[pathlib.Path], object], lasting: bool = True) -> None:
    """Writes a file whole or not at all: whatever happens, `path` holds what it held before or what `write` wrote.

    Args:
        path: where the file is wanted; an existing regular file is replaced.
        write: writes the file at the path it is given, in a hidden directory beside `path` that is then removed.
        lasting: whether it is on disk when this returns, which takes milliseconds.

    Raises:
        ConfigError: something else than a regular file is there, or the system cannot write.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     target = pathlib.Path(folder) / "note.txt"
    ...     write_atomically(target, lambda file: file.write_text("whole"))
    ...     target.read_text(), [each.name for each in target.parent.iterdir()]
    ('whole', ['note.txt'])
    """
    from safetensors import SafetensorError

    try:
        _refuse_irregular(path)
        folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{_mark()}{os.getpid()}-", dir=path.parent))
        try:
            temporary = folder / path.name
            write(temporary)
            temporary.chmod(0o644 & ~_umask())
            if lasting:  # by name: a library may have put a file of its own in the place of one that we opened
                with temporary.open("rb+") as file:
                    os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            _remove(folder)
    except (OSError, UnicodeError, SafetensorError) as error:
        fail(path, f"This file cannot be written: {error}.", cause=error)


def _remove(folder: pathlib.Path) -> None:
    """Removes a directory: mostly an empty one, which takes a tenth of the time that one with files may take."""
    try:
        folder.rmdir()
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)


def clear(directory: pathlib.Path) -> None:
    """Removes the hidden directories that writers on this machine left when they were killed.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pathlib.Path(folder, ".writing-notes").mkdir()  # somebody's own
    ...     clear(pathlib.Path(folder))
    ...     [each.name for each in pathlib.Path(folder).iterdir()]
    ['.writing-notes']
    """
    pattern = re.compile(re.escape(_mark()) + r"(\d+)-\w{8}")
    for each in directory.iterdir():
        found = pattern.fullmatch(each.name)
        if found and not _is_running(int(found[1])):
            shutil.rmtree(each, ignore_errors=True)


def _mark() -> str:
    """What the name of a hidden directory begins with; a number of a process means something on its machine only."""
    return f".writing-{platform.node()}-"


def _is_running(process: int) -> bool:
    if os.name != "posix":
        return True  # there the same call would end it
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        pass
    return True


def _refuse_irregular(path: pathlib.Path) -> None:
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        kinds = {stat.S_IFDIR: "a directory", stat.S_IFLNK: "a symbolic link", stat.S_IFIFO: "a named pipe"}
        kind = kinds.get(stat.S_IFMT(mode), "no regular file")
        fail(path, f"This is {kind} and is not replaced.", "Remove it, or choose another directory: hydra.run.dir=DIR")


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def write_text(path: pathlib.Path, text: str, lasting: bool = True) -> None:
    """Writes a text as UTF-8; as `write_atomically` otherwise."""
    write_atomically(path, lambda file: file.write_text(text, encoding="utf-8"), lasting)


def shown(path: pathlib.Path, cwd: pathlib.Path | None = None) -> str:
    """A path as messages show it: relative to the working directory, or to another; absolute outside."""
    cwd = pathlib.Path.cwd() if cwd is None else cwd
    return str(path.relative_to(cwd)) if path.is_relative_to(cwd) else str(path)


def fail(path: pathlib.Path, what: str, hint: str = "", *, cause: BaseException | None = None) -> NoReturn:
    """Raises a single problem with a file."""
    raise ConfigError([Problem(where=str(path), what=what, hint=hint)]) from cause
