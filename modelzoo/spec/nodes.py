"""What a config says, as frozen values: the nodes that may stand where a layer stands, and what they are made of.

A node is equal to itself alone: two that say the same stand at two places, and may become different things.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from modelzoo.errors import Path
from modelzoo.language import syntax
from modelzoo.names import Kind


class Required:
    """The default of an argument that has none."""

    def __repr__(self) -> str:
        return "???"


REQUIRED = Required()


BLOCK_KEYS = ("args", "inputs", "layers", "parameters", "buffers", "forward", "blocks", "tie")


SCALARS = (int, float, bool, type(None))


NODE_KEYS = ("_repeat_", "_name_", "_if_", "_init_", "_freeze_", "_unpack_")


TENSOR_KEYS = ("shape", "fill", "dtype")


TIE_KEYS = ("_ref_", "_if_")


CONTAINERS = MappingProxyType({"Sequential": Kind.ITEM, "ModuleList": Kind.LAYER, "ModuleDict": Kind.ENTRY})
"""The layers that hold layers, and what may be their names in it."""


FILL_INPUTS = ("shape", "fan_in", "fan_out", "value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Formula:
    """An expression over the args of a block, with the place it was written at."""

    text: str
    tree: ast.expr = field(compare=False, repr=False)
    key: Path = field(default=Path(), compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """How a tensor is filled.

    By name with arguments, by a program (a text that computes the values), or as a copy of another tensor.
    """

    name: str = ""
    arguments: tuple[tuple[str, Any], ...] = ()
    program: str = ""
    original: str = ""
    key: Path = field(default=Path(), compare=False, repr=False)

    @property
    def reads_value(self) -> bool:
        """Whether it builds on what the tensor holds so far."""
        return bool(self.program) and "value" in syntax.names_in(self.program)

    @property
    def reads_fans(self) -> bool:
        """Whether it depends on `fan_in` or `fan_out`."""
        return self.reads("fan_in", "fan_out")

    def reads(self, *names: str) -> bool:
        """Whether it depends on any of these."""
        trees = [value.tree for _, value in self.arguments if isinstance(value, Formula)]
        read = [each.id for tree in trees for each in syntax.formula_names(tree)]
        return not {*names}.isdisjoint(syntax.names_in(self.program) if self.program else read)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A parameter of a block's signature: `stride=1`."""

    name: str
    default: Any = REQUIRED
    key: Path = field(default=Path(), compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """What a block takes; at the root with an example."""

    name: str
    shape: tuple[Any, ...] | None = None
    dtype: str | None = None
    fill: Fill | None = None
    optional: bool = False
    key: Path = field(default=Path(), compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTensor:
    """A block's own parameter or buffer."""

    name: str
    shape: tuple[Any, ...]
    fill: Fill | None = None
    dtype: str | None = None
    trainable: Any = True
    persistent: bool = True
    test: Any = True
    key: Path = field(default=Path(), compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tie:
    """Two tensors below a block that are one: the left becomes the right."""

    left: str
    right: str
    test: Any = True
    key: Path = field(default=Path(), compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Call:
    """A layer of the catalog, a block's definition or a recipe, with its arguments bound to their names."""

    target: str
    positional: tuple[Any, ...] = ()
    arguments: tuple[tuple[str, Any], ...] = ()
    init: tuple[tuple[str, Fill], ...] = ()
    key: Path = field(default=Path(), compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Computed:
    """A layer that a formula chooses: `=act if wide else ReLU`."""

    formula: Formula
    key: Path = field(default=Path(), compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reference:
    """The same module again."""

    target: tuple[str, ...]
    key: Path = field(default=Path(), compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Repeat:
    """An `nn.Sequential` of copies, each built anew."""

    node: Node
    count: Any
    name: str = "{i}"
    key: Path = field(default=Path(), compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Condition:
    """A node that is present only if its test is true."""

    node: Node
    test: Any
    key: Path = field(default=Path(), compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Freeze:
    """A node whose parameters are not trained if its test is true."""

    node: Node
    test: Any
    key: Path = field(default=Path(), compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Block:
    """The only idea: a layer made of layers."""

    name: str = "Block"
    args: tuple[Parameter, ...] = ()
    inputs: tuple[Input, ...] = (Input(name="x"),)
    layers: tuple[tuple[str, Node], ...] = ()
    listed: bool = False
    unpacked: frozenset[str] = frozenset()  # whose own layers, or copies, stand there in their place
    tensors: tuple[OwnTensor, ...] = ()
    buffers: tuple[OwnTensor, ...] = ()
    forward: str | None = None
    blocks: tuple[tuple[str, Block], ...] = ()
    tie: tuple[Tie, ...] = ()
    init: tuple[tuple[str, Fill], ...] = ()
    key: Path = field(default=Path(), compare=False, repr=False)

    @property
    def siblings(self) -> frozenset[str]:
        """Of a mapping, the repeats whose copies are layers of this block."""
        return frozenset() if self.listed else self.unpacked


Node = Block | Call | Computed | Reference | Repeat | Condition | Freeze


_PARTS = MappingProxyType(
    {
        Block: ("args", "tensors", "buffers", "layers", "tie"),
        Parameter: ("default",),
        OwnTensor: ("shape", "fill", "test", "trainable"),
        Tie: ("test",),
        Fill: ("arguments",),
        Call: ("arguments", "positional"),
        Computed: ("formula",),
        Repeat: ("count", "node"),
        Condition: ("test", "node"),
        Freeze: ("test", "node"),
    }
)
"""What each part of a spec is made of, in order; inputs and `_init_` make nothing, definitions where they are used."""


def parts(value: Any) -> Iterator[Any]:
    """What stands directly in a part of a spec: other parts, formulas, plain values."""
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, (list, tuple)):
        yield from value
    else:
        for name in _PARTS.get(type(value), ()):
            yield getattr(value, name)


def walk(value: Any, definitions: bool = False) -> Iterator[Any]:
    """A part of a spec and all that stands in it, at any depth, each before what it is made of.

    Args:
        value: a node, or any other part.
        definitions: whether to go into the definitions of blocks too.

    >>> block = Block(layers=(("0", Repeat(count=2, node=Call(target="ReLU"))),))
    >>> [each.target for each in walk(block) if isinstance(each, Call)]
    ['ReLU']
    """
    yield value
    for each in parts(value):
        yield from walk(each, definitions)
    if definitions and isinstance(value, Block):
        yield from walk(value.blocks, definitions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Which tensors: those that fit all that is given, each by any of its names.

    Attributes:
        name: of what selects.
        layers: types of layers, or blocks, that own a tensor.
        blocks: types of layers, or blocks, that hold it at any depth.
        params: last names.
        patterns: globs over whole names.
        dimensions: how many dimensions it may have.
    """

    name: str
    layers: tuple[str, ...] = ()
    blocks: tuple[str, ...] = ()
    params: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    dimensions: tuple[int, ...] = ()
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule(Selector):
    """An initialisation rule: which tensors, and how they are filled."""

    fill: Fill

    @property
    def decides(self) -> str:
        """What the ledger says of a tensor that it fills: `init.NAME`."""
        return f"init.{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Init:
    """The rules of an init, from the weakest to the strongest, and args that their fills may read.

    Attributes:
        base: the args in which the base differs from the model, for rules that follow the width.
        shapes: of all tensors of the base, by each of their names, once they are known.
    """

    args: tuple[Parameter, ...] = ()
    rules: tuple[Rule, ...] = ()
    base: tuple[tuple[str, Any], ...] = ()
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group(Selector):
    """Which tensors an optimiser treats alike, and how.

    Attributes:
        options: of the optimiser, as values or formulas.
        trainable: whether they are trained at all; None leaves that as it is.
    """

    options: tuple[tuple[str, Any], ...] = ()
    trainable: Any = None

    @property
    def decides_options(self) -> bool:
        """Whether its tensors are in no other; one with nothing but `trainable` leaves them where they are."""
        return bool(self.options) or self.trainable is None

    @property
    def says(self) -> tuple[Any, ...]:
        """Equal ones have the same effect on a tensor."""
        return self.options, self.trainable


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """Groups of tensors for an optimiser, the last that selects a tensor has it; and args that they may read.

    Attributes:
        base: as for an `Init`.
    """

    args: tuple[Parameter, ...] = ()
    rules: tuple[Group, ...] = ()
    base: tuple[tuple[str, Any], ...] = ()
