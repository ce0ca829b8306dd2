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

    It is data, so a program can decide by it; as a text it is a table for people:

    >>> import modelzoo
    >>> plan = modelzoo.plan({"inputs": {"x": [2, 4]}, "layers": {"a": "Linear(4, 8)", "norm": "BatchNorm1d(8)"}})
    >>> plan.parameters, plan.buffers, plan.bytes, plan.flops
    (56, 17, 296, 128)
    >>> [each.name for each in plan.tensors if each.kind == "buffer"]
    ['norm.running_mean', 'norm.running_var', 'norm.num_batches_tracked']
    >>> print(plan)
    input x  [2, 4]  float32
    <BLANKLINE>
    name                     layer         shape   parameters  fill
    model                    Sequential    [2, 8]          56
      a                      Linear        [2, 8]          40
        weight                             [8, 4]          32  uniform(a=-0.5, b=0.5)
        bias                               [8]              8  uniform(a=-0.5, b=0.5)
      norm                   BatchNorm1d   [2, 8]          16
        weight                             [8]              8  ones
        bias                               [8]              8  zeros
        running_mean         buffer        [8]                 zeros
        running_var          buffer        [8]                 ones
        num_batches_tracked  buffer int64  []                  zeros
    <BLANKLINE>
    56 parameters (56 trainable, 0 frozen), 17 in buffers, 296 bytes
    128 FLOPs, 128 bytes of activations
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

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return self.summary()._repr_html_()
