"""Expressions of the values of a block: what is used once stands where it is used."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from modelzoo.importing import assigned, operations
from modelzoo.importing.constants import Constants
from modelzoo.importing.graph import Node, Path, Ref
from modelzoo.importing.observed import RANDOM
from modelzoo.importing.operations import UnsayableError
from modelzoo.importing.places import item, layer_of, tensor_of, width_of
from modelzoo.importing.training import Branch
from modelzoo.importing.usage import Usage, is_made_up
from modelzoo.language.pieces import load

WIDTH = 88
"""About how many characters a line has at most before a part of it gets a name."""


class Values:
    """Says the values of a branch; variables are called %1, %2, ...

    Args:
        branch: what a block computes, and what in training alone.
        taken: the names of its layers and tensors.
        layers: those of its layers.
        held: what the module calls tensors that are no parameters or buffers, by their identity.

    Attributes:
        stated: nodes that have a statement of their own.
        wanted: what the author calls a variable, by its name in the statements so far.
        lines: the statements so far.
    """

    def __init__(self, branch: Branch, taken: frozenset[str], layers: frozenset[str], held: Mapping[int, str]) -> None:
        self.branch, self.taken, self.layers, self.held = branch, taken, layers, held
        self.constants = Constants(taken, held, branch.names)
        usage = Usage(branch)
        self.needed, self.of_node, self.stated = usage.needed, usage.of_node, usage.stated
        self.begin()

    def begin(self) -> None:
        """Nothing is written yet."""
        self.variables: dict[Ref, str] = {}
        self.direct: dict[Ref, str] = {}  # what a value is called that is what a turn leaves
        self.order: list[Node] = []
        self.problems: list[tuple[str, str]] = []
        self.wanted: dict[str, str] = {}
        self.inside: list[tuple[Node, int]] = []  # what the line that is written consists of, and how wide it is
        self.cuts: set[Node] = set()
        self.turns: list[str] = []  # what the layers of a turn are called
        self.lines: list[ast.stmt] = []

    def variable(self, ref: Ref) -> ast.expr:
        """A name for a value."""
        if ref in self.direct:
            self.variables[ref] = self.direct[ref]
            return ast.Name(self.direct[ref], ast.Store())
        name = f"%{len(self.wanted)}"
        self.variables[ref] = name
        own = str(ref.node.path[-1]) if ref.node.kind == "tensor" else ""
        self.wanted[name] = self.branch.names.get(ref, own)
        return ast.Name(name, ast.Store())

    def turned(self, path: Path) -> Path:
        """The path of a layer, where it is that of a turn with its name."""
        first = str(path[0])
        return (self.turns[int(first[1:])], *path[1:]) if first.startswith("*") else path

    def expression(self, ref: Ref) -> ast.expr:
        """What stands for a value where it is used."""
        for cut in range(len(ref.path), -1, -1):
            known = self.variables.get(Ref(ref.node, ref.path[:cut]))
            if known is not None:
                return item(load(known), ref.path[cut:])
        node = ref.node
        if node.kind in ("size", "number", "tensor") and node in self.stated:
            self.state_sizes(node)
            return load(self.variables[ref])
        return item(self.made(node), ref.path)

    def state_sizes(self, node: Node) -> None:
        """Sizes that have names get them together: `B, N, C = x.shape`."""
        if node.kind == "size":
            owner = node.args[0]
            named = [each for each in self.stated if each.kind == "size" and each.args[0] == owner]
            by_dimension = {each.args[1]: each for each in named}
            dimensions = owner.node.value
            for step in owner.path:
                dimensions = dimensions[step]
            if len(named) > 1:
                targets = [
                    self.variable(Ref(by_dimension[each])) if each in by_dimension else ast.Name("_", ast.Store())
                    for each in range(dimensions.ndim)
                ]
                shape = ast.Attribute(self.expression(owner), "shape", ast.Load())
                self.lines.append(ast.Assign([ast.Tuple(targets, ast.Store())], shape))
                return
        made = self.made(node)
        self.lines.append(ast.Assign([self.variable(Ref(node))], made))

    def made(self, node: Node) -> ast.expr:
        """How a value is computed."""
        if node.kind == "input":
            return load(node.name)
        if node.kind == "size":
            shape = ast.Attribute(self.expression(node.args[0]), "shape", ast.Load())
            return ast.Subscript(shape, ast.Constant(node.args[1]), ast.Load())
        if node.name == "item":
            return self.expression(node.args[0])
        if node.name == "[]":
            owner, number = (operations.value(each, self.expression) for each in node.args)
            return ast.Subscript(owner, number, ast.Load())
        if node.kind == "number":
            left, right = (operations.value(each, self.expression) for each in node.args)
            return ast.BinOp(left, _NUMBERS[node.name](), right)
        if node.kind == "tensor":
            return tensor_of(node.path)
        if node.kind == "constant" or is_made_up(node):
            return self.constants.expression(node)
        if node.kind == "layer":
            path = self.turned(node.path)
            made: ast.expr = ast.Call(
                layer_of(path),
                [self.checked(node, each) for each in node.args],
                [ast.keyword(name, self.checked(node, each)) for name, each in node.named.items()],
            )
        else:
            made = self.function(node)
        if node.kind == "layer" or node.name in RANDOM:
            self.order.append(node)
        self.inside.append((node, width_of(made)))
        return made

    def function(self, node: Node) -> ast.expr:
        try:
            if node.name == "__setitem__":
                return assigned.expression(node, self.expression)
            return operations.expression(node, self.expression, self.layers)
        except UnsayableError as error:
            self.problems.append((node.line, str(error)))
            return ast.Constant(None)

    def checked(self, node: Node, given: Any) -> ast.expr:
        try:
            return operations.value(given, self.expression)
        except UnsayableError as error:
            self.problems.append((node.line, str(error)))
            return ast.Constant(None)

    def late(self) -> set[Node]:
        """The calls that would come later than they did, and so need statements of their own."""
        places = {node: place for place, node in enumerate(self.branch.nodes())}
        latest, found = -1, set()
        for node in self.order:
            if places[node] < latest and node not in self.stated:
                found.add(node)
            latest = max(latest, places[node])
        return found

    def cut(self, width: int) -> None:
        """A line that is too long is cut: the greatest part of it that is no line itself gets a name."""
        *parts, (_, whole) = [(Node(kind=""), 0), *self.inside]
        if whole + width > WIDTH:
            fitting = [each for each in parts if 12 < each[1] <= WIDTH * 3 // 4 and each[0] not in self.stated]
            known = [each for each in fitting if Ref(each[0]) in self.branch.names and each[1] > WIDTH // 4]
            if known or fitting:
                self.cuts.add(max(known or fitting, key=lambda each: each[1])[0])
        self.inside = []


_NUMBERS = {"+": ast.Add, "-": ast.Sub, "*": ast.Mult, "//": ast.FloorDiv, "%": ast.Mod}
