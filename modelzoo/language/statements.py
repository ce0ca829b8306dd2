"""Statements: each has a rule that rewrites it to the code that runs, or is refused."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from modelzoo import bounds
from modelzoo.language.expressions import REFUSED, Expressions
from modelzoo.language.names import Names
from modelzoo.language.pieces import (
    assigned_names,
    at,
    call_of,
    ends,
    jumps,
    load,
    operations_of,
    site,
    statement_of,
)


class Statements:
    """Rewrites the statements of one text; collects errors and goes on.

    A rule `statement_*` yields the statements that take a statement's place. What has no rule is refused.

    Args:
        names: what the names of the text mean.
        watch: whether conditions on data and turns of loops are reported, as in the dry run.
        body: the whole text.
    """

    def __init__(self, names: Names, body: Sequence[ast.stmt], *, watch: bool = False) -> None:
        moved = names.buffers & assigned_names(body)
        self.values = Expressions(names, watch=watch, moved=moved)
        self.trained = 0  # how many `if training` are around
        self.text = self.values.text
        self.around: list[ast.For | ast.While] = []
        self.loops: list[str] = []

    def block(self, body: Sequence[ast.stmt]) -> list[ast.stmt]:
        return [at(new, statement) for statement in body for new in self.statement(statement)]

    def statement(self, node: ast.stmt) -> Iterator[ast.stmt]:
        kind = type(node).__name__
        rule: Callable[[Any], Iterator[ast.stmt]] | None = getattr(self, f"statement_{kind.lower()}", None)
        if rule is None:
            what = f"{REFUSED.get(kind, kind)} has no place here"
            self.text.error(node, what, "Statements are assignment, if, while, for and return.")
            self.text.suppose(assigned_names([node]))
        else:
            yield from rule(node)

    def statement_expr(self, node: ast.Expr) -> Iterator[ast.stmt]:
        errors = len(self.text.errors)
        self.values.expression(node.value)
        if len(self.text.errors) == errors:
            self.text.error(node, "this line has no effect", "Assign its value to a name, or return it.")
        yield ast.Pass()

    def statement_pass(self, node: ast.Pass) -> Iterator[ast.stmt]:
        yield node

    def statement_return(self, node: ast.Return) -> Iterator[ast.stmt]:
        if node.value is None:
            self.text.error(node, "return without a value", "Write what is returned.")
        else:
            yield ast.Return(self.values.expression(node.value))

    def statement_assign(self, node: ast.Assign) -> Iterator[ast.stmt]:
        yield from self.assigned(node.targets, self.values.expression(node.value))

    def assigned(self, targets: Sequence[ast.expr], value: ast.expr) -> Iterator[ast.stmt]:
        """An assignment; a buffer that is set holds the new values from then on, and the name has them too."""
        self.text.setting = self.trained > 0
        yield ast.Assign([self.target(target) for target in targets], value)
        self.text.setting = None
        for name in sorted(assigned_names(targets) & self.text.moved):
            local = self.text.code_of(name)
            yield statement_of(f"{local} = _set(_self, {name!r}, {local})", targets[0])

    def statement_augassign(self, node: ast.AugAssign) -> Iterator[ast.stmt]:
        """`x += y` is `x = x + y`: Python's own would change the tensor that others see too."""
        if not isinstance(node.target, ast.Name):
            self.text.error(node.target, "only names can be assigned", "Write x = x + y.")
            return
        old = at(load(node.target.id), node.target)
        value = self.values.expression(at(ast.BinOp(old, node.op, node.value), node))
        yield from self.assigned([node.target], value)

    def statement_if(self, node: ast.If) -> Iterator[ast.stmt]:
        test = self.values.condition(node.test, leads_out=self.leads_out(node))
        before = set(self.text.locals)
        self.trained += _is_training(node.test)
        body, then = self.block(node.body), self.text.locals
        self.trained -= _is_training(node.test)
        self.text.locals = set(before)
        orelse, other = self.block(node.orelse), self.text.locals
        if ends(node.body):
            self.text.locals = other
        elif ends(node.orelse):
            self.text.locals = then
        else:
            self.text.locals = then & other
        yield ast.If(test, body or [ast.Pass()], orelse)
        if not ends(node.body) and not ends(node.orelse):
            yield from self.merge(node, assigned_names([*node.body, *node.orelse]))

    def leads_out(self, node: ast.If) -> bool:
        """Whether a condition decides about a turn of a `while`: one that is always answered alike may not end it."""
        whiles = [isinstance(each, ast.While) for each in self.around]
        ways = [ast.Return] * any(whiles) + [ast.Break, ast.Continue] * any(whiles[-1:])
        return jumps([*node.body, *node.orelse], *ways)

    def statement_break(self, node: ast.Break | ast.Continue) -> Iterator[ast.stmt]:
        if not self.around:
            self.text.error(node, f"{type(node).__name__.lower()} stands in a loop only", "End the text with return.")
        yield node

    statement_continue = statement_break

    def statement_while(self, node: ast.While) -> Iterator[ast.stmt]:
        if node.orelse:
            self.text.error(node, "else after while has no place here")
        self.loops.append(site(node))
        counter, carried = f"_steps{len(self.loops)}", assigned_names(node.body)
        test = self.values.condition(node.test, loop=True)
        yield from self.merge(node, carried, "enter", repr(tuple(_tests(node.test))))
        body = self.loop_body(node)
        yield statement_of(f"{counter} = 0", node)
        count = statement_of(f"{counter} += 1", node)
        stop = statement_of(f"if {counter} > _max_steps: _stop({node.lineno})", node)
        told = [statement_of(f"_watch.step(_self, {site(node)!r})", node)] if self.values.watch else []
        yield ast.While(test, [count, stop, *told, *self.turn(node), *body], [])
        yield from self.merge(node, carried)

    def statement_for(self, node: ast.For) -> Iterator[ast.stmt]:
        if node.orelse:
            self.text.error(node, "else after for has no place here")
        before = set(self.text.locals)
        head = self.values.loops.head(node.target, node.iter)
        if head is None:
            self.text.suppose(assigned_names([node]))
            return
        body = self.loop_body(node)
        self.text.locals = before - assigned_names([node.target])
        yield ast.For(*head, [*self.turn(node), *body], [])
        if jumps(node.body, ast.Break, ast.Continue):
            yield from self.merge(node, assigned_names(node.body))

    def loop_body(self, node: ast.For | ast.While) -> list[ast.stmt]:
        """The body; what it sets for the first time is unknown behind it, since it may never run."""
        before = set(self.text.locals)
        self.around.append(node)
        if len(self.around) == bounds.LOOPS + 1:
            self.text.error(node, f"loops are nested more than {bounds.LOOPS} deep")
        body = self.block(node.body)
        self.around.pop()
        self.text.locals = before
        return body or [ast.Pass()]

    def turn(self, node: ast.For | ast.While) -> Iterator[ast.stmt]:
        """Reports a turn of a loop: about how much it does, and the values that the turn before set."""
        self.values.grows = True
        if self.values.checks:
            carried = sorted(filter(self.text.is_value, assigned_names(node.body)))
            given = [str(operations_of(node.body)), *map(self.text.code_of, carried)]
            yield statement_of(f"_turned({', '.join(given)})", node)

    def merge(self, node: ast.stmt, assigned: set[str], report: str = "merge", *more: str) -> Iterator[ast.stmt]:
        """In the dry run: reports the values that the ways through a branch or loop must agree on."""
        names = sorted(filter(self.text.is_value, assigned))
        if self.values.watch and names:
            held = (f"{name}={self.text.code_of(name)}" for name in names)
            yield statement_of(f"_watch.{report}({', '.join(['_self', repr(site(node)), *more, *held])})", node)

    def target(self, node: ast.expr, kind: str = "value") -> ast.expr:
        if isinstance(node, (ast.Tuple, ast.List)):
            return at(ast.Tuple([self.target(each) for each in node.elts], ast.Store()), node)
        if isinstance(node, ast.Name):
            self.text.assign(node, kind)
            return at(ast.Name(self.text.code_of(node.id), ast.Store()), node)
        if isinstance(node, ast.Subscript) and self.text.names.fills and isinstance(node.value, ast.Name):
            return at(self.element(node, node.value), node)
        if isinstance(node, ast.Subscript):
            self.text.error(node, "elements cannot be assigned here", "Use where(...), cat(...) or a mask.")
        elif isinstance(node, ast.Starred):
            self.text.error(node, "a starred value has no place here")
        else:
            self.text.error(node, "only names can be assigned")
        return at(ast.Name("_", ast.Store()), node)

    def element(self, node: ast.Subscript, owner: ast.Name) -> ast.expr:
        name = owner.id
        if not self.text.is_value(name) or name in self.text.names.inputs:
            self.text.error(node, f"'{name}' is not a tensor of this text", "Write w = value + 0 and assign to w[...].")
        return ast.Subscript(call_of("_tensor", load(name)), self.values.index(node.slice), ast.Store())


def _is_training(test: ast.expr) -> bool:
    """Whether a condition is true in training alone."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        return any(map(_is_training, test.values))
    return isinstance(test, ast.Name) and test.id == "training"


def _tests(node: ast.expr) -> Iterator[str]:
    """The places of the conditions in a test, as they are reported."""
    if isinstance(node, ast.BoolOp):
        for each in node.values:
            yield from _tests(each)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield from _tests(node.operand)
    else:
        yield site(node)
