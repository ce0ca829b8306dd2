"""Sizes that contradict each other in a sequence are told without an example input too."""

import pytest
import torch

import modelzoo

FITTING = [
    ["Linear(4, 8)", "ReLU", "Dropout", "Linear(8, 2)"],
    ["Conv2d(3, 8, 3)", "BatchNorm2d(8)", "MaxPool2d(2)", "Conv2d(8, 4, 3)", "Flatten", "Linear(9, 2)"],
    ["Linear(4, 8)", "Unflatten(1, (2, 4))", "Linear(4, 2)"],
    ["Conv1d(3, 8, 1)", "Linear(7, 2)", "Conv1d(8, 1, 1)"],
    [{"_target_": "Linear(4, 4)", "_repeat_": 3}],
]


@pytest.mark.parametrize("layers", FITTING)
def test_what_may_fit_passes(layers):
    assert modelzoo.plan({"layers": layers}).warnings == ()


@pytest.mark.parametrize(
    ("layers", "told"),
    [
        (
            ["Linear(4, 8)", "ReLU", "Linear(9, 2)"],
            "2\n  Linear(in_features=9, out_features=2) takes 9 features, and the layer before it returns 8. Write "
            "in_features=8. That is model.layers.0.",
        ),
        (
            ["Conv2d(3, 8, 3)", "ReLU", "BatchNorm2d(4)"],
            "2\n  BatchNorm2d(num_features=4) takes 4 channels, and the layer before it returns 8. Write "
            "num_features=8. That is model.layers.0.",
        ),
        (
            [{"_target_": "Linear(3, 4)", "_repeat_": 2}],
            "0\n  Linear(in_features=3, out_features=4) takes 3 features, and the layer before it returns 4. Copies follow "
            "each other: each must take what the one before it returns.",
        ),
    ],
)
def test_what_no_input_fits_is_warned_of(layers, told):
    (warning,) = modelzoo.plan({"layers": layers}).warnings
    assert str(warning.located(lambda key, line, column: ("", str(key)))) == f"model.layers.{told}"


def test_torch_refuses_it_too():
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(9, 2))
    for shape in ([4], [2, 4], [2, 3, 4]):
        with pytest.raises(RuntimeError, match=r"cannot be multiplied|size mismatch"):
            model(torch.ones(shape))
