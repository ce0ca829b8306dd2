"""From the record of a block to the statements of its `forward`: what is used once has no name."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from typing import Any

from modelzoo.importing import operations
from modelzoo.importing.bodies import Text
from modelzoo.importing.graph import Loop, Node, Path, Ref, refs
from modelzoo.importing.operations import UnsayableError
from modelzoo.importing.places import is_in_tuples, slice_of
from modelzoo.importing.training import Branch
from modelzoo.importing.usage import given
from modelzoo.importing.values import Values
from modelzoo.importing.variables import named
from modelzoo.language.pieces import load

LAYERS = ("layer", "other", "third", "fourth")
"""What the layers of a loop are called."""


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


class Writer(Values):
    """Writes the nodes of a branch."""

    # -- statements ----------------------------------------------------------------------------------------------------

    def statements(self) -> list[ast.stmt]:
        """All statements; variables are called %1, %2, ... in them."""
        self.begin()
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
        if node.sets:
            self.variables[Ref(node)] = node.sets
            target: ast.expr = ast.Name(node.sets, ast.Store())
        elif not used:
            target = ast.Name("_", ast.Store())
        elif len(parts) == len(used) and self.unpacks(node.value, parts):
            target = self.target(node, (), node.value, {ref.path for ref in parts})
        else:
            target = self.variable(Ref(node))
        self.lines.append(ast.Assign([target], made))
        self.sizes_of(node)

    # -- loops ---------------------------------------------------------------------------------------------------------

    def state_loop(self, node: Node, loop: Loop) -> None:
        """A loop: what its turns leave has names before it."""
        marks = [Ref(mark) for mark in loop.marks]
        starts = zip(marks, node.args, loop.ends, strict=True)
        for mark, start, end in sorted(starts, key=lambda each: isinstance(each[1], Ref)):  # which may take over a name
            made = self.checked(node, start)
            target = self.variable(mark)
            self.wanted[self.variables[mark]] = self.called(start, end)
            self.lines.append(ast.Assign([target], made))
        outside, self.lines = self.lines, []
        known = dict(self.variables)
        before, self.turns = self.turns, []
        for name in LAYERS[: len(loop.containers)]:
            self.turns.append(f"%{len(self.wanted)}")
            self.wanted[self.turns[-1]] = name
        if loop.index is not None:
            self.variable(Ref(loop.index))
            self.wanted[self.variables[Ref(loop.index)]] = "i"
        self.direct = {
            end: known[mark] for mark, end in zip(marks, loop.ends, strict=True) if self.leaves(loop, mark, end)
        }
        self.block(loop.body)
        self.end_turn(loop, known)
        inside, self.lines = self.lines, outside
        target, over = self.over(loop)
        self.variables, self.direct, self.turns = known, {}, before
        self.lines.append(ast.For(target, over, inside, []))
        for number, mark in enumerate(marks):
            self.variables[Ref(node, (number,))] = self.variables[mark]

    def end_turn(self, loop: Loop, known: Mapping[Ref, str]) -> None:
        """What a turn leaves gets its names: one by one, where what they were is no longer asked for."""
        pairs = [(Ref(mark), end) for mark, end in zip(loop.marks, loop.ends, strict=True) if end not in self.direct]
        apart = not any(
            self.asks(end, pairs[at][0].node) for place, (_, end) in enumerate(pairs) for at in range(place)
        )
        targets: list[ast.expr] = [ast.Name(known[mark], ast.Store()) for mark, _ in pairs]
        self.inside = []
        made = [self.expression(end) for _, end in pairs]
        if not apart:
            targets, made = [ast.Tuple(targets, ast.Store())], [ast.Tuple(made, ast.Load())]
        self.lines += [ast.Assign([target], each) for target, each in zip(targets, made, strict=True)]
        self.cut(6)

    def leaves(self, loop: Loop, mark: Ref, end: Ref) -> bool:
        """Whether the statement of what a turn leaves may change the variable: what was there is used up then."""
        if end not in [Ref(node) for node in loop.body if node in self.stated] or loop.ends.count(end) > 1:
            return False
        later = [node for node in loop.body[loop.body.index(end.node) + 1 :] if node in self.stated]
        asked = [each for node in later for each in given(node)] + [each for each in loop.ends if each != end]
        return not any(self.asks(each, mark.node) for each in asked)

    def asks(self, ref: Ref, mark: Node) -> bool:
        """Whether the expression of a value asks for another one."""
        if ref.node is mark or ref.node in self.stated:
            return ref.node is mark
        return any(self.asks(each, mark) for each in given(ref.node))

    def called(self, start: Any, end: Ref) -> str:
        """What the author calls a value that turns change, or a list that grows."""
        if end.node.kind == "number":
            return next((self.branch.lists[each] for each in refs(end.node.args) if each in self.branch.lists), "")
        names = self.branch.names
        return names.get(end) or (names.get(start, "") if isinstance(start, Ref) else "")

    def over(self, loop: Loop) -> tuple[ast.expr, ast.expr]:
        """What a loop goes over, and the names of what it gives."""
        index = "_" if loop.index is None else self.variables[Ref(loop.index)]
        number: ast.expr = ast.Name(index, ast.Store())
        if not loop.containers:
            bounds = [operations.value(each, self.expression) for each in (loop.start, loop.stop)]
            return number, ast.Call(load("range"), bounds if loop.start else bounds[1:], [])
        layers = [slice_of(*each) for each in loop.containers]
        names: list[ast.expr] = [ast.Name(each, ast.Store()) for each in self.turns]
        target, over = names[0], layers[0]
        if len(layers) > 1:
            target, over = ast.Tuple(names, ast.Store()), ast.Call(load("zip"), layers, [])
        if loop.index is None:
            return target, over
        return ast.Tuple([number, target], ast.Store()), ast.Call(load("enumerate"), [over], [])

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

    def unpacked_input(self, node: Node) -> None:
        """An input that has several values that are used is taken apart first."""
        used = self.of_node.get(node, [])
        if len(used) > 1 and all(ref.path for ref in used) and self.unpacks(node.value, used):
            target = self.target(node, (), node.value, {ref.path for ref in used})
            self.lines.append(ast.Assign([target], load(node.name)))
