"""Elements: the bits of each are a function of seed, name, draw and index, whatever is drawn beside it and wherever."""

from __future__ import annotations

import itertools
import math
import os
import subprocess
import sys
from hashlib import shake_128

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modelzoo.catalog.fills import FILLS, bind
from modelzoo.elements import LONGEST, Array, bits, keys, runs
from modelzoo.init.drawing import Filling, draw
from modelzoo.streams import SCHEME, key

MASK = 2**64 - 1


def words(seed: int, name: str, draw: int, count: int) -> list[int]:
    """Splitmix64 with a second key, in numbers of Python."""
    digest = shake_128(f"modelzoo 3 {seed} {draw} {name}".encode()).digest(16)
    low, high = (int.from_bytes(digest[n : n + 8], "little") for n in (0, 8))
    found = []
    for index in range(count):
        z = (low + index * 0x9E3779B97F4A7C15) & MASK
        z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & MASK
        z ^= high
        z = ((z ^ z >> 27) * 0x94D049BB133111EB) & MASK
        found.append(z ^ z >> 31)
    return found


def of(seed: int = 0, name: str = "w", draw: int = 0, count: int = 8) -> list[int]:
    whole: list[int] = bits(keys(seed, [name], draw), numpy.array([0]), count)[0, :count].tolist()
    return whole


def test_the_scheme_is_frozen() -> None:
    assert SCHEME == 3
    assert key(7, "0.weight", 1) == b"modelzoo 3 7 1 0.weight"
    assert of(0, "0.weight", count=4) == [3324745430, 758024196, 3509367732, 1780456400]


def test_the_words_are_splitmix_with_two_keys_and_elements_are_their_halves() -> None:
    expected = words(3, "0.weight", 1, 50)
    assert bits(keys(3, ["0.weight"], 1), numpy.array([0]), 50, wide=True)[0].tolist() == expected
    halves = [half for word in expected for half in (word & 0xFFFFFFFF, word >> 32)]
    assert of(3, "0.weight", 1, 100) == halves


@pytest.mark.parametrize("seed", [2**32, 2**32 + 5, 2**63, 2**64, 2**100, -1, -(2**32)])
def test_the_bits_of_a_seed_beyond_the_32nd_count(seed: int) -> None:
    assert of(seed) != of(seed % 2**32)


def test_no_two_of_many_names_seeds_and_draws_begin_alike() -> None:
    names = [f"{n}.weight" for n in range(2500)]
    begins = [bits(keys(seed, names, draw), numpy.array([0]), 4).copy() for seed in (0, 1) for draw in (0, 1)]
    assert len(numpy.unique(numpy.concatenate(begins), axis=0)) == 10_000


def test_names_drawn_together_have_the_bits_that_each_has_alone() -> None:
    names = ["a", "b", "c"]
    together = bits(keys(5, names), numpy.zeros(3, int), 7)[:, :7].tolist()
    assert together == [of(5, name, count=7) for name in names]


BOXES = st.lists(st.tuples(st.integers(1, 7), st.integers(0, 6), st.integers(0, 7)), min_size=1, max_size=5)


@given(BOXES, st.sampled_from(["float32", "float64", "bfloat16"]), st.sampled_from(["uniform", "normal", "embedding"]))
def test_a_box_has_the_numbers_that_the_whole_has_there(
    dimensions: list[tuple[int, int, int]], dtype: str, name: str
) -> None:
    shape = [size for size, _, _ in dimensions]
    offsets = [min(offset, size) for size, offset, _ in dimensions]
    sizes = [min(part, size - min(offset, size)) for size, offset, part in dimensions]
    if name == "embedding" and len(shape) != 2:
        name = "trunc_normal"
    arguments = bind(FILLS[name], [], {"padding_idx": shape[0] - 1} if name == "embedding" else {})
    kind = getattr(torch, dtype)
    whole = draw(FILLS[name], arguments, shape, kind, seed=1, name="w", number=2)
    box = torch.empty(sizes, dtype=kind)
    Filling(FILLS[name], arguments, shape, kind).fill_box(box, offsets, 1, "w", 2)
    place = tuple(slice(at, at + size) for at, size in zip(offsets, sizes, strict=True))
    assert box.equal(whole[place].to(kind))


@pytest.mark.parametrize("fill", ["orthogonal", "eye", "sparse(sparsity=0.5)", "ones"])
def test_a_box_of_what_is_made_whole_is_cut_from_it(fill: str) -> None:
    name, arguments = fill.split("(")[0], {"sparsity": 0.5} if "(" in fill else {}
    bound = bind(FILLS[name], [], arguments)
    whole = draw(FILLS[name], bound, (9, 6), torch.float32, seed=1, name="w")
    box = torch.empty(4, 3)
    Filling(FILLS[name], bound, (9, 6), torch.float32).fill_box(box, (2, 3), 1, "w")
    assert box.equal(whole[2:6, 3:6])


