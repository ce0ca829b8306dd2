"""Rules that learners write as PyTorch does are answered once, with the rule that works."""

from __future__ import annotations

import pytest

import modelzoo
from modelzoo.errors import ConfigWarning

MODEL = {"layers": ["Linear(4, 4)"]}


def refusal(init):
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build(MODEL, init)
    return str(caught.value)


@pytest.mark.parametrize(
    ("fill", "target", "written"),
    [
        ("nn.init.xavier_normal_", "nn.init.xavier_normal_", "xavier_normal"),
        ("torch.nn.init.zeros_", "torch.nn.init.zeros_", "zeros"),
        ("init.normal_(m.weight, std=0.01)", "init.normal_", "normal(std=0.01)"),
        ("nn.init.uniform_(weight, -0.1, 0.1)", "nn.init.uniform_", "uniform(-0.1, 0.1)"),
        ("nn.init.kaiming_normal_(m.weight)", "nn.init.kaiming_normal_", "kaiming_normal"),
    ],
)
def test_a_function_of_nn_init_is_written_as_a_fill(fill, target, written):
    rule = {"layer": "Linear", "param": "weight"}
    assert refusal({"a": {**rule, "fill": fill}}) == f"init.a.fill\n  there is no fill '{target}'. Write {written}."
    modelzoo.build(MODEL, {"a": {**rule, "fill": written}})


def test_a_function_of_nn_init_that_does_not_exist_is_compared_with_fills():
    told = refusal({"a": {"layer": "Linear", "param": "weight", "fill": "nn.init.xavier_"}})
    assert told == "init.a.fill\n  there is no fill 'nn.init.xavier_'. Did you mean 'xavier_normal'?"


def test_a_rule_without_a_name_is_one_mistake():
    rule = {"layer": "Linear", "param": "weight", "fill": "normal(0, 0.1)"}
    assert refusal(rule) == (
        "init\n  a rule has a name, and this one has none. "
        'Write {weights: {layer: Linear, param: weight, fill: "normal(0, 0.1)"}}.'
    )
    modelzoo.build(MODEL, {"weights": rule})
    modelzoo.build(MODEL, {"fill": rule, "layer": rule | {"param": "bias", "fill": 0}})


def test_a_misspelt_key_of_a_rule_is_read_as_what_it_was_meant_for():
    what = "is not a key of a rule. Did you mean"
    assert refusal({"a": {"layers": "Linear", "fill": 0}}) == f"init.a.layers\n  'layers' {what} 'layer'?"
    assert refusal({"a": {"layer": "Linear", "fil": 0}}) == f"init.a.fil\n  'fil' {what} 'fill'?"


def test_a_rule_that_selects_by_the_name_of_a_layer_is_told_how():
    model = {"layers": {"net": {"layers": {"out": "Linear(4, 4)"}}}}
    written = "'net.out' is the name of a layer: write name: net.out.*"
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build(model, {"a": {"name": "net.out", "fill": 0}})
    assert str(caught.value).endswith(f"selects no tensor of this model. {written}")
    with pytest.warns(ConfigWarning) as warned:
        modelzoo.build(model, {"a": {"layer": "net.out", "param": "weight", "fill": 0}})
    assert str(warned[0].message).endswith(f"selects no tensor of this model. {written}")
    modelzoo.build(model, {"a": {"name": "net.out.*", "fill": 0}})


@pytest.mark.parametrize("base", ["?", {}, "???"])
def test_where_the_base_is_wrong_nothing_is_said_of_fills_that_read_it(base):
    rules = {"base": base, "biases": {"param": "bias", "fill": "value * fan_in_ratio ** 0.5"}}
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.plan({"args": {"n": 4}, "layers": {"out": "Linear(n, n)"}, "forward": "Conv1d"}, rules)
    assert [str(each.key) for each in caught.value.problems] == ["model.forward", "init.base"]
