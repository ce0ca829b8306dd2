"""One way to write what can be written in several: values, arguments of layers, texts and fills."""

from __future__ import annotations

import ast
import math
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any

from torch import nn

from modelzoo.init.decisions import Decision, NamedFill, Program
from modelzoo.init.ledger import Entry
from modelzoo.language import syntax
from modelzoo.modules.blocks import Frozen
from modelzoo.spec.instances import Instance, LayerInstance

WINDOWS = ("kernel_size", "stride", "padding", "dilation", "output_padding", "output_size")
"""Arguments in which one number stands for the same one in every dimension."""

_PLAIN = (bool, int, float, str, tuple, list)

OWN = "fill"
"""The rule of what a tensor's own `fill` decides: where in a config that stands does not matter."""


def value(given: Any) -> str:
    """A value as text, equal ones alike.

    >>> value(0.0), value([1, True]), value(0.1)
    ('0', '(1, True)', '0.1')
    """
    if isinstance(given, float) and math.isfinite(given) and given == int(given) and abs(given) < 1e15:
        return str(int(given))
    if isinstance(given, Instance):
        return given.call()
    if isinstance(given, (list, tuple)):
        return f"({', '.join(map(value, given))})"
    if isinstance(given, Mapping):
        return f"{{{', '.join(f'{name}: {value(each)}' for name, each in sorted(given.items()))}}}"
    return repr(given)


def arguments(instance: LayerInstance, module: nn.Module) -> tuple[tuple[str, str], ...]:
    """All arguments of a layer, those that were left out too; a number that torch completes is one.

    Args:
        module: what was constructed: torch keeps most arguments as it understands them.
    """
    signature = instance.layer.signature
    left_out = {name: each.default for name, each in signature.items() if each.default is not each.empty}
    found = {**left_out, **instance.arguments}
    if not instance.layer.registered:
        kept = {name: module.__dict__[name] for name in found if type(module.__dict__.get(name)) in _PLAIN}
        found |= kept
    named = {name: _one(name, each) for name, each in sorted(found.items())}
    positional = {str(index): value(each) for index, each in enumerate(instance.positional)}
    return (*positional.items(), *named.items())


def _one(name: str, given: Any) -> str:
    alike = name in WINDOWS and isinstance(given, (list, tuple)) and len({repr(each) for each in given}) == 1
    return value(given[0] if alike else given)


def forward(frozen: Frozen) -> str:
    """The text of a block as Python writes it, with the values of the args that it reads."""
    return _written(frozen.text, tuple((name, repr(each)) for name, each in frozen.values))


@lru_cache(maxsize=4_096)
def _written(text: str, values: tuple[tuple[str, str], ...]) -> str:
    tree = ast.parse("\n".join(map(ast.unparse, syntax.parse_statements(text))))
    literals = {name: ast.parse(each, mode="eval").body for name, each in values}
    return ast.unparse(_Valued(literals).visit(tree))


class _Valued(ast.NodeTransformer):
    """Puts values in the place of the names of args."""

    def __init__(self, values: Mapping[str, ast.expr]) -> None:
        self.values = values

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self.values.get(node.id, node) if isinstance(node.ctx, ast.Load) else node


@lru_cache(maxsize=4_096)
def anonymous(
    text: str, inputs: tuple[str, ...], owned: frozenset[str]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """The lines of a text, these lines with names that tell nothing, and what the block owns in the order of use.

    Two texts that differ in the names of inputs, variables, layers and tensors alone have the same lines without names.

    Args:
        inputs: their names, with `=None` behind those that may be left out.

    >>> anonymous("y = fc(x)\\nreturn y", ("x",), frozenset(["fc"]))[1:]
    (('forward(i0)', 'v0 = o0(i0)', 'return v0'), ('fc',))
    """
    if not text:
        return (), (), ()
    renaming = _Anonymous([each.partition("=")[0] for each in inputs], owned)
    tree = ast.parse(text)
    renaming.variables = {
        each.id for each in ast.walk(tree) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
    }
    taken = ", ".join(f"i{index}{''.join(each.partition('=')[1:])}" for index, each in enumerate(inputs))
    named, unnamed = text.splitlines(), ast.unparse(renaming.visit(tree)).splitlines()
    heads = f"forward({', '.join(inputs)})", f"forward({taken})"
    return (heads[0], *named), (heads[1], *unnamed), tuple(renaming.used)


def renamed(text: str, names: Mapping[str, str]) -> str:
    """A text in which layers and tensors have other names.

    >>> renamed("return fc(x)", {"fc": "head"})
    'return head(x)'
    """
    return ast.unparse(_Valued({old: ast.Name(new, ast.Load()) for old, new in names.items()}).visit(ast.parse(text)))


class _Anonymous(ast.NodeTransformer):
    """Numbers names in the order in which they come."""

    def __init__(self, inputs: Sequence[str], owned: Collection[str]) -> None:
        self.inputs = {name: f"i{index}" for index, name in enumerate(inputs)}
        self.owned, self.variables = owned, set[str]()
        self.used: dict[str, str] = {}
        self.known: dict[str, str] = {}

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Name(self.name(node.id), node.ctx)

    def name(self, name: str) -> str:
        if name in self.inputs:
            return self.inputs[name]
        if name in self.owned:
            return self.used.setdefault(name, f"o{len(self.used)}")
        if name in self.variables:
            return self.known.setdefault(name, f"v{len(self.known)}")
        return name


def fill(entry: Entry) -> str:
    """What fills a tensor."""
    padded = [] if entry.padding is None else [f"row {entry.padding} zero"]
    return " -> ".join([*map(_fill, entry.chain), *padded])


def _fill(decision: Decision) -> str:
    if isinstance(decision, Program):
        values, _ = decision.translated()
        return _written(decision.program, tuple((name, repr(each)) for name, each in sorted(values.items())))
    if isinstance(decision, NamedFill):
        given = decision.arguments
        if given.keys() == {"value"} and given["value"] in (0, 1):
            return "ones" if given["value"] else "zeros"
        inside = ", ".join(f"{name}={value(each)}" for name, each in given.items())
        return f"{decision.fill.name}({inside})" if inside else decision.fill.name
    return decision.text()


def rule(entry: Entry) -> str:
    """Who decides a tensor: `torch`, `constructor`, `fill` beside its shape, `init.NAME` or `_init_`."""
    last = entry.chain[-1]
    return OWN if last.strength == 1 else last.rule
