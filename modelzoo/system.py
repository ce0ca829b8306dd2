"""What the system or the interpreter refuses, in words: a file, memory, another level of nesting."""

from __future__ import annotations

import errno
import os
import pathlib
import re

from modelzoo.errors import ConfigError, Problem


def told(error: Exception, where: str = "", elsewhere: str = "") -> ConfigError | None:
    """An exception as problems, if it is no mistake of a program.

    Args:
        error: what was raised.
        where: what it is about, if it names no file.
        elsewhere: what to type where a file or a directory cannot be made, if that is what was done.

    Returns:
        The error itself if it is a `ConfigError`, what was refused, or None.

    >>> print(told(PermissionError(errno.EACCES, "Permission denied", os.sep)))
    /
      It cannot be opened: Permission denied.
    """
    if isinstance(error, ConfigError):
        return error
    problem = _refused(error, where, elsewhere)
    if problem is None:
        return None
    found = ConfigError([problem])
    found.__cause__ = error
    return found


def _refused(error: Exception, where: str, elsewhere: str) -> Problem | None:
    match error:
        case RecursionError():
            return Problem(where=where, what="It is nested more deeply than Python can follow.")
        case MemoryError() | OSError(errno=errno.ENOMEM):
            return Problem(where=where, what="There is no memory left.")
        case RuntimeError() if out_of_memory(error):
            return Problem(where=where, what="There is no memory left.")
        case FileNotFoundError() if not _is_anywhere():
            return Problem(what="The working directory does not exist any more.", hint="Go to another one: cd DIR")
        case OSError(filename=str() | bytes()):
            made = _is_made(error, bool(elsewhere))
            what = f"It cannot be {'made' if made else 'opened'}: {_said(error)}."
            return Problem(where=os.fsdecode(error.filename), what=what, hint=elsewhere if made else "")
        case OSError():
            return Problem(where=where, what=f"The system refuses it: {_said(error)}.")
        case UnicodeDecodeError():
            byte = f"0x{error.object[error.start]:02x}"
            return Problem(where=where, what=f"This is not {error.encoding.upper()}: it has the byte {byte}.")
        case UnicodeEncodeError():
            letter = repr(error.object[error.start])
            return Problem(where=where, what=f"{error.encoding.upper()} cannot write the letter {letter}.")
    return None


def _said(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__


def _is_made(error: OSError, expected: bool) -> bool:
    """Whether a file or a directory was to be made, rather than one that is there opened."""
    if isinstance(error, FileExistsError):
        return True
    return not os.path.lexists(error.filename) and (expected or not isinstance(error, FileNotFoundError))


def _is_anywhere() -> bool:
    """Whether there is a working directory."""
    try:
        pathlib.Path.cwd()
    except FileNotFoundError:
        return False
    return True


def out_of_memory(error: BaseException | None) -> bool:
    """Whether an exception, or what caused it, says that there is no memory left."""
    seen: set[int] = set()  # an error may be, in a roundabout way, its own cause
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, MemoryError) or re.search("allocate|not enough memory|bad_alloc", str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False
