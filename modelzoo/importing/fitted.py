"""Which fills give a tensor the values that it started as: constants exactly, and what was drawn by its law."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from modelzoo.catalog.torch_init import Default
from modelzoo.importing import fillings
from modelzoo.importing.samples import MOST, Sample

SIGMAS = 5.0
"""How many standard errors a spread may be off."""

DISTANCE = 2.3
"""Kolmogorov's distance times the root of the count: greater in one of 20,000."""

NEAR = 1.2
"""A distance beyond which another law is more likely."""

LEAST = 30
"""The fewest values whose spread is a number."""

ORDERED = 12
"""So many values that were drawn come in order once in 500 million times."""

CUT = 0.87962566103423978
"""The standard deviation of a normal distribution that is cut at two of its own."""


@dataclass(frozen=True, slots=True)
class Law:
    """How values are spread: the distribution function, the mean and the standard deviation, and by how much that of
    `n` values is off, times the root of `n`."""

    cdf: Callable[[Tensor], Tensor]
    mean: float
    std: float
    error: float


def uniform(a: float, b: float) -> Law:
    """Even between two numbers."""
    return Law(lambda x: ((x - a) / (b - a)).clamp(0, 1), (a + b) / 2, (b - a) / math.sqrt(12), 0.45)


def normal(std: float, mean: float = 0.0) -> Law:
    """Gauss's."""
    return Law(lambda x: torch.special.ndtr((x - mean) / std), mean, std, 0.71)


def cut(std: float) -> Law:
    """Gauss's, between two standard deviations below and above."""
    low = float(torch.special.ndtr(torch.tensor(-2.0, dtype=torch.float64)))
    return Law(lambda x: ((torch.special.ndtr(x / std) - low) / (1 - 2 * low)).clamp(0, 1), 0.0, CUT * std, 0.6)


Fill: TypeAlias = str | float
"""As a rule has it."""

Fits: TypeAlias = dict[Fill, "Law | None"]
"""The fills that explain a tensor, the simplest first, each with its law where that is the same for all tensors."""


def fits(sample: Sample) -> Fits:
    """The fills that explain the values of a tensor; none where nothing does."""
    first = sample.values[0]
    if first.is_meta:
        return {}
    if is_fixed(sample):
        exact = fillings.exact(first) if bool(first.isfinite().all()) else None
        return {} if exact is None else {exact: None}
    if not can_be_told(sample):
        return {}
    if any(not bool(each.isfinite().all()) or _is_ordered(each) for each in sample.values):
        return {}
    rows = _zero_rows(sample)
    drawn = pooled(sample, rows)
    texts = [*_orthogonal(sample)]
    texts += [_with_rows(text, rows) for text, law in _by_fans(sample) if follows(drawn, law)]
    found: Fits = dict.fromkeys(texts, None)
    return found | by_number(drawn, rows)


def by_number(drawn: Tensor, rows: Sequence[int] = ()) -> Fits:
    """The fills with a spread of their own that explain values, those that are near them first."""
    if drawn.numel() < LEAST:
        return {}
    told = [(distance(drawn, law), text, law) for text, law in _by_number(drawn) if follows(drawn, law)]
    return {_with_rows(text, rows): law for _, text, law in sorted(told, key=lambda each: each[0] > NEAR)}


def joined(samples: Iterable[Sample]) -> Tensor:
    """The values of several tensors in their order."""
    return torch.cat([pooled(each, _zero_rows(each)) for each in samples]).sort().values


def _with_rows(text: str, rows: Sequence[int]) -> str:
    if not rows:
        return text
    return "\n".join([f"w = {text}", *(f"w[{row}] = 0" for row in rows), "return w", ""])


def can_be_told(sample: Sample) -> bool:
    """Whether a tensor has values that laws are of."""
    return sample.values[0].is_floating_point() and not sample.values[0].is_meta


def is_fixed(sample: Sample) -> bool:
    """Whether a tensor has the same values each time; where it was seen once, whether they are one or whole numbers."""
    first = sample.values[0]
    told = len(sample.values) > 1 or not can_be_told(sample)
    told = told or torch.equal(first, first.round()) or bool((first == first.flatten()[0]).all())
    return told and all(torch.equal(each, first) for each in sample.values[1:])


