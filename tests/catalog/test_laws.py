"""From bits to numbers: exact bounds, the quantiles of the normal distribution, no step out of line."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy
import pytest

from modelzoo.catalog import laws
from modelzoo.elements import Array, bits, keys

TOP = 2**32 - 1


def narrow(law: laws.Law, levels: list[int] | Array) -> Array:
    given = numpy.array(levels, numpy.uint32)
    out = numpy.empty(given.shape, numpy.float32)
    law(given, out)
    return out


def wide(law: laws.Law, levels: list[int] | Array) -> Array:
    given = numpy.array(levels, numpy.uint64)
    out = numpy.empty(given.shape, numpy.float64)
    law(given, out)
    return out


def test_a_uniform_number_is_its_first_24_or_53_bits() -> None:
    assert narrow(laws.uniform(0, 1), [0, 255, 256, 2**31, TOP]).tolist() == [0, 0, 2**-24, 0.5, 1 - 2**-24]
    assert wide(laws.uniform(-1, 1), [0, 2**63, 2**64 - 1]).tolist() == [-1, 0, 1 - 2**-52]


def test_no_uniform_number_reaches_its_upper_bound() -> None:
    pairs = numpy.random.default_rng(0).normal(size=(4, 5_000, 2)) * [[[1e-3]], [[1]], [[1e6]], [[1e30]]]
    for a, b in numpy.sort(pairs).astype(numpy.float32).reshape(-1, 2).tolist():
        (found,) = narrow(laws.uniform(a, b), [TOP]).tolist()
        assert a <= found < b or a == b == found


@pytest.mark.parametrize(("a", "b"), [(1.0, 1.0 + 2**-23), (2.0**24 - 1, 2.0**24), (-1e-30, 1e37), (5, 5)])
def test_close_and_far_bounds_are_kept(a: float, b: float) -> None:
    drawn = narrow(laws.uniform(a, b), numpy.linspace(0, TOP, 100_001))
    assert a == drawn[0] == drawn.min()
    assert drawn.max() < b or a == b


def test_whole_numbers_of_float64_stay_below_their_bound() -> None:
    drawn = numpy.floor(wide(laws.uniform(2.0**52, 2.0**52 + 1), [0, 2**63, 2**64 - 1]))
    assert drawn.tolist() == [2.0**52] * 3


def exact(level: int) -> float:
    """The size of a normal number whose lower 31 bits are `level`."""
    return -NormalDist().inv_cdf((min(level + 0.5, 2**31)) / 2**32)


def test_a_normal_number_is_the_quantile_of_its_level_within_a_millionth() -> None:
    octaves = [2**octave + extra for octave in range(31) for extra in (-1, 0, 1, 2**octave // 3)]
    places = [*range(2000), *range(0, 2**31, 300_007), *[each for each in octaves if 0 <= each < 2**31], 2**31 - 1]
    drawn = narrow(laws.normal(0, 1), places)
    error = numpy.abs(drawn - numpy.array([exact(each) for each in places]))
    assert error.max() < 7e-7
    assert drawn.max() == drawn[0] == pytest.approx(6.338, abs=1e-3)


def test_the_highest_bit_is_the_sign() -> None:
    places = numpy.arange(0, 2**31, 1_000_003)
    assert (narrow(laws.normal(0, 1), places) == -narrow(laws.normal(0, 1), places + 2**31)).all()
    drawn = wide(laws.normal(0, 1), (places << 32).astype(numpy.uint64))
    assert (drawn == -wide(laws.normal(0, 1), (places << 32).astype(numpy.uint64) | numpy.uint64(2**63))).all()
    assert drawn[1:] == pytest.approx(numpy.array([exact(int(each)) for each in places[1:]]), abs=1e-5)


def test_sizes_fall_as_levels_rise() -> None:
    drawn = narrow(laws.normal(0, 1), numpy.linspace(0, 2**31 - 1, 400_000).astype(numpy.uint32))
    assert numpy.diff(drawn).max() < 1e-6


def test_normal_numbers_fall_into_every_part_of_their_distribution_equally() -> None:
    drawn = bits(keys(0, ["w"]), numpy.array([0]), 2**20)
    out = numpy.empty(drawn.shape, numpy.float32)
    laws.normal(0, 1)(drawn, out)
    edges = [NormalDist().inv_cdf(n / 500) for n in range(1, 500)]
    counts = numpy.bincount(numpy.searchsorted(edges, out.ravel()), minlength=500)
    expected = out.size / 500
    assert abs(((counts - expected) ** 2 / expected).sum() - 499) < 5 * math.sqrt(2 * 499)
    for power, moment in ((2, 1), (4, 3), (6, 15)):
        assert (out.astype(float) ** power).mean() == pytest.approx(moment, rel=0.03)


def test_other_quantiles_than_those_of_other_machines_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    laws._lines.cache_clear()
    monkeypatch.setattr(laws, "_DIGEST", "other")
    with pytest.raises(RuntimeError) as caught:
        laws._lines()
    assert str(caught.value) == "the quantiles of the normal distribution differ from those of other machines here"
