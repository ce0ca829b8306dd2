"""Formulas: expressions over args, checked and evaluated."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache, partial
from types import CodeType
from typing import Any

from modelzoo import arithmetic
from modelzoo.errors import TextError
from modelzoo.language import pasted
from modelzoo.language.expressions import Expressions
from modelzoo.language.names import Names
from modelzoo.language.runtime import HELPERS, EndlessError, Operations, globals_of
from modelzoo.language.syntax import formula_names


def check_formula(
    tree: ast.expr,
    known: frozenset[str],
    closed: frozenset[str] = frozenset(),
    outer: frozenset[str] = frozenset(),
) -> list[TextError]:
    """What is wrong with a formula whose names may be those of `known`, and none of `closed` or `outer`."""
    names = Names(values=known, closed=closed, outer=outer, training=False)
    errors = _formula(tree, names)[1]
    return pasted.formula_answered(tree, names, errors, lambda new: _formula(new, names)[1]) if errors else []


def _formula(tree: ast.expr, names: Names) -> tuple[ast.expr, list[TextError]]:
    formula = Expressions(names, formula=True)
    return formula.expression(tree), formula.text.errors


@lru_cache(maxsize=8_192)
def _formula_code(tree: ast.expr, known: frozenset[str]) -> CodeType:
    new, errors = _formula(tree, Names(values=known, training=False))
    if errors:
        raise errors[0]
    return compile(ast.fix_missing_locations(ast.Expression(new)), "<formula>", "eval", dont_inherit=True)


def evaluate(tree: ast.expr, values: Mapping[str, Any], operations: Operations | None = None) -> Any:
    """The value of a formula.

    Args:
        tree: an expression.
        values: the values of its names.
        operations: counts what the turns of its comprehensions do.

    Raises:
        TextError: at the formula's place, if it is refused, cannot be computed, or its value is out of bounds.
        EndlessError: there are too many turns.

    >>> from modelzoo.language.syntax import parse_expression
    >>> evaluate(parse_expression("=width // 4"), {"width": 256})
    64
    """
    if isinstance(tree, ast.Name) and tree.id in values:
        return values[tree.id]
    read = {each.id: values[each.id] for each in formula_names(tree) if each.id in values}
    code = _formula_code(tree, frozenset(read))
    spend = (operations or Operations("formulas")).spend
    helpers = {**HELPERS, "_range": lambda line, *numbers: range(*numbers), "_turns": partial(_turns, spend)}
    scope = {"__builtins__": {}, **globals_of(code, {**helpers, **read}, lambda each: each.on_numbers)}
    try:
        result = eval(code, scope)
    except EndlessError:
        raise
    except arithmetic.ExcessError as error:
        raise TextError(f"{ast.unparse(tree)} {error.what}", "", tree.lineno, tree.col_offset + 1) from error
    except Exception as error:
        what = f"{ast.unparse(tree)} cannot be computed: {error}"
        raise TextError(what, "", tree.lineno, tree.col_offset + 1) from error
    problem = _problem_with(result)
    if problem:
        raise TextError(f"{ast.unparse(tree)} {problem}", "", tree.lineno, tree.col_offset + 1)
    return result


def _turns(spend: Callable[[int], None], parts: int, iterated: Iterable[Any], *held: Any) -> Iterator[Any]:
    """The items that a comprehension goes over; each turn counts all its parts, once for each item of what it reads."""
    once = parts * (1 + sum(arithmetic.measure(each)[0] for each in held))
    spend(once)
    for each in iterated:
        spend(once + parts * arithmetic.measure(each)[0])
        yield each


def _problem_with(result: Any) -> str:
    """What is wrong with the value of a formula: it is no plain, finite, moderate value."""
    _, what = arithmetic.measure(result)
    waiting = [] if what else [result]
    while waiting:
        value = waiting.pop()
        if isinstance(value, (list, tuple)):
            waiting.extend(value)
        elif isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, float) and not math.isfinite(value):
            return f"is {value}, not a finite number"
        elif value is not None and not isinstance(value, (str, int, float)):
            return f"is {type(value).__name__}, not a number"
    return what
