"""What every node of a spec became: the instances that were resolved from it, and where.

Besides the model as it is, variants of it can be looked at, each with one arg changed: they tell which sizes that were
left out an arg decides.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from modelzoo.errors import Path, Problems
from modelzoo.spec import nodes
from modelzoo.spec.instances import WHOLE, BlockInstance, Instance, LayerInstance
from modelzoo.spec.parser import Parser
from modelzoo.spec.provenance import Note, Provenance
from modelzoo.spec.visible import Visible


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one node became, once.

    Attributes:
        owner: in which instance of its class; None in a layer that is given as an argument.
        index: at which turn of a repeat.
        made: None where it is absent.
        late: the sizes that the data decided, of a layer that is described by an arg.
        variant: the arg that has another value, if it was in a variant.
    """

    owner: Instance | None
    index: int | None
    made: Instance | None
    late: Mapping[str, Any] = field(default_factory=dict)
    variant: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A model with another value for one of its args."""

    arg: str
    made: Instance
    provenance: Provenance


class Occurrences:
    """Everything that each node of a spec became.

    Attributes:
        given: the args that some use of a definition may give, by its name.
        holders: the block that holds a definition, by the definition's id.
        instances: those that were made from a block, by its id.
    """

    def __init__(
        self, root: nodes.Node, made: Instance, provenance: Provenance, variants: Sequence[Variant] = ()
    ) -> None:
        self.of: dict[nodes.Node, list[Seen]] = {}
        self.varied: dict[nodes.Node, list[Seen]] = {}
        self.instances: dict[nodes.Block, dict[BlockInstance, None]] = {}
        self.given: dict[str, set[str]] = {}
        self.holders: dict[nodes.Block, nodes.Block] = {}
        self.parsed: dict[tuple[str, frozenset[nodes.Block]], nodes.Node | None] = {}
        self.same: dict[nodes.Node, Any] = {}  # of a node that was read from a value: that of the first time
        self.hold(root)
        for target, names in _uses(root):
            self.given.setdefault(target, set()).update(names)
        self.add(provenance, made)
        for each in variants:
            self.add(each.provenance, each.made, each.arg)

    def add(self, provenance: Provenance, whole: Instance, variant: str = "") -> None:
        """Groups the notes of one resolution by their nodes."""
        for reading in provenance.readings:
            first = self.read(reading.value, reading.values, reading.blocks)
            pairs = zip(nodes.walk(reading.node, True), nodes.walk(first, True), strict=False)
            self.same.update((each, one) for each, one in pairs if isinstance(each, nodes.Node))
        noted = self.varied if variant else self.of
        for note in provenance.notes:
            owner = whole if note.owner is WHOLE else note.owner
            seen = Seen(owner=owner, index=note.turn, made=note.made, late=_late(note, provenance), variant=variant)
            noted.setdefault(self.first(note.node), []).append(seen)
            block = self.block_of(note.made)
            if block is None:
                continue
            if isinstance(note.made, BlockInstance) and not variant:
                self.instances.setdefault(block, {})[note.made] = None
            if isinstance(note.node, nodes.Call):
                positional = [each.name for each in block.args] if note.node.positional else ()
                self.given.setdefault(block.name, set()).update(dict(note.node.arguments), positional)

    def everywhere(self, node: nodes.Node) -> list[Seen]:
        """What a node became in the model, then in its variants."""
        return [*self.of.get(node, ()), *self.varied.get(node, ())]

    def first(self, node: Any) -> Any:
        """A node as it was read the first time."""
        return self.same.get(node, node)

    def block_of(self, made: Instance | None) -> nodes.Block | None:
        """The block that an instance was made from."""
        found: nodes.Block | None = self.first(made.block) if isinstance(made, BlockInstance) else None
        return found

    def hold(self, node: nodes.Node | None) -> None:
        """Remembers which blocks hold the definitions in a node."""
        for block in nodes.walk(node, definitions=True):
            if isinstance(block, nodes.Block):
                self.holders.update((each, block) for _, each in block.blocks)

    def read(self, value: Any, values: Collection[str], blocks: Mapping[str, nodes.Block]) -> Any:
        """The node of a layer that is written in an arg; the same for the same text and definitions."""
        key = repr(value), frozenset(blocks.values())
        if key not in self.parsed:
            signatures = {name: block.args for name, block in blocks.items()}
            visible = Visible(values=frozenset(values), signatures=signatures)
            self.parsed[key] = Parser(Problems()).node(value, Path(), visible)
            self.hold(self.parsed[key])
        return self.parsed[key]

    def visible(self, block: nodes.Block) -> dict[str, nodes.Block]:
        """The definitions that a definition sees."""
        return {**dict(self.holders.get(block, block).blocks), **dict(block.blocks)}


def _late(note: Note, provenance: Provenance) -> dict[str, Any]:
    """The sizes that the use of an arg's layer was left without."""
    written = provenance.used.get((note.node, note.made))
    if written is None or not isinstance(note.made, LayerInstance):
        return {}
    return {name: size for name, size in note.made.arguments.items() if name not in written}


def _uses(root: nodes.Node) -> Iterator[tuple[str, set[str]]]:
    """The names of what is used anywhere as a layer, with the arguments it is given."""
    for part in nodes.walk(root, definitions=True):
        if isinstance(part, nodes.Call):
            yield part.target, set(dict(part.arguments))
        elif isinstance(part, nodes.Formula):
            for node in ast.walk(part.tree):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    yield node.func.id, {str(each.arg) for each in node.keywords} | {str(len(node.args))}
