"""How often the ranks of a job speak to each other, counted from rules alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import nn

from modelzoo.init.ledger import Entry
from modelzoo.sharding.rules import Split, styled
from modelzoo.sharding.units import Unit, unit_of

GATHER, SCATTER, REDUCE = "all_gather", "reduce_scatter", "all_reduce"


@dataclass(frozen=True, slots=True, kw_only=True)
class Collectives:
    """What a rank takes part in, by the name of each operation.

    Attributes:
        forward: in a forward pass.
        backward: in the backward pass that follows.
    """

    forward: Mapping[str, int]
    backward: Mapping[str, int]

    def __str__(self) -> str:
        return f"collectives: {_listed(self.forward)} forward, {_listed(self.backward)} backward"


def _listed(counts: Mapping[str, int]) -> str:
    return " and ".join(f"{count:,} {name}" for name, count in counts.items()) or "none"


def collectives(
    split: Split, sizes: Mapping[str, int], root: nn.Module, table: Iterable[Entry], calls: Mapping[nn.Module, int]
) -> Collectives:
    """Counts what torch does: a unit gathers its tensors when it is called, and again for its backward pass.

    What is split by rows adds up what it returns, what is split by columns adds up the gradient of what it is given.

    Args:
        split, sizes: of the model and of the mesh.
        root, table: of the model.
        calls: how often each module is called; once where that is not known.
    """
    forward, backward = Counter[str](), Counter[str]()
    across = [name for name in split.across([*sizes]) if sizes[name] > 1]
    for names, reshard in _units(split, table) if across else ():
        count = max(calls.get(root.get_submodule(name), 1) for name in names)
        again = reshard is not False and names != ("",)  # torch keeps what the root itself has
        forward[GATHER] += count if again else 1
        backward[GATHER] += count if again else count - 1
        backward[SCATTER] += 1
        backward[REDUCE] += len(across) > 1
    if math.prod(sizes.values()) > 1 and split.styles and sizes[styled(sizes)] > 1:
        for name, style in split.styles.items():
            count = calls.get(root.get_submodule(name), 1)
            embeds = isinstance(root.get_submodule(name), nn.Embedding)
            forward[REDUCE] += count * (style == "rowwise")
            backward[REDUCE] += count * (style == "colwise" and not embeds)
    return Collectives(forward=+forward, backward=+backward)


def _units(split: Split, table: Iterable[Entry]) -> Iterable[Unit]:
    """Units, the root among them, that have parameters of their own."""
    units = {name: unit for unit in split.units for name in unit[0]}
    holding = {
        unit_of(home.name.rpartition(".")[0], units)
        for entry in table
        if entry.kind == "parameter"
        for home in entry.homes[:1]
    }
    return [unit for unit in (*split.units, (("",), None)) if not holding.isdisjoint(unit[0])]
