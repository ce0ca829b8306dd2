"""What others write in PyTorch and a text writes otherwise: which statement is repaired, and what is told of it.

A repair is tried before it is told: the text is read once more with it, and must be better: what was wrong there is
gone, and nothing new has come.
"""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from modelzoo.errors import TextError
from modelzoo.language import unrolled
from modelzoo.language.idioms import Formulas, Idioms, is_in_place, last_part
from modelzoo.language.names import Names
from modelzoo.language.pieces import called_name, load, shown
from modelzoo.language.syntax import copied
from modelzoo.language.unrolled import goes

Read = Callable[[Sequence[ast.stmt], Names], list[TextError]]
"""Says what is wrong with the statements of a text."""


class Statements(Idioms):
    """Writes a statement as a text does; changes the tree that it is given.

    Attributes:
        deep: whether what the statement holds was written anew too.
    """

    deep = False

    def statement(self, node: ast.stmt) -> list[ast.stmt]:
        """What is written for a statement; nothing, if it is left out."""
        rule: Callable[[Any], list[ast.stmt]] | None = getattr(self, f"statement_{type(node).__name__.lower()}", None)
        if rule is not None:
            return rule(node)
        for name in ("value", "test", "iter"):
            part = getattr(node, name, None)
            if isinstance(part, ast.expr):
                setattr(node, name, self.visit(part))
        if self.deep:
            for name in ("body", "orelse"):
                setattr(node, name, self.statements(getattr(node, name, [])))
        before, self.before = self.before, []
        return [*before, node]

    def statements(self, body: Sequence[ast.stmt]) -> list[ast.stmt]:
        return [new for each in body for new in self.statement(each)]

    def statement_functiondef(self, node: ast.FunctionDef) -> list[ast.stmt]:
        if node.name != "forward":
            return [node]
        self.met("a text is the body of forward, without def")
        self.deep = True
        return self.statements(node.body)

    def statement_with(self, node: ast.With) -> list[ast.stmt]:
        """What is computed without gradients is detached."""
        used = node.items[0].context_expr
        if len(node.items) > 1 or not (
            isinstance(used, ast.Call) and last_part(used.func) in ("no_grad", "inference_mode")
        ):
            return [node]
        self.met("with has no place here")
        self.deep = True
        body = self.statements(node.body)
        for each in body:
            if isinstance(each, (ast.Assign, ast.Return)) and each.value is not None:
                each.value = ast.Call(ast.Attribute(each.value, "detach", ast.Load()), [], [])
        return body

    def statement_assert(self, node: ast.Assert) -> list[ast.stmt]:
        self.met("assert has no place here")
        return []

    def statement_delete(self, node: ast.Delete) -> list[ast.stmt]:
        self.met("del has no place here")
        return []

    def statement_annassign(self, node: ast.AnnAssign) -> list[ast.stmt]:
        if node.value is None:
            return [node]
        self.met("an annotation has no place here")
        return self.statement(ast.Assign([node.target], node.value))

    def statement_assign(self, node: ast.Assign) -> list[ast.stmt]:
        only = node.targets[0] if len(node.targets) == 1 else None
        written_out = self.written_out(node.value) if isinstance(node.value, ast.ListComp) else None
        if isinstance(only, ast.Name) and isinstance(node.value, ast.ListComp) and written_out is None:
            return self.gathered(node.value, only.id)
        if only is not None and self.made_layer(node.value, ast.unparse(only).removeprefix("self.")) is not None:
            return []
        node.value = written_out or self.visit(node.value)
        before, self.before = self.before, []
        unchanged = isinstance(only, ast.Name) and ast.unparse(only) == ast.unparse(node.value)
        return before if unchanged else [*before, node]

    def statement_expr(self, node: ast.Expr) -> list[ast.stmt]:
        call = node.value
        if called_name(call) == "print":
            self.met("a text prints nothing")
            return []
        method = call.func if isinstance(call, ast.Call) else None
        if isinstance(method, ast.Attribute) and called_name(method.value) == "super":
            self.met("a block has no super()")
            return []
        if isinstance(call, ast.Call) and isinstance(method, ast.Attribute) and isinstance(method.value, ast.Name):
            owner = method.value
            if method.attr in ("append", "extend") and len(call.args) == 1:
                self.met("a list is never changed: a longer one takes its name")
                item = self.visit(call.args[0])
                added = ast.List([item], ast.Load()) if method.attr == "append" else item
                before, self.before = self.before, []
                return [*before, ast.AugAssign(ast.Name(owner.id, ast.Store()), ast.Add(), added)]
            if is_in_place(method.attr):
                return self.statement(ast.Assign([ast.Name(owner.id, ast.Store())], call))
        node.value = self.visit(call)
        before, self.before = self.before, []
        return [*before, node]

    def statement_for(self, node: ast.For) -> list[ast.stmt]:
        node.iter = self.visit(node.iter)
        before, self.before = self.before, []
        if goes(node.iter, self.names.layers) and not self.deep:
            return [*before, node]
        self.deep = True
        turns = unrolled.turns(node.target, node.iter)
        if turns is not None and _may_be_written_out(node):
            self.met("for goes over range(...) or layers")
            return [*before, *self.statements([unrolled.named(each, turn) for turn in turns for each in node.body])]
        if turns is not None:
            name = self.fresh("items", "turns")
            before.append(ast.Assign([ast.Name(name, ast.Store())], node.iter))
            node.iter = load(name)
        body = self.statements(node.body)
        if goes(node.iter, self.names.layers):
            return [*before, ast.For(node.target, node.iter, body, node.orelse)]
        self.met("for goes over range(...) or layers")
        return [*before, self.loop(node.target, node.iter, body) or node]


