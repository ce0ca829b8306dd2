"""The difference of two models on one page: pairs, changes, costs, weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from modelzoo.diff.carried import Carried, carried
from modelzoo.diff.changes import NOTHING, Change, module_changes, together
from modelzoo.diff.pairing import Pairs, paired
from modelzoo.diff.snapshots import Snapshot
from modelzoo.diff.tensor_changes import both, tensor_changes

_UNKNOWN: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What two models differ in.

    Attributes:
        before, after: the models.
        pairs: which of their modules are the same.
        changes: what is not alike, each with all its places; none if the models are equal.
        costs: of what is another number now, by name: before and after.
        weights: what a checkpoint of the first is to the second; None if they are equal.
        notes: what is another in equal models, and matters to few.
    """

    before: Snapshot
    after: Snapshot
    pairs: Pairs
    changes: tuple[Change, ...]
    costs: dict[str, tuple[int, int]]
    weights: Carried | None
    notes: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether both are the same model, with the same values."""
        return not self.changes


Digests = Mapping[str, str]
"""What the values of tensors are, in a few letters, by their names."""


def difference(before: Snapshot, after: Snapshot, values: tuple[Digests, Digests] = (_UNKNOWN, _UNKNOWN)) -> Difference:
    """What two models differ in.

    Args:
        before, after: the models.
        values: what their values are; where nothing else is another, these may be.

    >>> import modelzoo
    >>> from modelzoo.diff.snapshots import snapshot
    >>> from modelzoo.plans.draft import draft
    >>> def model(*layers):
    ...     return snapshot(draft({"layers": [*layers]}))
    >>> found = difference(model("Linear(4, 8)", "ReLU"), model("Linear(4, 8)", "Dropout(0.1)", "ReLU"))
    >>> [(each.kind, each.names, each.what) for each in found.changes]
    [('added', ('1',), 'Dropout(p=0.1)')]
    >>> found.weights.line
    'load=FILE'
    """
    pairs = paired(before, after)
    found = [
        *_outside(before, after),
        *module_changes(before, after, pairs),
        *tensor_changes(before, after, pairs),
    ]
    if not found:
        found += _values(before, after, pairs, values)
    changes = together(found)
    costs = {name: (old, after.totals[name]) for name, old in before.totals.items() if old != after.totals[name]}
    weights = carried(before, after, pairs) if changes else None
    notes = () if changes else tuple(_notes(before, after, pairs))
    return Difference(
        before=before, after=after, pairs=pairs, changes=changes, costs=costs, weights=weights, notes=notes
    )


def _values(before: Snapshot, after: Snapshot, pairs: Pairs, values: tuple[Digests, Digests]) -> Iterator[Change]:
    """Tensors that have other values, though nothing else is another."""
    for each in both(before, after, pairs):
        old, new = values[0].get(each.one.name), values[1].get(each.two.name)
        if old is not None and new is not None and old != new and each.name == each.two.name:
            yield Change(kind="values", names=(each.name,), what="other values by the same fill")


def _outside(before: Snapshot, after: Snapshot) -> Iterator[Change]:
    """What is not alike in the inputs, and in what all values depend on."""
    for name in {**before.inputs, **after.inputs}:
        old, new = (each.inputs.get(name, NOTHING) for each in (before, after))
        if old != new:
            yield Change(kind="input", names=(name,), what=f"{old} -> {new}")
    for name in ("seed", "scheme"):
        old, new = (getattr(each, name) for each in (before, after))
        if old != new:
            yield Change(kind=name, names=(name,), what=f"{old} -> {new}: every drawn value is another")


def _notes(before: Snapshot, after: Snapshot, pairs: Pairs) -> Iterator[str]:
    there = {name: index for index, name in enumerate(after.tensors)}
    both_names = {each.one.name: there[each.two.name] for each in both(before, after, pairs)}
    order = [both_names[name] for name in before.tensors if name in both_names]
    if order != sorted(order):
        yield "The tensors come in another order, by which the saved state of an optimizer counts them."
