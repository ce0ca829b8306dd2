"""The expressions of a text: each layer that is called, and each expression of its own, becomes a node."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from contextlib import suppress

from torch import nn

from modelzoo.catalog import functions
from modelzoo.export.graph.canvas import Canvas
from modelzoo.export.graph.graph import SIGNS
from modelzoo.export.graph.modules import Modules
from modelzoo.export.graph.scope import Scope
from modelzoo.export.graph.wires import Value, Wire, part, wires
from modelzoo.language import formulas
from modelzoo.language.syntax import copied
from modelzoo.plans.lines import shape_text

_FACTS = ("shape", "ndim", "dtype", "device")  # what is read of a tensor without its values

Draw = Callable[[nn.Module, list[Value], dict[str, Value], str], Value]
"""Draws a call of a module: with its arguments, those by name, and a name for it where that is not its own."""


class Expressions:
    """Draws the expressions of one text.

    Args:
        scope: what its names stand for.
        canvas: gets what is met.
        modules: those of the model.
        draw: draws a call of one of them.
    """

    def __init__(self, scope: Scope, canvas: Canvas, modules: Modules, draw: Draw) -> None:
        self.scope, self.canvas, self.modules, self.draw = scope, canvas, modules, draw

    def value(self, node: ast.expr) -> Value:
        """What an expression stands for; an expression of its own becomes a node."""
        if isinstance(node, ast.Name) and node.id in self.scope.names:
            return self.scope.names[node.id]
        if isinstance(node, ast.Constant) and node.value is None:
            return None
        if isinstance(node, (ast.Tuple, ast.List)):
            return [self.value(each) for each in node.elts]
        if isinstance(node, ast.Dict):
            return {ast.literal_eval(k): self.value(v) for k, v in zip(node.keys, node.values, strict=True) if k}
        if isinstance(node, ast.IfExp) and (decided := self.scope.decided(node.test)) is not None:
            return self.value(node.body if decided else node.orelse)
        if (
            isinstance(node, ast.Subscript)
            and isinstance(node.value, ast.Name)
            and isinstance(node.slice, ast.Constant)
        ):
            owner = self.scope.names.get(node.value.id)
            if isinstance(owner, (list, dict)):
                return part(owner, node.slice.value)
        if isinstance(node, ast.Call) and (layer := self.scope.layer(node.func)) is not None:
            return self.call(layer, node)
        tensor = self.tensor(node)
        if tensor is not None:
            return tensor
        return self.expression(node)

    def expression(self, node: ast.expr) -> Value:
        """An expression that is computed: a node, or a number that data does not decide."""
        sources: list[Wire] = []
        text = self.text(node, sources)
        if not sources and not any(
            isinstance(each, ast.Call)
            and isinstance(each.func, ast.Name)
            and each.func.id.rpartition(".")[2] in _tensor_makers()
            for each in ast.walk(node)
        ):
            with suppress(Exception):  # a number that data decides
                return formulas.evaluate(node, self.scope.known())
            return ()
        return self.node(node, "function", text, sources)

    def call(self, layer: nn.Module, node: ast.Call) -> Value:
        """A call of a layer, labelled as the text writes it where it is one of several."""
        args = [self.value(each) for each in node.args]
        named = {str(each.arg): self.value(each.value) for each in node.keywords}
        label = ""
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name in self.scope.names and not self.scope.turn:  # the name that a loop gives to each of its layers
            label = name
        elif isinstance(node.func, ast.Subscript) and not self.scope.certain(node.func.slice):
            label = ast.unparse(node.func)
        return self.draw(layer, args, named, label)

    def tensor(self, node: ast.expr) -> tuple[Wire, ...] | None:
        """A parameter or buffer of the block, or of a layer in it."""
        if isinstance(node, ast.Name):
            owner, local = self.scope.owner, node.id
        elif isinstance(node, ast.Attribute) and (layer := self.scope.layer(node.value)) is not None:
            owner, local = layer, node.attr
        else:
            return None
        value, kind = owner._parameters.get(local, owner._buffers.get(local)), "parameter"
        if value is None:
            return None
        if local in owner._buffers:
            kind = "constant"
        shape, name = tuple(value.shape), ".".join(filter(None, (self.modules.name(owner), local)))
        known = self.canvas.nodes.get(name)
        if known is not None:
            return (Wire(name, shape, 1),)
        if self.modules.name(owner) in self.canvas.nodes:  # a layer that is drawn as one node
            return (Wire(self.modules.name(owner), shape, 1),)
        shown = ast.unparse(node)
        return self.canvas.made(name, kind, shown, shape_text(shape), shape)

    def text(self, node: ast.expr, sources: list[Wire]) -> str:
        """An expression as it is shown: each layer that it calls by its name; `sources` gets what flows into it."""
        return _shown(_Shown(self, sources).visit(copied(node)))

    def node(self, place: ast.AST, kind: str, label: str, sources: Iterable[Wire]) -> tuple[Wire, ...]:
        """A node of the text's own, named by its place."""
        where = f"{getattr(place, 'lineno', 0)}:{getattr(place, 'col_offset', 0)}"
        return self.canvas.made(
            f"{self.modules.name(self.scope.owner)}:{where}{self.scope.turn}", kind, label, sources=sources
        )


