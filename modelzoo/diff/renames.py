"""What names of tensors became, as the regular expressions of `load.rename`."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence

import regex

from modelzoo.diff.pairing import Pairs
from modelzoo.diff.snapshots import Snapshot
from modelzoo.diff.tensor_changes import same_tensors
from modelzoo.weights.patterns import Rule

ASIDE = "aside"
"""Where names go whose place another tensor takes."""

MOST = 1_000
"""Beginnings of names that became others; of more no rules are made."""


def moved(before: Snapshot, after: Snapshot, pairs: Pairs) -> dict[str, str]:
    """Old and new beginnings of names that are others now, no longer than they have to be; the longest first."""
    found: dict[str, str] = {}
    for name, other in pairs.after.items():
        if _inherited(name, found) != other:
            found[f"{name}." if name else ""] = f"{other}." if other else ""
        for old, new in same_tensors(before, after, before.parts[name], after.parts[other]):
            if old != new:
                found[f"{name}.{old}" if name else old] = f"{other}.{new}" if other else new
    return dict(sorted(found.items(), key=lambda each: -len(each[0])))


def _inherited(name: str, found: Mapping[str, str]) -> str:
    """What the name of a module becomes with the one that it stands in."""
    head = name.rpartition(".")[0]
    while head and f"{head}." not in found:
        head = head.rpartition(".")[0]
    if head:
        return found[f"{head}."] + name[len(head) + 1 :]
    return found.get("", "") + name if name else ""


def rules_of(moves: Mapping[str, str], names: Sequence[str]) -> Iterator[Rule]:
    r"""Rules for beginnings of names, one after the other, so that none changes what another made.

    Args:
        moves: old and new beginnings, longer ones before shorter ones that begin them.
        names: all old names.

    >>> for each in rules_of({"h.1.": "h.2.", "h.2.": "h.3."}, ["h.1.fc", "h.2.fc"]):
    ...     print(each.old, "->", each.new)
    \Ah\.2\. -> h.3.
    \Ah\.1\. -> h.2.
    >>> for each in rules_of({"h.1.fc.": "h.1.out.", "h.2.fc.": "h.2.out."}, ["h.1.fc.bias", "h.2.fc.bias"]):
    ...     print(each.old, "->", each.new)
    \Ah\.(\d+)\.fc\. -> h.\1.out.
    """
    waiting = dict(moves)
    if "" in waiting:  # what is put before all names is there for the other rules
        head = waiting.pop("")
        yield _rule("", head)
        waiting = {head + old: new for old, new in waiting.items()}
        names = [head + name for name in names]
    for general, olds in _general(waiting, names):
        yield general
        waiting = {old: new for old, new in waiting.items() if old not in olds}
    stays = [name for name in names if not name.startswith(tuple(waiting))]
    for new in waiting.values():
        if new and new not in waiting and any(name.startswith(new) for name in stays):
            yield _rule(new, f"{ASIDE}.{new}")
    yield from _ordered(waiting)


def _ordered(waiting: dict[str, str]) -> Iterator[Rule]:
    last: dict[str, str] = {}
    while waiting:
        free = next((old for old in waiting if not _taken(waiting[old], old, waiting)), None)
        if free is not None:
            yield _rule(free, waiting.pop(free))
            continue
        old = next(iter(waiting))
        last[f"{ASIDE}.{old}"] = waiting.pop(old)
        yield _rule(old, f"{ASIDE}.{old}")
    yield from (_rule(old, new) for old, new in last.items())


def _taken(new: str, old: str, waiting: Mapping[str, str]) -> bool:
    """Whether a rule that comes later would change what this one makes, or is meant first."""
    return any(other != old and (new.startswith(other) or other.startswith(old)) for other in waiting)


def _rule(old: str, new: str) -> Rule:
    return Rule(rf"\A{regex.escape(old, special_only=True)}{_end(old)}", new)


def _end(old: str) -> str:
    return "" if not old or old.endswith(".") else r"\Z"


def _general(moves: Mapping[str, str], names: Sequence[str]) -> Iterator[tuple[Rule, list[str]]]:
    """Rules for all numbers, each with the beginnings that it is for, where it means no other name."""
    groups: dict[tuple[str, str], list[str]] = {}
    for old, new in moves.items():
        groups.setdefault(_numberless(old, new), []).append(old)
    for (pattern, becomes), olds in groups.items():
        others = [each for each in moves if each not in olds]
        meant = tuple(olds)
        if not olds[1:] or any(name.startswith(meant) != bool(re.match(pattern, name)) for name in names):
            continue
        if not any(each.startswith(meant) or moves[old].startswith(each) for old in olds for each in others):
            yield Rule(pattern, becomes), olds


def _numberless(old: str, new: str) -> tuple[str, str]:
    """Both with groups in place of the numbers in what they begin with alike."""
    parts, others = old.split("."), new.split(".")
    same = len([*itertools.takewhile(lambda pair: pair[0] == pair[1], zip(parts, others, strict=False))])
    count = itertools.count(1)
    patterns, becomes = [], []
    for part in parts[:same]:
        stem = re.sub(r"\d+$", "", part)
        numbered = stem != part
        patterns.append(regex.escape(stem, special_only=True) + r"(\d+)" * numbered)
        becomes.append(stem + (rf"\{next(count)}" if numbered else ""))
    patterns += [regex.escape(part, special_only=True) for part in parts[same:]]
    return r"\A" + r"\.".join(patterns) + _end(old), ".".join([*becomes, *others[same:]])
