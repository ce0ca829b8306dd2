"""Sizes that the data decides, against torch's own lazy modules and against what torch accepts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import modelzoo
from modelzoo.catalog import layers
from modelzoo.catalog.layers import LAYERS, find_layer, register_layer
from modelzoo.catalog.sizes import SIZES, infer, inferable, misfit
from modelzoo.errors import TextError


def zeros(*shape: int) -> Tensor:
    return torch.zeros(*shape)


CONV = {"out_channels": 2, "kernel_size": 2}
LAZY: list[tuple[str, dict[str, Any], str, Tensor]] = [
    ("Linear", {"out_features": 2}, "in_features", zeros(5)),
    ("Linear", {"out_features": 2}, "in_features", zeros(2, 3, 5)),
    *[(f"Conv{n}d", CONV, "in_channels", zeros(2, 3, *[4] * n)) for n in (1, 2, 3)],
    *[(f"Conv{n}d", CONV, "in_channels", zeros(3, *[4] * n)) for n in (1, 2, 3)],
    *[(f"ConvTranspose{n}d", CONV, "in_channels", zeros(2, 3, *[4] * n)) for n in (1, 2, 3)],
    *[(f"ConvTranspose{n}d", CONV, "in_channels", zeros(3, *[4] * n)) for n in (1, 2, 3)],
    *[(f"BatchNorm{n}d", {}, "num_features", zeros(2, 3, *[4] * n)) for n in (1, 2, 3)],
    ("BatchNorm1d", {}, "num_features", zeros(2, 3)),
    *[(f"InstanceNorm{n}d", {"affine": True}, "num_features", zeros(2, 3, *[4] * n)) for n in (1, 2, 3)],
]


@pytest.mark.parametrize(("name", "arguments", "argument", "x"), LAZY)
def test_a_size_is_what_the_lazy_module_of_torch_finds(
    name: str, arguments: dict[str, Any], argument: str, x: Tensor
) -> None:
    lazy = getattr(nn, f"Lazy{name}")(**arguments)
    lazy(x)
    assert infer(name, arguments, [x]) == {argument: getattr(lazy, argument)}


Case = tuple[str, dict[str, Any], dict[str, Tensor], dict[str, int]]
OTHERS: list[Case] = [
    *[
        (
            f"InstanceNorm{n}d",
            {"affine": True, "track_running_stats": True},
            {"input": zeros(3, *[4] * n)},
            {"num_features": 3},
        )
        for n in (1, 2, 3)
    ],
    (
        "Bilinear",
        {"out_features": 2},
        {"input1": zeros(2, 3), "input2": zeros(2, 5)},
        {"in1_features": 3, "in2_features": 5},
    ),
    ("LayerNorm", {}, {"input": zeros(2, 3, 5)}, {"normalized_shape": 5}),
    ("RMSNorm", {}, {"x": zeros(2, 3, 5)}, {"normalized_shape": 5}),
    ("GroupNorm", {"num_groups": 2}, {"input": zeros(2, 4, 5, 5)}, {"num_channels": 4}),
    ("GroupNorm", {"num_groups": 2}, {"input": zeros(2, 4)}, {"num_channels": 4}),
    *[
        (name, {"hidden_size": 2} | more, {"input": x}, {"input_size": 5})
        for name in ("RNN", "LSTM", "GRU")
        for more in ({}, {"batch_first": True, "bidirectional": True})
        for x in (zeros(3, 5), zeros(2, 3, 5))
    ],
    *[
        (name, {"hidden_size": 2}, {"input": x}, {"input_size": 5})
        for name in ("RNNCell", "LSTMCell", "GRUCell")
        for x in (zeros(5), zeros(2, 5))
    ],
    (
        "MultiheadAttention",
        {"num_heads": 2},
        {"query": zeros(3, 2, 4), "key": zeros(3, 2, 4), "value": zeros(3, 2, 4)},
        {"embed_dim": 4},
    ),
    (
        "MultiheadAttention",
        {"num_heads": 2, "batch_first": True},
        {"query": zeros(2, 3, 4), "key": zeros(2, 5, 6), "value": zeros(2, 5, 7)},
        {"embed_dim": 4, "kdim": 6, "vdim": 7},
    ),
    (
        "MultiheadAttention",
        {"embed_dim": 4, "num_heads": 2},
        {"query": zeros(3, 4), "key": zeros(3, 4), "value": zeros(3, 7)},
        {"vdim": 7},
    ),
    ("TransformerEncoderLayer", {"nhead": 2}, {"src": zeros(3, 2, 4)}, {"d_model": 4}),
    ("TransformerEncoderLayer", {"nhead": 2}, {"src": zeros(3, 4)}, {"d_model": 4}),
    ("TransformerDecoderLayer", {"nhead": 2}, {"tgt": zeros(3, 2, 4), "memory": zeros(5, 2, 4)}, {"d_model": 4}),
    (
        "Transformer",
        {"nhead": 2, "num_encoder_layers": 1, "num_decoder_layers": 1, "batch_first": True},
        {"src": zeros(2, 3, 4), "tgt": zeros(2, 5, 4)},
        {"d_model": 4},
    ),
    (
        "AdaptiveLogSoftmaxWithLoss",
        {"n_classes": 10, "cutoffs": [4]},
        {"input_": zeros(2, 8), "target_": torch.zeros(2, dtype=torch.int64)},
        {"in_features": 8},
    ),
    (
        "LinearCrossEntropyLoss",
        {"num_classes": 3},
        {"input": zeros(2, 4), "target": torch.zeros(2, dtype=torch.int64)},
        {"in_features": 4},
    ),
]


@pytest.mark.parametrize(("name", "arguments", "inputs", "sizes"), OTHERS)
def test_with_the_inferred_sizes_torch_takes_the_input_and_with_others_it_does_not(
    name: str, arguments: dict[str, Any], inputs: dict[str, Tensor], sizes: dict[str, int]
) -> None:
    assert infer(name, arguments, list(inputs.values())) == sizes
    assert infer(name, arguments, [], inputs) == sizes
    built = LAYERS[name].cls(**arguments, **sizes)
    built(**inputs)
    assert misfit(name, arguments | sizes, list(inputs.values())) is None
    assert misfit(name, built, [], inputs) is None
    for argument, size in sizes.items():
        wrong = LAYERS[name].cls(**(arguments | sizes | {argument: 2 * size}))
        with pytest.raises((RuntimeError, ValueError, AssertionError)), torch.no_grad():
            wrong(**inputs)


def test_every_line_of_the_table_is_tried() -> None:
    tried = {name for name, *_ in LAZY} | {name for name, *_ in OTHERS}
    assert set(SIZES) - tried == set()


def test_every_layer_that_torch_can_leave_lazy_is_in_the_table() -> None:
    lazy = {name.removeprefix("Lazy") for name in vars(nn) if name.startswith("Lazy")}
    assert lazy - set(SIZES) == set()


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("Linear", {"in_features"}),
        ("Bilinear", {"in1_features", "in2_features"}),
        ("MultiheadAttention", {"embed_dim", "kdim", "vdim"}),
        ("Transformer", {"d_model"}),
        ("PReLU", set()),
        ("Embedding", set()),
        ("ReLU", set()),
    ],
)
def test_it_is_known_what_may_be_left_out(name: str, arguments: set[str]) -> None:
    assert inferable(LAYERS[name]) == arguments


def test_what_is_given_is_kept() -> None:
    assert infer("Linear", {"in_features": 7, "out_features": 2}, [zeros(2, 5)]) == {}


def test_null_is_left_out() -> None:
    assert infer("Linear", {"in_features": None, "out_features": 2}, [zeros(2, 5)]) == {"in_features": 5}


def test_a_meta_tensor_tells_as_much() -> None:
    assert infer("Linear", {}, [torch.empty(2, 5, device="meta")]) == {"in_features": 5}


def test_self_attention_called_with_one_input_needs_no_other_sizes() -> None:
    x = zeros(2, 3, 4)
    assert infer("MultiheadAttention", {"num_heads": 2}, [x, x, x]) == {"embed_dim": 4}


@pytest.mark.parametrize(
    ("name", "inputs", "what"),
    [
        ("Conv2d", [zeros(3, 8)], "Conv2d takes [in_channels, H, W] or [N, in_channels, H, W] but gets [3, 8]"),
        ("BatchNorm2d", [zeros(2, 3)], "BatchNorm2d takes [N, num_features, H, W] but gets [2, 3]"),
        ("BatchNorm1d", [zeros(3)], "BatchNorm1d takes [N, num_features] or [N, num_features, L] but gets [3]"),
        ("Linear", [torch.tensor(1.0)], "Linear takes [*, in_features] but gets []"),
        ("Linear", [zeros(2, 0)], "Linear takes [*, in_features] but gets [2, 0]"),
        ("Linear", [], "Linear was left without in_features, and gets no tensor that tells it"),
        ("Linear", [[1, 2]], "Linear was left without in_features, and gets no tensor that tells it"),
    ],
)
def test_an_input_that_does_not_tell_is_explained(name: str, inputs: list[Any], what: str) -> None:
    with pytest.raises(TextError) as caught:
        infer(name, {}, inputs)
    assert caught.value.what == what
    assert caught.value.hint == f"Write {next(iter(inferable(LAYERS[name])))}=..."


def test_a_size_with_a_default_stays_torchs_where_the_input_does_not_tell() -> None:
    assert infer("Transformer", {}, [zeros(3)]) == {}


@pytest.mark.parametrize(
    ("name", "given", "inputs", "what"),
    [
        ("Linear", {"in_features": 64}, [zeros(2, 32)], "takes [*, 64] but gets [2, 32]; write in_features=32"),
        (
            "Conv1d",
            {"in_channels": 3},
            [zeros(2, 4, 9)],
            "takes [3, L] or [N, 3, L] but gets [2, 4, 9]; write in_channels=4",
        ),
        ("Conv2d", {"in_channels": 3}, [zeros(3, 9)], "takes [3, H, W] or [N, 3, H, W] but gets [3, 9]"),
        (
            "BatchNorm1d",
            {"num_features": 3},
            [zeros(2, 4)],
            "takes [N, 3] or [N, 3, L] but gets [2, 4]; write num_features=4",
        ),
        (
            "GroupNorm",
            {"num_channels": 4},
            [zeros(2, 6, 8)],
            "takes [N, 4, *] but gets [2, 6, 8]; write num_channels=6",
        ),
        (
            "LSTM",
            {"input_size": 4},
            [zeros(2, 3, 5)],
            "takes [_, 4] or [_, _, 4] but gets [2, 3, 5]; write input_size=5",
        ),
        ("LayerNorm", {"normalized_shape": [8, 4]}, [zeros(2, 4, 8)], "takes [*, 8, 4] but gets [2, 4, 8]"),
        ("LayerNorm", {"normalized_shape": [8, 4]}, [zeros(4)], "takes [*, 8, 4] but gets [4]"),
        (
            "Bilinear",
            {"in1_features": 3, "in2_features": 4},
            [zeros(2, 3), zeros(2, 5)],
            "takes 'input2' as [*, 4] but gets [2, 5]; write in2_features=5",
        ),
        (
            "MultiheadAttention",
            {"embed_dim": 4},
            [zeros(3, 4), zeros(3, 6), zeros(3, 4)],
            "takes 'key' as [_, 4] or [_, _, 4] but gets [3, 6]; write kdim=6",
        ),
    ],
)
def test_a_misfit_says_what_is_taken_what_comes_and_what_to_write(
    name: str, given: dict[str, Any], inputs: list[Tensor], what: str
) -> None:
    assert str(misfit(name, given, inputs)) == what


def test_a_misfit_of_a_built_module_is_told_as_well() -> None:
    assert (
        str(misfit("Linear", nn.Linear(64, 2), [zeros(2, 32)]))
        == "takes [*, 64] but gets [2, 32]; write in_features=32"
    )


@pytest.mark.parametrize(
    ("name", "given", "inputs"),
    [
        ("LayerNorm", {"normalized_shape": (4, 8)}, [zeros(2, 4, 8)]),
        ("Linear", {}, [zeros(2, 32)]),
        ("Linear", {"in_features": 3}, ["no tensor"]),
        ("ReLU", {}, [zeros(2)]),
    ],
)
def test_what_fits_or_is_not_known_is_no_misfit(name: str, given: dict[str, Any], inputs: list[Any]) -> None:
    assert misfit(name, given, inputs) is None


class Scale(nn.Module):
    def __init__(self, dim: int, factor: float = 2.0) -> None:
        super().__init__()

    def forward(self, factor: Tensor, x: Tensor) -> Tensor:
        return factor * x


def registered_scale() -> layers.Layer:
    layer = find_layer("Scale")
    assert layer is not None
    return layer


class TestRegistered:
    def test_a_registered_layer_brings_a_line_of_the_table(self) -> None:
        register_layer(Scale, sizes={"x": "N dim *"})
        assert infer("Scale", {}, [zeros(1), zeros(2, 3, 4)]) == {"dim": 3}
        assert infer("Scale", {}, [zeros(1)], {"x": zeros(2, 3, 4)}) == {"dim": 3}
        assert (
            str(misfit("Scale", {"dim": 5}, [zeros(1), zeros(2, 3)])) == "takes [N, 5, *] but gets [2, 3]; write dim=3"
        )

    def test_or_a_function_of_its_inputs(self) -> None:
        def sizes(factor: Tensor, x: Tensor) -> dict[str, int]:
            return {"dim": x.numel()}

        register_layer(Scale, sizes=sizes)
        layer = registered_scale()
        assert inferable(layer) == {"dim"}
        assert infer(layer, {}, [zeros(1)], {"x": zeros(2, 3)}) == {"dim": 6}
        assert infer(layer, {"dim": 2}, [zeros(1), zeros(2, 3)]) == {}

    def test_or_nothing(self) -> None:
        register_layer(Scale)
        layer = registered_scale()
        assert inferable(layer) == frozenset()
        assert infer(layer, {}, [zeros(1), zeros(2, 3)]) == {}

    def test_a_line_without_an_argument_is_refused(self) -> None:
        register_layer(Scale, sizes={"x": "N width"})
        what = "^the sizes of Scale need one argument for the input 'x', not 'N width'$"
        with pytest.raises(ValueError, match=what):
            infer("Scale", {}, [zeros(1), zeros(2, 3)])

    def test_an_unknown_name_is_the_callers_mistake(self) -> None:
        with pytest.raises(KeyError, match="Nowhere"):
            infer("Nowhere", {}, [])


def test_the_layers_inside_a_transformer_take_their_size_from_its_input():
    model = modelzoo.build(
        {
            "inputs": {"src": [2, 5, 8], "memory": [3, 5, 8]},
            "layers": {
                "encoder": "TransformerEncoder(TransformerEncoderLayer(nhead=2, dim_feedforward=4), 2, enable_nested_tensor=False)",
                "decoder": {
                    "_target_": "TransformerDecoder",
                    "decoder_layer": "TransformerDecoderLayer(nhead=2, dim_feedforward=4)",
                    "num_layers": 1,
                    "norm": "LayerNorm",
                },
            },
            "forward": "decoder(encoder(src), memory)",
        }
    )
    assert [each.linear1.in_features for each in (*model.encoder.layers, *model.decoder.layers)] == [8, 8, 8]
    assert model.decoder.norm.normalized_shape == (8,)


def test_two_calls_of_a_layer_without_a_size_must_agree():
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build(
            {
                "inputs": {"x": [2, 4], "y": [2, 5]},
                "layers": {"a": "Linear(out_features=3)"},
                "forward": "a(x) + a(y)",
            }
        )
    assert str(caught.value) == (
        "model.forward\n  'a' is Linear(out_features=3, in_features=4): it takes [*, 4] but gets [2, 5]. Its first input "
        "decided in_features=4: all others must agree. It is model.layers.a. The input is the model's 'y'."
    )


def test_a_size_with_a_default_is_named_where_it_does_not_fit():
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build(
            {
                "inputs": {"x": [3, 2, 4]},
                "layers": {"a": "Transformer(nhead=2, num_encoder_layers=1, batch_first=True)"},
                "forward": "a(x, x)",
            }
        )
    assert "takes 'src' as [_, 512] or [_, _, 512] but gets [3, 2, 4]; write d_model=4." in str(caught.value)
