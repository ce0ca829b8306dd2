"""Writes down what is asked of torch before it is imported: python -m tests.helpers.torch_tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from modelzoo import asked, known

OWNERS = ("Module", "Sequential", "ModuleDict")
HOMES = ("torch", "torch.fft", "torch.nn.functional")


def answers() -> dict[known.Table, dict[str, Any]]:
    """The answers of the installed torch to all that is asked about what is in the catalog now."""
    from modelzoo.catalog.fills import TORCHS
    from modelzoo.catalog.functions import ATTRIBUTES, FUNCTIONS, METHODS
    from modelzoo.catalog.layers import LAYERS
    from modelzoo.cli import documentation, documented

    of_torch = {
        "torch": known.installed(),
        "layer": _all(asked.layer, LAYERS),
        "function": {home: _all(partial(asked.function, home), FUNCTIONS) for home in HOMES},
        "documented": _all(asked.documented, {*FUNCTIONS, *METHODS}),
        "own names": _all(asked.own_names, OWNERS),
        "methods": asked.methods(),
        "dtypes": asked.dtypes(),
        "options": asked.options(),
    }
    of_docstrings = {
        "torch": known.installed(),
        "layer": _all(documented.layer, LAYERS),
        "fill": _all(documented.fill, TORCHS),
        "function": _all(documented.function, FUNCTIONS),
        "method": _all(documented.method, {*METHODS, *ATTRIBUTES}),
    }
    return {known.TORCH: of_torch, documentation.TABLE: of_docstrings}


def _all(ask: Callable[[str], Any], names: Iterable[str]) -> dict[str, Any]:
    """The answers, without those that are none."""
    return {name: answer for name in sorted(names) if (answer := ask(name)) is not None}


def text(table: dict[str, Any]) -> str:
    """A table as JSON, with one line for each of its answers."""
    lines = [f"{json.dumps(name)}: {_lines(answer)}" for name, answer in table.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _lines(answer: Any) -> str:
    if not isinstance(answer, dict):
        return json.dumps(answer, ensure_ascii=False)
    each = (f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in answer.items())
    return "{\n" + ",\n".join(each) + "\n}"


if __name__ == "__main__":
    vars(known.TORCH)["written"] = None  # torch itself is asked what there is
    for table, found in answers().items():
        table.path.write_text(text(found), "utf-8")
