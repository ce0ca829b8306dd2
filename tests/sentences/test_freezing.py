"""`_freeze_`: parameters that are not trained, as `requires_grad_(False)` has it, in the model and in its source."""

from __future__ import annotations

import pytest
import torch
import yaml
from torch import nn

import modelzoo
from modelzoo.export.source.model import source

X = torch.linspace(-2, 2, 16).reshape(2, 8)


def made(text):
    """A model, and the class that is written of it."""
    model = yaml.safe_load(text)
    namespace: dict = {}
    exec(source(model), namespace)
    return modelzoo.build(model), namespace["Model"]


def trained(model):
    return [name for name, each in model.named_parameters() if each.requires_grad]


def same(model, twin):
    """Equal parameters in equal order, and those of one are trained that are of the other."""
    assert [(name, each.requires_grad) for name, each in model.named_parameters()] == [
        (name, each.requires_grad) for name, each in twin.named_parameters()
    ]


def test_a_frozen_block_gets_no_gradient_and_passes_it_on():
    model, cls = made(
        """
        inputs: {x: [2, 8]}
        layers:
          first: Linear(8, 8)
          body: {_freeze_: true, layers: ["Linear(8, 8)", ReLU]}
          head: Linear(8, 2)
        """
    )
    twin = nn.ModuleDict({"first": nn.Linear(8, 8), "body": nn.Sequential(nn.Linear(8, 8), nn.ReLU())})
    twin["head"] = nn.Linear(8, 2)
    twin["body"].requires_grad_(False)
    same(model, twin)
    same(cls(), twin)
    model(X).sum().backward()
    assert model.body[0].weight.grad is None
    assert model.first.weight.grad is not None


@pytest.mark.parametrize(
    "node",
    [
        '{_freeze_: true, _target_: "Linear(8, 8)"}',
        "{_freeze_: frozen, _target_: Linear, in_features: 8, out_features: 8}",
        "{_freeze_: true, _target_: Two(8)}",
        "{_freeze_: frozen, _target_: Two(8)}",
        '{_freeze_: true, layers: ["Linear(out_features=8)", PReLU]}',
        '{_freeze_: frozen, _target_: "Linear(out_features=8)"}',
        "{_freeze_: frozen, _target_: act(8)}",
        "{_freeze_: true, parameters: {scale: {shape: [8], fill: ones}}, forward: x * scale}",
        '{_freeze_: true, _target_: "Sequential(Linear(8, 8), PReLU)"}',
    ],
)
def test_whatever_stands_where_a_layer_stands_is_frozen(node):
    model, cls = made(
        f"""
        args: {{frozen: true, act: PReLU}}
        inputs: {{x: [2, 8]}}
        blocks: {{Two: {{args: [d], layers: {{a: "Linear(d, d)", b: "Linear(d, d)"}}, forward: b(relu(a(x)))}}}}
        layers:
          - {node}
          - Linear(8, 8)
        """
    )
    assert trained(model) == ["1.weight", "1.bias"]
    same(cls(), model)


def test_a_condition_that_is_false_leaves_a_layer_as_it_is():
    text = 'args: {frozen: true}\ninputs: {x: [2, 8]}\nlayers: [{_freeze_: frozen, _target_: "Linear(8, 8)"}]'
    model = modelzoo.build(yaml.safe_load(text), args={"frozen": False})
    assert trained(model) == ["0.weight", "0.bias"]
    namespace: dict = {}
    exec(source(yaml.safe_load(text)), namespace)
    same(namespace["Model"](frozen=False), model)


def test_equal_layers_are_frozen_one_by_one():
    model, cls = made(
        """
        args: {tuned: 1}
        inputs: {x: [2, 8]}
        layers:
          many: {_repeat_: 3, _freeze_: i < 3 - tuned, _target_: "Linear(8, 8)"}
          more: {_repeat_: 2, _target_: "Linear(8, 8)"}
        """
    )
    twin = nn.Sequential()
    twin.many = nn.Sequential(*(nn.Linear(8, 8).requires_grad_(each == 2) for each in range(3)))
    twin.more = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    same(model, twin)
    same(cls(), twin)
    same(cls(tuned=2), modelzoo.build({"layers": {}} | {"layers": _many(2)}))


def _many(tuned):
    many = {"_repeat_": 3, "_freeze_": f"i < {3 - tuned}", "_target_": "Linear(8, 8)"}
    return {"many": many, "more": {"_repeat_": 2, "_target_": "Linear(8, 8)"}}


def test_layers_that_are_unpacked_stay_frozen():
    model, cls = made(
        """
        inputs: {x: [2, 8]}
        layers:
          - {_freeze_: true, _unpack_: true, layers: ["Linear(8, 8)", ReLU]}
          - {_freeze_: true, _unpack_: true, _repeat_: 2, layers: ["Linear(8, 8)", ReLU]}
          - Linear(8, 1)
        """
    )
    assert trained(model) == ["6.weight", "6.bias"]
    same(cls(), model)


