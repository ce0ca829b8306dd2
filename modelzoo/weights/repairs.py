"""With which line a file would fit: every line that is offered was tried before."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from modelzoo.weights.matching import Match
from modelzoo.weights.names import Target
from modelzoo.weights.patterns import Rule, rule
from modelzoo.weights.request import Request
from modelzoo.weights.wrappers import WRAPPERS

Attempt = Callable[[Request], Match | None]
"""What would go where with another request; None if that is refused."""

COMPARED = 1_000
"""Names beyond which none is looked for that is like a missing one."""

ROUNDS, TRIED, GLOBS = 6, 3, 4
"""Rules of a line; names that each is looked for; names that are skipped."""

_TYPED = re.compile(r"[\w.-]+")
"""Names that can be typed as they are."""


def renaming(found: Match, request: Request, attempt: Attempt) -> tuple[Match, tuple[Rule, ...]]:
    """Rules with which more of a file fits, and what then goes where.

    Args:
        found: what goes where now.
        attempt: tries another request.
    """
    rules: tuple[Rule, ...] = ()
    if request.match == "order" or max(len(found.missing), len(found.unexpected)) > COMPARED:
        return found, rules
    for _ in range(ROUNDS):
        best, chosen = found, rules
        for each in _candidates(found):
            tried = attempt(replace(request, rename=(*request.rename, *rules, each)))
            if tried is not None and _apart(tried) < _apart(best):
                best, chosen = tried, (*rules, each)
        if chosen == rules:
            break
        found, rules = best, chosen
        if not (found.missing and found.unexpected):
            break
    return found, rules


def _apart(found: Match) -> int:
    """How many names have found no partner; a tensor of another shape is none."""
    return found.left + len(found.misfits)


def _candidates(found: Match) -> Iterator[Rule]:
    """Rules that take wrappers away, or give the first unexpected names those of missing tensors, by size or name."""
    parts = dict.fromkeys(part for name in found.unexpected for part in name.split(".")[:-1])
    yield from (rule(rf"\b{each}.", "") for each in parts if each in WRAPPERS)
    for name, stored in itertools.islice(found.unexpected.items(), TRIED):
        alike = [each for each in found.missing if sorted(each.tensor.shape) == sorted(stored.shape)]
        names = [
            other
            for each in alike or found.missing
            for other in each.names
            if _TYPED.fullmatch(name) and _TYPED.fullmatch(other)
        ]
        if names:
            yield from _rules(name.split("."), max(names, key=lambda other: _alike(name, other)).split("."))


def _alike(name: str, other: str) -> tuple[int, int, int]:
    """How much two names have in common: last parts, numbers, first parts."""
    one, two = name.split("."), other.split(".")
    numbers = [[part for part in parts if part.isdigit()] for parts in (one, two)]
    return _same(one[::-1], two[::-1]), int(numbers[0] == numbers[1]), _same(one, two)


def _same(one: Sequence[str], other: Sequence[str]) -> int:
    return len([*itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))])


def _rules(old: list[str], new: list[str]) -> Iterator[Rule]:
    """From the parts of one name to those of another, where they differ: for all numbers, or for these alone."""
    last = min(_same(old[::-1], new[::-1]), len(old), len(new))
    first = min(_same(old, new), len(old) - last, len(new) - last)
    before, middle, other = old[:first], old[first : len(old) - last], new[first : len(new) - last]
    if not middle and before:
        middle, other = before[-1:], [*before[-1:], *other]
    if not middle:
        more = ".".join(other)
        yield rule(r"\A", f"{more}.")
        yield rule(r"\A(\d+)\b", rf"{more}.\1") if old[0].isdigit() else rule(rf"\A{old[0]}\b", f"{more}.{old[0]}")
        return
    for parts, others in dict.fromkeys((_numbered(middle, other), (tuple(middle), tuple(other)))):
        text, becomes = ".".join(parts), ".".join(others)
        if not others:
            yield rule(f"{text}.", "")
            continue
        yield rule(text, becomes)
        yield rule(rf"\b{text}\b", becomes)


def _numbered(old: list[str], new: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    r"""Both with groups in place of their numbers, where these are the same.

    >>> _numbered(["layer", "3", "fc"], ["h", "3"])
    (('layer', '(\\d+)', 'fc'), ('h', '\\1'))
    """
    numbers = [part for part in old if part.isdigit()]
    if numbers != [part for part in new if part.isdigit()]:
        return tuple(old), tuple(new)
    count = itertools.count(1)
    groups = tuple(rf"\{next(count)}" if part.isdigit() else part for part in new)
    return tuple(r"(\d+)" if part.isdigit() else part for part in old), groups


def turning(found: Match, request: Request, attempt: Attempt) -> tuple[str, ...]:
    """A few globs of what fits with its rows as columns; none if that does not help all that does not fit."""
    names = [each.name for each in found.misfits if each.size]
    globs = dict.fromkeys(".".join(["*", *name.split(".")[-2:]]) if "." in name else name for name in names)
    if not globs or len(globs) > GLOBS or not all(_TYPED.fullmatch(each.replace("*", "")) for each in globs):
        return ()
    tried = attempt(replace(request, transpose=(*request.transpose, *globs)))
    return tuple(globs) if tried is not None and not tried.misfits and tried.left < found.left else ()


def skipping(found: Match, targets: Sequence[Target], request: Request, attempt: Attempt) -> tuple[str, ...]:
    """A few globs of what is left, without which a file fits; none if it does not."""
    names = [*(each.names[0] for each in found.missing), *found.unexpected, *(each.name for each in found.misfits)]
    if len(names) > COMPARED or not all(each.size for each in found.misfits):
        return ()
    left = dict.fromkeys(names)
    every = [name for each in targets for name in each.names]
    globs = dict.fromkeys(_glob(name, left, every) for name in names)
    if not globs or len(globs) > GLOBS or not all(_TYPED.fullmatch(each.replace("*", "")) for each in globs):
        return ()
    tried = attempt(replace(request, skip=(*request.skip, *globs)))
    return tuple(globs) if tried is not None and not tried.left and tried.placements else ()


def _glob(name: str, left: dict[str, None], every: list[str]) -> str:
    """A layer, if all of it is left, else the name alone."""
    owner = name.rpartition(".")[0]
    inside = [each for each in every if each.startswith(f"{owner}.")]
    return f"{owner}.*" if owner and all(each in left for each in inside) else name


def typed(rules: Sequence[Rule]) -> str:
    r"""Rules as they are typed.

    >>> print(typed([Rule(r"layer.(\d+)", r"h.\1"), Rule("module.", "")]))
    'load.rename={layer.\(\d+\): h.\1, module.: ""}'
    """
    pairs = ", ".join(f"{_escaped(each.old)}: {each.new or _NOTHING}" for each in rules)
    return f"'load.rename={{{pairs}}}'"


_NOTHING = '""'


def _escaped(text: str) -> str:
    return text.replace("(", r"\(").replace(")", r"\)")
