"""Which known name a misspelt one is like."""

from __future__ import annotations

import difflib
import heapq
import itertools
from collections.abc import Iterable

from modelzoo import bounds

_LONGEST = 4 * bounds.NAME
"""The length of what may be a misspelt name, or several with dots between."""


def closest(name: str, known: Iterable[str]) -> str:
    """The known name that another is like; empty where none is.

    >>> closest("layres", ["args", "inputs", "layers"]), closest("foo", ["args"])
    ('layers', '')
    """
    folded = {each.lower(): each for each in reversed(compared(known))}
    close = difflib.get_close_matches(name.lower(), _alike(name.lower(), folded), n=1, cutoff=0.6)
    return folded[close[0]] if close else ""


def did_you_mean(name: str) -> str:
    """Asks whether a name was meant; nothing where there is none."""
    return f"Did you mean '{name}'?" if name else ""


def compared(known: Iterable[str]) -> list[str]:
    """The names that one is compared with, each once: not all, where there are very many."""
    return list(dict.fromkeys(str(each) for each in itertools.islice(known, bounds.ALIKE)))


def _alike(name: str, known: Iterable[str]) -> list[str]:
    """The few that share most letters, and pairs of letters, with a name: more would take too long to compare."""
    if len(name) > _LONGEST:
        return []
    parts = [*{*name, *map("".join, itertools.pairwise(name))}]
    least, most = int(len(name) * 0.42), min(_LONGEST, 2.4 * len(name))  # others are less than 0.6 alike
    fitting = [each for each in known if least <= len(each) <= most]
    return heapq.nlargest(20, fitting, lambda each: sum(map(each.__contains__, parts)) - len(each) / 8)
