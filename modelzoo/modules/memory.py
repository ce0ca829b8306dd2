"""Whether a plan fits into memory, asked before any of it is allocated."""

from __future__ import annotations

import os
import re
from pathlib import Path as FilePath

from modelzoo.errors import TextError

UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def size(value: int | str) -> int:
    """A number of bytes, as in 4GB or 512MiB.

    Raises:
        TextError: it is no size.

    >>> size("4GB")
    4000000000
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?I?B?)", str(value).upper())
    if isinstance(value, bool) or match is None or match[2] not in UNITS:
        raise TextError(f"memory must be a size, not {value!r}.", "Type memory=4GB.")
    return int(float(match[1]) * UNITS[match[2]])


def available() -> int:
    """What the machine has free, in bytes: what Linux says can be taken without swapping, else all free pages."""
    try:
        found = re.search(r"^MemAvailable:\s*(\d+) kB", FilePath("/proc/meminfo").read_text(), re.MULTILINE)
        if found:
            return int(found[1]) * 1024
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return 2**63 - 1


def shown(count: int) -> str:
    """A number of bytes for people.

    >>> shown(31_784), shown(70 * 10**9)
    ('31.8 KB', '70.0 GB')
    """
    for unit in ("TB", "GB", "MB", "KB"):
        if count >= UNITS[unit]:
            return f"{count / UNITS[unit]:.1f} {unit}"
    return f"{count} bytes"