def _is_ordered(value: Tensor) -> bool:
    """Whether many values only grow, or only fall: nobody drew them."""
    steps = value.flatten().diff()
    return value.numel() > ORDERED and bool((steps >= 0).all() or (steps <= 0).all()) and bool((steps != 0).any())


def is_default(sample: Sample, default: Default | None) -> bool:
    """Whether a tensor started as torch starts it."""
    if default is None or sample.values[0].is_meta:
        return False
    name, given = default
    if name in ("zeros", "ones", "constant"):
        number: float = {"zeros": 0.0, "ones": 1.0}[name] if name != "constant" else given["value"]
        return all(bool(each.eq(number).all()) for each in sample.values)
    if not can_be_told(sample):
        return False
    rows = [given["padding_idx"]] if name == "embedding" else []
    if rows and any(bool(each[row].any()) for each in sample.values for row in rows):
        return False
    law = _default_law(sample, name, given)
    return law is not None and follows(pooled(sample, rows), law)


def _default_law(sample: Sample, name: str, given: Mapping[str, Any]) -> Law | None:
    if name == "uniform":
        return uniform(given["a"], given["b"])
    if name in ("normal", "embedding"):
        return normal(given["std"])
    if sample.fans is None:
        return None
    std = given["gain"] * math.sqrt(2 / sum(sample.fans))
    return normal(std) if name == "xavier_normal" else uniform(-math.sqrt(3) * std, math.sqrt(3) * std)


def follows(drawn: Tensor, law: Law) -> bool:
    """Whether values may have been drawn by a law."""
    count = drawn.numel()
    if count < 2 or law.std == 0:
        return False
    root = math.sqrt(count)
    if abs(float(drawn.mean()) - law.mean) > SIGMAS * law.std / root:
        return False
    if count > 30 and abs(float(drawn.std(correction=0)) / law.std - 1) > SIGMAS * law.error / root:
        return False
    return distance(drawn, law) < DISTANCE


def distance(drawn: Tensor, law: Law) -> float:
    """Kolmogorov's distance of ordered values, times the root of the count."""
    levels, count = law.cdf(drawn), drawn.numel()
    steps = torch.arange(count + 1, dtype=torch.float64) / count
    return float(torch.maximum((levels - steps[:-1]).max(), (steps[1:] - levels).max())) * math.sqrt(count)


def agree(sample: Sample, made: Tensor) -> bool:
    """Whether a tensor may be one more of a sample."""
    first = sample.values[0]
    if not can_be_told(sample):
        return not first.is_meta and torch.equal(first, made)
    if is_fixed(sample):
        return torch.allclose(first, made, rtol=1e-6, atol=0)
    known, new = pooled(sample, []), made.flatten()[:: _step(made, 1)].double().sort().values
    found = Law(lambda x: torch.searchsorted(known, x, right=True) / len(known), 0.0, 1.0, 0.0)
    return distance(new, found) < DISTANCE * math.sqrt(1 + len(new) / len(known))


def _by_number(drawn: Tensor) -> Iterator[tuple[str, Law]]:
    """The fills that have these values' spread, in numbers as short as they may be."""
    count, root = drawn.numel(), math.sqrt(drawn.numel())
    mean, std, most = float(drawn.mean()), float(drawn.std(correction=0)), float(drawn.abs().max())
    low, high = float(drawn.min()), float(drawn.max())
    short = _short(std, 2 * 0.71 / root)
    if short:
        yield f"normal(std={short})", normal(short)
    even = _short(most, 8 / count + 1e-6, above=True)
    if even:
        yield f"uniform(-{even}, {even})", uniform(-even, even)
    whole = _short(std / CUT, 2 * 0.6 / root)
    if whole:
        yield f"trunc_normal(std={whole}, a={-2 * whole:.6g}, b={2 * whole:.6g})", cut(whole)
    start, end = (_near(each, (high - low) * 8 / count, side) for each, side in ((low, -1), (high, 1)))
    if start is not None and end is not None and start < end:
        yield f"uniform({start}, {end})", uniform(start, end)
    centre = _short(abs(mean), 2 * std / root / abs(mean)) if abs(mean) > SIGMAS * std / root else None
    if centre and short:
        centre = math.copysign(centre, mean)
        yield f"normal({centre}, {short})", normal(short, centre)


