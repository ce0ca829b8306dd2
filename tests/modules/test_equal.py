"""Equal modules are checked once and copied: nothing may tell a copy from a module that was made by itself."""

from __future__ import annotations

import pathlib

import pytest
import torch
from torch import nn

import modelzoo
from modelzoo import register
from modelzoo.modules import dry_run, equal, skeleton
from modelzoo.plans import draft as drafts
from tests.helpers.composing import compose
from tests.helpers.twinning import Config, Generator

ROOT = pathlib.Path(__file__).resolve().parents[2]


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
        {"inputs": {"input": [2, 4]}, "layers": [{"_target_": "Linear(4, 4)", "_repeat_": 3}, "Linear(4, 4)"]}
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


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "conf" / "model").glob("*.yaml")))
def test_a_plan_says_what_a_run_of_every_module_says(name, device, monkeypatch):
    model, _ = compose(f"model={name}")
    quick = drafts.draft(model, device=device, count=True).plan
    monkeypatch.setattr(dry_run, "_quickly", lambda *_: None)
    assert quick == drafts.draft(model, device=device, count=True).plan


def test_blocks_are_equal_only_where_their_texts_values_and_layers_are():
    block = {"args": ["n", "k"], "layers": {"a": "Linear(4, n)", "b": "Linear(n, 4)"}, "forward": "b(a(x)) * k"}
    calls = ["B(4, 2)", "B(4, 2)", "B(5, 2)", "B(4, 3)", "B(4, 2)"]
    draft = drafts.draft({"inputs": {"x": [2, 4]}, "blocks": {"B": block}, "layers": calls})
    root = draft.skeleton.root
    found = equal.groups(draft.skeleton, skeleton.modules_of(root))
    assert [[int(name) for name, child in root.named_children() if child in group] for group in found[-1:]] == [
        [0, 1, 4]
    ]


def test_parts_that_are_shared_in_different_ways_are_counted_as_they_are_called():
    one = {"layers": {"a": "Linear(4, 4)", "b": {"_ref_": "a"}, "c": "Linear(4, 4)"}, "forward": "c(b(a(x)))"}
    other = {"layers": {"a": "Linear(4, 4)", "b": "Linear(4, 4)", "c": {"_ref_": "b"}}, "forward": "c(b(a(x)))"}
    plan = modelzoo.plan({"inputs": {"x": [2, 4]}, "layers": [one, other, one]})
    assert {each.name: each.calls for each in plan.modules if each.type == "Linear"} == {
        "0.a": 2,
        "0.c": 1,
        "1.a": 1,
        "1.b": 2,
        "2.a": 2,
        "2.c": 1,
    }


def test_what_a_block_returns_depends_on_all_its_inputs():
    block = {"inputs": ["x", "y", "n"], "layers": {"l": "Linear(4, 4)"}, "forward": "(l(x) + y).repeat(n, 1)"}
    text = "a(x, y, 1), b(x, x, 1), b(x, y, 2), a(x, y=x, n=5)"
    model = {"inputs": {"x": [1, 4], "y": [3, 4]}, "blocks": {"B": block}, "layers": {"a": "B", "b": "B"}}
    plan = modelzoo.plan({**model, "forward": text})
    assert plan.modules[0].output == ((3, 4), (1, 4), (6, 4), (5, 4))


def test_what_a_block_returns_depends_on_the_values_of_a_mask():
    block = {"inputs": ["x", "mask"], "layers": {"l": "Linear(2, 2)"}, "forward": "l(x)[mask]"}
    text = "a(x, arange(4) < 2), b(x, arange(4) < 3)"
    model = {"inputs": {"x": [4, 2]}, "blocks": {"B": block}, "layers": {"a": "B", "b": "B"}}
    plan = modelzoo.plan({**model, "forward": text})
    assert plan.modules[0].output == ((2, 2), (3, 2))


def test_a_block_that_is_called_again_is_counted_again():
    block = {"layers": {"l": "Linear(4, 4)"}, "forward": "l(l(x))"}
    text = "for n in range(3):\n    x = b(a(x))\nreturn x"
    plan = modelzoo.plan(
        {"inputs": {"x": [2, 4]}, "blocks": {"B": block}, "layers": {"a": "B", "b": "B"}, "forward": text}
    )
    assert {each.name: each.calls for each in plan.modules} == {"": 1, "a": 3, "a.l": 6, "b": 3, "b.l": 6}
    assert plan.flops == 12 * 2 * 2 * 4 * 4


def test_a_model_of_many_equal_blocks_is_planned_in_about_the_calls_of_one(monkeypatch):
    run = []
    linear = nn.Linear.forward
    monkeypatch.setattr(nn.Linear, "forward", lambda self, x: run.append(self) or linear(self, x))
    block = {"layers": {"a": "Linear(4, 8)", "b": "Linear(8, 4)"}, "forward": "x + b(relu(a(x)))"}
    model = {"inputs": {"x": [2, 4]}, "blocks": {"B": block}, "layers": [{"_target_": "B", "_repeat_": 50}]}
    assert modelzoo.plan(model).parameters == 50 * (4 * 8 + 8 + 8 * 4 + 4)
    assert len(run) == 2


