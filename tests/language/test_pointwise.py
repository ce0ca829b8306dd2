"""Texts of fills that need one element at a time are told from those that need the whole tensor."""

from __future__ import annotations

import random

import pytest
import torch

import modelzoo
from modelzoo.init import sharded
from modelzoo.language.pointwise import is_pointwise
from modelzoo.plans.draft import draft

OF_ELEMENTS = [
    "normal() / sqrt(2 * 3)",
    "w = normal(std=0.5)\nreturn w * (abs(w) >= 0.2)",
    "where(uniform() > 0.5, 1, -value)",
    "w = normal()\nw = w.clamp(-1, 1) / fan_in ** 0.5\nreturn w",
    "value / 2",
    "trunc_normal(std=0.1) * shape[0] + uniform(-1, 1)",
    "1 if fan_in > 3 else normal()",
    "minimum(normal(), uniform()) - kaiming_normal(mode='fan_out')",
    "w = normal()\nw = round(w * 8) / 8\nreturn w",
    "3",
]

OF_WHOLES = [
    "normal() - normal().mean()",
    "orthogonal() / 2",
    "exp(normal())",  # a processor rounds it as it likes, which depends on where an element stands
    "normal() ** 3",
    "arange(shape[0] * shape[1]).reshape(shape)",
    "w = normal()\nw[0] = 0\nreturn w",
    "normal() * ones(shape)",
    "rand(shape)",
    "normal() @ eye(shape[1])",
    "normal(std=value)",
    "normal() * shape",
    "for i in range(2):\n    w = normal()\nreturn w",
]


@pytest.mark.parametrize("text", OF_WHOLES)
def test_what_reads_more_than_an_element_needs_the_whole(text: str) -> None:
    assert not is_pointwise(text)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("text", OF_ELEMENTS)
def test_a_part_of_what_is_computed_by_elements_has_the_bits_of_the_whole(text: str, dtype: str) -> None:
    model, places = {"layers": ["Linear(13, 37)"]}, random.Random(text)
    init = {"first": {"param": "weight", "fill": "xavier_normal"}} if "value" in text else {}
    init["then"] = {"param": "weight", "fill": text}
    whole = modelzoo.build(model, init, dtype=dtype, seed=3)[0].weight
    entry = draft(model, init, dtype=dtype, seed=3).table[0]
    assert is_pointwise(text)
    assert sharded.is_drawn_apart(entry)
    for _ in range(4):
        rows, columns = (slice(*sorted(places.sample(range(size + 1), 2))) for size in whole.shape)
        part = torch.empty_like(whole[rows, columns], memory_format=torch.contiguous_format).detach()
        sharded.fill_part(entry, part, (rows, columns), 3, 100)
        assert part.equal(whole[rows, columns])