def _may_be_written_out(loop: ast.For) -> bool:
    """Whether the turns of a loop may stand below each other: none ends it, or sets what the others are about."""
    nodes = [node for each in loop.body for node in ast.walk(each)]
    set_there = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    read = {node.id for each in (loop.target, loop.iter) for node in ast.walk(each) if isinstance(node, ast.Name)}
    return not (loop.orelse or set_there & read or any(isinstance(node, (ast.Break, ast.Continue)) for node in nodes))


def answered(statements: Sequence[ast.stmt], names: Names, errors: list[TextError], read: Read) -> list[TextError]:
    """The errors of a text, where those of one statement that come of idioms of PyTorch are one, with what to write."""
    told = [*errors]
    for statement in [*_each(statements)]:
        if not any(_is_in(error, statement) for error in told):
            continue
        idioms = Statements(names, statements)
        new = idioms.statement(copied(statement))
        if not idioms.what:
            continue
        text, known_then = _replaced(statements, statement, new), _with(names, idioms.layers)
        found = read(text, known_then)
        left = Counter(error.what for error in found)
        known = Counter(error.what for error in errors)
        gone = known - left
        if left - known or not gone:
            continue
        inside = [error for error in told if _is_in(error, statement, idioms.deep) and gone[error.what]]
        if inside:
            first = min(inside, key=lambda error: (error.line, error.column))
            hint = _hint(new, idioms, statement)
            told = [error for error in told if error not in inside]
            if idioms.layers:  # the lines after it know them
                told = [error for error in told if not 0 < gone[error.what] == known[error.what]]
                statements, names, errors = text, known_then, found
            told.append(TextError(idioms.what[0], hint, first.line, first.column))
    return told


def formula_answered(
    tree: ast.expr, names: Names, errors: list[TextError], read: Callable[[ast.expr], list[TextError]]
) -> list[TextError]:
    """The errors of a formula, which are one, with the formula to write, if they all come of idioms of Python."""
    idioms = Formulas(names, ())
    new = idioms.visit(copied(tree))
    if not idioms.what or idioms.before or idioms.layers or read(ast.fix_missing_locations(new)):
        return errors
    return [TextError(idioms.what[0], f"Write {ast.unparse(new)}.", errors[0].line, errors[0].column)]


def _each(statements: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Every statement, those inside others too, in the order of the text."""
    for statement in statements:
        yield statement
        if not isinstance(statement, ast.FunctionDef):
            for part in ("body", "orelse"):
                yield from _each(getattr(statement, part, ()))


def _is_in(error: TextError, statement: ast.stmt, deep: bool = False) -> bool:
    """Whether an error stands in a statement; of one that holds others, in its first line."""
    start, end = (statement.lineno, statement.col_offset), (statement.end_lineno or 0, statement.end_col_offset or 0)
    body = getattr(statement, "body", None)
    if body and not deep:
        end = (body[0].lineno, body[0].col_offset)
    return start <= (error.line, error.column - 1) < end


def _with(names: Names, layers: Mapping[str, str]) -> Names:
    return replace(names, layers=names.layers | layers.keys()) if layers else names


def _replaced(statements: Sequence[ast.stmt], old: ast.stmt, new: Sequence[ast.stmt]) -> list[ast.stmt]:
    """The statements of a text with others in the place of one."""
    found: list[ast.stmt] = []
    for each in statements:
        if each is old:
            found += [ast.fix_missing_locations(ast.copy_location(one, old)) for one in new]
            continue
        parts = {name: getattr(each, name, None) for name in ("body", "orelse")}
        if any(isinstance(part, list) and part for part in parts.values()):
            each = copy.copy(each)
            for name, part in parts.items():
                if isinstance(part, list) and part:
                    setattr(each, name, _replaced(part, old, new) or [ast.copy_location(ast.Pass(), old)])
        found.append(each)
    return found


def _hint(new: Sequence[ast.stmt], idioms: Statements, old: ast.stmt) -> str:
    lines = [line for each in new for line in shown(each).split("\n")]
    if hasattr(old, "body") and not idioms.deep:  # what it holds is as it was
        lines = lines[: len(lines) - len(shown(old).split("\n")) + 1]
    if len(lines) == 1 and isinstance(old, ast.Return) and old.value and old.col_offset == old.value.col_offset:
        lines = [lines[0].removeprefix("return ")]  # the text is one expression
    added = "".join(f"Add {name}: {layer} to the layers. " for name, layer in idioms.layers.items())
    if not lines:
        return f"{added}Remove this line."
    if isinstance(old, ast.FunctionDef):
        return f"{added}Write its body alone:\n" + "\n".join(lines)
    if lines[1:]:
        return f"{added}Write:\n" + "\n".join(lines)
    return f"{added}Write {lines[0]}{'' if lines[0].endswith(':') else '.'}"
