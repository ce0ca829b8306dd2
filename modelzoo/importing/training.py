"""What a block computes in evaluation and what in training, as one: what is common, and where the two part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from modelzoo.importing.graph import Choice, Loop, Node, Ref, mapped, refs
from modelzoo.importing.records import Record


@dataclass(eq=False, kw_only=True)
class Branch:
    """The operations of a block.

    Attributes:
        inputs: what it is given.
        common: what it computes in both modes.
        training: what only training computes, and returns; None where both modes are alike.
        rest: what only evaluation computes.
        evaluation: what evaluation returns.
        names: what the author calls values.
        lists: what the author calls a list that ends with a value.
    """

    inputs: Mapping[str, Node]
    common: list[Node]
    evaluation: Any
    training: tuple[list[Node], Any] | None = None
    rest: list[Node] = field(default_factory=list)
    names: Mapping[Ref, str] = field(default_factory=dict)
    lists: Mapping[Ref, str] = field(default_factory=dict)

    def nodes(self) -> Iterator[Node]:
        """All operations, in their order, those in loops too."""
        for node in (*self.common, *(() if self.training is None else self.training[0]), *self.rest):
            yield node
            if node.loop is not None:
                yield from node.loop.body

    def results(self) -> Iterator[Any]:
        """What is returned."""
        yield self.evaluation
        if self.training is not None:
            yield self.training[1]

    @property
    def shared(self) -> frozenset[Node]:
        """What is computed before the modes part and used after that."""
        if self.training is None:
            return frozenset()
        common = set(self.common)
        tails = [*self.training[0], *self.rest]
        given = [ref for node in tails for ref in refs((node.args, dict(node.named)))]
        given += [ref for result in self.results() for ref in refs(result)]
        return frozenset(ref.node for ref in given if ref.node in common)


class DifferentError(Exception):
    """Two records do not say the same."""


class Matching:
    """Says of the nodes of one record which ones of another they are."""

    def __init__(self, choices: bool) -> None:
        self.choices = choices
        self.known: dict[Node, Node] = {}

    def node(self, first: Node, second: Node) -> None:
        """Takes two nodes as one.

        Raises:
            DifferentError: they are not.
        """
        if self.known.get(second) is first:
            return
        if (first.kind, first.name, first.form, first.path) != (second.kind, second.name, second.form, second.path):
            raise DifferentError
        if first.kind == "constant":
            if first.value.shape != second.value.shape or not torch.equal(first.value, second.value):
                raise DifferentError
        elif first.kind in ("size", "number") or (first.kind == "function" and second not in self.known):
            self.value(first.args, second.args, False)  # of functions those that a loop has in the place of an item
        elif first.kind != "tensor":
            raise DifferentError
        self.known[second] = first

    def operation(self, first: Node, second: Node) -> tuple[Any, Any]:
        """The arguments of two calls as one; they may differ in numbers, where choices are allowed."""
        if (first.kind, first.name, first.form, first.path) != (second.kind, second.name, second.form, second.path):
            raise DifferentError
        if first.sets != second.sets:
            raise DifferentError
        if first.loop is not None and second.loop is not None:
            self.loop(first.loop, second.loop)
        found = self.value(first.args, second.args), self.value(dict(first.named), dict(second.named))
        self.known[second] = first
        return found

    def loop(self, first: Loop, second: Loop) -> None:
        """Takes two loops as one.

        Raises:
            DifferentError: they are not.
        """
        if (first.containers, first.start, len(first.body)) != (second.containers, second.start, len(second.body)):
            raise DifferentError
        before = dict(self.known)
        try:
            self.value(first.stop, second.stop, False)
            marks = zip((*first.marks, first.index), (*second.marks, second.index), strict=False)
            self.known |= {b: a for a, b in marks if a is not None and b is not None}
            for a, b in zip(first.body, second.body, strict=True):
                a.args, a.named = self.operation(a, b)
            self.value(first.ends, second.ends, False)
        except DifferentError:
            self.known = before
            raise

    def value(self, first: Any, second: Any, choices: bool | None = None) -> Any:
        """Two arguments as one."""
        choices = self.choices if choices is None else choices
        if isinstance(first, Ref) and isinstance(second, Ref):
            self.node(first.node, second.node)
            if first.path != second.path:
                raise DifferentError
            return first
        if type(first) is not type(second):
            raise DifferentError
        if isinstance(first, (tuple, list)) and not isinstance(first, Ref):
            if len(first) != len(second):
                raise DifferentError
            items = [self.value(a, b, choices) for a, b in zip(first, second, strict=True)]
            return items if isinstance(first, list) else tuple(items)
        if isinstance(first, dict):
            if first.keys() != second.keys():
                raise DifferentError
            return {name: self.value(first[name], second[name], choices) for name in first}
        if isinstance(first, slice):
            pairs = ((getattr(first, each), getattr(second, each)) for each in ("start", "stop", "step"))
            return slice(*(self.value(a, b, choices) for a, b in pairs))
        if type(first) in (bool, float, int, str, type(None)) and repr(first) != repr(second):
            if not choices or type(first) not in (bool, float):
                raise DifferentError
            return Choice(second, first)
        if type(first) not in (bool, float, int, str, type(None)) and first != second:
            raise DifferentError
        return first


def alike(first: Record, second: Record) -> bool:
    """Whether two calls of a block computed the same."""
    matching = Matching(choices=False)
    try:
        if first.inputs.keys() != second.inputs.keys() or len(first.nodes) != len(second.nodes):
            return False
        matching.known |= {second.inputs[name]: node for name, node in first.inputs.items()}
        for a, b in zip(first.nodes, second.nodes, strict=True):
            matching.operation(a, b)
        matching.value(first.result, second.result)
    except DifferentError:
        return False
    return True


def merged(evaluation: Record, training: Record | None) -> Branch:
    """What a block computes in both modes."""
    names = dict(evaluation.names)
    branch = Branch(
        inputs=evaluation.inputs,
        common=evaluation.nodes,
        evaluation=evaluation.result,
        names=names,
        lists={**evaluation.lists, **({} if training is None else training.lists)},
    )
    if training is None or evaluation.inputs.keys() != training.inputs.keys():
        return branch
    matching = Matching(choices=True)
    matching.known |= {training.inputs[name]: node for name, node in evaluation.inputs.items()}
    count = 0
    try:
        for first, second in zip(evaluation.nodes, training.nodes, strict=False):
            first.args, first.named = matching.operation(first, second)
            count += 1
        if len(evaluation.nodes) == len(training.nodes) == count:
            matching.value(evaluation.result, training.result)
            return branch
    except DifferentError:
        pass
    known = matching.known
    tail = training.nodes[count:]
    for node in tail:
        for each in (node, *(node.loop.body if node.loop is not None else ())):
            each.args, each.named = _moved(each.args, known), _moved(dict(each.named), known)
        if node.loop is not None:
            node.loop.stop = _moved(node.loop.stop, known)
    names |= {ref: name for ref, name in training.names.items() if ref.node in tail}
    branch.common, branch.rest = evaluation.nodes[:count], evaluation.nodes[count:]
    branch.training = tail, _moved(training.result, known)
    return branch


def _moved(value: Any, known: Mapping[Node, Node]) -> Any:
    """Arguments that name the nodes of the other record where it has them."""

    def moved(each: Any) -> Any:
        if not isinstance(each, Ref):
            return each
        if each.node.kind in ("size", "number") and each.node not in known:
            each.node.args = _moved(each.node.args, known)
        return Ref(known.get(each.node, each.node), each.path)

    return mapped(value, moved)
