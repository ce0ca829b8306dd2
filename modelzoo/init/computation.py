"""A tensor computed by fills that build on each other, and texts; and why that fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from numbers import Complex, Real
from types import CodeType
from typing import Any

import torch
from torch import Tensor, nn

from modelzoo import streams
from modelzoo.catalog import distributions, fills, functions
from modelzoo.catalog.fill import Fill, problem_with
from modelzoo.catalog.sizes import expands
from modelzoo.errors import ConfigError, Path, Problem, Repair, first_line
from modelzoo.init import drawing
from modelzoo.init.decisions import Decision, Kept, NamedFill, Program
from modelzoo.language import compiler, runtime
from modelzoo.spec.instances import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """Why a fill gives a tensor nothing that it can hold.

    Attributes:
        place: which one it is in the chain.
        does, how: what the fill does to the tensor, before and after its name.
        hint: what to type.
        line: of its text; 0 if it has none.
        repairs: what could be changed.
    """

    place: int = 0
    does: str = "cannot fill"
    how: str
    hint: str = ""
    line: int = 0
    repairs: tuple[Repair, ...] = field(default=(), compare=False)

    def problem(self, rule: str, key: Path, name: str, *others: str) -> Problem:
        """As a problem of the tensors with these names; `rule` says who asked for the fill."""
        more = f" and {len(others)} more" if others else ""
        what = f"{rule} {self.does} '{name}'{more}{self.how}"
        line, column = self.line, min(self.line, 1)
        return Problem(
            path=str(key), key=key, what=what, hint=self.hint, line=line, column=column, repairs=self.repairs
        )


class UnfillableError(Exception):
    """A fill failed, or gave what the tensor cannot hold."""

    def __init__(self, wrong: Wrong) -> None:
        self.wrong = wrong
        super().__init__(wrong)


@dataclass(slots=True)
class Computation:
    """Computes a tensor by fills that build on each other, and texts.

    On meta it has no values: what can be known without them is found there.
    """

    tensor: Tensor
    chain: Sequence[Decision]
    name: str
    seed: int
    max_steps: int
    operations: runtime.Operations = field(default_factory=lambda: runtime.Operations("fills"))
    drawn: int = 0
    fans: distributions.Fans | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """What texts know as `shape`."""
        return tuple(self.tensor.shape)

    def __call__(self) -> None:
        try:
            self.fill()
        except UnfillableError as error:
            decision = self.chain[error.wrong.place]
            problem = error.wrong.problem(decision.rule, decision.key, self.name)
            raise ConfigError([problem]) from error.__cause__

    def fill(self) -> None:
        """Raises an UnfillableError where a fill fails."""
        value: Any = None
        for place, each in enumerate(self.chain):
            try:
                value = self.value(each, value)
            except Exception as error:
                raise UnfillableError(self.wrong(place, each, error)) from error
            wrong = _no_value(value, self.tensor)
            if wrong is not None:
                raise UnfillableError(replace(wrong, place=place))
            if isinstance(value, Tensor):
                value = value.expand(self.tensor.shape)
        try:
            with torch.no_grad():
                self.tensor.detach().copy_(value) if isinstance(value, Tensor) else self.tensor.detach().fill_(value)
        except Exception as error:
            raise UnfillableError(self.wrong(len(self.chain) - 1, self.chain[-1], error)) from error

    def value(self, decision: Decision, value: Any) -> Any:
        """What a fill gives, where the one before gave `value`."""
        self.fans = decision.fans if isinstance(decision, (NamedFill, Program)) else None
        if isinstance(decision, NamedFill) and decision.fill.measured:
            return value  # it is scaled when all tensors have values
        if isinstance(decision, NamedFill):
            return self.draw(decision.fill.name, **decision.arguments)
        if isinstance(decision, Kept):
            return self.kept(decision.value).to(self.tensor.device)
        assert isinstance(decision, Program)
        values, code = decision.translated()
        function = compiler.link(code, values, self.max_steps, turned=self.worked)
        self.worked(len(decision.program) // 10 + 1)
        fans = decision.fans or (None, None)
        start = value.clone() if isinstance(value, Tensor) else value
        with streams.instead(self.seed, self.name) if _is_random(code) else nullcontext():
            return function(self.owner(), self.draw, self.shape, *fans, start)

    def worked(self, count: int, *_: Any) -> None:
        self.operations.spend(count * (runtime.ON_META if self.tensor.is_meta else 1))

    def owner(self) -> nn.Module | None:
        """Whose device tensors get that a text makes from nothing; None: the CPU, where all is drawn."""
        if not self.tensor.is_meta:
            return None
        owner = nn.Module()
        owner.register_buffer("tensor", self.tensor)
        return owner

    def draw(self, name: str, *positional: Any, **named: Any) -> Tensor:
        fill = fills.find_fill(name)
        assert fill is not None
        arguments = fills.bind(fill, positional, named)
        shape, dtype = self.shape, self.tensor.dtype
        if fill.measured:
            raise ValueError(f"{name} is a fill by itself, and no part of a text")
        what = problem_with(fill, arguments, shape, dtype)
        if what is not None:
            raise ValueError(f"{name} {what}")
        number, self.drawn = self.drawn, self.drawn + 1
        if self.tensor.is_meta:
            return torch.empty(shape, dtype=distributions.dtype_of_draws(dtype), device="meta")
        return self.numbers(fill, arguments, number)

    def kept(self, value: Tensor) -> Tensor:
        """What the tensor holds already."""
        return value

    def numbers(self, fill: Fill, arguments: Mapping[str, Any], number: int) -> Tensor:
        """What a fill draws."""
        return drawing.draw(
            fill,
            arguments,
            self.shape,
            self.tensor.dtype,
            seed=self.seed,
            name=self.name,
            number=number,
            fans=self.fans,
        )

    def wrong(self, place: int, decision: Decision, error: Exception) -> Wrong:
        """What an exception says, and in which line of the text."""
        line, what, hint = next((line for _, line in compiler.texts(error)), 0), first_line(error), ""
        if isinstance(error, runtime.LoopError):
            what, hint = error.what, "Set max_steps=... if it should turn more often."
        elif self.tensor.ndim < 2 and "'NoneType'" in what:
            what = f"fan_in and fan_out need at least 2 dimensions, not {self.tensor.ndim}."
        return Wrong(place=place, how=f": {what.rstrip('.')}.", hint=hint, line=line)


def _is_random(code: CodeType) -> bool:
    """Whether a text may draw from torch's own generator."""
    called = {name.removeprefix("_call_") for name in code.co_names if name.startswith("_call_")}
    return not called.isdisjoint(functions.RANDOM) or not called <= functions.FUNCTIONS.keys()


def _no_value(value: Any, tensor: Tensor) -> Wrong | None:
    """Why a tensor cannot be what a fill gives; None if it can."""
    dtype, shape = str(tensor.dtype).removeprefix("torch."), list(tensor.shape)
    if isinstance(value, Tensor):
        if value.is_complex() and not tensor.is_complex():
            return Wrong(does="gives", how=f" complex numbers, which {dtype} cannot hold.")
        fits = expands(value.shape, tensor.shape)
        return None if fits else Wrong(does="gives", how=f" shape {list(value.shape)} instead of {shape}.")
    if isinstance(value, bool) and tensor.dtype != torch.bool:
        return Wrong(does="gives", how=f" {str(value).lower()} instead of a number.")
    if isinstance(value, Complex if tensor.is_complex() else Real):
        return None
    return Wrong(does="gives", how=f" {_shown(value)} instead of a number or a tensor.")


def _shown(value: Any) -> str:
    if value is None or isinstance(value, (str, complex)):
        return "null" if value is None else repr(value)
    if isinstance(value, (tuple, list)):
        return "several values"
    kind = "layer" if isinstance(value, Recipe) else type(value).__name__
    return f"a {kind}"
