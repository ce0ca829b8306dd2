"""How much wider each tensor is than that of a base, for rules that follow the width."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelzoo.catalog import distributions
from modelzoo.errors import Path, Problems
from modelzoo.init.ledger import weight_of

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Widths:
    """Compares tensors with those of the same names in a base.

    Attributes:
        shapes, base: of all tensors of the model, and of its base, by each of their names.
        key: where the base is written.
    """

    shapes: Shapes
    base: Shapes
    key: Path

    def check(self, problems: Problems) -> None:
        """Says which tensors the base does not have, or has with other dimensions."""
        for name, shape in self.shapes.items():
            base = self.base.get(name)
            if base is None:
                problems.add(self.key, f"the base has no tensor '{name}': it is to differ in sizes alone.")
            elif len(base) != len(shape) or not math.prod(base):
                what = f"'{name}' is {list(shape)}, and in the base {list(base)}, which tells no ratio."
                problems.add(self.key, what)

    def of(self, name: str) -> dict[str, Any]:
        """The ratios of a tensor.

        `width_ratio` is that of each dimension; `fan_in_ratio` and `fan_out_ratio` are those of its fans, for a bias
        those of the weight of its layer, and not there where that has none.

        >>> shapes, base = {"a.weight": (8, 3), "a.bias": (8,)}, {"a.weight": (2, 3), "a.bias": (2,)}
        >>> widths = Widths(shapes=shapes, base=base, key=Path())
        >>> widths.of("a.weight")
        {'width_ratio': (4.0, 1.0), 'fan_in_ratio': 1.0, 'fan_out_ratio': 4.0}
        >>> widths.of("a.bias")
        {'width_ratio': (4.0,), 'fan_in_ratio': 1.0, 'fan_out_ratio': 4.0}
        """
        shape, base = self.shapes[name], self.base[name]
        found: dict[str, Any] = {"width_ratio": tuple(map(_ratio, shape, base))}
        owner, _, local = name.rpartition(".")
        weight = f"{owner}.{weight_of(local)}" if owner else weight_of(local)
        source = weight if len(shape) < 2 else name
        if len(self.shapes.get(source, ())) >= 2 and source in self.base:
            fans = zip(*(distributions.fans_of(each[source]) for each in (self.shapes, self.base)), strict=True)
            fan_in, fan_out = (_ratio(*each) for each in fans)
            found |= {"fan_in_ratio": fan_in, "fan_out_ratio": fan_out}
        return found


def _ratio(size: int, base: int) -> float:
    return 1.0 if size == base else size / base
