"""Fills as Python: calls of `torch.nn.init`, and their texts as expressions and functions."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from typing import Any

import torch

from modelzoo import bounds
from modelzoo.catalog import distributions, fills
from modelzoo.catalog.fill import REQUIRED
from modelzoo.errors import Path
from modelzoo.export.source import trees
from modelzoo.export.source.naming import Imports, Scope
from modelzoo.export.source.texts import method
from modelzoo.language import compiler, syntax
from modelzoo.spec import nodes
from modelzoo.spec.visible import fill_names

_BY_NAME = ("normal", "trunc_normal", "kaiming_normal")
"""Fills whose arguments are told apart by their names."""


def sample(fill: nodes.Fill, values: Mapping[str, Any], shape: tuple[int, ...], sized: tuple[int, ...]) -> Any:
    """What a fill's text gives for one tensor, with zeros for what it draws."""
    plain = {name: each for name, each in values.items() if name not in nodes.FILL_INPUTS}
    translation = compiler.translate(fill.program, fill_names(frozenset(plain)), "fill")
    assert translation.code is not None
    fans = distributions.fans_of(sized) if len(sized) >= 2 else (None, None)
    function = compiler.link(translation.code, plain, bounds.STEPS)
    with torch.no_grad():
        return function(None, lambda *_, **__: torch.zeros(shape), shape, *fans, torch.zeros(shape))


def fill_program(
    fill: nodes.Fill,
    names: Mapping[str, ast.expr],
    scope: Scope,
    imports: Imports,
    functions: list[ast.FunctionDef],
    title: str,
    shape: ast.expr,
    sized: ast.expr,
    value: ast.expr | None = None,
) -> ast.expr:
    """The expression for a fill's text; one of several statements becomes a function.

    Args:
        fill: with a program.
        names: the values that it may read, in Python.
        scope: the names of the source.
        imports: gets what the source must import.
        functions: gets the function.
        title: what the function is called.
        shape: the shape.
        sized: a tensor that has its `fan_in` and `fan_out`.
        value: what the tensor holds so far.
    """
    values = {**names, "shape": shape, "value": value or ast.Constant(None), **fans(sized)}
    single = len(syntax.parse_statements(fill.program)) == 1
    inner = Scope(outer=scope)
    parameters = {} if single else inner.all(values)
    inside = dict(values) if single else {each: trees.name(called) for each, called in parameters.items()}
    size = shape if single else inside["shape"]

    def draw(name: str, positional: list[ast.expr], keywords: list[ast.keyword]) -> ast.expr:
        given = {
            **dict(zip(fills.FILLS[name].parameters, positional, strict=False)),
            **{str(one.arg): one.value for one in keywords},
        }
        return fill_call(name, given, trees.quoted("torch.empty(SIZE)", SIZE=size), imports, fill.key)

    known = fill_names(frozenset(names))
    written = method(fill.program, known, imports, fill.key, values=inside, scope=inner, draw=draw)
    if written.expression is not None:
        return written.expression
    reads = {*written.reads, *(["shape"] if written.random else [])}
    used = [each for each in values if each in reads]
    function = scope.fresh(title)
    functions.append(trees.function(function, [(parameters[each], None) for each in used], written.body))
    return trees.call(trees.name(function), [values[each] for each in used])


def fans(tensor: ast.expr) -> dict[str, ast.expr]:
    """How many inputs and outputs a unit has, read off a tensor."""
    return {
        "fan_in": trees.quoted("TENSOR[0].numel()", TENSOR=tensor),
        "fan_out": trees.quoted("TENSOR[:, 0].numel()", TENSOR=tensor),
    }


def fill_call(name: str, arguments: Mapping[str, ast.expr], target: ast.expr, imports: Imports, key: Path) -> ast.expr:
    """A named fill as a call of `torch.nn.init`, without arguments that are the defaults."""
    fill = fills.FILLS[name]
    given = {
        each: tree
        for each, tree in arguments.items()
        if fill.parameters[each] is REQUIRED or not trees.same([tree], [trees.literal(fill.parameters[each])])
    }
    if name == "constant" and _is_number(arguments["value"], 0, 1):
        title = "ones_" if _is_number(arguments["value"], 1) else "zeros_"
        return trees.call(trees.attribute(trees.dotted("nn.init"), title), [target])
    if name == "trunc_normal" and _is_number(given.get("std"), 0):  # torch divides by it
        bounds = {**{each: trees.literal(value) for each, value in fill.parameters.items()}, **given}
        value = trees.quoted("min(max(MEAN, A), B)", MEAN=bounds["mean"], A=bounds["a"], B=bounds["b"])
        return trees.quoted("nn.init.constant_(TARGET, VALUE)", TARGET=target, VALUE=value)
    if name == "embedding":
        std = [("std", given["std"])] if "std" in given else []
        drawn = trees.call(trees.dotted("nn.init.normal_"), [target], std)
        return trees.quoted("DRAWN.index_fill_(0, torch.tensor(ROW), 0)", DRAWN=drawn, ROW=given["padding_idx"])
    if not hasattr(torch.nn.init, f"{name}_"):
        call = inspect.getclosurevars(fill.sampler).nonlocals["call"]
        generator = ("generator", trees.dotted("torch.default_generator"))
        return trees.call(imports.registered(call, key), [target], [*given.items(), generator])
    first = next(iter(fill.parameters), "")
    positional = [given.pop(first)] if first in given and name not in _BY_NAME else []
    if name == "uniform" and positional and "b" in given:
        positional.append(given.pop("b"))
    return trees.call(trees.attribute(trees.dotted("nn.init"), f"{name}_"), [target, *positional], given)


def _is_number(tree: ast.expr | None, *numbers: int) -> bool:
    """Whether a tree is one of these integers, or 0.0."""
    if not isinstance(tree, ast.Constant) or isinstance(tree.value, bool):
        return False
    return (type(tree.value) is int or tree.value == 0) and tree.value in numbers
