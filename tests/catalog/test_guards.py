"""Calls on which torch itself ends the process, or never returns: here they are refused, or as cheap as any."""

from __future__ import annotations

import re

import pytest
import torch

import modelzoo
from modelzoo import ConfigError

X = {"x": [1, 4, 6]}


def refusal(model: dict[str, object]) -> str:
    """What is wrong with a model, planned on the CPU and on meta and built."""
    said = []
    for opened in (modelzoo.plan, modelzoo.build, lambda model: modelzoo.build(model, device="meta")):
        with pytest.raises(ConfigError) as caught:
            opened(model)
        said.append(str(caught.value))
    assert said == said[:1] * 3
    return said[0]


# Sizes of windows: kernels count them in 32 bits, and go over padding one by one


@pytest.mark.parametrize(
    ("layer", "argument", "size"),
    [
        ({"_target_": "MaxPool1d", "kernel_size": 2**32, "padding": 4}, "kernel_size", 2**32),
        ({"_target_": "MaxPool1d", "kernel_size": 2**31 - 1}, "kernel_size", 2**31 - 1),
        ({"_target_": "MaxPool1d", "kernel_size": 2, "dilation": 2**30}, "dilation", 2**30),
        ({"_target_": "ConvTranspose1d(4, 4, 1)", "padding": 2**32}, "padding", 2**32),
        ({"_target_": "Conv2d(4, 4, 1)", "padding": [1, 2**24 + 1]}, "padding", 2**24 + 1),
        ({"_target_": "AdaptiveMaxPool1d", "output_size": 2**31}, "output_size", 2**31),
        ({"_target_": "Upsample", "size": 2**31}, "size", 2**31),
        ({"_target_": "Unfold", "kernel_size": 2**31}, "kernel_size", 2**31),
        ({"_target_": "ConstantPad1d", "padding": [2**31, 0], "value": 0}, "padding", 2**31),
        ({"_target_": "LocalResponseNorm", "size": 2**31}, "size", 2**31),
    ],
)
def test_a_window_of_a_layer_is_bounded(layer, argument, size):
    name = str(layer["_target_"]).partition("(")[0]
    said = refusal({"inputs": X, "layers": [layer]})
    assert f"{argument} of {name} must be at most 16777216, not {size}" in said


@pytest.mark.parametrize(
    ("call", "size"),
    [
        ("max_pool1d(x, 2**32, dilation=2**32 + 2, ceil_mode=True)", 2**32),
        ("max_pool1d(x, 2**31 - 1, padding=2**30 - 1)", 2**31 - 1),
        ("avg_pool1d(x, 1, (2**31,))", 2**31),
        ("conv_transpose1d(x, ones(4, 4, 1), padding=2**32)", 2**32),
        ("fold(x, (3, 3), (2, 2), padding=2**31)", 2**31),
        ("adaptive_max_pool2d(x, [2**32, 1])", 2**32),
        ("interpolate(x, size=2**33)", 2**33),
        ("pad(x, (0, -2**31))", -(2**31)),
    ],
)
def test_a_window_of_a_function_is_bounded(call, size):
    name = call.partition("(")[0]
    said = f"model.forward\n  {call} fails: a size of {name} is at most 16,777,216, not {size}"
    assert refusal({"inputs": X, "forward": call}) == said


@pytest.mark.parametrize("stride", [2**12 + 1, 2**14, 2**32])
def test_the_stride_of_a_convolution_is_bounded_more(stride):
    said = refusal({"inputs": X, "layers": [{"_target_": "ConvTranspose1d(4, 4, 4)", "stride": stride}]})
    assert f"stride of ConvTranspose1d must be at most 4096, not {stride}" in said
    call = f"conv_transpose1d(x, ones(4, 4, 4), stride={stride})"
    said = f"model.forward\n  {call} fails: a stride of conv_transpose1d is at most 4,096, not {stride}"
    assert refusal({"inputs": X, "forward": call}) == said
    backward = refusal({"inputs": {"x": [1, 4, 6]}, "layers": [{"_target_": "Conv1d(4, 4, 4)", "stride": stride}]})
    assert f"stride of Conv1d must be at most 4096, not {stride}" in backward
    largest = {"inputs": X, "layers": [{"_target_": "ConvTranspose1d(4, 4, 4)", "stride": 2**12}]}
    assert modelzoo.build(largest)(torch.ones(X["x"])).shape == (1, 4, 5 * 2**12 + 4)


