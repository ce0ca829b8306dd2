"""The arguments of a registered layer, written as the Python values that its constructor gets."""

from __future__ import annotations

import ast
import dataclasses
import enum
import functools
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from modelzoo.catalog import constructors
from modelzoo.catalog.layers import Layer
from modelzoo.errors import Path, fail
from modelzoo.export.source import trees
from modelzoo.export.source.environment import Env
from modelzoo.export.source.recipes import value
from modelzoo.export.source.values import is_none
from modelzoo.spec import nodes
from modelzoo.spec.instances import Instance, LayerInstance

LayerValue = Callable[[Any, Env], ast.expr]
"""Writes what stands for a layer."""

_SCALARS = (bool, int, float, str, type(None))
_LISTS = (list, tuple, set)


def argument(layer: Layer, name: str, written: Any, place: nodes.Node, env: Env, layer_value: LayerValue) -> ast.expr:
    """One argument of a registered layer.

    Args:
        written: as the config has it.
        place: the node that the layer is made from.
        layer_value: writes the layers in it.

    Raises:
        ConfigError: no source can say it.
    """
    seen = [each.made for each in env.source.seen.everywhere(place)]
    of_layer = (each for each in seen if isinstance(each, LayerInstance) and each.layer is layer)
    made = [each for each in of_layer if name in each.arguments]
    if not made:
        return value(written, env)
    wanted = constructors.wanted(layer, name)
    found = [wanted.python(each.arguments[name]) for each in made]
    writer = _Writer(env, layer_value, getattr(written, "key", made[0].key / name), len({*map(repr, found)}) == 1)
    return writer.write(found[0], written)


class _Writer:
    """Writes values.

    Args:
        settled: whether every use of the layer gets the same.
    """

    def __init__(self, env: Env, layer_value: LayerValue, key: Path, settled: bool) -> None:
        self.env, self.layer_value, self.key, self.settled = env, layer_value, key, settled

    def write(self, given: Any, written: Any) -> ast.expr:
        """A value as it is given to Python, where possible as it is written."""
        if isinstance(given, Instance):
            return self.layer_value(written, self.env)
        if isinstance(written, nodes.Formula) and not is_none(written.tree):
            if type(given) in _SCALARS or type(given) is tuple:
                return value(written, self.env)
            self.pin(written)
        kind = type(given)
        if kind in _LISTS:
            alike = kind is not set and isinstance(written, (list, tuple)) and len(written) == len(given)
            items = [self.write(*each) for each in zip(given, written if alike else given, strict=True)]
            if kind is set:
                return ast.Set(items)
            return ast.List(items, ast.Load()) if kind is list else ast.Tuple(items, ast.Load())
        if kind is dict:
            like = written if isinstance(written, dict) else given
            keys: list[ast.expr | None] = [trees.literal(each) for each in given]
            return ast.Dict(keys, [self.write(each, like.get(name, each)) for name, each in given.items()])
        if kind in _SCALARS:
            return trees.literal(given)
        return self.thing(given)

    def pin(self, written: nodes.Formula) -> None:
        """What an arg decides becomes a constant, so that the source takes that arg no longer."""
        if not self.settled:
            fail(self.key, "an arg decides it in a way that no source can say.", "Write it where the layer is used.")
        if self.env.cls.block is self.env.source.root:
            names = {each.id for each in ast.walk(written.tree) if isinstance(each, ast.Name)}
            self.env.source.pinned.update(names)

    def thing(self, given: Any) -> ast.expr:
        """What is no plain value: an enum's member, a dtype, a dataclass, a class, a function."""
        imports = self.env.source.imports
        if isinstance(given, enum.Enum):
            return trees.attribute(imports.registered(type(given), self.key), given.name)
        if isinstance(given, torch.dtype):
            return trees.attribute(trees.name("torch"), str(given).removeprefix("torch."))
        if isinstance(given, torch.Size):
            size = ast.Tuple([trees.literal(each) for each in given], ast.Load())
            return trees.call(trees.attribute(trees.name("torch"), "Size"), [size], [])
        if dataclasses.is_dataclass(given) and not isinstance(given, type):
            fields = [each.name for each in dataclasses.fields(given) if each.init]
            named = [(each, self.write(getattr(given, each), getattr(given, each))) for each in fields]
            return trees.call(imports.registered(type(given), self.key), [], named)
        if isinstance(given, functools.partial):
            positional = [self.write(each, each) for each in given.args]
            named = [(name, self.write(each, each)) for name, each in given.keywords.items()]
            return trees.call(imports.known("partial"), [self.thing(given.func), *positional], named)
        if not isinstance(given, type) and not inspect.isroutine(given):
            fail(self.key, f"no source can say {given!r}.")
        return self.callable(given)

    def callable(self, given: Callable[..., Any]) -> ast.expr:
        """A class or a function by its name in torch, or imported from where it is defined."""
        imports, title = self.env.source.imports, given.__name__
        homes: tuple[tuple[str, Any], ...] = (("nn", nn), ("torch", torch), ("F", nn.functional))
        for home, module in homes:
            if getattr(module, title, None) is given:
                return trees.attribute(imports.known("F") if home == "F" else trees.name(home), title)
        return imports.registered(given, self.key)
