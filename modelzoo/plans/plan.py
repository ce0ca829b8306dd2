"""The `Plan`: everything that is decided about a model before a tensor is filled, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, replace

from modelzoo.errors import Locate, Problem
from modelzoo.modules.inputs import Input
from modelzoo.plans.records import ModuleRecord, TensorRecord
from modelzoo.plans.rows import rows
from modelzoo.plans.summary import Summary
from modelzoo.plans.table import totals


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

    modules: tuple[ModuleRecord, ...]
    tensors: tuple[TensorRecord, ...]
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

    def summary(self) -> Summary:
        """The plan as a table, with its costs, warnings and notes."""
        messages = [f"warning: {problem}" for problem in self.warnings] + [f"note: {note}" for note in self.notes]
        if self.flops is not None:
            lines = dict.fromkeys(line for module in self.modules for line in module.loops)
            messages += [f"note: a loop that depends on data is counted with one turn: {line}" for line in lines]
        found = rows(self)
        return Summary(
            rows=found,
            totals=totals(found),
            inputs=self.inputs,
            flops=self.flops,
            activations=self.activations,
            messages=tuple(messages),
        )

    def __str__(self) -> str:
        return self.summary().text()
