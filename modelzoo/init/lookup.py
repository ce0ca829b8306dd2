"""Dotted names, found by their beginning and a glob without a look at all of them."""

from __future__ import annotations

import fnmatch
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

_WILD = re.compile(r"[*?\[]")


class Lookup:
    """Names in an order; what is found keeps it.

    >>> found = Lookup(["1.weight", "0.weight", "0.bias"])
    >>> found.matching("*", "0."), found.matching("weight", "1."), found.matching("*.weight")
    ([1, 2], [0], [0, 1])
    >>> list(found.below("0."))
    ['bias', 'weight']
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.places = sorted(range(len(names)), key=names.__getitem__)
        self.names = [names[each] for each in self.places]

    def within(self, start: str) -> range:
        """Where the names are that begin so, in alphabetical order."""
        return range(bisect_left(self.names, start), bisect_left(self.names, f"{start}\U0010ffff"))

    def below(self, start: str) -> Iterator[str]:
        """What follows that beginning, of each name that has it."""
        return (self.names[each][len(start) :] for each in self.within(start))

    def looked_at(self, pattern: str, start: str = "") -> int:
        """At how many names `matching` looks."""
        return len(self.within(start)) if _WILD.search(pattern) else 1

    def matching(self, pattern: str, start: str = "") -> list[int]:
        """The places of the names that begin so and go on as a glob says, in which '*' crosses dots."""
        if not _WILD.search(pattern):
            whole = start + pattern
            first, end = bisect_left(self.names, whole), bisect_right(self.names, whole)
            return sorted(self.places[first:end])
        matches = glob(pattern)
        return sorted(self.places[each] for each in self.within(start) if matches(self.names[each][len(start) :]))


@cache
def glob(pattern: str) -> Callable[[str], Any]:
    """What says whether a glob fits a whole name."""
    return re.compile(fnmatch.translate(pattern)).match
