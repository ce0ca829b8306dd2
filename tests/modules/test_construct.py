"""What is built is an ordinary module: torch's own tools work on it as on a module written by hand."""

import ast
import copy
import pickle
import subprocess
import sys
from pathlib import Path

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


def test_a_pickled_model_opens_in_another_process(tmp_path):
    model = modelzoo.build(MODEL)
    torch.save((model, inputs()), tmp_path / "model.pt")
    code = "import torch; model, x = torch.load('model.pt', weights_only=False); torch.save(model(x), 'output.pt')"
    root = Path(modelzoo.__file__).parent.parent
    subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(root)!r}); {code}"], cwd=tmp_path, check=True
    )
    assert torch.equal(torch.load(tmp_path / "output.pt"), model(inputs()))


FLOW = {
    "args": {"dim": 4, "depth": 3, "gated": True},
    "inputs": {"x": [2, "dim"], "mask": {"shape": [2, "dim"], "fill": "ones"}},
    "blocks": {
        "Residual": {"args": ["dim", "i"], "layers": {"fc": "Linear(dim, dim)"}, "forward": "x + tanh(fc(x)) * i"}
    },
    "layers": {
        "blocks": {"_repeat_": "depth", "_target_": "Residual(dim, i)"},
        "gate": {"_if_": "gated", "_target_": "Linear(dim, dim)"},
        "table": "Embedding(3, dim)",
        "head": "Linear(dim, 3, bias=False)",
    },
    "buffers": {"shift": {"shape": ["dim"], "fill": 0.5}},
    "tie": {"head.weight": "table.weight"},
    "forward": """
for block in blocks:
    x = block(x) * mask
if gate is not None:
    x = x * sigmoid(gate(x))
for i in range(depth):
    x = x + blocks[i](x) / (i + 1)
x += shift
return {'scores': head(x), 'mean': x.mean(dim=-1, keepdim=True) + arange(dim)}
""",
}


def two_inputs():
    return inputs(), (inputs() > -0.5).float()


def same(one, other):
    """Whether two outputs of FLOW are equal bit for bit."""
    return list(one) == list(other) == ["scores", "mean"] and all(torch.equal(one[name], other[name]) for name in one)


