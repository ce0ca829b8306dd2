"""The base of rules that follow the width: the same model with other args."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelzoo.errors import Code, Path, Problems, nearest
from modelzoo.spec.keys import kind_of

WIDTHS = ("width_ratio", "fan_in_ratio", "fan_out_ratio")
"""What fills and options may read where there is a base."""

OWN_KEYS = ("args", "base")
"""The keys of rules, and of groups, that are the name of none."""

_PREFIX = "model.args."


def parse_base(value: Any, args: frozenset[str], key: Path, problems: Problems) -> tuple[tuple[str, Any], ...]:
    """The args of the base that are others than those of the model; none where there is no base.

    Args:
        value: a mapping of names of args, with `model.args.` before them or without, to plain values.
        args: the names of the model's args.
        problems: collects what is wrong with it.
    """
    if value is None:
        return ()
    if value == "???":
        example = next((each for each in ("width", "dim", *sorted(args)) if each in args), "width")
        problems.add(key, "this value is required.", f"Type {key}={{{example}: 64}}.", code=Code.NO_VALUE)
        return ()
    if not isinstance(value, Mapping) or not value:
        shown = "an empty mapping" if isinstance(value, Mapping) else kind_of(value)
        what = f"base is a mapping of args of the model to those of the base, not {shown}."
        problems.add(key, what, "Write base: {model.args.width: 64}.")
        return ()
    found = []
    for name, each in value.items():
        arg = str(name).removeprefix(_PREFIX)
        if arg not in args:
            problems.add(key / name, f"the model has no arg '{arg}'.", nearest(arg, sorted(args)))
        found.append((arg, each))
    return tuple(found)


def based(model: Any, base: tuple[tuple[str, Any], ...]) -> Any:
    """Plain data of a model, with the args of its base.

    >>> based({"args": ["dim=8", "depth=2"]}, (("dim", 4),))
    {'args': ['dim=4', 'depth=2']}
    """
    args, given = model["args"], dict(base)
    if isinstance(args, Mapping):
        return {**model, "args": {**args, **given}}
    names = [str(each).partition("=")[0].strip() for each in args]
    return {**model, "args": [f"{n}={given[n]!r}" if n in given else each for n, each in zip(names, args, strict=True)]}
