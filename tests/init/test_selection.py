"""What a rule selects by lists of names, and which of them it must find."""

from __future__ import annotations

from typing import Any

import pytest

import modelzoo

MODEL = {"inputs": {"x": [2, 8]}, "layers": ["Linear(8, 8)", "LayerNorm(8)", "BatchNorm1d(8)", "Linear(8, 8)"]}


def selected(**rule: Any) -> list[str]:
    return [each.name for each in modelzoo.plan(MODEL, {"r": {**rule, "fill": 1}}).tensors if each.rule == "init.r"]


@pytest.mark.parametrize(
    ("rule", "names"),
    [
        ({"param": ["weight", "bias"], "layer": "LayerNorm"}, ["1.weight", "1.bias"]),
        ({"param": ["bias", "running_mean"]}, ["0.bias", "1.bias", "2.bias", "3.bias"]),
        ({"name": ["3.bias", "0.weight"]}, ["0.weight", "3.bias"]),
        ({"name": ["0.*", "*.bias", "2.running_var"]}, ["0.weight", "0.bias", "1.bias", "2.bias", "3.bias", "2.running_var"]),
        ({"name": ["0.*", "3.*"], "param": ["bias"], "layer": ["Linear"]}, ["0.bias", "3.bias"]),
    ],
)  # fmt: skip
def test_a_list_selects_what_any_of_its_names_selects(rule: dict[str, Any], names: list[str]) -> None:
    assert selected(**rule) == names


def test_a_tensor_that_two_names_of_a_rule_mean_is_filled_once() -> None:
    rules = {"zeros": {"name": "*", "fill": 0}, "r": {"name": ["0.*", "*.bias", "0.bias"], "fill": "value + 1"}}
    assert (modelzoo.build(MODEL, rules)[0].bias == 1).all()


def test_each_name_of_a_list_must_be_that_of_a_tensor() -> None:
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.plan(MODEL, {"r": {"name": ["0.bias", "3.wieght", "9.*"], "fill": 1}})
    assert str(caught.value) == (
        "init.r.name.1\n  the rule 'r' (name: 3.wieght) selects no tensor of this model. Did you mean '3.weight'?\n"
        "init.r.name.2\n  the rule 'r' (name: 9.*) selects no tensor of this model. Known: 0.weight, 0.bias, 1.weight, 1.bias, "
        "2.weight, 2.bias, 3.weight, 3.bias, 2.running_mean, 2.running_var, 2.num_batches_tracked."
    )


def test_a_layer_or_param_of_a_list_may_be_missing_since_a_rule_is_for_many_models() -> None:
    rules = {"r": {"layer": ["Linear", "Conv2d"], "param": ["weight", "scale"], "fill": 1}}
    assert modelzoo.plan(MODEL, rules).warnings == ()


def test_a_rule_with_lists_that_selects_nothing_shows_them_whole() -> None:
    (warning,) = modelzoo.plan(
        MODEL, {"r": {"layer": ["Conv1d", "Conv2d"], "param": ["wieght", "bais"], "fill": 1}}
    ).warnings
    assert warning.what == "the rule 'r' (layer: Conv1d, Conv2d, param: wieght, bais) selects no tensor of this model."


def test_a_rule_selects_by_the_block_around_and_by_dimensions():
    block = {"Gate": {"layers": {"fc": "Linear(2, 2)", "norm": "LayerNorm(2)"}}}
    model = {"blocks": block, "layers": {"a": "Linear(2, 2)", "g": {"_target_": "Gate", "_repeat_": 2}}}
    rules = {"vectors": {"ndim": 1, "fill": 3}, "gates": {"block": ["Gate", "GRU"], "ndim": [0, 2], "fill": 4}}
    found = {each.name: each.rule for each in modelzoo.plan(model, rules).tensors}
    assert [name for name, rule in found.items() if rule == "init.gates"] == ["g.0.fc.weight", "g.1.fc.weight"]
    assert [name for name, rule in found.items() if rule == "torch"] == ["a.weight"]
    assert [name for name, rule in found.items() if rule == "init.vectors"][:2] == ["a.bias", "g.0.fc.bias"]
