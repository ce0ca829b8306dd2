"""The row of an embedding's `padding_idx` is zero, whatever fills the others."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import modelzoo
from modelzoo.export.source.model import source

TOKENS = {"tokens": {"shape": [2, 5], "dtype": "int64"}}


def embedding(*arguments: str) -> dict[str, Any]:
    return {"inputs": TOKENS, "layers": {"e": f"Embedding({', '.join(('10', '4', *arguments))})"}}


@pytest.mark.parametrize(
    "fill", ["normal(std=0.02)", "ones", "value + 1", "w = normal()\nreturn w * 0 + 3", "orthogonal"]
)
@pytest.mark.parametrize("row", [0, 3, -1])
def test_the_row_of_padding_stays_zero_and_the_others_do_not(fill: str, row: int) -> None:
    rules = {"all": {"param": "weight", "fill": fill}}
    padded = modelzoo.build(embedding(f"padding_idx={row}"), rules).e.weight
    plain = modelzoo.build(embedding(), rules).e.weight
    assert (padded[row] == 0).all()
    rest = [each for each in range(10) if each != row % 10]
    assert torch.equal(padded[rest], plain[rest])


def test_it_stays_zero_under_init_of_a_layer_and_through_a_tie() -> None:
    model = embedding("padding_idx=3")
    model["layers"]["head"] = {"_target_": "Linear(4, 10, bias=False)", "_init_": {"weight": "ones"}}
    tied = modelzoo.build({**model, "tie": {"head.weight": "e.weight"}})
    assert tied.head.weight.sum(1).tolist() == [4, 4, 4, 0, 4, 4, 4, 4, 4, 4]
    assert tied(torch.tensor([[3, 3]])).abs().sum() == 0


def test_a_tie_alone_keeps_what_torch_made() -> None:
    model = embedding("padding_idx=3")
    model["layers"]["head"] = "Linear(4, 10, bias=False)"
    assert (modelzoo.build({**model, "tie": {"e.weight": "head.weight"}}).e.weight[3] != 0).all()


def test_it_stays_zero_in_a_bag() -> None:
    rules = {"all": {"param": "weight", "fill": 2}}
    model = {"inputs": TOKENS, "layers": {"e": "EmbeddingBag(10, 4, padding_idx=7)"}}
    assert modelzoo.build(model, rules).e.weight.sum(1).tolist() == [8, 8, 8, 8, 8, 8, 8, 0, 8, 8]


def test_the_plan_and_the_built_model_say_so() -> None:
    rules = {"all": {"param": "weight", "fill": "normal(std=0.02)"}}
    (tensor,) = modelzoo.plan(embedding("padding_idx=3"), rules).tensors
    assert (tensor.fill, tensor.rule) == ("normal(mean=0.0, std=0.02) -> row 3 zero", "init.all")
    assert "normal(mean=0.0, std=0.02) -> row 3 zero" in str(
        modelzoo.summary(modelzoo.build(embedding("padding_idx=3"), rules))
    )


def test_the_row_is_zero_in_the_source_too() -> None:
    rules = {"all": {"param": "weight", "fill": 2}}
    scope: dict[str, Any] = {"__name__": "model"}
    text = source(embedding("padding_idx=3"), rules)
    exec(compile(text, "model.py", "exec"), scope)
    twin: nn.Module = scope["Model"]()
    assert torch.equal(twin.e.weight, modelzoo.build(embedding("padding_idx=3"), rules).e.weight)