@pytest.mark.parametrize("columns", [(0, 2 * LONGEST + 3), (LONGEST - 1, 2 * LONGEST + 3), (7, LONGEST + 8)])
def test_long_runs_of_a_box_are_drawn_in_pieces(columns: tuple[int, int]) -> None:
    shape = (3, 2 * LONGEST + 3)
    whole = draw(FILLS["normal"], {"mean": 0.0, "std": 1.0}, shape, torch.float32, seed=0, name="w")
    box = torch.empty(2, columns[1] - columns[0])
    Filling(FILLS["normal"], {"mean": 0.0, "std": 1.0}, shape, torch.float32).fill_box(box, (1, columns[0]), 0, "w")
    assert box.equal(whole[1:, slice(*columns)])


@pytest.mark.parametrize(
    ("shape", "offsets", "sizes"), [((4, 6), (1, 2), (2, 3)), ((3, 4, 5), (0, 1, 0), (3, 2, 5)), ((7,), (3,), (2,))]
)
def test_no_more_is_drawn_than_the_box_and_one_word_for_each_run(
    shape: tuple[int, ...], offsets: tuple[int, ...], sizes: tuple[int, ...]
) -> None:
    starts, length = runs(shape, offsets, sizes)
    assert len(starts) * length == math.prod(sizes)
    assert bits(keys(0, ["w"]), starts, length).size <= math.prod(sizes) + 2 * len(starts)
    assert bits(keys(0, ["w"]), starts, length, wide=True).size == math.prod(sizes)


# --- the same everywhere -------------------------------------------------------------------------------------------

DIGESTS = """
import hashlib, torch
from modelzoo.catalog.fills import FILLS, bind
from modelzoo.init.drawing import draw
total = hashlib.sha256()
for name in ("uniform", "normal", "trunc_normal", "xavier_uniform", "kaiming_normal"):
    for shape in ((33, 7), (301, 193)):
        drawn = draw(FILLS[name], bind(FILLS[name], [], {}), shape, torch.float32, seed=3, name="0.weight")
        total.update(drawn.numpy().tobytes())
        total.update(drawn.bfloat16().float().numpy().tobytes())
print(total.hexdigest()[:16])
"""
DIGEST = "c66ce2b34305cc91"


@pytest.mark.parametrize(
    "machine",
    [
        {"ATEN_CPU_CAPABILITY": "default", "NPY_DISABLE_CPU_FEATURES": "X86_V4 X86_V3 AVX512F AVX2 FMA3"},
        {"ATEN_CPU_CAPABILITY": "avx2", "OMP_NUM_THREADS": "3"},
    ],
    ids=["no vectors", "avx2"],
)
def test_the_values_are_the_same_on_every_processor(machine: dict[str, str]) -> None:
    environment = {**os.environ, **machine}
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", DIGESTS], env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == DIGEST


# --- quality -------------------------------------------------------------------------------------------------------


def chi_square(counts: Array) -> float:
    """In standard deviations above what chance gives."""
    expected = counts.sum() / counts.size
    value = float(((counts - expected) ** 2 / expected).sum())
    return (value - (counts.size - 1)) / math.sqrt(2 * (counts.size - 1))


def many(names: int, count: int) -> Array:
    """The bits of many tensors of similar names."""
    found: Array = bits(keys(0, [f"blocks.{n}.weight" for n in range(names)]), numpy.array([0]), count).copy()
    return found


@pytest.mark.parametrize(("names", "count"), [(1, 2**18), (2**12, 64), (2**17, 2)])
def test_bytes_and_bits_are_uniform_along_a_tensor_and_across_similar_names(names: int, count: int) -> None:
    drawn = many(names, count)
    assert abs(chi_square(numpy.bincount(drawn.ravel().view(numpy.uint8), minlength=256))) < 5
    for bit in range(32):
        share = float(((drawn >> bit) & 1).mean())
        assert abs(share - 0.5) * 2 * math.sqrt(drawn.size) < 5


@pytest.mark.parametrize("lag", [1, 2, 3, 64, 1000])
def test_neighbours_do_not_correlate_in_any_byte(lag: int) -> None:
    drawn = many(1, 2**18).ravel()
    pairs = (drawn[:-lag] >> 24) << 8 | (drawn[lag:] & 255)
    assert abs(chi_square(numpy.bincount(pairs, minlength=2**16))) < 5


def test_tensors_of_similar_names_do_not_correlate() -> None:
    drawn = many(2000, 64).astype(float) / 2**32 - 0.5
    correlations = (drawn @ drawn.T * 12 / 64)[numpy.triu_indices(2000, 1)]
    assert abs(correlations.mean()) * math.sqrt(len(correlations) * 64) < 5
    assert abs(correlations.std() * math.sqrt(64) - 1) < 0.01


def test_values_repeat_as_often_as_chance_lets_them() -> None:
    drawn = many(4, 2**17).ravel()
    repeated = drawn.size - len(numpy.unique(drawn))
    expected = drawn.size**2 / 2 / 2**32
    assert abs(repeated - expected) < 5 * math.sqrt(expected)


def test_draws_of_one_tensor_and_seeds_do_not_correlate() -> None:
    drawn = [
        bits(keys(seed, ["w"], number), numpy.array([0]), 2**16).copy().ravel() for seed in (0, 1) for number in (0, 1)
    ]
    for one, other in itertools.combinations(drawn, 2):
        assert abs(chi_square(numpy.bincount((one >> 24) << 8 | (other >> 24), minlength=2**16))) < 5
