"""From what explains each tensor to few rules: one for all of a layer, then names for what is another way."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn

from modelzoo.catalog.layers import find_layer
from modelzoo.importing.fitted import Fill, Fits, Law, by_number, follows, joined
from modelzoo.importing.samples import Sample

TORCH = "torch"
"""Stands for torch's own, which needs no rule."""

Explained = Mapping[Sample, Fits]
"""Of each tensor the fills that explain it, the simplest first."""


def together(explained: Explained) -> Explained:
    """What explains tensors that are called alike in copies of one block explains all of them at once."""
    clusters: dict[str, list[Sample]] = {}
    for each, fits in explained.items():
        if any(law is not None for law in fits.values()):
            clusters.setdefault(starred(each.name), []).append(each)
    found = dict(explained)
    for members in clusters.values():
        values = joined(members)
        common = by_number(values) if len(members) > 1 else {}
        for each in members:
            drawn = joined([each])
            own = {text: law for text, law in explained[each].items() if law is None or follows(values, law)}
            found[each] = {**own, **{text: law for text, law in common.items() if law and follows(drawn, law)}}
            found[each] = found[each] or explained[each]
    return _with_neighbours(found)


def _with_neighbours(explained: Explained) -> Explained:
    """What explains one tensor of a layer may explain others, whose own numbers would be a little off."""
    groups: dict[tuple[str, str], list[Sample]] = {}
    for each in explained:
        groups.setdefault((layer_of(each.owner), each.local), []).append(each)
    found = dict(explained)
    for members in groups.values():
        laws = dict(each for each in (_first(explained[one]) for one in members) if each is not None)
        for each in members:
            if _first(explained[each]) is not None:
                drawn = joined([each])
                more = {text: law for text, law in laws.items() if text not in found[each] and follows(drawn, law)}
                found[each] = {**found[each], **more}
    return found


def _first(fits: Fits) -> tuple[Fill, Law] | None:
    """The simplest fill of a law of its own, if it fills all rows."""
    told = ((text, law) for text, law in fits.items() if law is not None and "\n" not in str(text))
    return next(told, None)


def rules_of(explained: Explained) -> dict[str, Any]:
    """Rules, in the order in which they count."""
    groups: dict[tuple[str, str], list[Sample]] = {}
    for each in explained:
        layer = "" if each.is_buffer else layer_of(each.owner)  # which no rule selects by that
        groups.setdefault((layer, each.local), []).append(each)
    common: dict[tuple[str, Fill], list[str]] = {}
    others: list[Sample] = []
    said = dict(explained)  # where a rule for a layer counts, torch's own has to be said
    for (layer, local), members in groups.items():
        fill = chosen(explained, members) if layer else None
        if fill is None:
            others += members
            continue
        exceptions = [each for each in members if fill not in explained[each]]
        others += exceptions
        if fill != TORCH:
            common.setdefault((local, fill), []).append(layer)
            said |= {each: _without_torch(explained[each]) for each in exceptions}
    found: dict[str, Any] = {}
    for (local, fill), layers in common.items():
        key = f"{layers[0].lower()}_{local}" if len(layers) == 1 else local
        found[_free(key, found)] = {"layer": layers[0] if len(layers) == 1 else layers, "param": local, "fill": fill}
    return found | _by_name(said, others, found)


def _without_torch(fits: Fits) -> Fits:
    return {fill: law for fill, law in fits.items() if fill != TORCH}


def layer_of(owner: nn.Module) -> str:
    """The layer of torch that a module is, or derives from; empty where it is none."""
    for cls in type(owner).__mro__:
        if cls.__module__.startswith("torch.nn.") and find_layer(cls.__name__) is not None:
            return cls.__name__
    return ""


def chosen(explained: Explained, members: Iterable[Sample]) -> Fill | None:
    """The fill that explains most of some tensors; of several the simplest."""
    counts: Counter[Fill] = Counter()
    places: dict[Fill, int] = {}
    for each in members:
        for place, fill in enumerate(explained[each]):
            counts[fill] += 1
            places[fill] = max(places.get(fill, 0), place)
    return max(counts, key=lambda each: (counts[each], each == TORCH, -places[each]), default=None)


def _by_name(explained: Explained, others: list[Sample], taken: Mapping[str, Any]) -> dict[str, Any]:
    """Rules for tensors by their names, numbers of which become stars."""
    clusters: dict[str, list[Sample]] = {}
    for each in others:
        clusters.setdefault(starred(each.name), []).append(each)
    by_fill: dict[Fill, list[Sample]] = {}
    for members in clusters.values():
        left = [each for each in members if explained[each]]
        while left:
            fill = chosen(explained, left)
            assert fill is not None
            by_fill.setdefault(fill, []).extend(each for each in left if fill in explained[each])
            left = [each for each in left if fill not in explained[each]]
    found: dict[str, Any] = {}
    names = [each.name for each in explained if not each.is_buffer]
    for fill, members in by_fill.items():
        if fill == TORCH:
            continue
        patterns = _patterns([each.name for each in members if not each.is_buffer], names)
        patterns += [each.name for each in members if each.is_buffer]  # which are selected by their whole names
        key = re.sub(r"[^a-z0-9]+", "_", patterns[0].lower()).strip("_")
        key = f"p{key}" if key[:1].isdigit() else key
        found[_free(key, {**taken, **found})] = {"name": patterns[0] if len(patterns) == 1 else patterns, "fill": fill}
    return found


def _patterns(wanted: list[str], names: list[str]) -> list[str]:
    """The shortest patterns that select some names and no others."""
    left, found = dict.fromkeys(wanted), []
    while left:
        name = next(iter(left))
        pattern = next(each for each in _tried(name) if all(one in wanted for one in _matching(each, names)))
        found.append(pattern)
        for one in _matching(pattern, names):
            left.pop(one, None)
    return found


def _tried(name: str) -> list[str]:
    parts = name.split(".")
    tails = [f"*.{'.'.join(parts[-length:])}" for length in range(2, len(parts))]
    return [each for each in (*tails, starred(name)) if not re.search(r"\.\d+\.", each)] + [name]


def starred(name: str) -> str:
    """A name with stars in the place of numbers.

    >>> starred("blocks.0.fc1.weight")
    'blocks.*.fc1.weight'
    """
    return ".".join("*" if each.isdigit() else each for each in name.split("."))


def _matching(pattern: str, names: list[str]) -> list[str]:
    known = re.compile(re.escape(pattern).replace(r"\*", ".*"))
    return [each for each in names if known.fullmatch(each)]


def _free(key: str, taken: Mapping[str, Any]) -> str:
    found, count = key, 1
    while found in taken:
        count += 1
        found = f"{key}{count}"
    return found