class _Shown(ast.NodeTransformer):
    """Shortens an expression for a label, and collects what flows into it."""

    def __init__(self, expressions: Expressions, sources: list[Wire]) -> None:
        self.expressions, self.scope, self.sources = expressions, expressions.scope, sources

    def visit_Name(self, node: ast.Name) -> ast.AST:
        value = self.scope.names.get(node.id)
        self.sources += wires(self.expressions.tensor(node) if node.id not in self.scope.names else value)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        tensor = self.expressions.tensor(node)
        if tensor is not None:
            self.sources += tensor
            return node
        return node if node.attr in _FACTS else self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        decided = self.scope.decided(node.test)
        if decided is None:
            return self.generic_visit(node)
        return self.visit(node.body if decided else node.orelse)  # type: ignore[no-any-return]

    def visit_Call(self, node: ast.Call) -> ast.AST:
        layer = self.scope.layer(node.func)
        if layer is None and isinstance(node.func, ast.Name):  # a function, whatever else has its name
            node.args = [self.visit(each) for each in node.args]
            node.keywords = [self.visit(each) for each in node.keywords]
            return node
        if layer is None:
            return self.generic_visit(node)
        self.sources += wires(self.expressions.call(layer, node))
        return ast.copy_location(ast.Name(ast.unparse(node.func), ast.Load()), node)


def _shown(tree: ast.expr) -> str:
    """`x + y` as "+", `relu(x)` as "relu", `x.flatten(1)` as "flatten(1)"; else the expression."""
    if isinstance(tree, ast.BinOp) and isinstance(tree.left, ast.Name) and isinstance(tree.right, ast.Name):
        sign = SIGNS.get(type(tree.op))
        if sign:
            return sign
    if isinstance(tree, ast.Call) and not tree.keywords and [type(each) for each in tree.args] == [ast.Name]:
        return ast.unparse(tree.func) if isinstance(tree.func, ast.Name) else ast.unparse(tree)
    text, root = ast.unparse(tree), tree
    while isinstance(root, (ast.Call, ast.Attribute)):
        root = root.func if isinstance(root, ast.Call) else root.value
    chain = isinstance(tree, ast.Call) and isinstance(tree.func, ast.Attribute) and isinstance(root, ast.Name)
    names = [each.id for each in ast.walk(tree) if isinstance(each, ast.Name)]
    if chain and isinstance(root, ast.Name) and names.count(root.id) == 1:
        return text.removeprefix(f"{root.id}.")
    return text


def _tensor_makers() -> frozenset[str]:
    return frozenset(functions.function_names())
