"""What counts as wrong at the start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from modelzoo.errors import Path, Problems, nearest

FINDINGS = (
    *("vanishes", "explodes", "gradient vanishes", "gradient explodes", "dead", "saturated"),
    *("constant", "idle", "equal", "logits", "fan", "frozen"),
)
"""The kinds of what may be found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Beyond these there is a finding.

    Attributes:
        vanishes: how many times smaller than the input, or than 1 where that is larger, a signal may become.
        explodes: how many times larger than the input, or than 1 where that is smaller.
        residual: the same for what comes out of a block that adds to what it is given.
        gradient: by how much the gradient of the first layers may differ from that of the last ones.
        dead: the share of the units of a ReLU that may be zero for the whole batch.
        saturated: the share of what a tanh or a sigmoid returns that may be within 3% of its ends.
        loss: how many times the logarithm of the number of classes the cross-entropy may be.
        fan: by how much the fan that a fill uses may differ from that of the layer.
    """

    vanishes: float = 100.0
    explodes: float = 10.0
    residual: float = 4.0
    gradient: float = 1000.0
    dead: float = 0.5
    saturated: float = 0.5
    loss: float = 1.5
    fan: float = 2.0

    @classmethod
    def of(cls, given: object, problems: Problems) -> Limits:
        """The limits, with those that are given: a mapping, or None.

        >>> Limits.of({"dead": 0.3}, Problems()).dead
        0.3
        """
        names = [each.name for each in fields(cls)]
        right: dict[str, float] = {}
        if given is not None and not isinstance(given, Mapping):
            what = f"limits must be a mapping from names to numbers, not {given!r}."
            problems.add(Path(("limits",)), what, "Type 'limits={dead: 0.3}'.")
            return cls()
        for name, value in (given or {}).items():
            key = Path(("limits", str(name)))
            if name not in names:
                problems.add(key, f"there is no limit '{name}'.", nearest(str(name), names))
            elif isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
                problems.add(key, f"{name} must be a positive number, not {value!r}.")
            else:
                right[str(name)] = float(value)
        return cls(**right)
