"""`fan_in` and `fan_out` as fills read them: a tensor's own, and of a bias those of the weight of its layer."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import modelzoo

FANS = {"fan_in": "constant(fan_in)", "fan_out": "w = zeros()\nreturn w + fan_out"}


@pytest.mark.parametrize("fan", FANS)
@pytest.mark.parametrize(
    ("layer", "inputs"),
    [
        ("Linear(6, 5)", [2, 6]),
        ("Conv2d(3, 8, (2, 5))", [1, 3, 8, 8]),
        ("ConvTranspose1d(3, 8, 4)", [1, 3, 8]),
        ("Bilinear(4, 3, 5)", None),
        ("GRU(4, 5)", [2, 4]),
        ("MultiheadAttention(4, 2)", None),
    ],
)
def test_the_fans_of_a_bias_are_those_torch_computes_for_its_weight(layer: str, inputs: Any, fan: str) -> None:
    model = {"inputs": {"x": inputs}, "layers": [layer]} if inputs else {"layers": [layer]}
    built = modelzoo.build(model, {"biases": {"name": "*bias*", "fill": FANS[fan]}})[0]
    biases = {name: each for name, each in built.named_parameters() if "bias" in name}
    assert biases
    for name, bias in biases.items():
        fans = nn.init._calculate_fan_in_and_fan_out(built.get_parameter(name.replace("bias", "weight")))
        assert (bias == fans[("fan_in", "fan_out").index(fan)]).all(), name


def test_a_bias_may_have_the_bounds_of_torchs_own_default() -> None:
    bound = "uniform(-1 / fan_in ** 0.5, 1 / fan_in ** 0.5)"
    model = {"inputs": {"x": [2, 64]}, "layers": ["Linear(64, 1000)"]}
    ruled = modelzoo.build(model, {"biases": {"param": "bias", "fill": bound}}, seed=3)
    assert torch.equal(ruled[0].bias, modelzoo.build(model, seed=3)[0].bias)


def test_layers_whose_biases_have_one_shape_have_fans_of_their_own() -> None:
    model = {"inputs": {"x": [2, 4]}, "layers": ["Linear(4, 8)", "Linear(8, 8)"]}
    built = modelzoo.build(model, {"biases": {"param": "bias", "fill": "zeros() + fan_in"}})
    assert [built[0].bias[0], built[1].bias[0]] == [4, 8]


def test_a_bias_of_a_block_has_the_fans_of_the_weight_beside_it() -> None:
    model = {
        "inputs": {"x": [2, 6]},
        "parameters": {"bias": {"shape": [5], "fill": "constant(fan_in)"}, "weight": {"shape": [5, 6], "fill": "ones"}},
        "forward": "linear(x, weight, bias)",
    }
    assert (modelzoo.build(model).bias == 6).all()


@pytest.mark.parametrize(
    ("layer", "name"),
    [("LayerNorm(4)", "0.bias"), ("MultiheadAttention(4, 2, kdim=3)", "0.in_proj_bias"), ("PReLU", "0.weight")],
)
def test_a_vector_without_such_a_weight_has_no_fans(layer: str, name: str) -> None:
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.plan({"layers": [layer]}, {"r": {"name": name, "fill": "normal(std=1 / fan_in)"}})
    assert str(caught.value) == (
        f"init.r.fill\n  init.r cannot fill '{name}': fan_in and fan_out need at least 2 dimensions, not 1. "
        "Write param: weight."
    )
