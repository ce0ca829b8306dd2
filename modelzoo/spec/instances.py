"""What is to be constructed: a tree in which the same module is the same object, and what its nodes see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from modelzoo.catalog import layers
from modelzoo.errors import Path
from modelzoo.spec import nodes


@dataclass(slots=True, kw_only=True, eq=False)
class Instance:
    """One module to construct. The same instance under several names is the same module.

    By itself it is an `nn.Sequential` of a repetition, or of layers that are given as arguments.

    Attributes:
        type: a layer's name, "Sequential", or a block's name.
        children: by local name, in order; None is absent.
        init: its own fills: a glob over the names below it, the fill, and the values its texts see.
        frozen: whether its parameters are not trained.
    """

    type: str
    key: Path
    children: dict[str, Instance | None] = field(default_factory=dict)
    init: list[tuple[str, nodes.Fill, Mapping[str, Any]]] = field(default_factory=list)
    frozen: bool = False

    @property
    def sequence(self) -> bool:
        """Whether it is an `nn.Sequential` made of a list, a repetition or a block without `forward`."""
        return True

    def call(self) -> str:
        """As it would be written: `Linear(in_features=20, out_features=64)`."""
        return f"{self.type}()"

    def __repr__(self) -> str:
        return self.call()


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class LayerInstance(Instance):
    """A layer of the catalog.

    Attributes:
        layer: the catalog's entry.
        arguments, positional: plain values and instances.
    """

    layer: layers.Layer
    arguments: dict[str, Any] = field(default_factory=dict)
    positional: tuple[Any, ...] = ()

    @property
    def sequence(self) -> bool:
        return False

    @property
    def given(self) -> tuple[Any, ...]:
        """All arguments, without their names."""
        return *self.arguments.values(), *self.positional

    def call(self) -> str:
        parts = [repr(each) for each in self.positional]
        parts += [f"{name}={value!r}" for name, value in self.arguments.items()]
        return f"{self.type}({', '.join(parts)})"


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class BlockInstance(Instance):
    """A block.

    Attributes:
        block: what it was made from.
        values: its args, and what its texts see from outside.
        written: the children by the names in the config, before a list is closed up and unpacked.
        shapes: the sizes of its own tensors, by name, of those that are there.
        frozen_tensors: the names of its own tensors that are not trained.
        ties: the tensors below it that are tied, left and right.
    """

    block: nodes.Block
    values: dict[str, Any] = field(default_factory=dict)
    written: dict[str, Instance | None] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    frozen_tensors: set[str] = field(default_factory=set)
    ties: list[tuple[str, str]] = field(default_factory=list)

    @property
    def sequence(self) -> bool:
        return self.block.forward is None

    def lacks(self, name: str) -> bool:
        """Whether a layer or tensor of it is absent."""
        own = (*self.block.tensors, *self.block.buffers)
        return self.written.get(name, self) is None or (
            name not in self.shapes and any(each.name == name for each in own)
        )


def args_of(instance: Instance) -> dict[str, Any]:
    """The args of a block with their values; anything else has none."""
    return dict(instance.values) if isinstance(instance, BlockInstance) else {}


@dataclass(slots=True, kw_only=True, eq=False)
class Recipe:
    """A layer given as an argument: each use builds it anew, in the scope where it was written."""

    node: nodes.Node
    scope: Scope

    def __repr__(self) -> str:
        return self.node.target if isinstance(self.node, nodes.Call) else "a layer"


@dataclass(slots=True, kw_only=True, eq=False)
class Scope:
    """What a node sees: values, definitions, and the children of the blocks around it; and where it stands.

    Attributes:
        owner: the instance of the class around it; None in what is given as an argument, to be built elsewhere.
        turn: of the repeat around it, in that class.
    """

    values: dict[str, Any]
    origins: dict[str, Path]
    blocks: Mapping[str, nodes.Block]
    children: Children | None = None
    depth: int = 0
    owner: Instance | None = None
    turn: int | None = None

    def with_index(self, index: int) -> Scope:
        """The same at one turn of a repeat."""
        return Scope(
            values={**self.values, "i": index},
            origins=self.origins,
            blocks=self.blocks,
            children=self.children,
            depth=self.depth,
            owner=self.owner,
            turn=index,
        )

    def lent(self) -> Scope:
        """The same for what is given away as an argument."""
        return Scope(
            values=self.values, origins=self.origins, blocks=self.blocks, children=self.children, depth=self.depth
        )


WHOLE = Instance(type="Model", key=Path())
"""The owner of what stands in the model itself, which is not there before all that is in it."""


class Children:
    """The children of one block while they are being built, for references to find."""

    def __init__(self, block: nodes.Block, instance: BlockInstance, outer: Children | None) -> None:
        self.nodes = {name: node for name, node in block.layers if name not in block.siblings}
        self.scopes: dict[str, Scope] = {}  # of those that are copies
        self.instance, self.outer, self.block = instance, outer, block
        self.building: list[str] = []
        self.scope: Scope | None = None

    def visible(self) -> Iterator[str]:
        """The names that a reference may start with, the nearest first."""
        yield from self.nodes
        if self.outer is not None:
            yield from self.outer.visible()


def names_in(instance: Instance, known: dict[Instance, int]) -> int:
    """How many names an instance and all inside it have, which one that stands in two places has twice."""
    found = known.get(instance)
    if found is None:
        found = 1
        for child in instance.children.values():
            found += 0 if child is None else names_in(child, known)
        for each in instances_in(instance.given if isinstance(instance, LayerInstance) else ()):
            found += names_in(each, known)
        known[instance] = found
    return found


def instances_in(value: Any) -> Iterator[Instance]:
    """The layers in a value, down to lists and mappings."""
    if isinstance(value, Instance):
        yield value
    elif isinstance(value, (list, tuple, dict)):
        for each in value.values() if isinstance(value, dict) else value:
            if type(each) not in nodes.SCALARS:
                yield from instances_in(each)


def walk(instance: Instance) -> Iterator[Instance]:
    """Every instance once, the root first."""
    seen: set[Instance] = set()
    stack = [instance]
    while stack:
        each = stack.pop()
        if each in seen:
            continue
        seen.add(each)
        yield each
        stack.extend(child for child in reversed(list(each.children.values())) if child is not None)
