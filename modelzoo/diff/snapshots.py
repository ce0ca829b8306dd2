"""What a model is, as a plain value in which it does not matter how a config says it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import nn

from modelzoo.diff import canonical
from modelzoo.init.ledger import Entry
from modelzoo.modules.blocks import Generated
from modelzoo.modules.homes import homes, named_in
from modelzoo.modules.skeleton import Skeleton
from modelzoo.optim.grouping import shown
from modelzoo.plans.draft import Draft
from modelzoo.plans.records import TensorRecord
from modelzoo.spec.instances import BlockInstance, Instance, LayerInstance
from modelzoo.spec.nodes import CONTAINERS

Named = tuple[tuple[str, str], ...]
"""Local names, and what they name."""

BLOCK = "Block"
"""The type of every block with a `forward`: its own name is no part of what it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A tensor.

    Attributes:
        name, homes: its first name, and all its names.
        kind: "parameter" or "buffer".
        rule: who decides its fill; see `canonical.rule`.
        drawn: the name that decides its random values; empty if nothing is drawn.
        group: of an optimiser, with its options; empty if it is in none.
    """

    name: str
    homes: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    kind: str
    persistent: bool
    trainable: bool
    fill: str
    rule: str
    drawn: str = ""
    group: str = ""

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A module, with what belongs to it; a layer of torch with all that is in it.

    Attributes:
        name: its first dotted name; "" is the root.
        type: a layer's name, "Sequential" or `BLOCK`.
        label: how it is called for people.
        arguments: of a layer, all of them.
        inputs, text: of a block, with values in the place of args.
        tensors: the tensors that it owns, by local name, each with its first name.
        children: its modules, each with its first name; "" is absent.
    """

    name: str
    type: str
    label: str
    arguments: Named = ()
    inputs: tuple[str, ...] = ()
    text: str = ""
    tensors: Named = ()
    children: Named = ()

    @property
    def leaf(self) -> bool:
        """Whether it is a layer of the catalog, into which nobody looks."""
        return self.type not in (*CONTAINERS, BLOCK)

    @property
    def owned(self) -> frozenset[str]:
        """The names of its layers and tensors."""
        return frozenset(name for name, _ in (*self.children, *self.tensors))

    @property
    def lines(self) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        """As `canonical.anonymous` of its text."""
        return canonical.anonymous(self.text, self.inputs, self.owned)

    def in_order(self, named: Named) -> Named:
        """Some of what it owns: what its text names comes first, in the order of the text."""
        used = {name: index for index, name in enumerate(self.lines[2])}
        return tuple(sorted(named, key=lambda each: used.get(each[0], len(used))))


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A model.

    Attributes:
        parts: by first name, the root first.
        tensors: by first name, in the order of `named_parameters()` and `named_buffers()`.
        inputs: the example inputs, by name: shape and dtype.
        activations, flops: as in a plan.
    """

    parts: dict[str, Part]
    tensors: dict[str, Held]
    inputs: dict[str, str] = field(default_factory=dict)
    seed: int = 0
    scheme: int = 0
    activations: int = 0
    flops: int | None = None

    @cached_property
    def totals(self) -> dict[str, int]:
        """What it takes, by name."""
        held = self.tensors.values()
        own = [each for each in held if each.kind == "parameter"]
        return {
            "parameters": sum(each.elements for each in own),
            "trainable": sum(each.elements for each in own if each.trainable),
            "bytes": sum(each.elements * getattr(torch, each.dtype).itemsize for each in held),
            "FLOPs": self.flops or 0,
            "bytes of activations": self.activations,
        }

    @cached_property
    def below(self) -> dict[str, int]:
        """Of each module the elements of all parameters that it and what is in it have first."""
        found = dict.fromkeys(self.parts, 0)
        for each in self.tensors.values():
            if each.kind == "parameter":
                name = each.name
                while name:
                    name = name.rpartition(".")[0]
                    if name in found:
                        found[name] += each.elements
        return found


def snapshot(draft: Draft) -> Snapshot:
    """The model of a draft."""
    plan, root = draft.plan, draft.skeleton.root
    records = {each.name: each for each in plan.tensors}
    held = {entry.name: _held(records[entry.name], entry) for entry in draft.table}
    named = homes(named_in(root))
    first = {module: names[0] for module, names in named.items()}
    parts = {part.name: part for part in _parts(draft.skeleton, root, first)}
    known = {name: names[0] for names in named.values() if names[0] in parts for name in names}
    owned: dict[str, dict[str, str]] = {}
    for each in held.values():
        for home in each.homes:
            owner = _owner(home, known)
            if known[owner] == owner:
                owned.setdefault(owner, {})[home[len(owner) :].lstrip(".")] = each.name
    return Snapshot(
        parts={name: replace(part, tensors=tuple(owned.get(name, {}).items())) for name, part in parts.items()},
        tensors=held,
        inputs={each.name: f"{list(each.shape)} {each.dtype}" for each in plan.inputs},
        seed=plan.seed,
        scheme=plan.scheme,
        activations=plan.activations,
        flops=plan.flops,
    )


def _owner(home: str, known: Mapping[str, str]) -> str:
    """The innermost part that has a tensor under one of its names."""
    while home:
        home = home.rpartition(".")[0]
        if home in known:
            return home
    return ""


def _held(record: TensorRecord, entry: Entry) -> Held:
    return Held(
        name=record.name,
        homes=(record.name, *record.aliases),
        shape=record.shape,
        dtype=record.dtype,
        kind=record.kind,
        persistent=record.persistent,
        trainable=record.trainable,
        fill=canonical.fill(entry),
        rule=canonical.rule(entry),
        drawn=entry.drawn if record.stream else "",
        group=" ".join([record.group, *(f"{name}={shown(each)}" for name, each in record.options.items())]),
    )


def _parts(skeleton: Skeleton, module: nn.Module, first: Mapping[nn.Module, str]) -> Iterator[Part]:
    """A module and those in it, each once, where it has its first name."""
    instance, name = skeleton.instances[module], first[module]
    children = [] if _is_leaf(instance) else [*module._modules.items()]
    yield replace(
        _part(name, module, instance),
        children=tuple((local, "" if child is None else first[child]) for local, child in children),
    )
    for local, child in children:
        if child is not None and first[child] == (f"{name}.{local}" if name else local):
            yield from _parts(skeleton, child, first)


def _is_leaf(instance: Instance) -> bool:
    return isinstance(instance, LayerInstance) and instance.layer.name not in CONTAINERS


def _part(name: str, module: nn.Module, instance: Instance) -> Part:
    if isinstance(module, Generated) and isinstance(instance, BlockInstance):
        inputs = tuple(each.name + "=None" * each.optional for each in instance.block.inputs)
        text = canonical.forward(module.__frozen__)
        return Part(name=name, type=BLOCK, label=instance.block.name, inputs=inputs, text=text)
    if isinstance(instance, LayerInstance) and _is_leaf(instance):
        return Part(
            name=name, type=instance.type, label=instance.call(), arguments=canonical.arguments(instance, module)
        )
    kind = instance.type if isinstance(instance, LayerInstance) else "Sequential"
    label = instance.block.name if isinstance(instance, BlockInstance) else kind
    return Part(name=name, type=kind, label=kind if label == "Block" else label)