def test_a_layer_that_torch_copies_is_frozen_in_every_copy():
    model, cls = made(
        """
        inputs: {x: [2, 4, 8]}
        layers:
          encoder:
            _target_: TransformerEncoder
            num_layers: 2
            enable_nested_tensor: false
            encoder_layer:
              {_target_: "TransformerEncoderLayer(8, 2, 16, batch_first=True)", _freeze_: true}
            norm: LayerNorm(8)
        """
    )
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).requires_grad_(False)
    twin = nn.Sequential()
    twin.encoder = nn.TransformerEncoder(layer, 2, nn.LayerNorm(8), enable_nested_tensor=False)
    same(model, twin)
    same(cls(), twin)


@pytest.mark.parametrize("tie", ["{a.weight: b.weight}", "{b.weight: a.weight}"])
def test_a_tied_tensor_is_frozen_if_one_of_its_places_is(tie):
    model, cls = made(
        f"""
        inputs: {{x: [2, 8]}}
        layers: {{a: {{_freeze_: true, _target_: "Linear(8, 8)"}}, b: "Linear(8, 8)"}}
        tie: {tie}
        """
    )
    assert trained(model) == ["b.bias"]
    same(cls(), model)


def test_the_statistics_of_a_frozen_norm_go_on_in_training_as_in_torch():
    model, cls = made('inputs: {x: [2, 8]}\nlayers: [{_freeze_: true, _target_: "BatchNorm1d(8)"}]')
    twin = nn.Sequential(nn.BatchNorm1d(8))
    for each in (model, cls(), twin):
        each(X)
        assert torch.equal(each[0].running_mean, 0.1 * X.mean(0))
        assert each[0].weight.requires_grad is (each is twin)


def test_a_plan_says_what_is_frozen():
    plan = modelzoo.plan({"inputs": {"x": [2, 4]}, "layers": [{"_target_": "Linear(4, 2)", "_freeze_": True}]})
    assert (plan.parameters, plan.trainable) == (10, 0)
    assert "10 parameters (0 trainable, 10 frozen)" in str(plan)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (
            {"_freeze_": True, "layers": ["Linear(2, 2)"]},
            "model._freeze_\n  a model is not frozen as a whole. Write _freeze_: true on its layers.",
        ),
        (
            [{"_target_": "Linear(2, 2)", "_freeze_": "'yes'"}],
            "model.0._freeze_\n  _freeze_ must be true or false, not 'yes'",
        ),
        (
            {"layers": {"a": "Linear(2, 2)", "b": {"_ref_": "a", "_freeze_": True}}},
            "model.layers.b._freeze_\n"
            "  a reference is the same module again and has no other keys, not '_freeze_'. Remove it.",
        ),
        (
            [{"_target_": "Linear", "in_features": 2, "out_features": 2, "trainable": False}],
            "model.0.trainable\n  Linear has no argument 'trainable'. Write _freeze_: true in a mapping.",
        ),
    ],
)
def test_what_cannot_be_frozen_is_said(model, said):
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build(model)
    assert str(caught.value) == said


def test_a_formula_says_whether_an_own_tensor_is_trained():
    model, cls = made(
        """
        args: {tuned: 1}
        inputs: {x: [2, 8]}
        layers: {h: {_target_: "Scale(8, i >= tuned)", _repeat_: 2}}
        blocks:
          Scale:
            args: [dim, tuned]
            parameters: {scale: {shape: [dim], fill: ones, trainable: =tuned}}
            forward: x * scale
        """
    )
    assert trained(model) == ["h.1.scale"]
    same(model, cls())
    assert trained(cls(tuned=0)) == ["h.0.scale", "h.1.scale"]


@pytest.mark.parametrize(
    ("key", "value", "answer"),
    [
        ("trainable", 3, "trainable must be true or false, not 3"),
        ("trainable", "=dims", "there is no value 'dims'. Did you mean 'dim'?"),
        ("trainable", "=[dim]", "trainable must be true or false, not (4,)"),
    ],
)
def test_an_own_tensor_is_trained_or_not(key, value, answer):
    tensor = {"shape": ["dim"], "fill": "ones", key: value}
    block = {"args": {"dim": 4}, "inputs": {"x": [2, 4]}, "parameters": {"scale": tensor}, "forward": "x * scale"}
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build(block)
    assert str(caught.value) == f"model.parameters.scale.trainable\n  {answer}"


@pytest.mark.parametrize("name", ["trainable", "requires_grad"])
def test_what_torch_calls_it_is_answered_with_the_key_of_a_layer_and_of_a_block(name):
    layers = {"a": {"_target_": "Linear(4, 4)", name: False}, "b": {"layers": ["Linear(4, 4)"], name: False}}
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build({"layers": layers})
    assert str(caught.value) == (
        f"model.layers.a.{name}\n  Linear has no argument '{name}'. Write _freeze_: true in a mapping.\n"
        f"model.layers.b.{name}\n  '{name}' is not a key of a block. Write _freeze_: true."
    )
