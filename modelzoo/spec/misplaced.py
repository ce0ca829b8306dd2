"""What to write for something that is no layer where one stands: what was meant is told from how it looks."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Mapping
from typing import Any

from modelzoo.catalog.layers import find_layer
from modelzoo.errors import Path, TextError
from modelzoo.language import syntax
from modelzoo.spec.cuts import in_yaml

_BESIDE = ("args", "inputs", "parameters", "buffers", "forward", "blocks", "tie")
"""Keys of a block that may stand among its layers by mistake."""

_ALSO_TARGET = ("type", "class", "cls", "name", "module", "layer")
"""What other configs call `_target_`."""

_ASSIGNED = re.compile("(\\w+)\\s*=\\s*([A-Za-z_][^\\n=]*(\\(.*\\))?)")
_WITHOUT_SPACE = re.compile("\\w+:\\S.*")


def beside_layers(name: str, value: Any) -> str:
    """What to write for a key of a block that stands among its layers; empty where it may be a layer.

    >>> beside_layers("forward", "out(x)")
    "'forward' stands beside layers, not in it: indent it as far as 'layers'."
    >>> beside_layers("forward", "ReLU")
    ''
    """
    text = name == "forward" and isinstance(value, str) and not _is_layer(value)
    if not text and not (name in _BESIDE and isinstance(value, Mapping)):
        return ""
    return f"'{name}' stands beside layers, not in it: indent it as far as 'layers'."


def outside_layers(value: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """The layers that stand beside an empty `layers`, not in it.

    >>> outside_layers({"layers": None, "a": "Linear(4, 8)", "b": "ReLU"}, ["layers"])
    {'a': 'Linear(4, 8)', 'b': 'ReLU'}
    """
    if value.get("layers", value) is not None:
        return {}
    return {
        name: each for name, each in value.items() if name not in known and isinstance(each, str) and _is_layer(each)
    }


def for_layers(value: Any) -> str:
    """What to write where `layers` is neither a mapping nor a list.

    >>> for_layers("a = Linear(4, 8)")
    'Write a: Linear(4, 8).'
    >>> for_layers("Linear(4, 8)")
    'Write ["Linear(4, 8)"].'
    """
    if isinstance(value, str):
        assigned = _ASSIGNED.fullmatch(value.strip())
        if assigned is not None:
            return f"Write {assigned[1]}: {assigned[2].strip()}."
        if value.startswith("-"):
            return "Write a space behind each '-'."
        if _WITHOUT_SPACE.fullmatch(value):
            return "Write a space behind each ':'."
        if _is_layer(value):
            return f"Write [{in_yaml(value)}]."
    return "Write [ReLU], or act: ReLU."


def for_mapping(value: Mapping[str, Any], key: Path) -> str:
    """What to write where a mapping is neither a layer nor a block; empty where nobody knows.

    >>> for_mapping({"Linear": {"in_features": 4, "out_features": 8}}, Path(("model", "layers", "a")))
    'Write {_target_: Linear, in_features: 4, out_features: 8}.'
    >>> for_mapping({"act": "ReLU"}, Path(("model", "layers", 0)))
    "A list numbers its layers: write act: ReLU without '-'."
    """
    called = next((name for name in _ALSO_TARGET if isinstance(value.get(name), str)), None)
    if called is not None and find_layer(value[called]) is not None:
        return f"Write _target_: {value[called]}."
    if key[-2:-1] == ("layers",) and (hint := beside_layers(str(key[-1]), value)):
        return hint
    if len(value) != 1:
        return ""
    [(name, given)] = value.items()
    if find_layer(str(name)) is not None and isinstance(given, Mapping):
        return f"Write {in_yaml({'_target_': name, **given})}."
    if key and isinstance(key[-1], int) and isinstance(given, str) and _is_layer(given):
        return f"A list numbers its layers: write {name}: {given} without '-'."
    return ""


def _is_layer(text: str) -> bool:
    """Whether a text names or calls a layer of the catalog."""
    try:
        tree = syntax.parse_expression(text)
    except TextError:
        return False
    return find_layer(ast.unparse(tree.func if isinstance(tree, ast.Call) else tree)) is not None
