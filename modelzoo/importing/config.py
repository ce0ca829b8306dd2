"""From the tree to the config: calls as texts, sequences as lists, definitions by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from modelzoo.importing.definitions import REQUIRED, Definition
from modelzoo.importing.trees import About, Block, Call, Count, Formula, Own, Reference, Repeat, Sequenced, Tree, text


def node(tree: Tree) -> Any:
    """What a config has for a part of a model."""
    if isinstance(tree, Call):
        return {"_target_": call(tree), "_freeze_": True} if tree.frozen else call(tree)
    if isinstance(tree, Sequenced):
        return _sequence(tree)
    if isinstance(tree, Reference):
        return {"_ref_": ".".join(map(str, tree.path))}
    if isinstance(tree, Block):
        return block(tree)
    raise TypeError(f"{type(tree).__name__} stands in a sequence")


def block(tree: Block) -> dict[str, Any]:
    """A block with a forward."""
    found: dict[str, Any] = {}
    if tree.inputs != ("x",):
        found["inputs"] = [*tree.inputs]
    if tree.layers:
        found["layers"] = layers(tree.layers)
    for key, held in (("parameters", tree.parameters), ("buffers", tree.buffers)):
        if held:
            found[key] = {name: own(each) for name, each in held.items()}
    found["forward"] = text(tree.forward)
    return found


def layers(given: Mapping[str, Tree]) -> Any:
    """The layers of a block: a list, where their names only count."""
    only = next(iter(given.values()))
    if isinstance(only, Repeat):
        return _only(only)
    if list(given) == [str(each) for each in range(len(given))]:
        return [node(each) for each in given.values()]
    return {name: node(each) for name, each in given.items()}


def _sequence(tree: Sequenced) -> Any:
    if (copies := _copies(tree)) is not None:
        return repeated(copies)
    if not tree.listed:
        return {"layers": {name: node(each) for name, each in tree.items}}
    return [unpacked(each) if isinstance(each, Repeat) else node(each) for _, each in tree.items]


def _copies(tree: Tree) -> Repeat | None:
    """What a sequence has copies of and nothing else, or None."""
    if isinstance(tree, Sequenced) and len(tree.items) == 1 and isinstance(tree.items[0][1], Repeat):
        return tree.items[0][1]
    return None


def unpacked(tree: Repeat) -> dict[str, Any]:
    """Copies of something that stand in a list: a sequence is one of its items then."""
    found = repeated(tree)
    if "_target_" not in found or (isinstance(tree.item, Call) and tree.item.sequence):
        found = {"_repeat_": found.pop("_repeat_"), "layers": [node(tree.item)]}
    return found | {"_unpack_": True}


def _only(tree: Repeat) -> Any:
    """The layers of a block that has copies of something and nothing else."""
    return {"copies": repeated(tree) | {"_unpack_": True}} if tree.pattern else [unpacked(tree)]


def repeated(tree: Repeat) -> dict[str, Any]:
    """Copies of something."""
    inner = node(tree.item)
    head: dict[str, Any] = {"_repeat_": value(tree.count)}
    if tree.pattern:
        head["_name_"] = tree.pattern
    if isinstance(inner, str):
        return head | {"_target_": inner}
    return head | ({"layers": inner} if isinstance(inner, list) else inner)


def own(tree: Own) -> dict[str, Any]:
    """A tensor of a block."""
    fill = tree.fill.fill if isinstance(tree.fill, About) else tree.fill
    found = {"shape": [value(each) for each in tree.shape], "fill": value(fill)}
    return found | dict(tree.more)


def value(given: Any) -> Any:
    """A number as it is, and a formula as its text, where text is code."""
    return given.text if isinstance(given, (Formula, Count)) else given


def call(tree: Call) -> str:
    """A call as text: what is a default is left out.

    >>> call(Call(name="Linear", arguments={"in_features": 4, "out_features": 8, "bias": True},
    ...     required=("in_features", "out_features"), defaults={"bias": True}))
    'Linear(4, 8)'
    """
    parts = []
    for name, each in tree.arguments.items():
        if name in tree.required:
            parts.append(written(each))
        elif name not in tree.defaults or not _same(each, tree.defaults[name]):
            parts.append(f"{name}={written(each)}")
    return f"{tree.name}({', '.join(parts)})" if parts else tree.name


def _same(given: Any, default: Any) -> bool:
    if isinstance(given, (Formula, Count, Call)):
        return False
    return repr(given) == repr(default) or (
        type(given) in (int, float) and type(default) in (int, float) and given == default
    )


def written(given: Any) -> str:
    """A value in a text."""
    if isinstance(given, (Formula, Count)):
        return given.text
    if isinstance(given, Call):
        return call(given)
    if isinstance(given, float) and not math.isfinite(given):
        return f"float('{given}')"
    if isinstance(given, tuple):
        return f"({', '.join(map(written, given))}{',' * (len(given) == 1)})"
    return repr(given)


def definition(given: Definition) -> Any:
    """A definition."""
    args = [name if default is REQUIRED else f"{name}={written(default)}" for name, default in given.args]
    found = node(given.tree)
    if (copies := _copies(given.tree)) is not None:
        return {"args": args, "layers": _only(copies)}
    if isinstance(found, list):
        return {"args": args, "layers": found} if args else found
    return {"args": args, **found} if args else found


def root(tree: Tree) -> dict[str, Any]:
    """A model that calls its layers in order."""
    if (copies := _copies(tree)) is not None:
        return {"layers": _only(copies)}
    found = node(tree)
    return found if isinstance(found, dict) else {"layers": found}