def test_it_compiles_as_one_graph():
    model = modelzoo.build(MODEL)
    assert torch.equal(torch.compile(model, backend="eager", fullgraph=True)(inputs()), model(inputs()))


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])  # without code generation, which takes a compiler and time
def test_loops_over_layers_and_branches_on_args_compile_as_one_graph(backend):
    model = modelzoo.build(FLOW)
    compiled = torch.compile(model, backend=backend, fullgraph=True)
    assert same(compiled(*two_inputs()), model(*two_inputs()))
    gradients = []
    for each in (compiled, model):
        model.zero_grad()
        sum(value.sum() for value in each(*two_inputs()).values()).backward()
        gradients.append([value.grad for value in model.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_it_can_be_exported_for_any_batch():
    model, batch = modelzoo.build(FLOW), torch.export.Dim("batch", min=2)
    program = torch.export.export(model, two_inputs(), dynamic_shapes=({0: batch}, {0: batch}))
    others = torch.randn(7, 4), torch.ones(7, 4)
    assert same(program.module()(*others), model(*others))
    assert set(program.state_dict) == set(model.state_dict())


@pytest.mark.filterwarnings("ignore:`?torch.jit:DeprecationWarning")
def test_it_can_be_traced():
    model = modelzoo.build(FLOW)
    traced = torch.jit.trace(model, two_inputs(), strict=False)
    others = torch.randn(7, 4), torch.ones(7, 4)
    assert same(traced(*others), model(*others))
    assert list(traced.state_dict()) == list(model.state_dict())


class Double(nn.Module):
    def forward(self, value):
        return value * 2


def test_own_tensors_can_be_parametrized_and_pruned():
    model = modelzoo.build(MODEL)
    before = model(inputs())
    parametrize.register_parametrization(model, "scale", Double())
    assert not torch.equal(model(inputs()), before)
    parametrize.remove_parametrizations(model, "scale", leave_parametrized=False)
    assert torch.equal(model(inputs()), before)
    prune.custom_from_mask(model, "scale", torch.zeros(4))
    assert torch.equal(model(inputs()), model.out.bias.expand(5, 3))


def test_layers_can_be_parametrized_and_pruned():
    model, twin = modelzoo.build(MODEL), Twin()
    twin.load_state_dict(model.state_dict())
    for each in (model, twin):
        parametrize.register_parametrization(each.a, "weight", Double())
        prune.l1_unstructured(each.out, "weight", 0.5)
    assert list(model.state_dict()) == list(twin.state_dict())
    assert torch.equal(model(inputs()), twin(inputs()))
    assert parametrize.is_parametrized(model.again, "weight")
    assert int((model.out.weight == 0).sum()) == 6


def test_a_weight_that_forward_reads_can_be_parametrized():
    layers = {"a": "Linear(4, 4, bias=False)"}
    model = modelzoo.build({"inputs": {"x": [2, 4]}, "layers": layers, "forward": "x @ a.weight"})
    before = model(inputs())
    parametrize.register_parametrization(model.a, "weight", Double())
    assert torch.equal(model(inputs()), 2 * before)


def test_hooks_see_every_call_and_may_change_what_passes():
    model, seen = modelzoo.build(MODEL), []
    handles = [
        model.register_forward_pre_hook(lambda _, given: (given[0] * 0,)),
        model.a.register_forward_hook(lambda *_: seen.append("forward")),
        model.a.register_full_backward_hook(lambda *_: seen.append("backward")),
    ]
    zeros = model(torch.zeros(5, 4))
    seen.clear()
    result = model(inputs().requires_grad_())
    assert torch.equal(result, zeros)
    result.sum().backward()
    assert seen == ["forward", "forward", "backward", "backward"]
    for handle in handles:
        handle.remove()
    assert not torch.equal(model(inputs()), zeros)
    assert len(seen) == 4


# torch's functional_call leaves other tensors behind in a module that stands in two places, so FLOW shares a tensor only


def test_functional_call_runs_it_on_other_tensors():
    model, other = modelzoo.build(FLOW), modelzoo.build(FLOW, seed=1)
    before, expected = model(*two_inputs()), other(*two_inputs())
    assert not same(before, expected)
    assert same(torch.func.functional_call(model, dict(other.named_parameters()), two_inputs()), expected)
    state = {name: value for name, value in other.state_dict().items() if name != "head.weight"}
    assert same(torch.func.functional_call(model, state, two_inputs()), expected)  # the tie carries the weight over
    assert same(model(*two_inputs()), before)


def test_vmap_runs_many_models_at_once():
    models, given = [modelzoo.build(FLOW, seed=seed) for seed in range(3)], two_inputs()
    parameters, buffers = torch.func.stack_module_state(models)

    def run(*state):
        return torch.func.functional_call(models[0], state, given)["scores"]

    found = torch.func.vmap(run)(parameters, buffers)
    torch.testing.assert_close(found, torch.stack([model(*given)["scores"] for model in models]))


def test_vmap_gives_the_gradients_of_each_sample():
    model = modelzoo.build(FLOW)
    parameters = {name: value.detach() for name, value in model.named_parameters()}

    def loss(given, x, mask):
        return torch.func.functional_call(model, given, (x[None], mask[None]))["scores"].square().sum()

    found = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))(parameters, *two_inputs())
    for index, (x, mask) in enumerate(zip(*two_inputs(), strict=True)):
        model.zero_grad()
        model(x[None], mask[None])["scores"].square().sum().backward()
        for name, value in model.named_parameters():
            torch.testing.assert_close(found[name][index], value.grad)


def test_an_optimiser_with_groups_takes_the_steps_it_takes_on_the_twin():
    model, twin = modelzoo.build(MODEL), Twin()
    twin.load_state_dict(model.state_dict())
    optimisers = []
    for each in (model, twin):
        matrices = [value for value in each.parameters() if value.ndim > 1]
        others = [value for value in each.parameters() if value.ndim <= 1]
        groups = [{"params": matrices, "weight_decay": 0.1}, {"params": others, "lr": 0.5}]
        optimisers.append(torch.optim.AdamW(groups, lr=0.01))
    assert [len(group["params"]) for group in optimisers[0].param_groups] == [2, 3]
    for _ in range(3):
        for each, optimiser in zip((model, twin), optimisers, strict=True):
            optimiser.zero_grad()
            each(inputs()).square().sum().backward()
            optimiser.step()
    for name, value in model.state_dict().items():
        assert torch.equal(value, twin.state_dict()[name])


def test_equal_blocks_share_one_class():
    assert type(modelzoo.build(MODEL)) is type(modelzoo.build(copy.deepcopy(MODEL)))


def test_blocks_with_equal_args_of_other_types_have_classes_of_their_own():
    block = {"args": ["n"], "inputs": ["x"], "forward": "x * n"}
    for numbers in (["1", "1.0", "True"], ["1.0", "1"], ["0.0", "-0.0"]):
        layers = {f"l{index}": f"B({number})" for index, number in enumerate(numbers)}
        model = modelzoo.build({"blocks": {"B": block}, "layers": layers})
        wanted = [torch.ones(2, dtype=torch.int64) * ast.literal_eval(number) for number in numbers]
        found = [each(torch.ones(2, dtype=torch.int64)) for each in model]
        assert [(each.dtype, each.signbit().tolist()) for each in found] == [
            (each.dtype, each.signbit().tolist()) for each in wanted
        ]


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


