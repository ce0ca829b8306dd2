"""A file of rules without a model: everything that can be said of it before there is a tensor."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

from modelzoo.catalog.functions import find_function
from modelzoo.cli.checked import Checked
from modelzoo.config import modelfile
from modelzoo.errors import Problems, TextError, located
from modelzoo.language import syntax
from modelzoo.spec import parser
from modelzoo.spec.base import OWN_KEYS, WIDTHS
from modelzoo.spec.nodes import FILL_INPUTS
from modelzoo.spec.visible import assigned_in

_MEANT = "what rules select is known with a model: python -m modelzoo check MODEL.yaml init=RULES.yaml"


def checked(file: str, opened: modelfile.ModelFile) -> Checked:
    """Reads a file of rules.

    A fill may read args of a model, and there is none: names that nothing in the file has are told as a note. What the
    rules select, and whether their values fit, is known with a model.

    Args:
        file: how it was named.
        opened: what it holds.

    Raises:
        ConfigError: with all that is wrong with the rules.
    """
    rules, problems = opened["init"], Problems()
    of_model = sorted(_unknown(rules) | _of_base(rules.get("base")))
    with located(opened.locate):
        found = parser.parse_init(rules, frozenset(of_model), problems)
        problems.check()
    reads = [f"fills read {', '.join(map(repr, of_model))}: the model has to have such args."] if of_model else []
    return Checked(config=file, rules=len(found.rules), notes=(*reads, _MEANT))


def _of_base(base: Any) -> set[str]:
    """The args of a model that a base changes."""
    return {str(name).removeprefix("model.args.") for name in base} if isinstance(base, Mapping) else set()


def _unknown(rules: Mapping[str, Any]) -> set[str]:
    """The names that fills read and that neither these rules nor the language have."""
    args = rules.get("args")
    given = {str(name) for name in args} if isinstance(args, Mapping) else set()
    fills = [each.get("fill") for name, each in rules.items() if name not in OWN_KEYS and isinstance(each, Mapping)]
    read = {name for fill in fills for name in _read(fill)}
    known = {*given, *FILL_INPUTS, "fan_in", "fan_out", *WIDTHS}
    return {each for each in read - known if find_function(each) is None}


def _read(value: Any, argument: bool = False) -> Iterator[str]:
    """The names in a fill or an argument of one; neither what is called, nor what is a fill by its name alone."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            if name not in ("_target_", "_ref_"):
                yield from _read(each, argument=True)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _read(each, argument=True)
    elif isinstance(value, str):
        yield from _names(value.removeprefix("=").lstrip() if argument else value, argument)


def _names(text: str, argument: bool) -> set[str]:
    try:
        statements = syntax.parse_statements(text)
        assigned = assigned_in(text)
    except TextError:
        return set()
    trees = [each for statement in statements for each in ast.walk(statement)]
    named: set[ast.AST | None] = {each.func for each in trees if isinstance(each, ast.Call)}
    if len(statements) == 1 and isinstance(statements[0], ast.Return) and not argument:
        named.add(statements[0].value)
    return {each.id for each in trees if isinstance(each, ast.Name) and each not in named} - assigned
