"""What the names and expressions of a text are in Python: numbers, tensors, several of them, or layers."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from modelzoo.catalog import functions
from modelzoo.language.loops import SIDES
from modelzoo.language.names import OWN, Names
from modelzoo.language.pieces import assigned_names, called_name

_NUMBERS = frozenset(["dim", "is_complex", "is_floating_point", "item", "numel", "size"])
_SEVERAL = frozenset(["chunk", "split", "unbind", "meshgrid", "cummax", "sort", "topk"])
_SEVERAL_ALONG = frozenset(["max", "min", "median"])  # with a dimension the places too


class Kinds:
    """The kinds of one text.

    Args:
        names: what its names mean.
        fill: whether it is a `fill` text.
        body: its statements.

    Attributes:
        of: the kind of every local.
        moved: the buffers that the text sets.
    """

    def __init__(self, names: Names, fill: bool, body: Sequence[ast.stmt]) -> None:
        self.names, self.fill = names, fill
        self.moved = assigned_names(body) & names.buffers
        self.of: dict[str, str] = dict.fromkeys(self.moved, "tensor")
        self.settle(body)

    def settle(self, body: Sequence[ast.stmt]) -> None:
        """Finds the kind of every local: "number" unless something assigns a tensor, or several of them, to it."""
        assigned: list[tuple[ast.expr, ast.expr]] = []
        for node in (each for statement in body for each in ast.walk(statement)):
            if isinstance(node, ast.Assign):
                assigned += [(target, node.value) for target in node.targets]
            elif isinstance(node, ast.AugAssign):
                assigned.append((node.target, ast.BinOp(ast.Name(id_of(node.target)), node.op, node.value)))
            elif isinstance(node, ast.For):
                self.settle_loop(node.target, node.iter)
        before = None
        while before != self.of:
            before = dict(self.of)
            for target, value in assigned:
                self.assign(target, value)

    def settle_loop(self, target: ast.expr, iterated: ast.expr) -> None:
        """The names that a loop gives to layers; the others are numbers."""
        called, names = called_name(iterated), target.elts if isinstance(target, ast.Tuple) else [target]
        if isinstance(iterated, ast.Call) and called in SIDES:
            for each, of in zip(names[called == "enumerate" :], iterated.args, strict=False):
                self.settle_loop(target if called == "reversed" else each, of)
        elif called != "range":
            self.of[id_of(target)] = "layer"

    def assign(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Name):
            self.raise_kind(target.id, self.kind(value))
        elif isinstance(target, (ast.Tuple, ast.List)):
            if isinstance(value, (ast.Tuple, ast.List)) and len(value.elts) == len(target.elts):
                for one, other in zip(target.elts, value.elts, strict=True):
                    self.assign(one, other)
            else:
                kind = "number" if self.kind(value) == "number" else "tensor"
                for each in ast.walk(target):
                    if isinstance(each, ast.Name):
                        self.raise_kind(each.id, kind)

    def raise_kind(self, name: str, kind: str) -> None:
        order = ["number", "several", "tensor", "layer"]
        self.of[name] = max(self.of.get(name, "number"), kind, key=order.index)

    def kind(self, node: ast.expr) -> str:
        """ "number" for what Python computes with, "tensor", or "several" for a bundle with tensors."""
        if isinstance(node, (ast.Constant, ast.Compare)):
            parts = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
            return "tensor" if any(self.kind(each) == "tensor" for each in parts) else "number"
        if isinstance(node, ast.Name):
            if node.id in self.of:
                return self.of[node.id]
            owned = self.names.inputs if not self.fill else ("value",)
            return "tensor" if node.id in owned or node.id in self.names.tensors else "number"
        if isinstance(node, (ast.Tuple, ast.List, ast.Dict)):
            items = node.values if isinstance(node, ast.Dict) else node.elts
            return "number" if all(self.kind(each) == "number" for each in items) else "several"
        if isinstance(node, ast.Subscript):
            return "number" if self.kind(node.value) == "number" else "tensor"
        if isinstance(node, ast.Attribute):
            return "number" if node.attr in ("shape", "ndim", "dtype") else "tensor"
        if isinstance(node, ast.Call):
            return self.kind_of_call(node)
        parts = [each for each in ast.iter_child_nodes(node) if isinstance(each, ast.expr)]
        kinds = [self.kind(each) for each in parts[1:] if isinstance(node, ast.IfExp)] or [*map(self.kind, parts)]
        return "tensor" if "tensor" in kinds else "several" if "several" in kinds else "number"

    def kind_of_call(self, node: ast.Call) -> str:
        if isinstance(node.func, ast.Attribute) and not self.is_layer(node.func):
            name, given = node.func.attr, node.args
            return "number" if name in _NUMBERS else "several" if self.returns_several(name, node, given) else "tensor"
        name = id_of(node.func)
        function = None if self.is_layer(node.func) else functions.find_function(name)
        if function is None:
            return "tensor"
        name = function.name
        if function.number:
            if name in ("bool", "float", "int", "len"):
                return "number"
            first = self.kind(node.args[0]) if node.args else "tensor"
            if first == "number" or (first == "several" and len(node.args) > 1):  # of several Python's takes one
                return first
        return "several" if self.returns_several(name, node, node.args[1:]) else "tensor"

    def returns_several(self, name: str, node: ast.Call, given: Sequence[ast.expr]) -> bool:
        """Whether what is called gives several tensors; `given` are its arguments beside the tensor."""
        keywords = {each.arg for each in node.keywords}
        along = "dim" in keywords or (bool(given) and self.kind(given[0]) == "number")
        return name in _SEVERAL or "return_indices" in keywords or (name in _SEVERAL_ALONG and along)

    def is_layer(self, node: ast.expr) -> bool:
        while isinstance(node, (ast.Attribute, ast.Subscript)):
            if self.is_own(node.value):
                return True
            node = node.value
        return isinstance(node, ast.Name) and (node.id in self.names.layers or self.of.get(node.id) == "layer")

    def is_own(self, node: ast.expr) -> bool:
        """Whether an expression is `layers`, which are those of the block."""
        names = self.names
        known = self.of.keys() | names.values | names.layers | names.tensors
        return isinstance(node, ast.Name) and node.id == OWN and OWN not in known


def id_of(node: ast.expr) -> str:
    """The name that an expression is, or nothing."""
    return node.id if isinstance(node, ast.Name) else ""