def test_a_layer_that_is_copied_during_the_dry_run_runs_as_itself():
    layer = "TransformerEncoderLayer(4, 2, 8, batch_first=True)"
    encoder = {"_target_": "TransformerEncoder", "encoder_layer": {"_ref_": "l"}, "num_layers": 2, "norm": "LayerNorm"}
    layers = {"l": layer, "other": layer, "e": encoder}
    model = modelzoo.build({"inputs": {"x": [2, 3, 4]}, "layers": layers, "forward": "e(other(l(x)))"})
    assert not [each for each in model.modules() if "forward" in vars(each)]


def test_sizes_that_follow_from_values_are_found_from_the_values():
    layers = {"a": "Identity", "b": "Identity", "out": "Linear(out_features=3)"}
    text = "h = a(ones(4))\nreturn out(x[:, b(arange(4.0)) > 0])"
    assert modelzoo.build({"inputs": {"x": [2, 4]}, "layers": layers, "forward": text}).out.in_features == 3
    layers = {"a": "Linear(4, 4)", "b": "Linear(4, 4)", "out": "Linear(out_features=3)"}
    text = "out(x[:, (b.weight == 0).all(0)])"
    assert modelzoo.build({"inputs": {"x": [2, 4]}, "layers": layers, "forward": text}).out.in_features == 4


def test_layers_that_were_given_others_are_equal_only_where_those_are():
    encoder = (
        "TransformerEncoder(TransformerEncoderLayer(4, 2, 8, batch_first=True), 1, norm=Sequential(Linear(4, {})))"
    )
    layers = {"a": encoder.format(6), "b": encoder.format(8), "out": "Linear(out_features=3)"}
    model = modelzoo.build({"inputs": {"x": [2, 3, 4]}, "layers": layers, "forward": "a(x), out(b(x))"})
    assert model.out.in_features == 8


def test_a_registered_layer_may_do_what_it_likes_with_the_layers_it_is_given():
    @register.layer
    class FrozenRepeat(nn.Module):
        frozen = True

        def __init__(self, n):
            super().__init__()
            self.n = n

        def forward(self, x):
            return x.repeat(1, self.n)

    @register.layer
    class Seven(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner, forward = inner, inner.forward
            inner.forward = lambda x: forward(x) * 0 + 7
            self.scale = nn.Parameter(inner.weight.detach().norm(dim=1) + 1)

        def forward(self, x):
            return self.inner(x)

    block = {"args": ["n"], "layers": {"r": "FrozenRepeat(n)"}, "forward": "r(x)"}
    layers = {"a": "B(1)", "b": "B(2)", "out": "Linear(out_features=3)"}
    model = {"inputs": {"x": [2, 4]}, "blocks": {"B": block}, "layers": layers, "forward": "a(x), out(b(x))"}
    assert modelzoo.build(model).out.in_features == 8
    model = modelzoo.build({"inputs": {"x": [2, 4]}, "layers": ["Linear(4, 4)", "Seven(Linear(4, 4))"]})
    assert model(torch.ones(2, 4)).unique().tolist() == [7.0]
    assert model[1].scale.tolist() == [1.0] * 4


def test_a_registered_fill_may_record_gradients():
    @register.fill
    def filled_by_gradients(tensor, *, generator):
        with torch.enable_grad():
            ones = torch.ones(tensor.shape, requires_grad=True)
            (ones**2).sum().backward()
            tensor.copy_(ones.grad)

    rules = {"weights": {"param": "weight", "fill": "filled_by_gradients"}}
    assert modelzoo.build({"layers": ["Linear(2, 2)"]}, rules)[0].weight.tolist() == [[2.0, 2.0], [2.0, 2.0]]


def test_a_run_keeps_no_more_than_it_may(monkeypatch):
    model = {"inputs": {"x": [2, 4]}, "layers": ["Linear(4, 4)"] * 5}
    before = modelzoo.plan(model)
    monkeypatch.setattr(equal, "MOST", 0)
    run = []
    linear = nn.Linear.forward
    monkeypatch.setattr(nn.Linear, "forward", lambda self, x: run.append(self) or linear(self, x))
    assert modelzoo.plan(model) == before
    assert len(run) == 5


def test_a_negative_zero_is_no_zero():
    nodes = [{"_target_": "Threshold", "threshold": 0, "value": value} for value in (0.0, -0.0)]
    assert [str(each.value) for each in modelzoo.build({"layers": nodes})] == ["0.0", "-0.0"]


@pytest.mark.parametrize("chunk", range(3))
def test_a_plan_of_a_random_model_says_what_a_run_of_every_module_says(chunk, monkeypatch):
    configs = [Config(seed).block(Generator(seed).model()) for seed in range(40 * chunk, 40 * chunk + 40)]
    quick = [drafts.draft(config, count=True).plan for config in configs]
    monkeypatch.setattr(dry_run, "_quickly", lambda *_: None)
    assert quick == [drafts.draft(config, count=True).plan for config in configs]


def test_what_a_kept_tensor_holds_is_looked_at_again_where_it_was_changed() -> None:
    memory, value = equal.Memory(None, None, left=2**20), torch.zeros(2, 600)
    memory.kept[id(value)] = equal.UNKNOWN
    before = memory.content(value)
    assert memory.content(value) is before
    value[0].add_(1)
    assert memory.content(value) == memory.content(value.clone()) != before


def test_a_tensor_of_which_nothing_is_known_is_run_again() -> None:
    memory = equal.Memory(None, None, left=2**20)
    assert memory.content(torch.zeros(3, dtype=torch.complex64).conj()) is None
    assert memory.content(torch.zeros(3, 2).t()) is None
