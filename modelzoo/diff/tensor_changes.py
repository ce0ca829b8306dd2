"""What is not alike in the tensors of two models: shapes, ties, fills and who decides them, what is trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from modelzoo.diff.changes import Change, listed
from modelzoo.diff.pairing import Pairs
from modelzoo.diff.snapshots import Held, Part, Snapshot


@dataclass(frozen=True, slots=True)
class Both:
    """A tensor where it belongs to: in both models, with its name there in the second."""

    name: str
    one: Held
    two: Held
    parts: tuple[Part, Part]

    @property
    def grown(self) -> bool:
        """Whether its layer has other arguments or its tensors other shapes, from which a fill may follow."""
        return self.one.shape != self.two.shape or self.parts[0].arguments != self.parts[1].arguments


def both(before: Snapshot, after: Snapshot, pairs: Pairs) -> Iterator[Both]:
    """Every tensor that both models have, in each module that has it."""
    for other, name in pairs.before.items():
        parts = before.parts[name], after.parts[other]
        for old, new in same_tensors(before, after, *parts):
            at = f"{other}.{new}" if other else new
            held = before.tensors[dict(parts[0].tensors)[old]], after.tensors[dict(parts[1].tensors)[new]]
            yield Both(at, *held, parts)


def same_tensors(before: Snapshot, after: Snapshot, one: Part, two: Part) -> list[tuple[str, str]]:
    """Old and new local names of the tensors that two modules have in common."""
    names, others = dict(one.tensors), dict(two.tensors)
    found = [(each, each) for each in names if each in others]
    left = [each for each, _ in one.in_order(one.tensors) if each not in others]
    new = [each for each, _ in two.in_order(two.tensors) if each not in names]
    for each in left:
        shape = before.tensors[names[each]].shape
        same = next((other for other in new if after.tensors[others[other]].shape == shape), "")
        if same and not (one.leaf or two.leaf):
            new.remove(same)
            found.append((each, same))
    return found


def tensor_changes(before: Snapshot, after: Snapshot, pairs: Pairs) -> Iterator[Change]:
    """What is not alike in the tensors of two models."""
    for other, name in pairs.before.items():
        yield from _owned(before, after, before.parts[name], after.parts[other])
    found = [*both(before, after, pairs)]
    tied = dict(_ties(found))
    for name, what in tied.items():
        yield Change(kind="tied", names=(name,), what=what)
    seen: set[str] = set()
    for each in found:
        if each.name in tied or each.two.name in seen:
            continue
        seen.add(each.two.name)
        yield from _facts(each)


def _owned(before: Snapshot, after: Snapshot, one: Part, two: Part) -> Iterator[Change]:
    """A block's own tensors that came, went or have another name; those of a layer follow from its arguments."""
    if one.leaf or two.leaf:
        return
    same = same_tensors(before, after, one, two)
    kept = {old for old, _ in same}, {new for _, new in same}
    for local, name in one.tensors:
        if local not in kept[0]:
            yield Change(kind="removed", names=(_at(one, local),), what=_tensor(before.tensors[name]))
    for local, name in two.tensors:
        if local not in kept[1]:
            yield Change(kind="added", names=(_at(two, local),), what=_tensor(after.tensors[name]))
    renamed = listed(f"{old} -> {new}" for old, new in same if old != new)
    if renamed:
        yield Change(kind="renamed", names=(two.name,), what=renamed)


def _tensor(held: Held) -> str:
    return f"{held.kind} {list(held.shape)}, {one_line(held.fill)}"


def one_line(fill: str) -> str:
    """A fill that is a text, in one line."""
    return "; ".join(each.strip() for each in fill.splitlines())


def _at(part: Part, local: str) -> str:
    return f"{part.name}.{local}" if part.name else local


def _ties(found: list[Both]) -> Iterator[tuple[str, str]]:
    """The names of tensors that are tied or not tied any more, and to what."""
    firsts: tuple[dict[str, Both], dict[str, Both]] = ({}, {})
    for each in found:
        old, new = firsts[0].setdefault(each.one.name, each), firsts[1].setdefault(each.two.name, each)
        if new is not each and new.one is not each.one:
            yield each.name, f"now tied to {new.name}"
        elif old is not each and old.two is not each.two:
            yield each.name, f"no longer tied to {old.name}"


def _facts(each: Both) -> Iterator[Change]:
    one, two, names = each.one, each.two, (each.name,)
    if one.shape != two.shape and not each.parts[1].leaf:  # those of a layer follow from its arguments
        sizes = ((str(list(one.shape)), str(list(two.shape))),)
        yield Change(kind="shape", names=names, what=" -> ".join(sizes[0]), sizes=sizes)
    if one.dtype != two.dtype:
        yield Change(kind="dtype", names=names, what=f"{one.dtype} -> {two.dtype}")
    if one.trainable != two.trainable:
        yield Change(kind="trainable", names=names, what="trained" if two.trainable else "frozen")
    if one.group != two.group:
        yield Change(kind="group", names=names, what=f"{one.group or 'in no group'} -> {two.group or 'in no group'}")
    if one.persistent != two.persistent:
        yield Change(kind="state", names=names, what=f"{'' if two.persistent else 'no longer '}in the state dict")
    follows = each.grown and one.rule == two.rule and _head(one.fill) == _head(two.fill)
    if (one.fill, one.rule) != (two.fill, two.rule) and not follows:
        yield Change(kind="fill", names=names, what=_decided(one, two))
    elif one.drawn in two.homes[1:] and two.drawn != one.drawn:
        yield Change(kind="drawn", names=(two.name,), what=f"{one.drawn} -> {two.drawn}")


def _head(fill: str) -> str:
    return fill.partition("(")[0] if "\n" not in fill else fill


def _decided(one: Held, two: Held) -> str:
    fills = one_line(one.fill), one_line(two.fill)
    if one.rule == two.rule:
        return f"{fills[0]} -> {fills[1]} ({two.rule})"
    if one.fill == two.fill:
        return f"{fills[1]} ({one.rule} -> {two.rule})"
    # What torch draws by itself differs from layer to layer.
    told = _head(fills[0]) if one.rule == "torch" else fills[0], _head(fills[1]) if two.rule == "torch" else fills[1]
    return f"{told[0]} ({one.rule}) -> {told[1]} ({two.rule})"
