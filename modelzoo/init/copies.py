"""Tensors that start as copies of others: which, and in which order they are filled."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from modelzoo.errors import Code, Problems, nearest
from modelzoo.init.decisions import Copied, Decision, Kept
from modelzoo.init.ledger import Entry
from modelzoo.spec.nodes import Fill, Rule


def fill_of(rule: Rule, name: str) -> Fill:
    """The fill of a rule for the tensor with this name: a `*` in what it copies is what that of its own name means.

    >>> from modelzoo.errors import Path
    >>> rule = Rule(name="r", patterns=("teacher.*",), fill=Fill(original="student.*"), key=Path())
    >>> fill_of(rule, "teacher.0.weight").original
    'student.0.weight'
    """
    if "*" not in rule.fill.original:
        return rule.fill
    ends = (each.split("*") for each in rule.patterns)
    start, end = next((a, b) for a, b in ends if name.startswith(a) and name.endswith(b) and len(name) >= len(a + b))
    return replace(rule.fill, original=rule.fill.original.replace("*", name[len(start) : len(name) - len(end)]))


def follow(table: list[Entry], problems: Problems) -> None:
    """Finds the original of each copy, and after how many others it is filled.

    Args:
        table: with the fills that count.
        problems: gets copies of nothing, and those that are made in a circle.
    """
    copies = [(entry, entry.chain[0]) for entry in table if entry.chain and isinstance(entry.chain[0], Copied)]
    named = {home.name: entry for entry in table for home in entry.homes} if copies else {}
    for entry, decision in copies:
        assert isinstance(decision, Copied)
        entry.original = named.get(decision.original)
        if entry.original is None:
            what = f"there is no tensor '{decision.original}' to copy."
            problems.add(decision.key / "_ref_", what, nearest(decision.original, named), code=Code.UNKNOWN)
        elif entry.original.tensor.shape != entry.tensor.shape:
            mine, its = ([*each.tensor.shape] for each in (entry, entry.original))
            shapes = f"'{entry.name}' has shape {mine} and '{decision.original}' {its}"
            problems.add(decision.key / "_ref_", f"{shapes}: a copy has the shape of its original.")
    known = {entry for entry in table if entry.original is None}
    for entry, decision in copies:
        way: dict[Entry, None] = {}
        last: Entry | None = entry
        while last is not None and last not in known and last not in way:
            way[last], last = None, last.original
        known.update(way)
        if last is not None and last in way:
            names = [each.name for each in way]
            circle = " -> ".join([*names[[*way].index(last) :], last.name])
            what = f"copies in a circle start with nothing: {circle}."
            problems.add(decision.key / "_ref_", what, "Let the rule select other tensors.")
        level = 0 if last is None else last.level
        for each in reversed(way):
            each.level = level = level + 1


def carried(chain: tuple[Decision, ...], original: Tensor) -> tuple[Decision, ...]:
    """The fills of a copy, the first as what its original holds."""
    first, *others = chain
    return (Kept(rule=first.rule, strength=first.strength, key=first.key, value=original), *others)