def _by_fans(sample: Sample) -> Iterator[tuple[str, Law]]:
    """The fills whose spread the fans decide."""
    if sample.fans is None:
        return
    fan_in, fan_out = sample.fans
    yield "uniform(-fan_in ** -0.5, fan_in ** -0.5)", uniform(-(fan_in**-0.5), fan_in**-0.5)
    if len(sample.shape) < 2:
        return
    scales = {
        "xavier_{}": math.sqrt(2 / (fan_in + fan_out)),
        "kaiming_{}": math.sqrt(2 / fan_in),
        "kaiming_{}(mode='fan_out')": math.sqrt(2 / fan_out),
        "kaiming_{}(nonlinearity='linear')": fan_in**-0.5,
        "kaiming_{}(mode='fan_out', nonlinearity='linear')": fan_out**-0.5,
    }
    for text, std in scales.items():
        yield text.format("uniform"), uniform(-math.sqrt(3) * std, math.sqrt(3) * std)
        yield text.format("normal"), normal(std)
    std = fan_in**-0.5 / CUT
    yield "trunc_normal(std={0}, a=-2 * {0}, b=2 * {0})".format(f"fan_in ** -0.5 / {CUT:.8f}"), cut(std)


def _short(value: float, error: float, above: bool = False) -> float | None:
    """The shortest number that is as near as it must be, relative to it; `above` where it is no smaller."""
    if not value > 0:
        return None
    for digits in range(1, 7):
        exponent = math.floor(math.log10(value)) - digits + 1
        scaled = value / 10.0**exponent
        whole = math.ceil(scaled - 1e-6) if above else round(scaled)
        found = float(f"{whole * 10.0**exponent:.{digits}g}")
        if abs(found / value - 1) <= error:
            return found
    return None


def _near(value: float, margin: float, side: int) -> float | None:
    """The shortest number that is at most so far beyond another one."""
    for digits in range(7):
        scaled = value * 10.0**digits
        found = float(math.ceil(scaled) if side > 0 else math.floor(scaled)) / 10.0**digits
        if abs(found - value) <= margin:
            return found
    return None


def _zero_rows(sample: Sample) -> list[int]:
    """The few rows of a matrix that are zero each time."""
    if len(sample.shape) != 2 or sample.shape[0] < 3 or sample.shape[1] < 2:
        return []
    zero = torch.stack([(each == 0).all(1) for each in sample.values]).all(0)
    found = zero.nonzero().flatten().tolist()
    return found if 0 < len(found) <= 2 else []


def pooled(sample: Sample, rows: list[int]) -> Tensor:
    """All values in their order, evenly thinned."""
    kept = [row for row in range(sample.shape[0]) if row not in rows] if rows else []
    values = [each[kept] if rows else each for each in sample.values]
    return torch.cat([each.flatten()[:: _step(each, len(values))] for each in values]).double().sort().values


def _step(value: Tensor, times: int) -> int:
    return max(1, value.numel() * times // MOST)


def _orthogonal(sample: Sample) -> list[str]:
    """A matrix whose rows or columns stand at right angles and are of one length."""
    if len(sample.shape) < 2 or min(sample.shape[0], sample.values[0][0].numel()) < 2:
        return []
    gains = []
    for each in sample.values:
        flat = each.flatten(1).double()
        flat = flat if flat.shape[0] <= flat.shape[1] else flat.T
        product = flat @ flat.T
        gain = float(product.diagonal().mean())
        if not gain > 0 or float((product / gain - torch.eye(len(flat), dtype=torch.float64)).abs().max()) > 1e-4:
            return []
        gains.append(math.sqrt(gain))
    short = _short(sum(gains) / len(gains), 1e-4)
    return [] if short is None else [f"orthogonal(gain={short})"]
