"""What is built is an ordinary module: torch's own tools work on it as on a module written by hand."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize, prune

import modelzoo

MODEL = {
    "args": {"dim": 4},
    "inputs": {"x": [2, "dim"]},
    "layers": {"a": "Linear(dim, dim)", "again": {"_ref_": "a"}, "out": "Linear(out_features=3)"},
    "parameters": {"scale": {"shape": ["dim"], "fill": "ones"}},
    "forward": "out(relu(again(a(x))) * scale)",
}


class Twin(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4))
        self.a = nn.Linear(4, 4)
        self.again = self.a
        self.out = nn.Linear(4, 3)

    def forward(self, x):
        return self.out(torch.relu(self.again(self.a(x))) * self.scale)


def inputs():
    return torch.randn(5, 4, generator=torch.Generator().manual_seed(1))


def test_keys_outputs_and_gradients_are_those_of_the_same_class_written_by_hand():
    model, twin = modelzoo.build(MODEL), Twin()
    assert list(model.state_dict()) == list(twin.state_dict())
    twin.load_state_dict(model.state_dict())
    ours, theirs = model(inputs()), twin(inputs())
    assert torch.equal(ours, theirs)
    ours.sum().backward()
    theirs.sum().backward()
    for (_, one), (_, other) in zip(model.named_parameters(), twin.named_parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_computes_the_same_and_shares_what_was_shared(copied):
    model = modelzoo.build(MODEL)
    twin = copied(model)
    assert type(twin) is type(model)
    assert twin.a is twin.again
    assert twin.a is not model.a
    assert torch.equal(twin(inputs()), model(inputs()))


def test_it_compiles_as_one_graph():
    model = modelzoo.build(MODEL)
    assert torch.equal(torch.compile(model, backend="eager", fullgraph=True)(inputs()), model(inputs()))


def test_own_tensors_can_be_parametrized_and_pruned():
    class Double(nn.Module):
        def forward(self, value):
            return value * 2

    model = modelzoo.build(MODEL)
    before = model(inputs())
    parametrize.register_parametrization(model, "scale", Double())
    assert not torch.equal(model(inputs()), before)
    parametrize.remove_parametrizations(model, "scale", leave_parametrized=False)
    assert torch.equal(model(inputs()), before)
    prune.custom_from_mask(model, "scale", torch.zeros(4))
    assert torch.equal(model(inputs()), model.out.bias.expand(5, 3))


def test_hooks_and_functional_call_see_nothing_unusual():
    model, seen = modelzoo.build(MODEL), []
    model.a.register_forward_hook(lambda *_: seen.append("a"))
    zeros = {name: torch.zeros_like(value) for name, value in model.named_parameters()}
    assert not torch.func.functional_call(model, zeros, (inputs(),)).any()
    assert seen == ["a", "a"]


def test_equal_blocks_share_one_class():
    assert type(modelzoo.build(MODEL)) is type(modelzoo.build(copy.deepcopy(MODEL)))


def test_a_block_may_contain_itself_as_long_as_a_condition_ends_it():
    inner = ["Linear(2, 2)", {"_if_": "n > 1", "_target_": "Tower(n - 1)"}]
    model = modelzoo.build({"blocks": {"Tower": {"args": ["n"], "layers": inner}}, "layers": ["Tower(3)"]})
    assert [name for name in model.state_dict() if "weight" in name] == ["0.0.weight", "0.1.0.weight", "0.1.1.0.weight"]


def test_an_arg_names_a_layer_that_each_use_builds_anew():
    model = modelzoo.build({"args": {"act": "PReLU"}, "layers": ["=act", "act()"]})
    assert [type(each) for each in model] == [nn.PReLU, nn.PReLU]
    assert model[0] is not model[1]


def test_a_config_for_hydra_instantiate_builds_unchanged():
    layers = [
        {"_target_": "torch.nn.Linear", "in_features": 2, "out_features": 3},
        {"_target_": "torch.nn.ReLU", "_convert_": "all"},
    ]
    model = modelzoo.build({"_target_": "torch.nn.Sequential", "_args_": layers})
    assert str(model) == str(nn.Sequential(nn.Linear(2, 3), nn.ReLU()))


def test_a_model_of_32_billion_parameters_is_planned_without_its_memory():
    block = {"args": ["d"], "layers": ["Linear(d, 3 * d)", "Linear(3 * d, d)"]}
    model = {
        "inputs": {"x": [1, 16, 8192]},
        "blocks": {"Block": block},
        "layers": [{"_repeat_": 80, "_target_": "Block(8192)"}],
    }
    assert modelzoo.plan(model).parameters == 80 * (2 * 3 * 8192 * 8192 + 4 * 8192)


def test_a_branch_on_data_must_leave_one_shape_whatever_way_is_taken():
    forward = "if x.sum() > 0:\n    y = x\nelse:\n    y = cat([x, x])\nreturn y\n"
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build({"inputs": {"x": [2, 3]}, "forward": forward})
    assert "'y' has shape [2, 3] on one way through here and [4, 3] on another." in str(caught.value)


def test_an_lstm_on_a_tied_weight_uses_the_tied_one():
    model = modelzoo.build(
        {
            "inputs": {"x": [3, 4]},
            "layers": {"a": "LSTM(4, 4)", "b": "LSTM(4, 4)"},
            "tie": {"b.weight_ih_l0": "a.weight_ih_l0"},
            "forward": "h, _ = a(x)\nh, _ = b(h)\nreturn h",
        }
    )
    assert model.b.weight_ih_l0 is model.a.weight_ih_l0
    before = model.b(inputs())[0]
    with torch.no_grad():
        model.a.weight_ih_l0.zero_()
    assert not torch.equal(model.b(inputs())[0], before)


def test_building_neither_reads_nor_moves_the_global_generator():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = modelzoo.build(MODEL, seed=3).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(6)
    second = modelzoo.build(MODEL, seed=3).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("tie", [{"table.weight": "head.weight"}, {"head.weight": "table.weight"}])
def test_a_tied_tensor_starts_as_its_right_hand_side_does(tie):
    layers = {"table": "Embedding(16, 16)", "head": "Linear(16, 16)"}
    plan = modelzoo.plan({"layers": layers, "forward": "head(table(x))", "tie": tie})
    fill = next(each.fill for each in plan.tensors if each.name == "table.weight")
    assert fill == ("normal(mean=0.0, std=1.0)" if "head.weight" in tie else "uniform(a=-0.25, b=0.25)")
