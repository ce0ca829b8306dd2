"""The names that a text sees: what they stand for, and what is known of them before there is data."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from torch import nn

from modelzoo.export.graph.wires import Value, part, with_shape
from modelzoo.language import formulas
from modelzoo.spec.instances import BlockInstance


class Scope:
    """What the names of a text stand for, at the line that is being read.

    Attributes:
        owner, instance: the block whose text it is, and what that was made from.
        shapes: of what names stood for in the dry run, by the block's module, the line, and the name.
        names: what the names that the text gives stand for.
        turn: which turns of loops that are drawn turn by turn one stands in; a part of the names of nodes.
    """

    def __init__(
        self, owner: nn.Module, instance: BlockInstance, shapes: Mapping[tuple[nn.Module, int, str], Any]
    ) -> None:
        self.owner, self.instance, self.shapes = owner, instance, shapes
        self.names: dict[str, Value] = {}
        self.turn = ""

    def bind(self, target: ast.expr, value: Value, place: ast.stmt | None = None) -> None:
        """Gives the names of a target what they stand for; `place` is the line that does."""
        if isinstance(target, (ast.Tuple, ast.List)):
            for index, each in enumerate(target.elts):
                self.bind(each, part(value, index), place)
        elif isinstance(target, ast.Name):
            lines = range(place.lineno, (place.end_lineno or place.lineno) + 1) if place is not None else ()
            shapes = [self.shapes.get((self.owner, line, target.id)) for line in lines]
            self.names[target.id] = with_shape(value, next((each for each in shapes if each is not None), None))

    def known(self) -> dict[str, Any]:
        """The values of args, and the numbers that names stand for."""
        return {**self.instance.values, **{name: each for name, each in self.names.items() if type(each) is int}}

    def number(self, node: ast.expr) -> Any:
        """A number that args decide, or how many layers there are."""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "len":
            layer = self.layer(node.args[0])
            if layer is not None:
                return len(layer._modules)
        return formulas.evaluate(node, self.known())

    def certain(self, index: ast.expr) -> bool:
        """Whether an index is known."""
        with suppress(Exception):  # the index of a loop that is drawn once
            formulas.evaluate(index, self.known())
            return True
        return False

    def decided(self, test: ast.expr) -> bool | None:
        """A condition on args, on the presence of a layer or of an input; None if it depends on more."""
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            inner = self.decided(test.operand)
            return None if inner is None else not inner
        if isinstance(test, ast.BoolOp):
            parts = [self.decided(each) for each in test.values]
            stop = isinstance(test.op, ast.Or)
            return stop if stop in parts else None if None in parts else not stop
        if isinstance(test, ast.Compare) and isinstance(test.ops[0], (ast.Is, ast.IsNot)):
            return self.absent(test.left) is isinstance(test.ops[0], ast.Is)
        if isinstance(test, ast.Name) and test.id in self.owner._modules:
            return not self.absent(test)
        with suppress(Exception):  # a name whose value is data
            return bool(formulas.evaluate(test, self.known()))
        return None

    def absent(self, node: ast.expr) -> bool:
        """Whether a name stands for nothing: a layer or an input that is not there."""
        if isinstance(node, ast.Name):
            for known in (self.names, self.owner._modules, self.instance.values):
                if node.id in known:
                    return known[node.id] is None
        return False

    def layer(self, node: ast.expr) -> nn.Module | None:
        """The module that an expression names; of `layers[i]` with an open index the first."""
        if isinstance(node, ast.Name):
            found = self.names.get(node.id, self.owner._modules.get(node.id))
            return found if isinstance(found, nn.Module) else None
        if isinstance(node, ast.Attribute):
            owner = self.layer(node.value)
            return None if owner is None else owner._modules.get(node.attr)
        if isinstance(node, ast.Subscript):
            owner = self.layer(node.value)
            children = [] if owner is None else list(owner._modules.items())
            index: Any = 0
            with suppress(Exception):  # the index of a loop that is drawn once
                index = formulas.evaluate(node.slice, self.known())
            if isinstance(index, str):
                return dict(children).get(index)
            with suppress(IndexError):
                child: nn.Module | None = children[index][1]
                return child
        return None
