"""Writes down what the catalog asks torch, as `modelzoo/torch.json`: python -m tests.helpers.torch_table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from modelzoo import asked, known

OWNERS = ("Module", "Sequential", "ModuleDict")
HOMES = ("torch", "torch.fft", "torch.nn.functional")


def table(layers: Iterable[str], functions: Iterable[str], methods: Iterable[str]) -> dict[str, Any]:
    """The answers of the installed torch to all that is asked about these names."""
    return {
        "torch": known.installed(),
        "layer": _all(asked.layer, layers),
        "function": {home: _all(partial(asked.function, home), functions) for home in HOMES},
        "documented": _all(asked.documented, {*functions, *methods}),
        "own names": _all(asked.own_names, OWNERS),
        "methods": asked.methods(),
        "dtypes": asked.dtypes(),
    }


def _all(ask: Callable[[str], Any], names: Iterable[str]) -> dict[str, Any]:
    """The answers, without those that are none."""
    return {name: answer for name in sorted(names) if (answer := ask(name)) is not None}


def current() -> dict[str, Any]:
    """The table of what is in the catalog now."""
    from modelzoo.catalog import functions, layers

    return table(layers.LAYERS, functions.FUNCTIONS, functions.METHODS)


if __name__ == "__main__":
    vars(known)["_table"] = lambda: None  # torch itself is asked what there is
    known.TABLE.write_text(json.dumps(current(), indent=0, separators=(",", ":")) + "\n", "utf-8")
