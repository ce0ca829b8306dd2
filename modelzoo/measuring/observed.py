"""What a pass leaves: a row for each call of each module, and for each parameter."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import nn


@dataclass(slots=True, kw_only=True)
class Output:
    """What one tensor looked like; modules that return the same one share it.

    Attributes:
        shape: of it.
        mean, std, largest: of its values.
        zeros: the share of its values that are zero.
        rank: the effective rank of the batch, at most its number of examples.
        varies: whether examples differ in it.
        signal: how far they are from what they have in common.
        gradient: the standard deviation of its gradient; None if there is none.
        push: the size of its gradient for one example.
    """

    shape: tuple[int, ...]
    mean: float
    std: float
    largest: float
    zeros: float
    rank: float
    varies: bool
    signal: float
    gradient: float | None = None
    push: float | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class Seen:
    """A call of a module while it is watched.

    Attributes:
        name: the first name of the module; "" is the model.
        number: which call of the module it is, from 0.
        above: the call that it was made in; None for the model.
        pure: whether each child got what the one before returned, and it returned what the last one did.
        added: how far what it returned is from what it was given, relative to that; None if they differ in
            shape, or the examples did not differ in that.
        adds: whether it added to what it was given.
        informed: whether the examples differed in what it was given.
        squared: the mean square of what it was given; None if that were no real numbers.
        dead, saturated: the worst share of what a ReLU, a tanh or a sigmoid did in it, outside modules below.
        entropy: the least even attention in it, from 0 to 1.
        acts: the functions of that kind that it called, by name.
        fed: the name of the last module with a weight that ended before such a function was called.
    """

    module: nn.Module
    name: str
    number: int
    above: Seen | None
    output: Output | None = None
    pure: bool = False
    added: float | None = None
    adds: bool = False
    informed: bool = False
    squared: float | None = None
    dead: float | None = None
    saturated: float | None = None
    entropy: float | None = None
    acts: tuple[str, ...] = ()
    fed: str = ""

    @property
    def residual(self) -> bool:
        """Whether it is a block that adds to what it is given."""
        return self.adds and self.added is not None and bool(self.module._modules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of a module.

    Attributes:
        name: the first name of the module; "" is the model.
        number: which call of that module it is, from 0.
        type: of the module.
        shape: of its output, of which these are: `mean`, `std`, `largest` magnitude, and the share of `zeros`.
        rank: the effective rank of the batch, at most its number of examples.
        ratio: its std by that of the call that ended before it; None for the first.
        gradient: the standard deviation of the gradient of its output; None if there is none.
        dead: the share of the units of a ReLU in it that are zero for the whole batch.
        saturated: the share of values of a tanh or a sigmoid in it within 3% of its ends.
        entropy: of the attention in it, from 0 (on one place) to 1 (even).
        trunk: whether it is one of the calls that follow each other from the input to the output.
    """

    name: str
    number: int
    type: str
    shape: tuple[int, ...]
    mean: float
    std: float
    largest: float
    zeros: float
    rank: float
    ratio: float | None = None
    gradient: float | None = None
    dead: float | None = None
    saturated: float | None = None
    entropy: float | None = None
    trunk: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """One parameter: its first name, what its values look like, and its gradient; None if there is none."""

    name: str
    std: float
    gradient: float | None = None

    @property
    def ratio(self) -> float | None:
        """The gradient by the values, both as standard deviations."""
        return None if self.gradient is None or not self.std else self.gradient / self.std


def call_of(seen: Seen, before: float | None, trunk: bool) -> Call:
    """A call as a value; `before` is the std of the call that ended before it."""
    output = seen.output
    assert output is not None
    return Call(
        name=seen.name,
        number=seen.number,
        type=type(seen.module).__name__,
        shape=output.shape,
        mean=output.mean,
        std=output.std,
        largest=output.largest,
        zeros=output.zeros,
        rank=output.rank,
        ratio=None if not before or not math.isfinite(before) else output.std / before,
        gradient=output.gradient,
        dead=seen.dead,
        saturated=seen.saturated,
        entropy=seen.entropy,
        trunk=trunk,
    )