RNN = {"inputs": {"x": [3, 4]}, "forward": "h, _ = a(x)\nh, _ = b(h)\nreturn h"}
RNNS = {
    "plain": {"a": "LSTM(4, 4)", "b": "GRU(4, 4, bidirectional=True)"},
    "with a size found": {"a": "LSTM(hidden_size=4)", "b": "GRU(hidden_size=4, num_layers=2)"},
    "too large for a dry run in memory": {"a": "LSTM(4, 1700)", "b": "LSTM(1700, 1200)"},
    "shared": {"a": "GRU(4, 4)", "b": {"_ref_": "a"}},
}


def assert_second_list_is_first(rnn):
    """`_flat_weights` is what a recurrent layer computes with; `weight_ih_l0` and so on are what one sees of it."""
    assert len(rnn._flat_weights) == len(list(rnn.parameters())) >= 4
    for name, weight in zip(rnn._flat_weights_names, rnn._flat_weights, strict=True):
        assert weight is getattr(rnn, name)


@pytest.mark.parametrize("layers", RNNS.values(), ids=RNNS)
def test_the_second_list_of_weights_of_a_recurrent_layer_is_its_first(layers):
    model = modelzoo.build({**RNN, "layers": layers})
    for each in (model.a, model.b):
        assert_second_list_is_first(each)
        assert all(weight.device.type == "cpu" and weight.abs().sum() > 0 for weight in each._flat_weights)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@pytest.mark.parametrize(
    "copied", [lambda model: model, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))]
)
def test_a_recurrent_layer_with_a_tied_weight_computes_with_the_tied_one(kind, copied):
    layers = {"a": f"{kind}(4, 4)", "b": f"{kind}(4, 4)"}
    tie = {"b.weight_ih_l0": "a.weight_ih_l0", "b.bias_hh_l0": "b.bias_ih_l0"}
    model = copied(modelzoo.build({**RNN, "layers": layers, "tie": tie}))
    assert model.b.weight_ih_l0 is model.a.weight_ih_l0
    assert model.b.bias_hh_l0 is model.b.bias_ih_l0
    before = model.b(inputs())[0]
    with torch.no_grad():
        model.a.weight_ih_l0.zero_()
    assert not torch.equal(model.b(inputs())[0], before)
    for each in (model.a, model.b):
        for name, weight in zip(each._flat_weights_names, each._flat_weights, strict=True):
            assert weight is getattr(each, name)


def test_tied_recurrent_layers_made_on_meta_stay_tied_in_memory():
    layers = {"a": "LSTM(1700, 1700)", "b": "LSTM(1700, 1700)"}
    model = modelzoo.build(
        {**RNN, "inputs": {"x": [1, 1700]}, "layers": layers, "tie": {"b.weight_hh_l0": "a.weight_hh_l0"}}
    )
    assert model.b.weight_hh_l0 is model.a.weight_hh_l0
    for each in (model.a, model.b):
        assert_second_list_is_first(each)


# --- ties, definitions and references that an order of things must not change ----------------------------------------


def homes(model):
    """The names of each parameter."""
    found = {}
    for name, value in model.named_parameters(remove_duplicate=False):
        found.setdefault(id(value), []).append(name)
    return list(found.values())


@pytest.mark.parametrize(
    "tie",
    [
        {"b.weight": "a.weight", "c.weight": "b.weight"},
        {"c.weight": "b.weight", "b.weight": "a.weight"},
        {"b.weight": "a.weight", "c.weight": "a.weight"},
        {"b.weight": "c.weight", "c.weight": "a.weight"},
    ],
)
def test_ties_hold_together_in_whatever_order_they_are_written(tie):
    layers = dict.fromkeys("abc", "Linear(2, 2, bias=False)")
    model = modelzoo.build({"inputs": {"x": [2, 2]}, "layers": layers, "tie": tie})
    assert homes(model) == [["a.weight", "b.weight", "c.weight"]]


CIRCLE = "are tied in a circle, so that neither decides. Remove one of them."


