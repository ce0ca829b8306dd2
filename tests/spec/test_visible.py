"""What names mean where they stand: no condition, count or size is a layer, whatever keeps it from being used."""

from __future__ import annotations

from typing import Any

import pytest

import modelzoo

ARGS = {"on": False, "n": 0}


@pytest.mark.parametrize(
    ("block", "told"),
    [
        (
            {"layers": [{"_target_": "Tanh", "_if_": "ReLU()"}]},
            "model.layers.0._if_\n  'ReLU' is a layer, not a value.",
        ),
        (
            {"layers": [{"_target_": "Tanh", "_repeat_": "n if not on else torch.nn.ReLU"}]},
            "model.layers.0._repeat_\n  'torch.nn.ReLU' is a layer, not a value.",
        ),
        (
            {"layers": [{"_target_": "Tanh", "_freeze_": "=Own(3)"}], "blocks": {"Own": {"layers": ["ReLU"]}}},
            "model.layers.0._freeze_\n  'Own' is a layer, not a value.",
        ),
        (
            {"parameters": {"w": {"shape": "[4, ReLU()]", "_if_": "on"}}, "forward": "x if w is None else x + w"},
            "model.parameters.w.shape\n  'ReLU' is a layer, not a value.",
        ),
        (
            {"buffers": {"w": {"shape": ["ReLU"], "_if_": "on"}}, "forward": "x if w is None else x + w"},
            "model.buffers.w.shape.0\n  'ReLU' is a layer, not a value.",
        ),
        (
            {"parameters": {"w": {"shape": "n(4)", "_if_": "on"}}, "forward": "x if w is None else x + w"},
            "model.parameters.w.shape\n  'n' is a value, not a function.",
        ),
    ],
)
def test_a_layer_is_no_condition_count_or_size(block: dict[str, Any], told: str) -> None:
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.plan({"args": ARGS, "inputs": {"x": [2, 4]}, **block})
    assert str(caught.value) == told
