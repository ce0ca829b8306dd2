"""The ranks of a job as a mesh: the sizes of its dimensions, by their names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from modelzoo.errors import Path, Problems

KEY = "mesh"
"""Where rules say it; each other key is a rule."""

TP = "tp"
"""The dimension that styles split over; the others are those of `fully_shard`."""

REST = -1
"""The size of the dimension that has all ranks which the others leave."""


def sizes_of(rules: Mapping[str, Any], world: int, key: Path, problems: Problems) -> dict[str, int]:
    """The mesh of so many ranks that rules ask for; all in one line, if they do not ask.

    Args:
        rules: what is under `mesh` is read.
        world: how many ranks there are.
        key: of the rules.
        problems: gets what is wrong.

    >>> sizes_of({"mesh": {"dp": -1, "tp": 2}}, 8, Path(("parallel",)), Problems())
    {'dp': 4, 'tp': 2}
    >>> sizes_of({"up": {"name": "up", "style": "colwise"}}, 2, Path(("parallel",)), Problems())
    {'tp': 2}
    """
    styled = any(isinstance(each, Mapping) and "style" in each for each in rules.values())
    alone = {TP if styled else "dp": world}
    given, key = rules.get(KEY), key / KEY
    if given is None:
        return alone
    if not isinstance(given, Mapping) or not given:
        problems.add(key, f"a mesh has a size for each of its dimensions, not {given!r}.", "Write mesh: {dp: -1}.")
        return alone
    for name, size in given.items():
        if type(size) is not int or (size < 1 and size != REST):
            what = f"a size is a positive integer, or -1 for all ranks that are left, not {size!r}."
            problems.add(key / str(name), what, f"Write {name}: -1.")
            return alone
    rest = [str(name) for name, size in given.items() if size == REST]
    count = math.prod(size for size in given.values() if size != REST)
    if len(rest) > 1:
        problems.add(key / rest[1], f"'{rest[0]}' has all ranks that are left.", "Write -1 for one of them.")
        return alone
    if world % count or (not rest and count != world):
        needed = f"a multiple of {count}" if rest else str(count)
        problems.add(key, f"this mesh needs {needed} ranks, and there are {world}.", "Start others, or write -1.")
        return alone
    return {str(name): world // count if size == REST else size for name, size in given.items()}
