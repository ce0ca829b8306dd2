"""What `build` says beside the module that it returns."""

from __future__ import annotations

import pathlib
import warnings
from typing import Any

import pytest

import modelzoo

MODEL: dict[str, Any] = {"inputs": {"x": [2, 4]}, "layers": ["Linear(4, 4)"]}


def told(model: Any, init: Any = None, **options: Any) -> list[str]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        modelzoo.build(model, init, **options)
    assert all(each.category is modelzoo.ConfigWarning and each.filename == __file__ for each in found)
    return [str(each.message) for each in found]


def test_a_model_in_which_all_has_an_effect_is_built_without_a_word() -> None:
    assert told(MODEL, {"weights": {"param": "weight", "fill": 2}}) == []


def test_rules_that_select_nothing_or_are_overwritten_are_told() -> None:
    rules = {
        "convolutions": {"layer": "Conv2d", "fill": 0},
        "overwritten": {"param": "weight", "fill": 1},
        "weights": {"param": "weight", "fill": 2},
    }
    assert told(MODEL, rules) == [
        "init.convolutions\n  the rule 'convolutions' (layer: Conv2d) selects no tensor of this model. Known: Linear.",
        "init.overwritten\n  later fills overwrite everything that the rule 'overwritten' fills. Remove it, or move it down.",
    ]


@pytest.mark.parametrize(
    ("part", "warning"),
    [
        ({"args": {"dim": 4}}, "model.args.dim\n  Nothing reads this arg. Remove it."),
        ({"blocks": {"Part": ["ReLU"]}}, "model.blocks.Part\n  Nothing uses this definition. Remove it."),
        (
            {"layers": {"a": "Linear(4, 4)", "b": "ReLU"}, "forward": "a(x)"},
            "model.layers.b\n  Nothing calls this layer. Call it in forward, or remove it.",
        ),
        (
            {"layers": {"a": "Linear(4, 4)"}, "buffers": {"s": {"shape": [4], "fill": 0}}, "forward": "a(x)"},
            "model.buffers.s\n  Nothing reads this tensor. Read it in forward, or remove it.",
        ),
    ],
)
def test_what_nothing_uses_is_told(part: dict[str, Any], warning: str) -> None:
    assert told({**MODEL, **part}) == [warning]


def test_a_warning_of_a_file_has_its_line(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "model.yaml"
    file.write_text("args: {dim: 4}\nlayers:\n- Linear(4, 4)\n")
    assert told(file) == [f"{file}:1:8  model.args.dim\n  Nothing reads this arg. Remove it."]
