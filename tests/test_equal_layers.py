"""Equal layers are checked once and copied: nothing may tell a copy from a layer that was constructed by itself."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

import modelzoo
from modelzoo import register
from modelzoo.fills import FILLS, Filling, bind, run

ARGUMENTS = {"embedding": {"padding_idx": 0}, "xavier_uniform": {"gain": 2.0}}
COUNTED = [name for name, fill in FILLS.items() if fill.spare is not None]


def refusal(model):
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build(model)
    return str(caught.value)


@pytest.mark.parametrize("layer", ["Linear(4, 4)", "BatchNorm1d(4)", "PReLU", "GRUCell(4, 4)", "Bilinear(4, 4, 4)"])
def test_a_copy_has_the_state_of_a_layer_constructed_by_itself(layer):
    first, second = modelzoo.build({"layers": [layer, layer]})
    own = eval(f"nn.{layer if '(' in layer else layer + '()'}", {"nn": nn})
    for made in (first, second):
        assert vars(made).keys() == vars(own).keys()
        assert repr(made) == repr(own)
        assert {name: tuple(each.shape) for name, each in made.state_dict().items()} == {
            name: tuple(each.shape) for name, each in own.state_dict().items()
        }
        assert made.training
        assert all(each.requires_grad for each in made.parameters())
    shared = [
        name for name, value in vars(first).items() if isinstance(value, (dict, set)) and value is vars(second)[name]
    ]
    assert shared == []
    assert not {each.data_ptr() for each in first.parameters()} & {each.data_ptr() for each in second.parameters()}


def test_a_hook_on_one_of_equal_layers_is_not_on_the_others():
    first, second, third = modelzoo.build({"inputs": {"x": [2, 4]}, "layers": ["Linear(4, 4)"] * 3})
    seen = []
    second.register_forward_hook(lambda *_: seen.append("second"))
    third(first(torch.ones(2, 4)))
    assert seen == []
    second(torch.ones(2, 4))
    assert seen == ["second"]


def test_every_layer_runs_as_itself_after_the_dry_run():
    model = modelzoo.build(
        {"inputs": {"x": [2, 4]}, "layers": [{"_target_": "Linear(4, 4)", "_repeat_": 3}, "Linear(4, 4)"]}
    )
    assert all("forward" not in vars(each) for each in model.modules())
    x = torch.ones(2, 4)
    (a, b, c), d = model
    assert model(x).equal(d(c(b(a(x)))))
    assert len({each.weight.sum().item() for each in (a, b, c, d)}) == 4


def test_a_layer_that_does_not_fit_is_found_behind_any_number_of_equal_ones():
    layers = ["Linear(4, 4)", "ReLU"] * 5 + ["Linear(4, 3)", "Linear(4, 4)"]
    assert "'11' is Linear(in_features=4, out_features=4): it takes [*, 4] but gets [2, 3]" in refusal(
        {"inputs": {"x": [2, 4]}, "layers": layers}
    )


def test_a_repeated_layer_that_does_not_fit_itself_is_found():
    repeated = {"_target_": "Linear(4, 3)", "_repeat_": 9}
    assert "'0.1' is Linear(in_features=4, out_features=3): it takes [*, 4] but gets [2, 3]" in refusal(
        {"inputs": {"x": [2, 4]}, "layers": [repeated]}
    )


def test_equal_layers_see_inputs_of_different_shapes_and_layouts():
    layers = dict.fromkeys("abc", "Linear(4, 4)")
    model = modelzoo.build({"inputs": {"x": [3, 4]}, "layers": layers, "forward": "a(x), b(x[:2]), c(x.view(3, 1, 4))"})
    assert [tuple(each.shape) for each in model(torch.ones(3, 4))] == [(3, 4), (2, 4), (3, 1, 4)]
    dropout = {"layers": dict.fromkeys("ab", "Dropout(0.1)"), "forward": "a(x.t().contiguous()), b(x.t()).view(-1)"}
    assert "view size is not compatible" in refusal({"inputs": {"x": [3, 4]}, **dropout})


def test_a_registered_layer_runs_every_time():
    calls = []

    @register.layer
    class CountedOnce(nn.Module):
        def forward(self, x):
            calls.append(len(x))
            return x

    modelzoo.build({"inputs": {"x": [2, 4]}, "layers": ["CountedOnce"] * 4})
    assert calls == [2] * 4


def test_sizes_left_out_are_found_for_each_of_equal_layers():
    model = modelzoo.build({"inputs": {"x": [2, 4]}, "layers": ["Linear(out_features=3)", "Linear(out_features=3)"]})
    assert [each.in_features for each in model] == [4, 3]
    repeated = {"_target_": "Linear", "out_features": 5, "_repeat_": 3}
    model = modelzoo.build({"inputs": {"x": [2, 4]}, "layers": [repeated]})
    assert [each.in_features for each in model[0]] == [4, 5, 5]
    assert all(each.weight.any() for each in model[0])


def test_layers_of_one_text_may_mean_different_things_in_different_blocks():
    inner = {"args": {"ReLU": "Tanh"}, "layers": ["ReLU"]}
    definition = {"blocks": {"ReLU": ["Sigmoid"]}, "layers": ["ReLU"]}
    bound = {"blocks": {"Linear": {"args": ["a", "b"], "layers": ["Tanh"]}}, "layers": ["Linear(4, 4)"]}
    first, second = modelzoo.build({"layers": ["Linear(4, 4)", bound]})
    assert (type(first), type(second[0][0])) == (nn.Linear, nn.Tanh)
    repeated = {"blocks": {"ReLU": ["Sigmoid"]}, "layers": [{"_target_": "ReLU", "_repeat_": 2}]}
    model = modelzoo.build({"layers": ["ReLU", "Tanh", inner, definition, repeated, "ReLU"]})
    assert [type(each).__name__ for each in (model[0], model[1], model[2][0], model[5])] == [
        "ReLU",
        "Tanh",
        "Tanh",
        "ReLU",
    ]
    assert type(model[3][0][0]) is nn.Sigmoid
    assert [type(each[0]) for each in model[4][0]] == [nn.Sigmoid, nn.Sigmoid]


def test_a_mistake_is_reported_at_each_of_equal_layers():
    shown = refusal({"layers": ["Linear(4, 0)", "Linear(4, 0)", {"_target_": "Linear", "in_features": 4}]})
    assert shown.count("must be a positive integer, not 0") == 2
    shown = refusal({"layers": ["ReLU(wide=1)", "ReLU(wide=1)"]})
    assert shown.count("ReLU has no argument 'wide'") == 2
    shown = refusal({"layers": ["Conv2d(3, 4)", "Conv2d(3, 4)"]})
    assert shown.count("Conv2d needs the argument 'kernel_size'") == 2


def test_an_init_of_one_of_equal_layers_is_its_own():
    layers = [
        {"_target_": "Linear(4, 4)", "_init_": {"weight": 1}},
        "Linear(4, 4)",
        {"_target_": "Linear(4, 4)", "_init_": {"weight": 2}},
    ]
    weights = [each.weight for each in modelzoo.build({"layers": layers})]
    assert [bool((weights[n] == value).all()) for n, value in ((0, 1), (1, 1), (2, 2))] == [True, False, True]


def test_an_init_of_a_repeated_layer_is_that_of_every_copy():
    repeated = {"_target_": "Linear(4, 4)", "_init_": {"bias": 3}, "_repeat_": 3}
    assert [each.bias.unique().tolist() for each in modelzoo.build({"layers": [repeated]})[0]] == [[3.0]] * 3


def test_a_layer_inside_another_finds_its_own_size_each_time():
    encoder = "TransformerEncoder(TransformerEncoderLayer(nhead=2, dim_feedforward=8, batch_first=True), 1)"
    model = modelzoo.build({"inputs": {"x": [2, 3, 4]}, "layers": [encoder, "Linear(4, 6)", encoder]})
    assert [model[n].layers[0].linear1.in_features for n in (0, 2)] == [4, 6]


def test_a_condition_on_data_sees_zeros_in_every_copy():
    text = "h = b(a(x))\nif h.abs().sum() > 0:\n    h = h + 1\nreturn h"
    layers = {"a": "Linear(4, 4)", "b": {"_target_": "Linear(4, 4)", "_repeat_": 3}}
    plan = modelzoo.plan({"inputs": {"x": [2, 4]}, "layers": layers, "forward": text})
    assert {each.name: each.calls for each in plan.modules if each.type == "Linear"} == {
        "a": 1,
        "b.0": 1,
        "b.1": 1,
        "b.2": 1,
    }


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.int64], ids=str)
@pytest.mark.parametrize("name", COUNTED)
def test_a_fill_draws_no_more_than_it_says(name, dtype):
    if dtype == torch.int64 and not FILLS[name].integers:
        return
    whole = replace(FILLS[name], spare=None)
    for count in (1, 2, 3, 7, 8, 15, 16, 17, 31, 100, 209, 210, 211, 226, 227, 300, 395, 396, 640):
        shape = (count, 1) if FILLS[name].minimum_dimensions else (count,)
        arguments = bind(FILLS[name], [], ARGUMENTS.get(name, {}))
        few, all_ = torch.empty(shape, dtype=dtype), torch.empty(shape, dtype=dtype)
        run(Filling(whole, arguments, shape).tasks(all_, 5, "0.weight"))
        run(Filling(FILLS["normal"], bind(FILLS["normal"], [], {}), (700,)).tasks(torch.empty(700), 6, "other"))
        run(Filling(FILLS[name], arguments, shape).tasks(few, 5, "0.weight"))
        assert few.equal(all_), count
