"""From random bits to numbers, element by element, in operations that every processor carries out alike.

In float32 these are sums, products, comparisons and look-ups of single numbers, each rounded once as IEEE 754 says.
Normal numbers in float64 come from `torch.special.ndtri`, whose last bits may depend on the processor.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from itertools import pairwise
from statistics import NormalDist
from typing import Any

import numpy
import torch

from modelzoo.elements import Array, scratch

Law = Callable[[Array, Array], None]
"""Writes the numbers of some elements: `(bits, out)`; `out` is float32 and `bits` uint32, or float64 and uint64.

The arrays have one shape and are contiguous; `bits` may be overwritten.
"""

_SIGNED: dict[Any, Any] = {numpy.dtype("f4"): numpy.dtype("i4"), numpy.dtype("f8"): numpy.dtype("i8")}
_DIGITS: dict[Any, tuple[int, int]] = {
    numpy.dtype("f4"): (8, 24),
    numpy.dtype("f8"): (11, 53),
}  # bits left out, and bits of a level


def point(value: float) -> Law:
    """All at one number."""
    return lambda _, out: out.fill(value)


def uniform(a: float, b: float) -> Law:
    """On [a, b), from as many of the first bits as a mantissa holds."""

    def law(bits: Array, out: Array) -> None:
        left_out, digits = _DIGITS[out.dtype]
        number = out.dtype.type
        low, high, step = number(a), number(b), number((b - a) / 2**digits)
        numpy.right_shift(bits, bits.dtype.type(left_out), out=bits)
        numpy.copyto(out, bits.view(_SIGNED[out.dtype]), casting="unsafe")
        numpy.multiply(out, step, out=out)
        if a:
            numpy.add(out, low, out=out)
        # Rounding keeps the order, so that the largest level tells whether any number reaches the bound.
        if low < high <= number(2**digits - 1) * step + low:
            numpy.minimum(out, numpy.nextafter(high, low), out=out)

    return law


def normal(mean: float, std: float) -> Law:
    """From the normal distribution, by inversion: one bit is the sign, the others are the level of the size."""

    def law(bits: Array, out: Array) -> None:
        if out.dtype == numpy.float64:
            _standard_float64(bits, out)
        else:
            _standard(bits, out)
        _placed(out, mean, std)

    return law


def trunc_normal(mean: float, std: float, a: float, b: float) -> Law:
    """The normal distribution between bounds that leave out no more than one side, by inversion."""
    low, high = (a - mean) / std, (b - mean) / std
    levels = uniform(math.erf(low / math.sqrt(2)), math.erf(high / math.sqrt(2)))

    def law(bits: Array, out: Array) -> None:
        levels(bits, out)
        # Levels that round to -1 or 1 have infinite quantiles: those stop where the next level would lie.
        if out.dtype == numpy.float64:
            reach = 8.2
            torch.from_numpy(out).erfinv_().mul_(math.sqrt(2))
        else:
            reach = 5.4
            numpy.copyto(bits, out.view("u4"))
            numpy.abs(out, out=out)
            numpy.subtract(_ONE, out, out=out)
            numpy.multiply(out, _HIGHEST, out=out)
            _quantiles(out)
            _signed(out, bits)
        _placed(out, mean, std)
        numpy.clip(out, max(a, mean - reach * std), min(b, mean + reach * std), out=out)

    return law


def normal_tail(mean: float, std: float, a: float, b: float) -> Law:
    """Between bounds on one side of the mean, far out: float64 levels of the lower tail, which are exact near zero."""
    side = 1 if b < mean else -1
    low, high = sorted((side * (a - mean) / std, side * (b - mean) / std))
    lowest, highest = math.erfc(-low / math.sqrt(2)) / 2, math.erfc(-high / math.sqrt(2)) / 2

    def law(bits: Array, out: Array) -> None:
        levels = (bits + 0.5) * ((highest - lowest) / 2.0 ** (8 * bits.itemsize)) + lowest
        drawn = torch.special.ndtri(torch.from_numpy(levels)).mul_(side * std).add_(mean).clamp_(a, b)
        torch.from_numpy(out).copy_(drawn).clamp_(a, b)

    return law


def _placed(out: Array, mean: float, std: float) -> None:
    if std != 1:
        numpy.multiply(out, out.dtype.type(std), out=out)
    if mean:
        numpy.add(out, out.dtype.type(mean), out=out)


_SIGN, _REST = numpy.uint32(2**31), numpy.uint32(2**31 - 1)
_ONE, _HIGHEST, _MIDDLE = numpy.float32(1), numpy.float32(2**31), numpy.float32(0.5)
_CELL = numpy.int32(15)  # a cell is the exponent of a level and the first eight bits of its mantissa
_CELLS = 2**8
_LOWEST = 126 * _CELLS  # the cell of the level 0.5


def _standard(bits: Array, out: Array) -> None:
    levels = numpy.bitwise_and(bits, _REST, out=scratch("spare", bits.shape, bits.dtype))
    numpy.copyto(out, levels.view("i4"), casting="unsafe")
    _quantiles(out)
    _signed(out, bits)


def _signed(out: Array, signs: Array) -> None:
    """Turns the sign of each number where the highest bit is set."""
    numpy.bitwise_and(signs, _SIGN, out=signs)
    numpy.bitwise_xor(out.view("u4"), signs, out=out.view("u4"))


def _standard_float64(bits: Array, out: Array) -> None:
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
