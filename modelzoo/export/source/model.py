"""`model.py`: the whole source of a model, put together, looked at once more, and laid out."""

from __future__ import annotations

import ast
import pathlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from torch import nn

from modelzoo import files
from modelzoo.config import config
from modelzoo.errors import ConfigError, located
from modelzoo.export.source import gate, layout, trees
from modelzoo.export.source.classes import source_of
from modelzoo.export.source.environment import Class, Source
from modelzoo.export.source.init_weights import Weights
from modelzoo.export.source.occurrences import Variant
from modelzoo.export.source.sequences import path
from modelzoo.plans import draft as drafts
from modelzoo.plans.draft import Draft
from modelzoo.plans.sized import sized
from modelzoo.spec import nodes, parser
from modelzoo.spec.instances import BlockInstance
from modelzoo.spec.provenance import Provenance

HEAD = 'A PyTorch model. Its values: safetensors.torch.load_model(Model(), "parameters.safetensors").'
ENOUGH = 2
"""So many other values of an arg are tried to learn which sizes it decides."""

ARGS = 32
"""So many args are tried; where sizes were left out the constructor takes no others."""


def written(draft: Draft, model: Any) -> str:
    """The source of a model that was planned already.

    Args:
        draft: what was decided about it.
        model: the plain data that it was made from.

    Raises:
        ConfigError: it holds something that no source can say.
    """
    made = draft.skeleton.instances[draft.skeleton.root]
    node = made.block if isinstance(made, BlockInstance) else parser.parse(model)
    variants, untried = _variants(node, draft)
    source, root = source_of(node, draft, variants, untried)
    _finish(source.classes[-1], source, root, draft)
    module = ast.Module(
        [ast.Expr(ast.Constant(HEAD)), *source.imports.statements(), *source.functions, *source.classes], []
    )
    gate.check(module, source.imports.own)
    return layout.python(module)


def _finish(cls: ast.ClassDef, source: Source, root: Class, draft: Draft) -> None:
    """Adds to the class of the model what concerns it as a whole: ties left to do, its dtype, its first values."""
    weights = Weights(source, root, draft).method()
    last = [*_ties_left(draft, source, root), *_freezing_left(draft, root)]
    if draft.dtype != "float32":
        dtype = trees.attribute(trees.name("torch"), draft.dtype)
        last += trees.statements("self.to(DTYPE)", DTYPE=dtype)
    if weights is not None:
        last.append(weights[1])
    if not last:
        return
    first = cls.body[0]
    if not isinstance(first, ast.FunctionDef) or first.name != "__init__":
        first = trees.function("__init__", [("self", None)], trees.statements("super().__init__()"))
        cls.body = [first, *(each for each in cls.body if not isinstance(each, ast.Pass))]
    first.body = [*first.body, *last]
    if weights is not None:
        cls.body = [first, weights[0], *cls.body[1:]]


def _ties_left(draft: Draft, source: Source, root: Class) -> list[ast.stmt]:
    """Ties that another block undoes: Python makes inner blocks first, while a config is tied as a whole."""
    modules = list(draft.skeleton.root.modules())
    held = {(each, local): (each, local) for each in modules for local in (*each._parameters, *each._buffers)}
    for module in reversed(modules):
        instance = draft.skeleton.instances.get(module)
        for pair in instance.ties if isinstance(instance, BlockInstance) else ():
            left, right = (_slot(module, each) for each in pair)
            held[left] = held[right]
    found: list[ast.stmt] = []
    for entry in draft.table:
        first, *others = dict.fromkeys((home.owner, home.local) for home in entry.homes)
        names = {(home.owner, home.local): home.name for home in reversed(entry.homes)}
        if any(held[each] != held[first] for each in others):
            paths = [path(trees.name("self"), names[each], root.block) for each in (first, *others)]
            found += [trees.assigned(each, paths[0]) for each in paths[1:]]
    return found


