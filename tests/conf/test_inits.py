"""The inits for any model: each has the law of `torch.nn.init` in linear layers and in convolutions, and can be swept."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import init

import modelzoo
from tests.helpers.composing import CONF
from tests.helpers.distributions import same_law

WEIGHTS = {"0.weight": (64, 8, 3), "1.weight": (96, 64, 3, 3), "2.weight": (48, 96, 1, 1, 1), "3.weight": (200, 120)}
MODEL = {
    "inputs": {"x": [1, 8, 9]},
    "layers": ["Conv1d(8, 64, 3)", "Conv2d(64, 96, 3)", "Conv3d(96, 48, 1)", "Linear(120, 200)"],
    "forward": "return x",
}
LAWS: dict[str, Callable[[Tensor], Tensor]] = {
    "kaiming": lambda w: init.kaiming_normal_(w, mode="fan_in", nonlinearity="relu"),
    "xavier_normal": init.xavier_normal_,
    "lecun": lambda w: init.kaiming_normal_(w, nonlinearity="linear"),
    "trunc_normal": lambda w: init.trunc_normal_(w, std=0.02, a=-0.04, b=0.04),
    "orthogonal": init.orthogonal_,
    "zeros": init.zeros_,
}
SWEPT: dict[str, tuple[str, Callable[[Tensor], Tensor]]] = {
    "kaiming": ("mode=fan_out", lambda w: init.kaiming_normal_(w, mode="fan_out", nonlinearity="relu")),
    "xavier_normal": ("gain=3", lambda w: init.xavier_normal_(w, gain=3)),
    "lecun": ("std=0.3", lambda w: init.normal_(w, std=0.3)),
    "trunc_normal": ("std=0.1", lambda w: init.trunc_normal_(w, std=0.1, a=-0.2, b=0.2)),
    "orthogonal": ("gain=2", lambda w: init.orthogonal_(w, gain=2)),
}


def agrees(name: str, law: Callable[[Tensor], Tensor], *overrides: str) -> None:
    state = modelzoo.build(MODEL, CONF / "init" / f"{name}.yaml", overrides=overrides).state_dict()
    torch.manual_seed(0)
    for key, shape in WEIGHTS.items():
        expected = law(torch.empty(shape))
        assert state[key].shape == expected.shape
        if name == "zeros":
            assert torch.equal(state[key], expected)
            continue
        assert same_law(state[key], expected), key
        if name == "trunc_normal":
            assert state[key].abs().max() == pytest.approx(expected.abs().max().item(), rel=0.01), key


@pytest.mark.parametrize("name", LAWS)
def test_an_init_for_any_model_has_the_law_of_torch_in_every_linear_layer_and_convolution(name):
    agrees(name, LAWS[name])


@pytest.mark.parametrize("name", SWEPT)
def test_what_an_init_for_any_model_draws_is_swept_by_its_key(name):
    override, law = SWEPT[name]
    agrees(name, law, f"init.weights.fill.{override}")


@pytest.mark.parametrize("name", LAWS)
def test_an_init_for_any_model_decides_the_biases_as_its_first_line_says(name):
    file = CONF / "init" / f"{name}.yaml"
    biases = {key: each for key, each in modelzoo.build(MODEL, file).state_dict().items() if key.endswith("bias")}
    default = modelzoo.build(MODEL).state_dict()
    assert len(biases) == 4
    for key, bias in biases.items():
        assert torch.equal(bias, default[key] if name == "xavier_normal" else torch.zeros_like(bias))


def test_orthogonal_rows_or_columns_have_length_gain_and_stand_at_right_angles():
    built = modelzoo.build(MODEL, CONF / "init" / "orthogonal.yaml", overrides=["init.weights.fill.gain=2"])
    for name, weight in built.named_parameters():
        if name.endswith("weight"):
            matrix = weight.detach().flatten(1)
            small = matrix @ matrix.T if len(matrix) <= matrix.shape[1] else matrix.T @ matrix
            torch.testing.assert_close(small, 4 * torch.eye(len(small)), atol=1e-4, rtol=0)


def test_kaiming_looks_at_what_feeds_a_layer_and_resnet_at_what_a_convolution_feeds():
    kaiming, resnet, default = (
        modelzoo.build(MODEL, CONF / "init" / f"{name}.yaml").state_dict() for name in ("kaiming", "resnet", "default")
    )
    out, into, high, wide = WEIGHTS["1.weight"]
    assert kaiming["1.weight"].std().item() == pytest.approx(math.sqrt(2 / (into * high * wide)), rel=0.02)
    assert resnet["1.weight"].std().item() == pytest.approx(math.sqrt(2 / (out * high * wide)), rel=0.02)
    assert torch.equal(resnet["3.weight"], default["3.weight"])
    assert not torch.equal(kaiming["3.weight"], default["3.weight"])
