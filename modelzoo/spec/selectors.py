"""What selects tensors in a rule of an init and in a group of an optimiser."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from modelzoo.errors import Path, Problems
from modelzoo.names import Kind
from modelzoo.spec.keys import Keys

SELECTORS = ("layer", "param", "name", "block", "ndim")

_FIELDS = MappingProxyType(
    {"layer": "layers", "param": "params", "name": "patterns", "block": "blocks", "ndim": "dimensions"}
)
"""What a `Selector` calls them."""

_NAMES = MappingProxyType(
    {
        "layer": ("a layer", "Linear"),
        "param": ("a tensor", "weight"),
        "name": ("a tensor", "'*.weight'"),
        "block": ("a block", "Attention"),
    }
)
"""What their names are names of, with an example."""


def read_selectors(value: Mapping[str, Any], key: Path, keys: Keys, owner: str) -> dict[str, Any]:
    """What a mapping selects, as the fields of a `Selector`.

    Args:
        owner: what to call the mapping: "rule" or "group".
    """
    if not any(value.get(each) is not None for each in SELECTORS):
        hint = "Write layer: Linear, param: weight or name: '*.weight'."
        keys.problems.add(key, f"this {owner} selects nothing", hint)
    found: dict[str, Any] = {
        _FIELDS[each]: names_at(value.get(each), key / each, keys.problems) for each in SELECTORS if each != "ndim"
    }
    for name in ("layer", "block"):
        for each in found[_FIELDS[name]]:
            if not Kind.TYPE.fits(each):
                example = _NAMES[name][1]
                keys.problems.add(key / name, f"'{each}' cannot be the name of {_NAMES[name][0]}.", f"Write {example}.")
    for each in found["params"]:
        keys.check_name(each, key / "param", Kind.LOCAL)
    return {**found, "dimensions": _dimensions(value.get("ndim"), key / "ndim", keys.problems)}


def names_at(value: Any, key: Path, problems: Problems) -> tuple[str, ...]:
    """The names of which it takes any."""
    if value is None:
        return ()
    given = value if isinstance(value, (list, tuple)) else (value,)
    if not given or not all(isinstance(each, str) for each in given):
        of, example = _NAMES[str(key[-1])]
        what = f"{key[-1]} is the name of {of} or a list of names, not {value!r}."
        problems.add(key, what, f"Write {example}.")
        return ()
    return tuple(given)


def _dimensions(value: Any, key: Path, problems: Problems) -> tuple[int, ...]:
    """The numbers of dimensions of which it takes any."""
    if value is None:
        return ()
    given = value if isinstance(value, (list, tuple)) else (value,)
    if not given or not all(type(each) is int and each >= 0 for each in given):
        what = f"ndim is a number of dimensions or a list of numbers, not {value!r}."
        problems.add(key, what, "Write 1 for vectors, such as biases.")
        return ()
    return tuple(given)
