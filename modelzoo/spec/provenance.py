"""What became of each node of a spec: noted while it is resolved, for those who write it down again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from modelzoo.spec import nodes
from modelzoo.spec.instances import Instance, LayerInstance, Scope


class Note(NamedTuple):
    """What a node became, once.

    Attributes:
        node: the node.
        owner: the instance of the class in which it stands; None in a layer that is given as an argument.
        turn: of the repeat around it, in the same class.
        made: None where the node is absent.
    """

    node: nodes.Node
    owner: Instance | None
    turn: int | None
    made: Instance | None


class Reading(NamedTuple):
    """A layer that was written in a value: the value, what it sees, and the node that was read."""

    value: Any
    values: Mapping[str, Any]
    blocks: Mapping[str, nodes.Block]
    node: nodes.Node


class Provenance:
    """Notes of one resolution, in the order in which the instances were ready.

    Attributes:
        notes: what each node became.
        readings: layers that were written in values.
        used: the arguments that a layer has from its config, where it is described by an arg that can be given more of
            them: by the node that uses the arg and the instance.
    """

    def __init__(self) -> None:
        self.notes: list[Note] = []
        self.readings: list[Reading] = []
        self.used: dict[tuple[nodes.Node, Instance | None], Mapping[str, Any]] = {}

    def note(self, node: nodes.Node, scope: Scope, made: Instance | None) -> None:
        """Notes what a node became where it stands."""
        self.notes.append(Note(node, scope.owner, scope.turn, made))

    def use(self, node: nodes.Node, described: nodes.Node, made: Instance | None) -> None:
        """Notes that a node is a layer which an arg describes."""
        if not isinstance(made, LayerInstance) or not isinstance(described, nodes.Call):
            return
        if not any(isinstance(each, nodes.Node) for _, each in described.arguments):
            self.used[node, made] = made.arguments
