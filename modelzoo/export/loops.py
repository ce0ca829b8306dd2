"""Loops on data as `torch.export` takes them: written with `torch.while_loop`, in a twin made of the model's source.

Python decides a `while` by looking at the data, which a program cannot do. `torch.while_loop` takes the condition and
the body as functions of what the loop changes, and becomes part of the program.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from typing import Any

from torch import nn

from modelzoo.export.source.model import written
from modelzoo.language.pieces import load
from modelzoo.plans.draft import Draft

_LEAVES = (ast.Break, ast.Continue, ast.Return)


def twin(draft: Draft, model: nn.Module, config: Any) -> nn.Module | None:
    """The same model with the same values, whose loops are `torch.while_loop`; None if it has none that can be.

    Args:
        draft: its plan.
        model: the model.
        config: the plain data that it was made from.
    """
    tree = rewritten(ast.parse(written(draft, config)))
    if tree is None:
        return None
    names: dict[str, Any] = {"__name__": "modelzoo.export.loops"}
    exec(compile(tree, "model.py", "exec", dont_inherit=True), names)  # the gate of the exporter let it through
    made: nn.Module = names["Model"]()
    made.load_state_dict(model.state_dict())
    return made.train(model.training)


def rewritten(tree: ast.Module) -> ast.Module | None:
    """A module of Python in which every `while` is a call of `torch.while_loop`; None if one has to stay.

    >>> from modelzoo.language.pieces import shown
    >>> text = "def forward(self, x):\\n    while x.sum() > 1:\\n        x = x / 2\\n    return x"
    >>> print(shown(rewritten(ast.parse(text))))
    def forward(self, x):
    <BLANKLINE>
        def _goes_on_0(x):
            return x.sum() > 1
    <BLANKLINE>
        def _turn_0(x):
            x = x / 2
            return (x,)
        x, = torch.while_loop(_goes_on_0, _turn_0, (x,))
        return x
    """
    functions = [each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef)]
    loops = [each for each in ast.walk(tree) if isinstance(each, ast.While)]
    if not loops or any(isinstance(node, _LEAVES) for loop in loops for node in _inside(loop)):
        return None
    counter = iter(range(len(loops)))
    for function in functions:
        function.body = _statements(function.body, {each.arg for each in function.args.args}, counter)
    return ast.fix_missing_locations(tree)


def _inside(loop: ast.While) -> Iterable[ast.AST]:
    return (node for each in (*loop.body, *loop.orelse) for node in ast.walk(each))


def _statements(body: Sequence[ast.stmt], known: set[str], counter: Iterable[int]) -> list[ast.stmt]:
    """Statements, where these names have values before the first of them."""
    found: list[ast.stmt] = []
    for statement in body:
        for part in ("body", "orelse"):
            inner = getattr(statement, part, None)
            if inner and not isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
                setattr(statement, part, _statements(inner, set(known), counter))
        found += _loop(statement, known, counter) if isinstance(statement, ast.While) else [statement]
        known |= _assigned([statement])
    return found


def _loop(loop: ast.While, known: set[str], counter: Iterable[int]) -> list[ast.stmt]:
    number = next(iter(counter))
    carried = sorted(_assigned(loop.body) & known)
    condition = _function(f"_goes_on_{number}", carried, [ast.Return(loop.test)])
    turn = _function(f"_turn_{number}", carried, [*loop.body, ast.Return(_names(carried, ast.Load()))])
    called = ast.Attribute(load("torch"), "while_loop", ast.Load())
    values: list[ast.expr] = [load(condition.name), load(turn.name), _names(carried, ast.Load())]
    return [condition, turn, ast.Assign([_names(carried, ast.Store())], ast.Call(called, values, [])), *loop.orelse]


def _function(name: str, parameters: Sequence[str], body: list[ast.stmt]) -> ast.FunctionDef:
    (made,) = ast.parse(f"def {name}({', '.join(parameters)}): pass").body
    assert isinstance(made, ast.FunctionDef)
    made.body = body
    return made


def _names(names: Sequence[str], context: ast.expr_context) -> ast.Tuple:
    return ast.Tuple([ast.Name(each, context) for each in names], context)


def _assigned(body: Sequence[ast.stmt]) -> set[str]:
    nodes = (node for each in body for node in ast.walk(each))
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