def test_the_largest_window_is_taken():
    pool = modelzoo.build({"inputs": X, "layers": [{"_target_": "AvgPool1d", "kernel_size": 3, "stride": 2**24}]})
    assert pool(torch.ones(X["x"])).tolist() == torch.ones(1, 4, 1).tolist()


def test_what_pads_may_be_any_number():
    model = modelzoo.build({"inputs": X, "forward": "pad(x, (1, 0), value=-1000000000)"})
    assert model(torch.ones(1, 1, 1)).tolist() == [[[-1e9, 1]]]


# Counts of copies: their sum overflows, and torch writes what was never allocated


COUNTS = "full((4,), 2**62)"
TOO_MANY = "repeat_interleave makes at most 281,474,976,710,656 items: the counts are too large"


@pytest.mark.parametrize(
    "call",
    [
        f"repeat_interleave({COUNTS})",
        f"repeat_interleave(x, {COUNTS}, 1)",
        f"repeat_interleave(x, dim=1, repeats={COUNTS}, output_size=8)",
        f"x.repeat_interleave({COUNTS}, dim=1)",
        f"x.repeat_interleave(repeats={COUNTS}, dim=1)",
    ],
)
def test_counts_whose_sum_overflows_are_refused(call):
    with pytest.raises(ConfigError) as caught:
        modelzoo.build({"inputs": X, "forward": call})
    assert str(caught.value) == f"model.forward\n  {call} fails: {TOO_MANY}"
    modelzoo.plan({"inputs": X, "forward": call.replace("2**62", "2")})


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("diff(x, 2**40)", "n of diff is at most 64, not 1099511627776"),
        ("diff(x, n=65)", "n of diff is at most 64, not 65"),
        ("tensor_split(x, 10**9)[0]", "a number of parts of tensor_split is at most 10,000, not 1000000000"),
        ("tensor_split(x, tensor(10001))[0]", "a number of parts of tensor_split is at most 10,000, not 10001"),
        (
            "tensor_split(x, zeros(10000, dtype='int64'))[0]",
            "a number of parts of tensor_split is at most 10,000, not 10001",
        ),
        ("tensor_split(x, sections=10001)[0]", "a number of parts of tensor_split is at most 10,000, not 10001"),
    ],
)
def test_what_makes_very_many_tensors_is_refused(call, said):
    with pytest.raises(ConfigError) as caught:
        modelzoo.build({"inputs": X, "forward": call})
    assert str(caught.value) == f"model.forward\n  {call} fails: {said}"


def test_a_tensor_of_a_layer_has_no_other_way_to_it():
    model = {"inputs": X, "layers": {"l": "Linear(6, 4)"}, "forward": f"l.weight.repeat_interleave({COUNTS}, 0)"}
    with pytest.raises(ConfigError, match=re.escape(TOO_MANY)):
        modelzoo.build(model)


def test_a_model_refuses_such_counts_as_data():
    counts = {"shape": [4], "dtype": "int64"}
    for call in ("x.repeat_interleave(n, 1)", "repeat_interleave(x, n, 1)"):
        model = modelzoo.build({"inputs": {**X, "n": counts}, "forward": call})
        x, n = torch.rand(X["x"]), torch.tensor([1, 0, 2, 4])
        assert torch.equal(model(x, n), torch.repeat_interleave(x, n, 1))
        with pytest.raises(ValueError, match=re.escape(TOO_MANY)):
            model(x, torch.full((4,), 2**62))


# Quotients


@pytest.mark.parametrize("other", ["-1", "full((3,), -1)", "tensor(-1)", "other=-1"])
def test_the_smallest_integer_is_not_divided_by_minus_one(other):
    call = f"full((3,), -2**63).div({other}, rounding_mode='trunc')"
    with pytest.raises(ConfigError) as caught:
        modelzoo.build({"inputs": X, "forward": call})
    assert str(caught.value).endswith("fails: the smallest int64 divided by -1 is too large")


def test_other_quotients_are_those_of_torch():
    text = (
        "x.div(y), x.div(y, rounding_mode='floor'), x.div(y, rounding_mode='trunc'), x.div(-1, rounding_mode='trunc')"
    )
    ints = {"shape": [3], "dtype": "int64"}
    x, y = torch.tensor([-7, 7, -(2**63) + 1]), torch.tensor([2, -2, -1])
    got = modelzoo.build({"inputs": {"x": ints, "y": {**ints, "fill": 1}}, "forward": text})(x, y)
    wanted = [x.div(y), *(x.div(y, rounding_mode=mode) for mode in ("floor", "trunc")), -x]
    assert all(map(torch.equal, got, wanted))
