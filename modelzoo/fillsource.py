"""Fills as Python: calls of `torch.nn.init`, and their texts as expressions and functions."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from typing import Any

import torch

from modelzoo import fills, language, spec
from modelzoo.construct import MAX_STEPS
from modelzoo.errors import Path
from modelzoo.methods import Imports, literal, method, safe
from modelzoo.writing import Statement, statements


def sample(fill: spec.Fill, values: Mapping[str, Any], shape: tuple[int, ...]) -> Any:
    """What a fill's text gives for one tensor, with zeros for what it draws."""
    plain = {name: each for name, each in values.items() if name not in spec.FILL_INPUTS}
    translation = language.translate(fill.program, spec.fill_names(frozenset(plain)), "fill")
    assert translation.code is not None
    fans = fills.fans_of(shape) if len(shape) >= 2 else (None, None)
    function = language.link(translation.code, plain, MAX_STEPS)
    with torch.no_grad():
        return function(None, lambda *_, **__: torch.zeros(shape), shape, *fans, torch.zeros(shape))


def fill_program(
    fill: spec.Fill,
    names: Mapping[str, str],
    imports: Imports,
    functions: list[Statement],
    name: str,
    shape: str,
    value: str | None,
) -> str:
    """The expression for a fill's text; one of several statements becomes a function.

    Args:
        fill: with a program.
        names: the values that it may read, in Python.
        imports: gets what the source must import.
        functions: gets the function.
        name: of the function.
        shape: the shape, as an expression.
        value: what the tensor holds so far, as an expression.
    """
    values = {**names, "shape": shape, "value": value or "None", **_fans(shape, value)}
    statements_of = language.parse_statements(fill.program)
    single = len(statements_of) == 1
    inside = dict(values) if single else {each: safe(each) for each in values}
    size = shape if single else "shape"

    def draw(each: str, positional: list[ast.expr], keywords: list[ast.keyword]) -> ast.expr:
        texts = {
            **dict(zip(fills.FILLS[each].parameters, map(ast.unparse, positional), strict=False)),
            **{str(one.arg): ast.unparse(one.value) for one in keywords},
        }
        return ast.parse(fill_call(each, texts, f"torch.empty({size})", imports, fill.key), mode="eval").body

    known = spec.fill_names(frozenset(names))
    written = method(fill.program, known, imports, fill.key, values=inside, draw=draw)
    if written.expression is not None:
        return ast.unparse(written.expression)
    reads = {*written.reads, *(["shape"] if written.random else [])}
    used = [each for each in values if each in reads]
    functions.append((f"def {name}({', '.join(safe(each) for each in used)}):", statements(written.body)))
    return f"{name}({', '.join(values[each] for each in used)})"


def _fans(shape: str, value: str | None) -> dict[str, str]:
    if value is not None:
        return {"fan_in": f"{value}[0].numel()", "fan_out": f"{value}[:, 0].numel()"}
    return {"fan_in": f"torch.empty({shape})[0].numel()", "fan_out": f"torch.empty({shape})[:, 0].numel()"}


def fill_call(name: str, arguments: Mapping[str, str], target: str, imports: Imports, key: Path) -> str:
    """A named fill as a call of `torch.nn.init`, without arguments that are the defaults."""
    fill = fills.FILLS[name]
    given = {
        each: text
        for each, text in arguments.items()
        if fill.parameters[each] is fills.REQUIRED or text != literal(fill.parameters[each])
    }
    if name == "constant" and arguments["value"] in ("0", "1"):
        return f"nn.init.{'ones' if arguments['value'] == '1' else 'zeros'}_({target})"
    if name == "embedding":
        std = f", std={given['std']}" if "std" in given else ""
        return f"nn.init.normal_({target}{std}).index_fill_(0, torch.tensor({given['padding_idx']}), 0)"
    if not hasattr(torch.nn.init, f"{name}_"):
        call = inspect.getclosurevars(fill.sampler).nonlocals["call"]
        imports.add(call, key)
        more = "".join(f", {each}={text}" for each, text in given.items())
        return f"{call.__name__}({target}{more}, generator=torch.default_generator)"
    first = next(iter(fill.parameters), "")
    positional = (
        [given.pop(first)] if first in given and name not in ("normal", "trunc_normal", "kaiming_normal") else []
    )
    if name == "uniform" and positional and "b" in given:
        positional.append(given.pop("b"))
    more = "".join(f", {each}" for each in [*positional, *(f"{each}={text}" for each, text in given.items())])
    return f"nn.init.{name}_({target}{more})"