def _freezing_left(draft: Draft, root: Class) -> list[ast.stmt]:
    """Tensors that a tie put into a frozen layer: it holds another than it was frozen with."""
    skeleton = draft.skeleton
    frozen = [made for made, instance in skeleton.instances.items() if instance.frozen]
    inside = {each for made in frozen for each in made.modules()}
    left = [
        entry.name
        for entry in draft.table
        if entry.tensor in skeleton.tied and not inside.isdisjoint(home.owner for home in entry.homes)
        if skeleton.tied[entry.tensor][0] not in inside
    ]
    return [
        ast.Expr(trees.quoted("TENSOR.requires_grad_(False)", TENSOR=path(trees.name("self"), each, root.block)))
        for each in left
    ]


def _slot(module: nn.Module, dotted: str) -> tuple[nn.Module, str]:
    owner, _, local = dotted.rpartition(".")
    return module.get_submodule(owner), local


# --- variants ------------------------------------------------------------------------------------------------------


def _variants(node: nodes.Node, draft: Draft) -> tuple[list[Variant], frozenset[str]]:
    """The model with other values for its args, where sizes were left out that may follow them; and args not tried."""
    if not isinstance(node, nodes.Block) or not draft.skeleton.unsized:
        return [], frozenset()
    variants = [each for position in range(len(node.args[:ARGS])) for each in _with_another(node, position, draft)]
    return variants, frozenset(each.name for each in node.args[ARGS:])


def _with_another(node: nodes.Block, position: int, draft: Draft) -> Iterator[Variant]:
    """The model with other values for one arg, those that it can have."""
    arg, found = node.args[position], 0
    for value in _others(draft.values[arg.name]) if not isinstance(arg.default, nodes.Formula) else ():
        args = (*node.args[:position], replace(arg, default=value), *node.args[position + 1 :])
        root = replace(node, args=args)
        provenance = Provenance()
        try:
            made = sized(root, provenance, seed=draft.seed, dtype=draft.dtype)
        except ConfigError:
            continue
        yield Variant(arg=arg.name, made=made, provenance=provenance)
        found += 1
        if found == ENOUGH:
            break


def _others(value: Any) -> list[Any]:
    """Values near one, which may be as good."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value * 2, value + 1, value * 3, value + 2, value - 1]
    if isinstance(value, (list, tuple)) and value and all(type(each) is int for each in value):
        return [[each * 2 for each in value], [*value[:-1], value[-1] * 2], [value[0] * 2, *value[1:]]]
    return []


def source(model: config.Source, init: config.Source | None = None, *, seed: int = 0, dtype: str = "float32") -> str:
    """The Python source of a model, which needs torch alone and constructs it with `Model()`.

    Keys, shared and tied tensors, outputs and gradients are those of `modelzoo.build`; values are drawn from the same
    distributions, and loaded from the `parameters.safetensors` of a run.

    Args:
        model: the path of a model file, a mapping, or a DictConfig.
        init: rules: a mapping, a DictConfig or a path; they replace the model file's own.
        seed: of random buffers that no state dict carries.
        dtype: of floating parameters and buffers that name none.

    Raises:
        ConfigError: all problems found.

    >>> print(source({"inputs": {"x": [2, 4]}, "layers": ["Linear(4, 8)", "ReLU"]}), end="")
    \"""A PyTorch model. Its values: safetensors.torch.load_model(Model(), "parameters.safetensors").\"""
    <BLANKLINE>
    import torch
    from torch import nn
    <BLANKLINE>
    <BLANKLINE>
    class Model(nn.Sequential):
        def __init__(self):
            super().__init__(nn.Linear(4, 8), nn.ReLU())
    """
    given = config.from_mapping(model, init)
    with located(given.locate):
        return written(drafts.draft(given.model, given.init, seed=seed, dtype=dtype), given.model)


def export(
    draft: Draft, model: nn.Module, given: config.Config, directory: pathlib.Path, signals: object = None
) -> pathlib.Path:
    """Writes `model.py` of a job; returns its path."""
    path = directory / "model.py"
    text = written(draft, given.model)
    files.write_text(path, text)
    return path
