"""The `Plan`: everything that is decided about a model before a tensor is filled, as plain values."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch

from modelzoo.errors import Locate, Path, Problem
from modelzoo.modules.inputs import Input


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One unique module.

    Attributes:
        name: its first dotted name in `named_modules()` order; "" is the root.
        aliases: its other names.
        type: a layer's name, "Sequential" or a block's name.
        call: as it is constructed: "Linear(in_features=20, out_features=64)".
        block: whether it is a block of the config, not a layer of the catalog.
        key: its place in the config.
        calls: how often the dry run called it.
        output: the shapes of what it returned last: a tuple for a tensor, nested as the output; None if not called.
        loops: how many `while` loops its forward text has.
    """

    name: str
    aliases: tuple[str, ...] = ()
    type: str
    call: str = ""
    block: bool = False
    key: Path = Path()
    calls: int = 0
    output: Any = None
    loops: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """One unique parameter or buffer, and who fills it.

    Attributes:
        name, aliases: its first name in the order of `named_parameters()`, and its other homes.
        kind: "parameter" or "buffer"; `persistent` ones are in the state dict.
        owner: the type of the module that has it first.
        fill: what fills it, as text; fills that build on each other are joined by " -> ".
        rule: who decided: "init.weights", "_init_", "torch", or the config key of its own `fill`.
        matched, erased: the rules that selected it, and those that a later one overwrote.
        stream: the name of its random stream; empty if nothing is drawn.
        key: the place of its owner in the config, and `where` that is: `file:line:column`, if it was asked for.
    """

    name: str
    aliases: tuple[str, ...] = ()
    shape: tuple[int, ...]
    dtype: str
    kind: str
    persistent: bool = True
    trainable: bool = True
    owner: str
    fill: str = ""
    rule: str = ""
    matched: tuple[str, ...] = ()
    erased: tuple[str, ...] = ()
    stream: str = ""
    key: Path = Path()
    where: str = ""

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        return self.elements * getattr(torch, self.dtype).itemsize  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What will be built. It prints as a table.

    Attributes:
        modules, tensors: in the order of `named_modules()`, and parameters before buffers.
        inputs: the example inputs.
        seed, scheme: decide every random value; `scheme` is the version of the streams.
        dtype: of what names none.
        warnings: rules without effect.
        notes: what the dry run could not check.
        activations: the bytes of what all layers return for the example input.
        flops: floating-point operations for the example input; None where they were not counted.
    """

    modules: tuple[Module, ...]
    tensors: tuple[Tensor, ...]
    inputs: tuple[Input, ...] = ()
    seed: int = 0
    dtype: str = "float32"
    scheme: int = 1
    warnings: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    activations: int = 0
    flops: int | None = None

    @property
    def parameters(self) -> int:
        """The number of elements of all parameters, each counted once."""
        return sum(each.elements for each in self.tensors if each.kind == "parameter")

    @property
    def trainable(self) -> int:
        return sum(each.elements for each in self.tensors if each.kind == "parameter" and each.trainable)

    @property
    def buffers(self) -> int:
        return sum(each.elements for each in self.tensors if each.kind == "buffer")

    @property
    def bytes(self) -> int:
        return sum(each.bytes for each in self.tensors)

    def placed(self, locate: Locate) -> Plan:
        """With the file and line of what owns each tensor."""
        keys = {each.key for each in self.tensors}
        found = {key: locate(key, 0, 0)[0] for key in keys}
        return replace(self, tensors=tuple(replace(each, where=found[each.key]) for each in self.tensors))

    def __str__(self) -> str:
        from modelzoo.plans.summary import summary

        return summary(self).text()