@pytest.mark.parametrize(
    ("tie", "told"),
    [
        ({"a.weight": "a.weight"}, "a.weight\n  'a.weight' is tied to itself. Remove it."),
        ({"a.weight": "again.weight"}, "a.weight\n  'a.weight' is tied to itself. Remove it."),
        ({"a.weight": "b.weight", "b.weight": "a.weight"}, f"b.weight\n  'b.weight' and 'a.weight' {CIRCLE}"),
        (
            {"a.weight": "b.weight", "b.weight": "c.weight", "c.weight": "a.weight"},
            f"c.weight\n  'c.weight' and 'a.weight' {CIRCLE}",
        ),
    ],
)
def test_a_tie_needs_a_side_that_decides(tie, told):
    layers = {**dict.fromkeys("abc", "Linear(2, 2, bias=False)"), "again": {"_ref_": "a"}}
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.plan({"layers": layers, "tie": tie})
    assert str(caught.value) == f"model.tie.{told}"


@pytest.mark.parametrize("tie", [{"inner.b.weight": "head.weight"}, {"head.weight": "inner.b.weight"}])
def test_a_tie_of_a_block_around_and_one_inside_both_hold(tie):
    inner = {
        "layers": {"a": "Linear(2, 2, bias=False)", "b": "Linear(2, 2, bias=False)"},
        "tie": {"b.weight": "a.weight"},
    }
    model = modelzoo.build({"layers": {"inner": inner, "head": "Linear(2, 2, bias=False)"}, "tie": tie})
    assert homes(model) == [["inner.a.weight", "inner.b.weight", "head.weight"]]


def test_an_own_tensor_tied_to_a_layer_is_filled_as_its_block_says_however_often_the_block_stands_there():
    block = {
        "args": ["dim"],
        "layers": {"fc": "Linear(dim, dim)"},
        "parameters": {"scale": {"shape": ["dim"], "fill": 0.25}},
        "tie": {"scale": "fc.bias"},
        "forward": "fc(x) * scale",
    }
    layers = {"a": "Block(2)", "b": {"_ref_": "a"}}
    model = modelzoo.build({"inputs": {"x": [2, 2]}, "blocks": {"Block": block}, "layers": layers})
    assert model.b.fc.bias is model.a.scale
    assert model.a.scale.tolist() == [0.25, 0.25]


def test_a_definition_means_its_siblings_where_it_is_written_not_where_it_is_used():
    net = {"blocks": {"Part": ["Linear(2, 5)"]}, "layers": ["Whole()"]}
    blocks = {"Part": ["Linear(2, 3)"], "Whole": {"layers": ["Part()"]}}
    model = modelzoo.build({"blocks": blocks, "layers": {"net": net}})
    assert [tuple(value.shape) for value in model.parameters()] == [(3, 2), (3,)]


def test_a_reference_into_a_list_that_has_conditions_is_refused_from_outside_too():
    net = [{"_if_": "1 > 2", "_target_": "ReLU"}, "Linear(2, 2)"]
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build({"layers": {"net": net, "again": {"_ref_": "net.1"}}})
    assert str(caught.value) == (
        "model.layers.again._ref_\n"
        "  'net.1' is an index into a list that has _if_, where indices move. Name the layers: write them as a mapping."
    )


@pytest.mark.parametrize(
    "forward",
    [
        "while not x.sum() > 0:\n    x = fc(x)\nreturn x",
        "if x.sum() > 1:\n    pass\nelif x.sum() > 0:\n    pass\nelse:\n    x = fc(x)\nreturn x",
        "if x.sum() > 1:\n    pass\nelse:\n    if not x.sum() > 0:\n        x = fc(x)\nreturn x",
    ],
)
def test_the_dry_run_finds_sizes_on_every_way_through_a_forward(forward):
    model = modelzoo.build({"inputs": {"x": [2, 3]}, "layers": {"fc": "Linear(out_features=3)"}, "forward": forward})
    assert model.fc.in_features == 3


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


def test_the_class_of_a_block_is_where_pickles_look_for_it():
    block = type(modelzoo.build({"layers": {"a": "Linear(4, 2)"}, "forward": "a(x)"}))
    assert (block.__module__, block.__mro__[1].__module__) == ("modelzoo.modules.blocks",) * 2


def test_a_layer_and_a_tensor_may_be_called_as_what_a_block_knows_of_itself():
    inner = {"layers": {"frozen": "Linear(4, 4)"}, "forward": "frozen(x)"}
    scale = {"frozen": {"shape": 4, "fill": "ones"}}
    model = modelzoo.build({"parameters": scale, "layers": {"inner": inner}, "forward": "inner(x) * frozen"})
    again = pickle.loads(pickle.dumps(model))
    x = torch.ones(2, 4)
    assert [*again.state_dict()] == ["frozen", "inner.frozen.weight", "inner.frozen.bias"]
    assert torch.equal(again(x), model(x))
