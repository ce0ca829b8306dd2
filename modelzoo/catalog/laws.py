"""From random bits to numbers, element by element, in operations that every processor carries out alike.

In float32 these are sums, products, comparisons and look-ups of single numbers, each rounded once as IEEE 754 says.
Normal numbers in float64 come from `torch.special.ndtri`, whose last bits may depend on the processor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from itertools import pairwise
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy
import torch

from modelzoo.elements import Array, scratch


class Line(NamedTuple):
    """What is done to each number, one after the other, in one dtype: it is scaled, moved, and kept below a bound.

    As they stand here they change nothing, not even the sign of a zero.
    """

    scale: Any = 1.0
    shift: Any = -0.0
    most: Any = math.inf

    def place(self, out: Array) -> None:
        """In place."""
        for operation, neutral, number in zip(_OPERATIONS, NOTHING, self, strict=True):
            if number != neutral:
                operation(out, number, out=out)


NOTHING = Line()
FEW = 8
"""So many parts are placed one after the other; more of them together, with a number of the line for each number."""
_OPERATIONS = (numpy.multiply, numpy.add, numpy.minimum)


def place_together(lines: Sequence[Line], counts: Sequence[int], out: Array) -> None:
    """The first line for as many numbers as the first count says, the next one for those behind them, and so on."""
    if len(lines) <= FEW:
        for line, part in zip(lines, numpy.split(out, numpy.cumsum(counts[:-1])), strict=True):
            line.place(part)
        return
    for operation, neutral, numbers in zip(_OPERATIONS, NOTHING, zip(*lines, strict=True), strict=True):
        if any(each != neutral for each in numbers):
            operation(out, numpy.repeat(numpy.array(numbers, out.dtype), counts), out=out)


@dataclass(frozen=True, slots=True)
class Law:
    """How bits become numbers, in two steps, of which the first is the same for many tensors.

    Attributes:
        standard: `(bits, out)`, where `out` is float32 and `bits` is uint32, or float64 and uint64; of one shape and
            contiguous. `bits` may be overwritten.
        line: of a dtype: what is done to what `standard` gave.
        place: `(out)`: what is done to that, in place, where it is more than a line.
    """

    standard: Callable[[Array, Array], None]
    line: Callable[[Any], Line] = lambda _: NOTHING
    place: Callable[[Array], object] | None = None

    def __call__(self, bits: Array, out: Array) -> None:
        """All of it."""
        self.standard(bits, out)
        self.line(out.dtype).place(out)
        if self.place is not None:
            self.place(out)


_SIGNED: dict[Any, Any] = {numpy.dtype("f4"): numpy.dtype("i4"), numpy.dtype("f8"): numpy.dtype("i8")}
_DIGITS: dict[Any, tuple[int, int]] = {numpy.dtype("f4"): (8, 24), numpy.dtype("f8"): (11, 53)}


def levels(bits: Array, out: Array) -> None:
    """Whole numbers from 0 on, of as many of the first bits as a mantissa holds."""
    left_out, _ = _DIGITS[out.dtype]
    numpy.right_shift(bits, bits.dtype.type(left_out), out=bits)
    numpy.copyto(out, bits.view(_SIGNED[out.dtype]), casting="unsafe")


def point(value: float) -> Law:
    """All at one number."""
    return Law(levels, place=lambda out: out.fill(value))


def uniform(a: float, b: float) -> Law:
    """On [a, b)."""

    def line(dtype: Any) -> Line:
        _, digits = _DIGITS[dtype]
        number = dtype.type
        low, high, step = number(a), number(b), number((b - a) / 2**digits)
        # Rounding keeps the order, so that the largest level tells whether any number reaches the bound.
        reached = low < high <= number(2**digits - 1) * step + low
        return Line(step, low if a else -0.0, numpy.nextafter(high, low) if reached else math.inf)

    return Law(levels, line)


def normal(mean: float, std: float) -> Law:
    """From the normal distribution, by inversion: one bit is the sign, the others are the level of the size."""
    return Law(normals, lambda dtype: _scaled(dtype, mean, std))


def normals(bits: Array, out: Array) -> None:
    """Of mean 0 and standard deviation 1."""
    if out.dtype == numpy.float64:
        _normals_of_float64(bits, out)
        return
    sizes = numpy.bitwise_and(bits, _REST, out=scratch("spare", bits.shape, bits.dtype))
    numpy.copyto(out, sizes.view("i4"), casting="unsafe")
    _quantiles(out)
    _signed(out, bits)


def trunc_normal(mean: float, std: float, a: float, b: float) -> Law:
    """The normal distribution between bounds that leave out no more than one side, by inversion."""
    low, high = (a - mean) / std, (b - mean) / std
    spread = uniform(math.erf(low / math.sqrt(2)), math.erf(high / math.sqrt(2)))

    def place(out: Array) -> None:
        # Levels that round to -1 or 1 have infinite quantiles: those stop where the next level would lie.
        if out.dtype == numpy.float64:
            reach = 8.2
            torch.from_numpy(out).erfinv_().mul_(math.sqrt(2))
        else:
            reach = 5.4
            signs = scratch("signs", out.shape, numpy.uint32)
            numpy.copyto(signs, out.view("u4"))
            numpy.abs(out, out=out)
            numpy.subtract(_ONE, out, out=out)
            numpy.multiply(out, _HIGHEST, out=out)
            _quantiles(out)
            _signed(out, signs)
        _scaled(out.dtype, mean, std).place(out)
        numpy.clip(out, max(a, mean - reach * std), min(b, mean + reach * std), out=out)

    return Law(levels, spread.line, place)


def normal_tail(mean: float, std: float, a: float, b: float) -> Law:
    """Between bounds on one side of the mean, far out: float64 levels of the lower tail, which are exact near zero."""
    side = 1 if b < mean else -1
    low, high = sorted((side * (a - mean) / std, side * (b - mean) / std))
    lowest, highest = math.erfc(-low / math.sqrt(2)) / 2, math.erfc(-high / math.sqrt(2)) / 2

    def place(out: Array) -> None:
        _, digits = _DIGITS[out.dtype]
        shares = (out.astype(float) + 0.5) * ((highest - lowest) / 2.0**digits) + lowest
        drawn = torch.special.ndtri(torch.from_numpy(shares)).mul_(side * std).add_(mean)
        numpy.clip(drawn.numpy(), a, b, out=shares)
        numpy.copyto(out, shares, casting="same_kind")
        numpy.clip(out, a, b, out=out)

    return Law(levels, place=place)


def _scaled(dtype: Any, mean: float, std: float) -> Line:
    return Line(dtype.type(std), dtype.type(mean) if mean else -0.0)


_SIGN, _REST = numpy.uint32(2**31), numpy.uint32(2**31 - 1)
_ONE, _HIGHEST, _MIDDLE = numpy.float32(1), numpy.float32(2**31), numpy.float32(0.5)
_CELL = numpy.int32(15)  # a cell is the exponent of a level and the first eight bits of its mantissa
_CELLS = 2**8
_LOWEST = 126 * _CELLS  # the cell of the level 0.5


def _signed(out: Array, signs: Array) -> None:
    """Turns the sign of each number where the highest bit is set."""
    numpy.bitwise_and(signs, _SIGN, out=signs)
    numpy.bitwise_xor(out.view("u4"), signs, out=out.view("u4"))


def _normals_of_float64(bits: Array, out: Array) -> None:
    positive = bits < bits.dtype.type(2**63)
    numpy.bitwise_and(bits, bits.dtype.type(2**63 - 1), out=bits)
    numpy.copyto(out, bits.view("i8"), casting="unsafe")
    numpy.add(out, 0.5, out=out)
    numpy.multiply(out, 2.0**-64, out=out)
    torch.special.ndtri(torch.from_numpy(out), out=torch.from_numpy(out))
    numpy.negative(out, out=out, where=positive)


def _quantiles(levels: Array) -> None:
    """In place: of float32 levels from 0 to 2^31, the number that a normal one exceeds in size this often, of 2^31."""
    starts, slopes = _lines()
    numpy.add(levels, _MIDDLE, out=levels)
    spare = scratch("spare", levels.shape, numpy.int32)
    cells = scratch("cells", levels.shape, numpy.intp)
    numpy.copyto(cells, numpy.right_shift(levels.view("i4"), _CELL, out=spare))
    line = spare.view("f4")
    # No cell lies outside the table: "wrap" only spares numpy a copy.
    numpy.multiply(levels, numpy.take(slopes, cells, out=line, mode="wrap"), out=levels)
    numpy.add(levels, numpy.take(starts, cells, out=line, mode="wrap"), out=levels)


@cache
def _lines() -> tuple[Array, Array]:
    """The quantile in each cell of levels as a line: where it starts, and its slope; by the number of the cell.

    A line is off by the same at both ends and in the middle of its cell: by at most 7e-7.

    Raises:
        RuntimeError: this Python computes quantiles otherwise, so the numbers would not be those of other machines.
    """
    quantile = NormalDist().inv_cdf
    edges = [2.0**octave * (1 + cell / _CELLS) for octave in range(-1, 31) for cell in range(_CELLS)]
    edges.append(2.0**31)
    middles = [(low + high) / 2 for low, high in pairwise(edges)]
    ends, centres = (numpy.array([-quantile(each / 2**32) for each in levels]) for levels in (edges, middles))
    slopes = (numpy.diff(ends) / numpy.diff(edges)).astype(numpy.float32)
    starts = ((ends[:-1] + ends[1:]) / 2 + centres) / 2 - slopes.astype(float) * middles
    table = numpy.zeros((2, _LOWEST + len(centres) + 1), numpy.float32)  # the last one is of the level 2^31: zero
    table[:, _LOWEST:-1] = starts, slopes
    if sha256(table.astype("<f4").tobytes()).hexdigest()[:16] != _DIGEST:
        raise RuntimeError("the quantiles of the normal distribution differ from those of other machines here")
    return table[0], table[1]


_DIGEST = "50de9a34457819b7"
