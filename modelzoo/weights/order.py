"""Tensors matched without their names, if that is asked: layer by layer, each with the shapes that it has."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeVar

from modelzoo.errors import Path, fail
from modelzoo.escapes import printable
from modelzoo.names import is_index
from modelzoo.weights.constants import is_known
from modelzoo.weights.stored import Content, Stored

_Thing = TypeVar("_Thing")


def matched(content: Content, wanted: Iterable[str]) -> list[tuple[Stored, str]]:
    """The tensors of a file, each with a name of the model: the first layer with the first, and so on.

    A layer is what has the same name but for its last part. Within a layer the last parts decide, if they are the same
    ones. Where the format keeps no order, layers come by name, with numbers as numbers. Shapes are checked later.

    Args:
        wanted: the names that are to be loaded, in the order of the model.

    Raises:
        ConfigError: there are more layers on one side, or more tensors in one of them.
    """
    tensors = [each for each in content.tensors if not is_known(each)]
    if not content.ordered:
        tensors.sort(key=lambda each: _natural(each.name))
    names = [name for name in wanted if not name.endswith("num_batches_tracked")]
    found: list[tuple[Stored, str]] = []
    ours = _layers((name, name) for name in names)
    theirs = _layers((each.name, each) for each in tensors)
    if len(ours) != len(theirs):
        what = (
            f"The model has {len(ours)} layers with tensors, and the file has {len(theirs)}: in order they do not fit."
        )
        fail(Path(("load", "match")), what, "Leave some out with load.skip=[...], or match by name.")
    for (here, own), (there, others) in zip(ours.items(), theirs.items(), strict=True):
        if len(own) != len(others):
            what = f"In order '{here}', with {len(own)}, would take the tensors of '{there}', which are {len(others)}."
            hint = "Leave layers out with load.skip=[...], or match by name."
            fail(Path(("load", "match")), printable(what, lines=False), hint)
        if own.keys() == others.keys():
            found += [(others[local], name) for local, name in own.items()]
        else:
            found += list(zip(others.values(), own.values(), strict=True))
    return found


def _layers(named: Iterable[tuple[str, _Thing]]) -> dict[str, dict[str, _Thing]]:
    found: dict[str, dict[str, _Thing]] = {}
    for name, each in named:
        owner, _, local = name.rpartition(".")
        found.setdefault(owner, {})[local] = each
    return found


def _natural(name: str) -> list[tuple[int, int, str]]:
    """A sort key under which `layer.2` comes before `layer.10`.

    >>> sorted(["b.10", "b.2", "a"], key=_natural)
    ['a', 'b.2', 'b.10']
    """
    return [(0, int(part), "") if is_index(part) else (1, 0, part) for part in re.split("([0-9]{1,18})", name)]
