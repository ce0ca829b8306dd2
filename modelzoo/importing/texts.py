"""From the record of a block to the statements of its `forward`: what is used once has no name."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from typing import Any

from modelzoo.importing import assigned, operations
from modelzoo.importing.bodies import Text
from modelzoo.importing.constants import Constants
from modelzoo.importing.graph import Loop, Node, Path, Ref
from modelzoo.importing.observed import RANDOM
from modelzoo.importing.operations import UnsayableError
from modelzoo.importing.places import (
    is_in_tuples,
    item,
    layer_of,
    slice_of,
    tensor_of,
    width_of,
)
from modelzoo.importing.training import Branch
from modelzoo.importing.usage import Usage, is_made_up
from modelzoo.importing.variables import named
from modelzoo.language.pieces import load

LAYERS = ("layer", "other", "third", "fourth")
"""What the layers of a loop are called."""

WIDTH = 88
"""About how many characters a line has at most before a part of it gets a name."""


def written(branch: Branch, taken: frozenset[str], layers: frozenset[str], held: Mapping[int, str]) -> Text:
    """The text of a block.

    Args:
        branch: what it computes, and what in training alone.
        taken: the names of its layers and tensors.
        layers: those of its layers.
        held: what the module calls tensors that are no parameters or buffers, by their identity.
    """
    for node in branch.inputs.values():
        node.name = f"{node.name}_" if node.name in taken else node.name
    writer = Writer(branch, taken, layers, held)
    while True:
        statements = writer.statements()
        more = writer.late() or writer.cuts
        if not more:
            break
        writer.stated |= more
    inputs = [node.name for node in branch.inputs.values()]
    kept = taken | set(writer.constants.found)
    return Text(
        inputs=inputs,
        statements=named(statements, inputs, kept, writer.wanted),
        constants=writer.constants.found,
        problems=list(dict.fromkeys(writer.problems)),
    )


class Writer:
    """Writes the nodes of a branch.

    Attributes:
        stated: nodes that have a statement of their own.
        wanted: what the author calls a variable, by its name in the statements so far.
    """

    def __init__(self, branch: Branch, taken: frozenset[str], layers: frozenset[str], held: Mapping[int, str]) -> None:
        self.branch, self.taken, self.layers, self.held = branch, taken, layers, held
        self.constants = Constants(taken, held, branch.names)
        self.problems: list[tuple[str, str]] = []
        self.wanted: dict[str, str] = {}
        usage = Usage(branch)
        self.needed, self.of_node, self.stated = usage.needed, usage.of_node, usage.stated
        self.order: list[Node] = []

    # -- statements ----------------------------------------------------------------------------------------------------

    def statements(self) -> list[ast.stmt]:
        """All statements; variables are called %1, %2, ... in them."""
        self.variables: dict[Ref, str] = {}
        self.order, self.problems, self.wanted = [], [], {}
        self.inside: list[tuple[Node, int]] = []  # what the line that is written consists of, and how wide it is
        self.cuts: set[Node] = set()
        self.turns: list[str] = []  # what the layers of a turn are called
        self.lines: list[ast.stmt] = []
        for node in self.branch.inputs.values():
            self.unpacked_input(node)
            self.sizes_of(node)
        self.block(self.branch.common)
        if self.branch.training is None:
            self.end(self.branch.evaluation)
            return self.lines
        outside, self.lines = self.lines, []
        before = dict(self.variables)
        self.block(self.branch.training[0])
        self.end(self.branch.training[1])
        inside, self.lines = self.lines, outside
        self.variables = before
        self.lines.append(ast.If(load("training"), inside, []))
        self.block(self.branch.rest)
        self.end(self.branch.evaluation)
        return self.lines

    def block(self, nodes: Iterable[Node]) -> None:
        for node in nodes:
            if node.loop is not None:
                self.state_loop(node, node.loop)
            elif node in self.stated and node in self.needed and node.kind in ("function", "layer"):
                self.state(node)

    def end(self, result: Any) -> None:
        try:
            self.inside = []
            self.lines.append(ast.Return(operations.value(result, self.expression)))
            self.cut(7)
        except UnsayableError as error:
            self.problems.append(("", str(error)))

    def state(self, node: Node) -> None:
        """Gives a value a name, or several names to what it consists of."""
        self.inside = []
        made = self.made(node)
        self.cut(6)
        used = self.of_node.get(node, [])
        parts = [ref for ref in used if ref.path]
        if not used:
            target: ast.expr = ast.Name("_", ast.Store())
        elif len(parts) == len(used) and self.unpacks(node.value, parts):
            target = self.target(node, (), node.value, {ref.path for ref in parts})
        else:
            target = self.variable(Ref(node))
        self.lines.append(ast.Assign([target], made))
        self.sizes_of(node)

    def state_loop(self, node: Node, loop: Loop) -> None:
        """A loop: what its turns leave has names before it."""
        for number, (mark, start) in enumerate(zip(loop.marks, node.args, strict=True)):
            made = self.checked(node, start)
            target = self.variable(Ref(mark))
            name = self.branch.names.get(loop.ends[number]) or self.branch.names.get(start, "")
            self.wanted[self.variables[Ref(mark)]] = name
            self.lines.append(ast.Assign([target], made))
        outside, self.lines = self.lines, []
        known = dict(self.variables)
        before, self.turns = self.turns, []
        for name in LAYERS[: len(loop.containers)]:
            self.turns.append(f"%{len(self.wanted)}")
            self.wanted[self.turns[-1]] = name
        self.block(loop.body)
        self.inside = []
        targets = [ast.Name(known[Ref(mark)], ast.Store()) for mark in loop.marks]
        ends = [self.expression(end) for end in loop.ends]
        one = len(ends) == 1
        left: ast.expr = targets[0] if one else ast.Tuple([*targets], ast.Store())
        self.lines.append(ast.Assign([left], ends[0] if one else ast.Tuple(ends, ast.Load())))
        self.cut(6)
        inside, self.lines = self.lines, outside
        self.variables = known
        over = [slice_of(*each) for each in loop.containers]
        names: list[ast.expr] = [ast.Name(each, ast.Store()) for each in self.turns]
        several = len(over) > 1
        layers = ast.Call(load("zip"), over, []) if several else over[0]
        self.lines.append(ast.For(ast.Tuple(names, ast.Store()) if several else names[0], layers, inside, []))
        self.turns = before
        for number, mark in enumerate(loop.marks):
            self.variables[Ref(node, (number,))] = self.variables[Ref(mark)]

    def turned(self, path: Path) -> Path:
        """The path of a layer, where it is that of a turn with its name."""
        first = str(path[0])
        return (self.turns[int(first[1:])], *path[1:]) if first.startswith("*") else path

    def sizes_of(self, owner: Node) -> None:
        """The sizes of a value that have names get them at once."""
        for node in [each for each in self.stated if each.kind == "size" and each.args[0].node is owner]:
            if Ref(node) not in self.variables:
                self.state_sizes(node)

    def unpacks(self, value: Any, parts: list[Ref]) -> bool:
        """Whether a value is taken apart by an assignment."""
        return isinstance(value, (tuple, list)) and all(is_in_tuples(value, ref.path) for ref in parts)

    def target(self, node: Node, path: Path, value: Any, paths: set[Path]) -> ast.expr:
        if path in paths:
            return self.variable(Ref(node, path))
        if not any(each[: len(path)] == path for each in paths):
            return ast.Name("_", ast.Store())
        items = [self.target(node, (*path, index), each, paths) for index, each in enumerate(value)]
        return ast.Tuple(items, ast.Store())

    def variable(self, ref: Ref) -> ast.expr:
        name = f"%{len(self.wanted)}"
        self.variables[ref] = name
        own = str(ref.node.path[-1]) if ref.node.kind == "tensor" else ""
        self.wanted[name] = self.branch.names.get(ref, own)
        return ast.Name(name, ast.Store())

    def unpacked_input(self, node: Node) -> None:
        """An input that has several values that are used is taken apart first."""
        used = self.of_node.get(node, [])
        if len(used) > 1 and all(ref.path for ref in used) and self.unpacks(node.value, used):
            target = self.target(node, (), node.value, {ref.path for ref in used})
            self.lines.append(ast.Assign([target], load(node.name)))

    # -- expressions ---------------------------------------------------------------------------------------------------

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

    # -- order ---------------------------------------------------------------------------------------------------------

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
