"""Many names as a few."""

from __future__ import annotations

import fnmatch
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence

SHOWN = 3
"""Names that are told; of others the number."""

_NUMBER = re.compile(r"\d{1,18}(?=\.|$)")


def spans(names: Iterable[str]) -> list[str]:
    """Names that differ in numbers alone, and have all between, as one.

    >>> spans(["h.0.fc", "h.1.fc", "h.2.fc", "head"]), spans(["layer1.0", "layer2.0", "layer1.1"])
    (['h.0-2.fc', 'head'], ['layer1.0', 'layer2.0', 'layer1.1'])
    """
    groups: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        groups.setdefault(_NUMBER.sub("#", name), []).append(name)
    found: list[str] = []
    for group in groups.values():
        found += [_span(group)] if _is_whole(group) else group
    return found


def _is_whole(group: Sequence[str]) -> bool:
    columns = [sorted(set(column)) for column in _columns(group)]
    gaps = any(column[-1] - column[0] >= len(column) for column in columns)
    return not gaps and math.prod(map(len, columns)) == len(group)


def _columns(group: Sequence[str]) -> list[tuple[int, ...]]:
    return list(zip(*([int(each) for each in _NUMBER.findall(name)] for name in group), strict=True))


def _span(group: Sequence[str]) -> str:
    ends = iter([(min(column), max(column)) for column in _columns(group)])

    def both(found: re.Match[str]) -> str:
        least, most = next(ends)
        return found[0] if least == most else f"{least}-{most}"

    return _NUMBER.sub(both, group[0])


def told(names: Iterable[str]) -> str:
    """Names for people.

    >>> told(["a", "b", "c", "d", "e"]), told([""])
    ('a, b, c and 2 more', 'model')
    """
    found = [each or "model" for each in spans(names)]
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return ", ".join(found[:SHOWN]) + more


def globs(names: Iterable[str], every: Collection[str]) -> list[str]:
    """Patterns that mean these names and no other of all there are.

    >>> globs(["fc.weight", "fc.bias", "h.0.fc.bias"], ["fc.weight", "fc.bias", "h.0.fc.bias", "h.0.fc.weight"])
    ['fc.*', 'h.0.fc.bias']
    >>> globs(["h.0.bias", "h.1.bias"], ["h.0.bias", "h.1.bias", "h.0.weight", "h.1.weight", "bias"])
    ['h.*.bias']
    """
    wanted, known = dict.fromkeys(names), dict.fromkeys(every)
    counts: tuple[Counter[str], Counter[str]] = Counter(), Counter()
    for count, some in zip(counts, (wanted, known), strict=True):
        for name in some:
            count.update(_heads(name))
    found: dict[str, None] = {}
    for name in wanted:
        whole = (head for head in _heads(name) if counts[0][head] == counts[1][head])
        found[next((f"{head}*" for head in whole), name)] = None
    return list(_numberless(found, wanted, known))


def _numberless(found: Iterable[str], wanted: Collection[str], every: Collection[str]) -> Iterator[str]:
    """Patterns with one in the place of those that differ in numbers alone, where it means no other name."""
    groups: dict[str, list[str]] = {}
    for each in found:
        groups.setdefault(_NUMBER.sub("*", each), []).append(each)
    for pattern, group in groups.items():
        meant = fnmatch.filter(every, pattern) if group[1:] else []
        yield from [pattern] if meant and all(each in wanted for each in meant) else group


def _heads(name: str) -> list[str]:
    """What a dotted name begins with, the shortest first: of `h.0.fc` these are `h.` and `h.0.`; nothing begins all."""
    return ["", *(name[: each.end()] for each in re.finditer(r"\.", name))]
