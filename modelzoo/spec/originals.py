"""The first copy of a repeat, and further ones that are made from it where no formula tells one turn from another."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from modelzoo.spec import nodes
from modelzoo.spec.instances import BlockInstance, Instance, LayerInstance, Scope
from modelzoo.spec.provenance import Note

INDEX = "i"
"""What the index of a repeat is called."""


def is_alike(node: nodes.Node) -> bool:
    """Whether every copy of a node is resolved to the same, as far as that can be told from what is written.

    Definitions see nothing of a repeat around them. What follows references, or builds what a value describes, is not
    looked at here.

    >>> layer = nodes.Call(target="Linear", arguments=(("in_features", 4), ("out_features", 4)))
    >>> is_alike(layer), is_alike(nodes.Repeat(node=layer, count=2))
    (True, False)
    """
    for each in nodes.walk(node):
        if isinstance(each, nodes.Repeat) or (isinstance(each, nodes.Parameter) and each.name == INDEX):
            return False  # behind which the index is another one
        if isinstance(each, nodes.Formula) and any(getattr(one, "id", "") == INDEX for one in ast.walk(each.tree)):
            return False
    return True


class Original:
    """The first copy of a node that `is_alike`.

    Args:
        node: what is repeated.
        made: its first copy.
        scope: what that saw.
        notes: of all that was made for it.
    """

    def __init__(self, node: nodes.Node, made: Instance, scope: Scope, notes: Sequence[Note]) -> None:
        self.made, self.scope, self.notes = made, scope, notes
        self.here = {each for each in nodes.walk(node) if isinstance(each, nodes.Block)}  # these see the index

    def copy(self, scope: Scope) -> tuple[Instance, list[Note]]:
        """The copy at the turn of a scope, and its notes."""
        turn = _Turn(self.here, self.scope, scope)
        made, twins = turn.twin(self.made), turn.twins
        notes = [
            Note(
                each.node,
                twins.get(each.owner, each.owner),
                each.turn if each.owner in twins else scope.turn,
                twins.get(each.made),
            )
            for each in self.notes
        ]
        return made, notes


class _Turn:
    """One copy while it is made."""

    def __init__(self, here: set[nodes.Block], original: Scope, scope: Scope) -> None:
        self.here, self.index = here, scope.values[INDEX]
        self.seen: dict[int, Mapping[str, Any]] = {id(original.values): scope.values}
        self.twins: dict[Instance | None, Instance] = {}

    def twin(self, original: Instance) -> Instance:
        """The same module at this turn."""
        known = self.twins.get(original)
        if known is not None:
            return known
        made: Instance
        if isinstance(original, LayerInstance):
            made = LayerInstance(
                type=original.type,
                key=original.key,
                layer=original.layer,
                arguments=original.arguments,
                positional=original.positional,
            )
        elif isinstance(original, BlockInstance):
            made = self.block(original)
        else:
            made = Instance(type=original.type, key=original.key)
        made.frozen = original.frozen
        if original.children:
            made.children = self.inside(original.children)
        if isinstance(original, BlockInstance) and isinstance(made, BlockInstance):
            made.written = made.children if original.written is original.children else self.inside(original.written)
        if original.init:
            made.init = [(pattern, fill, self.seen.get(id(values), values)) for pattern, fill, values in original.init]
        self.twins[original] = made
        return made

    def block(self, original: BlockInstance) -> BlockInstance:
        values = original.values
        if original.block in self.here:
            self.seen[id(values)] = values = {**values, INDEX: self.index}
        return BlockInstance(
            type=original.type,
            key=original.key,
            block=original.block,
            values=values,
            shapes=original.shapes,
            frozen_tensors=original.frozen_tensors,
            ties=original.ties,
        )

    def inside(self, children: Mapping[str, Instance | None]) -> dict[str, Instance | None]:
        return {name: None if each is None else self.twin(each) for name, each in children.items()}
