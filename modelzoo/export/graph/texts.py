"""The statements of a `forward` text, read once from its first line on: names, both ways of a condition, loops."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from torch import nn

from modelzoo.export.graph.expressions import Expressions
from modelzoo.export.graph.scope import Scope
from modelzoo.export.graph.wires import Value, Wire, merged, shape_of, wires
from modelzoo.language import syntax

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

    def run(self, args: list[Value], named: dict[str, Value]) -> Value:
        """Reads the text from its first line on; what it returns."""
        block = self.scope.instance.block
        assert block is not None
        assert block.forward is not None
        inputs = [each.name for each in block.inputs]
        self.scope.names = {**dict.fromkeys(inputs), **dict(zip(inputs, args, strict=False)), **named}
        self.block(syntax.parse_statements(block.forward))
        result = self.results[0] if self.results else ()
        for each in self.results[1:]:
            result = merged(result, each)
        return result

    # -- statements

    def block(self, body: Sequence[ast.stmt]) -> bool:
        """Whether the way through statements ends in a `return`."""
        ends = [self.statement(each) for each in body]
        return any(ends)

    def statement(self, node: ast.stmt) -> bool:
        if isinstance(node, ast.Return):
            self.results.append(() if node.value is None else self.expressions.value(node.value))
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
        for other in left[1:]:
            self.scope.names = {
                name: merged(self.scope.names.get(name), other.get(name)) for name in {**self.scope.names, **other}
            }
        return all(ends)

    # -- loops

    def while_loop(self, node: ast.While) -> None:
        sources: list[Wire] = []
        label = f"while {self.expressions.text(node.test, sources)}"
        self.loop(node, label, node.body, sources)

    def for_loop(self, node: ast.For) -> None:
        turns = self.turns(node.iter)
        target = ast.unparse(node.target)
        alike = all(self.modules.alike(turns[0], each) for each in turns[1:] if isinstance(each, nn.Module))
        modules = bool(turns) and isinstance(turns[0], nn.Module)
        picks = any(isinstance(each, nn.Module) for each in self.picked(node, turns))
        differ = (modules and not alike) or (picks and not self.picked_alike(node, turns))
        if differ and len(turns) <= UNROLLED:
            before = self.scope.turn
            for index, each in enumerate(turns):
                self.scope.turn = f"{before}.{index}"
                self.scope.bind(node.target, each)
                self.block(node.body)
            self.scope.turn = before
            return
        if modules:
            self.scope.bind(node.target, turns[0])
        elif isinstance(node.target, ast.Name):
            self.scope.names[node.target.id] = ()
        times = f" ({len(turns)} x)" if turns else ""
        self.loop(node, f"for {target} in {ast.unparse(node.iter)}{times}", node.body, [])

    def turns(self, iterated: ast.expr) -> list[Value]:
        """What a loop goes over: layers, or numbers; empty if that depends on data."""
        layer = self.scope.layer(iterated)
        if layer is not None:
            return [each for each in layer._modules.values() if each is not None]
        with suppress(Exception):  # anything that cannot be known before there is data
            assert isinstance(iterated, ast.Call)
            return list(range(*map(self.scope.number, iterated.args)))[:1_000]
        return []

    def picked(self, node: ast.For, turns: list[Value]) -> list[nn.Module | None]:
        """The layers that `layers[i](x)` in the body takes, turn by turn."""
        found: list[nn.Module | None] = []
        if not isinstance(node.target, ast.Name) or not turns or not isinstance(turns[0], int):
            return found
        index = node.target.id
        for each in (each for statement in node.body for each in ast.walk(statement)):
            if isinstance(each, ast.Subscript) and any(
                isinstance(name, ast.Name) and name.id == index for name in ast.walk(each.slice)
            ):
                for turn in turns[: UNROLLED + 1]:
                    self.scope.names[index] = turn
                    found.append(self.scope.layer(each))
        return found

    def picked_alike(self, node: ast.For, turns: list[Value]) -> bool:
        modules = [each for each in self.picked(node, turns) if each is not None]
        return all(self.modules.alike(modules[0], each) for each in modules[1:])

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
            self.block(body)
            for name in changed:
                for wire in wires(self.scope.names[name]):
                    if wire.node != head[0].node:
                        self.canvas.edge(wire, head[0].node, "back", head[0].call)
            self.scope.names.update(through)


def _stored(node: ast.AST) -> str:
    """The name that a node of a tree assigns to; "" if it is none."""
    return node.id if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) else ""
