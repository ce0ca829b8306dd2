"""Streams: each key has its own generator, which is MT19937 started from a hash, and nothing else is touched."""

from __future__ import annotations

import hashlib
import itertools
import random
import threading

import pytest
import torch

from modelzoo import streams
from modelzoo.streams import SCHEME, Stream, check_layout, generator, key, label


def first(seed: int = 0, name: str = "w", draw: int = 0) -> list[float]:
    return torch.rand(4, generator=generator(seed, name, draw)).tolist()


def test_a_stream_is_the_mersenne_twister_started_from_the_hash_of_its_key() -> None:
    digest = hashlib.shake_128(key(3, "0.weight", 1)).digest(2496)
    words = [int.from_bytes(digest[i : i + 4], "little") for i in range(0, 2496, 4)]
    python = random.Random()
    python.setstate((3, (*words, 624), None))
    drawn = torch.rand(2000, generator=generator(3, "0.weight", 1))
    assert drawn.tolist() == [(python.getrandbits(32) & 0xFFFFFF) / 2**24 for _ in range(2000)]


def test_the_scheme_is_frozen() -> None:
    assert SCHEME == 3
    assert key(7, "0.weight", 1) == b"modelzoo 3 7 1 0.weight"
    assert first(0, "0.weight") == [0.06941944360733032, 0.9008130431175232, 0.22986412048339844, 0.8220620155334473]


def test_no_two_keys_agree() -> None:
    numbers = (0, 1, 11, 2**32, -1)
    names = ("", "w", "1 w", "1", " 1", "1 1 w", "w 1", "ü")
    keys = [key(*each) for each in itertools.product(numbers, names, (0, 1, 11))]
    assert len(set(keys)) == len(keys)


def test_no_two_of_many_streams_begin_alike() -> None:
    begins = {tuple(first(seed, f"{n}.weight", draw)) for seed in (0, 1) for n in range(2500) for draw in (0, 1)}
    assert len(begins) == 10_000


@pytest.mark.parametrize("seed", [2**32, 2**32 + 5, 2**63, 2**64, 2**100, -1, -(2**32)])
def test_the_bits_of_a_seed_beyond_the_32nd_count(seed: int) -> None:
    assert first(seed) != first(seed % 2**32)


def test_every_part_of_a_key_matters_and_nothing_else_does() -> None:
    begins = [first(), first(seed=1), first(name="v"), first(draw=1)]
    assert len(set(map(tuple, begins))) == 4
    assert first() == begins[0]


def test_a_stream_begins_anew_whatever_was_drawn_before() -> None:
    fresh = torch.empty(3).normal_(generator=generator(0, "a"))
    torch.empty(3).normal_(generator=generator(0, "b"))  # an odd number: torch keeps the spare one
    assert torch.empty(3).normal_(generator=generator(0, "a")).equal(fresh)


def test_second_draws_do_not_correlate_with_first_ones() -> None:
    pair = torch.stack([torch.randn(100_000, generator=generator(0, "w", draw)) for draw in (0, 1)])
    assert abs(torch.corrcoef(pair)[0, 1].item()) < 0.02


def test_the_global_generators_are_neither_read_nor_moved() -> None:
    torch.manual_seed(1)
    random.seed(1)
    before, python = torch.get_rng_state(), random.getstate()
    one = first()
    assert torch.get_rng_state().equal(before)
    assert random.getstate() == python
    torch.manual_seed(2)
    assert first() == one


def test_threads_do_not_share_a_generator() -> None:
    mine = generator(0, "w")
    other: list[object] = []
    thread = threading.Thread(target=lambda: other.extend((generator(0, "v"), first())))
    thread.start()
    thread.join()
    assert other[0] is not mine
    assert other[1] == first()
    assert torch.rand(4, generator=mine).tolist() != first()


def test_a_thread_whose_first_stream_is_in_inference_mode_draws_outside_it_too() -> None:
    drawn: list[list[float]] = []

    def draw() -> None:
        with torch.inference_mode():
            drawn.append(first())
        drawn.append(first())

    thread = threading.Thread(target=draw)
    thread.start()
    thread.join()
    assert drawn == [first(), first()]


def test_streams_are_on_the_cpu_whatever_the_default_device_is() -> None:
    expected = first()
    results: list[torch.Generator] = []

    def draw() -> None:
        with torch.device("meta"):
            results.append(generator(0, "w"))

    thread = threading.Thread(target=draw)
    thread.start()
    thread.join()
    assert torch.rand(4, generator=results[0]).tolist() == expected


UNKNOWN = (
    f"torch {torch.__version__} keeps the state of its CPU generator in a way that modelzoo does not know, so no number "
    "can be drawn; install an older torch or a newer modelzoo."
)


def test_a_state_of_another_size_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_SIZE", 5064)
    with pytest.raises(RuntimeError) as caught:
        Stream()
    assert str(caught.value) == UNKNOWN


@pytest.mark.parametrize("offset", [-8, 8])
def test_words_in_another_place_are_noticed(offset: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_FIRST", streams._FIRST + offset)
    with pytest.raises(RuntimeError) as caught:
        Stream()
    assert str(caught.value) == UNKNOWN


def test_another_order_of_words_is_noticed() -> None:
    stream = Stream()
    check_layout(stream)
    stream.words = stream.words[::-1]
    with pytest.raises(RuntimeError) as caught:
        check_layout(stream)
    assert str(caught.value) == UNKNOWN


def test_a_label_names_scheme_seed_and_tensor() -> None:
    assert label(5, "0.weight") == "3:5:0.weight"
