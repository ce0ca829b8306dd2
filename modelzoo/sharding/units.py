"""Which modules `fully_shard` takes together, and in which order: what is tied is one unit, inner ones come first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import nn

from modelzoo.init.ledger import Entry

Unit = tuple[tuple[str, ...], bool | None]
"""The names of its modules, and `reshard_after_forward`."""


def arranged(table: Iterable[Entry], asked: Mapping[str, bool | None], first: Mapping[nn.Module, str]) -> list[Unit]:
    """The units of a model; the root, which has the rest, is none of them.

    Args:
        table: of the model.
        asked: the modules that are to be units, by their first names.
        first: the first name of each module.
    """
    units, groups = dict(asked), list[set[str]]()
    for entry in table:
        owners = {first[home.owner] for home in entry.homes}
        for outer in owners:  # what holds itself a tensor that an inner module has too
            for inner in owners:
                for name in [each for each in units if each != outer and lies_in(each, outer) and lies_in(inner, each)]:
                    del units[name]
        if len({unit_of(each, units) for each in owners}) > 1:
            groups = _merged([*groups, owners])
    alone = [{each} for each in units if not any(each in group for group in groups)]
    ordered = _ordered([_outermost(each) for each in (*groups, *alone)])
    return [(tuple(names), next((units[each] for each in names if each in units), None)) for names in ordered]


def unit_of(name: str, units: Mapping[str, object]) -> str:
    """The unit that has a module: the innermost around it, or the root."""
    while name and name not in units:
        name = name.rpartition(".")[0]
    return name


def lies_in(name: str, outer: str) -> bool:
    """Whether a module is another one, or a part of it.

    >>> lies_in("blocks.0.norm", "blocks.0"), lies_in("blocks.01", "blocks.0"), lies_in("a", "")
    (True, False, True)
    """
    return not outer or name == outer or name.startswith(f"{outer}.")


def _merged(groups: list[set[str]]) -> list[set[str]]:
    """Groups that share a module are one."""
    last = groups[-1]
    apart = [each for each in groups[:-1] if each.isdisjoint(last)]
    return [*apart, last.union(*(each for each in groups[:-1] if not each.isdisjoint(last)))]


def _outermost(names: set[str]) -> list[str]:
    """Without those that lie in another: a module brings its parts."""
    return sorted(each for each in names if not any(each != other and lies_in(each, other) for other in names))


def _ordered(waiting: list[list[str]]) -> list[list[str]]:
    """Inner ones first; those that lie in each other are one."""
    found = []
    while waiting:
        free = [each for each in waiting if not any(_holds(each, other) for other in waiting if other is not each)]
        free = free or [_outermost({name for each in waiting for name in each})]
        found += free
        waiting = [] if free[0] not in waiting else [each for each in waiting if each not in free]
    return found


def _holds(outer: list[str], inner: list[str]) -> bool:
    return any(lies_in(one, other) for one in inner for other in outer)
