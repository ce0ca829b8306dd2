"""A module and a tensor as a plan records them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from modelzoo import streams
from modelzoo.errors import Path
from modelzoo.init import ledger
from modelzoo.init.ledger import Entry
from modelzoo.modules import recording
from modelzoo.modules.blocks import loops
from modelzoo.modules.homes import homes, named_in
from modelzoo.modules.skeleton import Skeleton
from modelzoo.spec.instances import LayerInstance

LOADED = "load: "
"""What the fill of a tensor begins with that got its value from a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleRecord:
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
        loops: the lines of its forward text that begin a `while` loop.
    """

    name: str
    aliases: tuple[str, ...] = ()
    type: str
    call: str = ""
    block: bool = False
    key: Path = Path()
    calls: int = 0
    output: Any = None
    loops: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorRecord:
    """One unique parameter or buffer, and who fills it.

    Attributes:
        name, aliases: its first name in the order of `named_parameters()`, and its other homes.
        kind: "parameter" or "buffer"; `persistent` ones are in the state dict.
        owner: the type of the module that has it first.
        fill: what fills it, as text; fills that build on each other are joined by " -> ".
        rule: who decided: "init.weights", "_init_", "torch", "load", or the config key of its own `fill`.
        matched, erased: the rules that selected it, and those that a later one overwrote.
        stream: the name of its random stream; empty if nothing is drawn.
        key: the place of its owner in the config, and `where` that is: `file:line:column`, if it was asked for.
        group, options: which group of an optimiser has it, and with which options; none where there are no groups.
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
    group: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        return self.elements * getattr(torch, self.dtype).itemsize  # type: ignore[no-any-return]


class Recorded(Protocol):
    """What rows are made of: a plan."""

    @property
    def modules(self) -> tuple[ModuleRecord, ...]:
        """In the order of `named_modules()`."""

    @property
    def tensors(self) -> tuple[TensorRecord, ...]:
        """In the order of `named_parameters()`, then buffers."""


def _draws(entry: Entry) -> bool:
    return any(each.draws for each in entry.chain)


Grouped = Mapping[str, tuple[str, Mapping[str, Any]]]
"""The group of each tensor that is in one, and its options."""


def tensors(table: list[Entry], seed: int, loaded: Mapping[str, str], grouped: Grouped) -> tuple[TensorRecord, ...]:
    """The ledger; what was `loaded` is filled by its file, at the place that is told."""
    none: tuple[str, Mapping[str, Any]] = ("", {})
    return tuple(
        TensorRecord(
            name=entry.name,
            aliases=tuple(home.name for home in entry.homes[1:]),
            shape=tuple(entry.tensor.shape),
            dtype=str(entry.tensor.dtype).removeprefix("torch."),
            kind=entry.kind,
            persistent=entry.persistent,
            trainable=entry.kind == "parameter" and entry.tensor.requires_grad,
            owner=entry.owner,
            fill=f"{LOADED}{loaded[entry.name]}" if entry.name in loaded else " -> ".join(entry.fills),
            rule="load" if entry.name in loaded else entry.chain[-1].rule,
            matched=entry.matched,
            erased=tuple(rule for rule in entry.matched if rule not in {each.rule for each in entry.chain}),
            stream=streams.label(seed, entry.drawn) if _draws(entry) and entry.name not in loaded else "",
            key=entry.key,
            group=grouped.get(entry.name, none)[0],
            options=grouped.get(entry.name, none)[1],
        )
        for entry in table
    )


def module_records(skeleton: Skeleton, record: recording.Record) -> tuple[ModuleRecord, ...]:
    """Every module once, with what a dry run saw of it."""
    found = []
    for module, (name, *aliases) in homes(named_in(skeleton.root)).items():
        instance = skeleton.instances.get(module)
        found.append(
            ModuleRecord(
                name=name,
                aliases=tuple(aliases),
                type=ledger.type_name(skeleton, module),
                call=instance.call() if isinstance(instance, LayerInstance) else "",
                block=instance is not None and not isinstance(instance, LayerInstance),
                key=Path() if instance is None else instance.key,
                calls=record.calls.get(module, 0),
                output=record.outputs.get(module),
                loops=loops(module),
            )
        )
    return tuple(found)
