"""What the variables of a text are called: as the author calls them, unless the name still means something else."""

from __future__ import annotations

import ast
import keyword
from collections.abc import Collection, Iterator, Mapping, Sequence

from modelzoo.names import Kind

FREE = ("x", "y", "z", "h", "a", "b", "c", "d")
"""What values are called that have no name."""


def named(
    statements: Sequence[ast.stmt], inputs: Sequence[str], taken: Collection[str], wanted: Mapping[str, str]
) -> list[ast.stmt]:
    """Statements whose variables have names in the place of %1, %2, ...

    A name may come again once its value is used up.

    Args:
        statements: of a text; they are changed.
        inputs: its inputs, in order.
        taken: what is no variable.
        wanted: what the author calls each variable.
    """
    places = _places(statements)
    found: dict[str, str] = {}
    lasting = {name: places.get(name, (0, 0))[1] for name in inputs}
    for variable in sorted(places, key=lambda each: places[each]):
        if not variable.startswith("%"):
            continue
        start, end = places[variable]
        name = next(
            each for each in _candidates(wanted[variable]) if each not in taken and lasting.get(each, -1) <= start
        )
        found[variable], lasting[name] = name, max(end, start + 1)
    for node in _nodes(statements):
        if isinstance(node, ast.Name):
            node.id = found.get(node.id, node.id)
    return _without_copies(statements)


def _without_copies(statements: Sequence[ast.stmt]) -> list[ast.stmt]:
    """Statements without `x = x`."""
    found = []
    for each in statements:
        if isinstance(each, ast.For):
            each.body = _without_copies(each.body)
        same = isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == ast.unparse(each.value)
        if not same:
            found.append(each)
    return found


def _nodes(statements: Sequence[ast.stmt]) -> Iterator[ast.AST]:
    for each in statements:
        yield from ast.walk(each)


def _places(statements: Sequence[ast.stmt]) -> dict[str, tuple[int, int]]:
    """Of every name the number of the first and of the last statement that has it.

    What comes from outside a loop is needed to its end.
    """
    found: dict[str, tuple[int, int]] = {}
    number = 0

    def met(node: ast.AST) -> None:
        for each in ast.walk(node):
            if isinstance(each, ast.Name):
                found[each.id] = found.get(each.id, (number, number))[0], number

    def go(body: Sequence[ast.stmt]) -> None:
        nonlocal number
        for each in body:
            number += 1
            if isinstance(each, ast.For):
                start = number
                met(each.iter)
                met(each.target)
                go(each.body)
                number += 1
                inside = {node.id for node in ast.walk(each) if isinstance(node, ast.Name)}
                found.update({name: (found[name][0], number) for name in inside if found[name][0] < start})
                met(each.target)
            elif isinstance(each, ast.If):
                go(each.body)
            else:
                met(each)

    go(statements)
    return found


def _candidates(wanted: str) -> Iterator[str]:
    wanted = wanted.lstrip("_")
    if wanted and wanted.isascii() and not keyword.iskeyword(wanted) and Kind.INPUT.fits(wanted):
        yield wanted
        yield from FREE if len(wanted) == 1 else ()
        yield f"{wanted}_"
        base = wanted
    else:
        yield from FREE
        base = "x"
    count = 1
    while True:
        count += 1
        yield f"{base}{count}"
