"""Formulas, values and shapes, computed in a scope."""

from __future__ import annotations

import ast
import math
from typing import Any, NoReturn

from modelzoo import arithmetic, bounds
from modelzoo.errors import ConfigError, Path, Problems, TextError
from modelzoo.language import formulas, runtime, syntax
from modelzoo.spec import nodes
from modelzoo.spec.forgotten import as_formula
from modelzoo.spec.instances import Recipe, Scope
from modelzoo.spec.parser import Parser
from modelzoo.spec.visible import Visible, is_layer


class Evaluation:
    """Computes values; every problem goes to `problems`, and computing goes on."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.items = 0
        self.operations = runtime.Operations("formulas")

    def argument(self, node: nodes.Call, name: str, value: Any, scope: Scope) -> Any:
        return value if type(value) in nodes.SCALARS else self.value(value, scope, self.place(node, name, value))

    def place(self, node: nodes.Call, name: str, value: Any) -> Path:
        return value.key if isinstance(value, nodes.Formula) else node.key / name

    def origin(self, value: Any, scope: Scope, key: Path) -> Path:
        """Where a value was decided: an arg passed on comes from where the arg was set."""
        if isinstance(value, nodes.Formula) and isinstance(value.tree, ast.Name):
            return scope.origins.get(value.tree.id, key)
        return key

    def shape(self, values: tuple[Any, ...], scope: Scope, key: Path) -> tuple[int, ...]:
        found: list[int] = []
        for index, each in enumerate(values):
            size = self.value(each, scope, key / index)
            for one in size if isinstance(size, (list, tuple)) else (size,):
                if type(one) is not int or one < 0 or one > bounds.ELEMENTS:
                    place = self.origin(each, scope, key / index)
                    what = f"a size must be an integer of 0 or more, not {one!r}"
                    self.problems.add(place, what, repairs=as_formula(place, one))
                    one = 0
                found.append(one)
        if len(found) > bounds.DIMENSIONS:
            self.problems.add(key, f"a tensor has at most {bounds.DIMENSIONS} dimensions, not {len(found)}.")
        elif math.prod(found) > bounds.ELEMENTS:
            self.problems.add(key, f"a tensor has at most {bounds.ELEMENTS:,} elements, not {math.prod(found):,}.")
        else:
            return tuple(found)
        return (0,)

    def value(self, value: Any, scope: Scope, key: Path) -> Any:
        """A value of the spec as plain data, recipes included; None where that is a problem."""
        found = self.computed(value, scope, key)
        if type(found) in nodes.SCALARS:
            return found
        items, what = arithmetic.measure(found)
        self.items += items
        if what:
            shown = f"{value.text} {what}." if isinstance(value, nodes.Formula) else f"this value {what}."
            self.problems.add(key, shown)
            return None
        if self.items > bounds.VALUES:
            self.stop(key, f"With its formulas computed the model holds more than {bounds.VALUES:,} values.")
        return found

    def stop(self, key: Path, what: str) -> NoReturn:
        self.problems.add(key, what)
        raise ConfigError(self.problems.found)

    def computed(self, value: Any, scope: Scope, key: Path) -> Any:
        if isinstance(value, nodes.Formula):
            return self.formula(value.tree, scope, value.key)
        if isinstance(value, nodes.Node):
            return Recipe(node=value, scope=scope)
        if isinstance(value, tuple):
            return tuple(self.computed(each, scope, key) for each in value)
        if isinstance(value, dict):
            return {name: self.computed(each, scope, key / name) for name, each in value.items()}
        if isinstance(value, str) and value == "???":
            self.problems.add(key, "this value is required.", f"Type {key}=...")
            return None
        return value

    def formula(self, tree: ast.expr, scope: Scope, key: Path) -> Any:
        before = len(self.problems.found)
        with self.problems.at(key):
            return self.evaluated(tree, scope, key)
        texts = [each.id for each in syntax.formula_names(tree) if isinstance(scope.values.get(each.id), str)]
        origins = [(scope.origins[name], scope.values[name]) for name in texts if name in scope.origins]
        self.problems.suggest(before, [repair for origin in origins for repair in as_formula(*origin)])
        return None

    def evaluated(self, tree: ast.expr, scope: Scope, key: Path) -> Any:
        kind = type(tree)
        if kind is ast.Constant:
            return tree.value  # type: ignore[attr-defined]
        if isinstance(tree, ast.Name) and tree.id in scope.values:
            return scope.values[tree.id]
        if isinstance(tree, (ast.Tuple, ast.List)):
            return tuple(self.evaluated(each, scope, key) for each in tree.elts)
        if isinstance(tree, ast.Dict):
            for each in tree.keys:
                if not isinstance(each, ast.Constant):
                    shown = "**" if each is None else ast.unparse(each)
                    what = f"a key of a mapping in a text is in quotes, not {shown}"
                    raise TextError(what, "Put names in quotes: {'_ref_': 'name'}.", tree.lineno)
            return {each.value: self.evaluated(v, scope, key) for each, v in zip(tree.keys, tree.values, strict=True)}  # type: ignore[union-attr]
        if isinstance(tree, ast.IfExp):
            return self.evaluated(tree.body if self.evaluated(tree.test, scope, key) else tree.orelse, scope, key)
        if is_layer(tree, scope.values, scope.blocks):
            node = Parser(self.problems).calls.call_of(tree, ast.unparse(tree), key, self.visible(scope))
            return None if node is None else Recipe(node=node, scope=scope)
        read = [scope.values.get(each.id) for each in syntax.formula_names(tree)]
        items = sum(arithmetic.measure(each)[0] for each in read if type(each) not in nodes.SCALARS)
        try:
            self.operations.spend(syntax.nodes(tree) * (1 + items))  # once for each item of what it reads
            return arithmetic.alike(formulas.evaluate(tree, scope.values, self.operations))
        except runtime.EndlessError as error:
            self.stop(key, f"{error}.")

    def visible(self, scope: Scope) -> Visible:
        """What a layer that is written in a value sees."""
        signatures = {name: block.args for name, block in scope.blocks.items()}
        return Visible(values=frozenset(scope.values), signatures=signatures)
