"""The copies of a repeat: how many, what each is called, and those that are layers of the block itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from modelzoo import bounds
from modelzoo.errors import Path
from modelzoo.language import syntax
from modelzoo.names import Kind
from modelzoo.spec import nodes
from modelzoo.spec.evaluation import Evaluation
from modelzoo.spec.forgotten import as_formula
from modelzoo.spec.instances import Children, Scope


class Copies:
    """Counts and names copies; every problem goes to the problems of `values`, which computes."""

    def __init__(self, values: Evaluation) -> None:
        self.values, self.problems = values, values.problems

    def count(self, node: nodes.Repeat, scope: Scope) -> int | None:
        count = self.values.value(node.count, scope, node.key / "_repeat_")
        if type(count) is int and 0 <= count <= bounds.REPEAT:
            return count
        what = f"_repeat_ must be an integer from 0 to {bounds.REPEAT:,}, not {count!r}."
        origin = self.values.origin(node.count, scope, node.key / "_repeat_")
        self.problems.add(node.key / "_repeat_", what, "Write _repeat_: 4.", repairs=as_formula(origin, count))
        return None

    def named(self, node: nodes.Repeat, count: int, scope: Scope, kind: Kind) -> Iterator[tuple[str, Scope]]:
        """The name of each copy, and what it sees."""
        known: set[str] = set()
        for index in range(count):
            inside = scope.with_index(index)
            name = self.name(node, inside, kind)
            if name in known:
                self.problems.add(node.key / "_name_", f"two copies are named '{name}'.", 'Write _name_: "block{i}".')
                return
            known.add(name)
            yield name, inside

    def name(self, node: nodes.Repeat, scope: Scope, kind: Kind) -> str:
        def part(match: re.Match[str]) -> str:
            return str(self.values.formula(syntax.parse_expression(match[1]), scope, node.key / "_name_"))

        if node.name == "{i}":
            return str(scope.values["i"])
        name = re.sub(r"\{([^{}]*)\}", part, node.name)
        wrong = kind.refused(name)
        if wrong is not None:
            self.problems.add(node.key / "_name_", wrong[0], 'Write _name_: "block{i}".')
        return name

    def become_children(
        self, block: nodes.Block, children: Children, scope: Scope, truth: Callable[[Any, Scope, Path], bool]
    ) -> None:
        """Puts copies among the children of a block, in the places of their repeats; `truth` tells what is there."""
        own = {*children.nodes, *(each.name for each in block.args), *(each.name for each in block.inputs)}
        own |= {each.name for each in (*block.tensors, *block.buffers)}
        kind = Kind.ITEM if block.forward is None else Kind.LAYER
        found: dict[str, nodes.Node] = {}
        for place, node in block.layers:
            repeat = node.node if isinstance(node, nodes.Condition) else node
            if place not in block.siblings or not isinstance(repeat, nodes.Repeat):  # the other could not be read
                found[place] = node
                continue
            there = truth(node.test, scope, node.key) if isinstance(node, nodes.Condition) else True
            for name, inside in self.named(repeat, self.count(repeat, scope) or 0, scope, kind):
                if name in own or name in found:
                    what = f"a copy is named '{name}', as something else in this block is."
                    self.problems.add(repeat.key / "_name_", what, "Rename one.")
                    break
                found[name], children.scopes[name] = repeat.node, inside
                if not there:
                    children.instance.children[name] = None
        children.nodes = found
