"""The statements of a `forward` text, read once from its first line on: names, both ways of a condition, loops."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from torch import nn

from modelzoo.export.graph.expressions import Expressions
from modelzoo.export.graph.scope import Scope
from modelzoo.export.graph.wires import Value, Wire, merged, shape_of, wires
from modelzoo.language import syntax
from modelzoo.language.loops import SIDES
from modelzoo.language.pieces import called_name

UNROLLED = 8
"""A loop over at most so many layers that differ is drawn turn by turn."""


class Text:
    """Draws one call of a block that has a `forward` text.

    Args:
        scope: what its names stand for.
        expressions: draws what its statements compute.
    """

    def __init__(self, scope: Scope, expressions: Expressions) -> None:
        self.scope, self.expressions = scope, expressions
        self.canvas, self.modules = expressions.canvas, expressions.modules
        self.results: list[Value] = []
        self.jumps: list[tuple[type[ast.stmt], dict[str, Value]]] = []  # of the loop around: what names stood for there

    def run(self, text: str, args: list[Value], named: dict[str, Value]) -> Value:
        """Reads the text from its first line on; what it returns."""
        inputs = [each.name for each in self.scope.instance.block.inputs]
        self.scope.names = {**dict.fromkeys(inputs), **dict(zip(inputs, args, strict=False)), **named}
        self.block(syntax.parse_statements(text))
        result = self.results[0] if self.results else ()
        for each in self.results[1:]:
            result = merged(result, each)
        return result

    # -- statements

    def block(self, body: Sequence[ast.stmt]) -> bool:
        """Whether the way through statements ends in a `return`, or in the end of a turn."""
        return any(self.statement(each) for each in body)

    def statement(self, node: ast.stmt) -> bool:
        if isinstance(node, ast.Return):
            self.results.append(() if node.value is None else self.expressions.value(node.value))
            return True
        if isinstance(node, (ast.Break, ast.Continue)):
            self.jumps.append((type(node), self.scope.names))
            return True
        if isinstance(node, ast.Assign):
            self.scope.bind(node.targets[0], self.expressions.value(node.value), node)
        elif isinstance(node, ast.AugAssign):
            target = ast.Name(ast.unparse(node.target), ast.Load())
            whole = ast.copy_location(ast.BinOp(target, node.op, node.value), node)
            self.scope.bind(node.target, self.expressions.value(whole), node)
        elif isinstance(node, ast.If):
            return self.branches(node)
        elif isinstance(node, ast.While):
            self.while_loop(node)
        elif isinstance(node, ast.For):
            self.for_loop(node)
        return False

    def branches(self, node: ast.If) -> bool:
        decided = self.scope.decided(node.test)
        if decided is not None:
            return self.block(node.body if decided else node.orelse)
        sources: list[Wire] = []
        label = f"if {self.expressions.text(node.test, sources)}"
        head = self.expressions.node(node, "condition", label, sources)
        before, ends, left = dict(self.scope.names), [], []
        for body, answer in ((node.body, "yes"), (node.orelse, "no")):
            self.scope.names = dict(before)
            known = set(self.canvas.nodes)
            ends.append(self.block(body))
            first = next((name for name in self.canvas.nodes if name not in known), None)
            if first is not None:
                self.canvas.answer(head[0].node, first, answer)
            if not ends[-1]:
                left.append(self.scope.names)
        self.scope.names = left[0] if left else before
        self.join(left[1:])
        return all(ends)

    def join(self, others: Sequence[dict[str, Value]]) -> None:
        """What names stand for where other ways come together with this one."""
        for other in others:
            self.scope.names = {
                name: merged(self.scope.names.get(name), other.get(name)) for name in {**self.scope.names, **other}
            }

    # -- loops

    def while_loop(self, node: ast.While) -> None:
        sources: list[Wire] = []
        label = f"while {self.expressions.text(node.test, sources)}"
        self.loop(node, label, node.body, sources)

    def for_loop(self, node: ast.For) -> None:
        turns = self.turns(node.iter)
        held = [_modules(each) for each in turns]
        picked = [_modules(each) for each in self.picked(node, turns)]
        differ = not (self.alike(held) and self.alike(picked))
        if differ and len(turns) <= UNROLLED:
            self.unrolled(node, turns)
            return
        self.scope.bind(node.target, _open(turns[0]) if turns else ())
        times = f" ({len(turns)} x)" if turns else ""
        target = ast.unparse(node.target)
        target = target[1:-1] if isinstance(node.target, ast.Tuple) and target.startswith("(") else target
        self.loop(node, f"for {target} in {ast.unparse(node.iter)}{times}", node.body, [])

    def unrolled(self, node: ast.For, turns: Sequence[Value]) -> None:
        """A loop turn by turn."""
        before, outer, left = self.scope.turn, self.jumps, []
        for index, each in enumerate(turns):
            self.scope.turn, self.jumps = f"{before}.{index}", []
            self.scope.bind(node.target, each)
            ended = self.block(node.body)
            left += [names for way, names in self.jumps if way is ast.Break]
            again = [names for way, names in self.jumps if way is ast.Continue]
            if ended and not again:
                break
            self.scope.names = again.pop() if ended else self.scope.names
            self.join(again)
        self.join(left)
        self.scope.turn, self.jumps = before, outer

    def turns(self, iterated: ast.expr) -> list[Value]:
        """What a loop goes over: layers, numbers, or lists of them; empty if that depends on data."""
        name = called_name(iterated)
        if isinstance(iterated, ast.Call) and name == "zip":
            return [[*each] for each in zip(*map(self.turns, iterated.args), strict=False)]
        if isinstance(iterated, ast.Call) and name in SIDES:
            turns = self.turns(iterated.args[0])
            with suppress(Exception):  # a number that cannot be known
                first = self.scope.number(iterated.args[1]) if iterated.args[1:] else 0
                return turns[::-1] if name == "reversed" else [[n, each] for n, each in enumerate(turns, first)]
            return []
        if isinstance(iterated, ast.Subscript) and isinstance(part := iterated.slice, ast.Slice):
            with suppress(Exception):
                ends: list[Any] = [each and self.scope.number(each) for each in (part.lower, part.upper, part.step)]
                return self.turns(iterated.value)[slice(*ends)]
        layer = self.scope.layer(iterated)
        if layer is not None:
            return [each for each in layer._modules.values() if each is not None]
        with suppress(Exception):  # anything that cannot be known before there is data
            assert isinstance(iterated, ast.Call)
            return list(range(*map(self.scope.number, iterated.args)))[:1_000]
        return []

    def picked(self, node: ast.For, turns: Sequence[Value]) -> list[Value]:
        """The layers that `layers[i](x)` in the body takes, turn by turn."""
        found: list[Value] = []
        numbers = _numbers(node.target, turns[0]) if turns else set()
        for each in (each for statement in node.body for each in ast.walk(statement)):
            if isinstance(each, ast.Subscript) and any(
                isinstance(name, ast.Name) and name.id in numbers for name in ast.walk(each.slice)
            ):
                for turn in turns[: UNROLLED + 1]:
                    self.scope.bind(node.target, turn)
                    found.append(self.scope.layer(each))
        return found

    def alike(self, turns: Sequence[Sequence[nn.Module]]) -> bool:
        """Whether the layers of all turns are alike."""
        held = [each for each in turns if each]
        return all(self.modules.alike(*pair) for each in held[1:] for pair in zip(held[0], each, strict=False))

    def loop(self, node: ast.While | ast.For, label: str, body: Sequence[ast.stmt], test: list[Wire]) -> None:
        """The head of a loop, which what changes in the body goes through, and one turn of the body."""
        stored = {name for statement in body for each in ast.walk(statement) if (name := _stored(each))}
        changed = sorted(stored & self.scope.names.keys())
        changed = [name for name in changed if any(wires(self.scope.names[name]))]
        with self.canvas.cluster(
            f"{self.modules.name(self.scope.owner)}:{node.lineno}{self.scope.turn} loop", "loop", "loop"
        ):
            before = [wire for name in changed for wire in wires(self.scope.names[name])]
            head = self.expressions.node(node, "loop", label, [*before, *(each for each in test if each not in before)])
            through = {
                name: tuple(replace(each, shape=shape_of(self.scope.names[name])) for each in head) for name in changed
            }
            self.scope.names.update(through)
            outer, self.jumps = self.jumps, []
            ended = self.block(body)
            left, self.jumps = [names for _, names in self.jumps], outer
            for names in left if ended else [self.scope.names, *left]:
                for wire in (wire for name in changed for wire in wires(names[name])):
                    if wire.node != head[0].node:
                        self.canvas.edge(wire, head[0].node, "back", head[0].call)
            self.scope.names.update(through)


def _modules(value: Value) -> list[nn.Module]:
    """The layers in what a loop goes over."""
    if isinstance(value, list):
        return [one for each in value for one in _modules(each)]
    return [value] if isinstance(value, nn.Module) else []


def _open(value: Value) -> Value:
    """What the names of a loop stand for where it is drawn once: numbers are not known."""
    if isinstance(value, list):
        return [*map(_open, value)]
    return () if isinstance(value, int) else value


def _numbers(target: ast.expr, value: Value) -> set[str]:
    """The names of a loop that are numbers."""
    if isinstance(target, ast.Tuple) and isinstance(value, list):
        return {name for each, of in zip(target.elts, value, strict=False) for name in _numbers(each, of)}
    return {target.id} if isinstance(target, ast.Name) and isinstance(value, int) else set()


def _stored(node: ast.AST) -> str:
    """The name that a node of a tree assigns to; "" if it is none."""
    return node.id if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) else ""
