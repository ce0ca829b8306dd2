"""The rules of an init on modules that no config describes: the same values, ties and mistakes as in a build."""

from __future__ import annotations

import copy
import math
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

import modelzoo
from modelzoo.modules.homes import tensors_of

RULES = {
    "weights": {"layer": "Linear", "param": "weight", "fill": "normal(std=0.02)"},
    "biases": {"param": "bias", "fill": "uniform(-1, 1)"},
}


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm = nn.Embedding(10, 4, padding_idx=2), nn.BatchNorm1d(4)
        self.hidden, self.head = nn.Linear(4, 4), nn.Linear(4, 10, bias=False)
        self.head.weight = self.embed.weight
        self.scale = nn.Parameter(torch.full((4,), 7.0))


def answer(module: nn.Module, init: Any, **options: Any) -> str:
    before = {
        name: each.clone() for name, each in module.state_dict().items() if type(each) is Tensor and not each.is_meta
    }
    with pytest.raises(modelzoo.ConfigError) as raised:
        modelzoo.initialize(module, init, **options)
    assert all(module.state_dict()[name].equal(each) for name, each in before.items())
    return str(raised.value)


# -- what a build gives -----------------------------------------------------------------------------------------------


MODEL = {
    "args": {"depth": 3},
    "layers": {
        "a": "Linear(4, 6)",
        "shared": {"layers": ["Linear(6, 6)", "LayerNorm(6)"]},
        "again": {"_ref_": "shared"},
        "out": {"_target_": "Linear(6, 4)", "_init_": {"bias": "uniform(5, 6)"}},
        "own": {"parameters": {"w": {"shape": [4], "fill": "normal"}}, "forward": "return x * w"},
        "twin": "Linear(4, 4)",
    },
}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_rules_on_a_built_model_give_bit_for_bit_what_a_build_with_them_gives(dtype: str) -> None:
    rules = {
        **RULES,
        "scaled": {"name": "a.weight", "fill": "normal(std=1 / depth)"},
        "text": {"name": "shared.0.weight", "fill": "w = value * 2\nreturn w * (abs(w) > 0.01)"},
    }
    wanted = modelzoo.build(MODEL, rules, seed=3, dtype=dtype)
    same, other = (modelzoo.build(MODEL, seed=seed, dtype=dtype) for seed in (3, 0))
    modelzoo.initialize(same, rules, seed=3)
    report = modelzoo.initialize(other, rules, seed=3, rest="torch")
    for name, each in wanted.state_dict().items():
        assert each.equal(same.state_dict()[name]), name
        assert each.equal(other.state_dict()[name]), name
    planned = modelzoo.plan(MODEL, rules, seed=3, dtype=dtype).tensors
    assert [(each.name, each.aliases, each.fill, each.stream) for each in report.tensors] == [
        (each.name, each.aliases, each.fill, each.stream) for each in planned
    ]


def test_a_second_time_the_rules_begin_anew() -> None:
    model = modelzoo.build(MODEL["layers"]["shared"])
    modelzoo.initialize(model, {"w": {"param": "weight", "fill": 0}})
    modelzoo.initialize(model, {}, rest="torch")
    assert all(
        each.equal(other)
        for each, other in zip(model.parameters(), modelzoo.build(MODEL["layers"]["shared"]).parameters(), strict=True)
    )


def test_two_modules_of_other_values_get_the_same_ones_where_rules_select() -> None:
    one, two = Net(), Net()
    for each in (one, two):
        modelzoo.initialize(each, RULES, seed=5)
    assert one.hidden.weight.equal(two.hidden.weight)
    assert one.norm.bias.equal(two.norm.bias)
    assert one.hidden.weight.std() < 0.05


def test_torchs_generator_is_not_moved_and_gradients_are_not_touched() -> None:
    net, before = Net(), torch.get_rng_state()
    net.hidden.weight.grad = torch.ones(4, 4)
    modelzoo.initialize(net, RULES)
    assert torch.get_rng_state().equal(before)
    assert net.hidden.weight.requires_grad
    assert net.hidden.weight.grad.equal(torch.ones(4, 4))


# -- what stays as it is ----------------------------------------------------------------------------------------------


def test_what_no_rule_selects_is_not_written() -> None:
    net = Net()
    before = {name: (each.clone(), each._version) for name, each in tensors_of(net).items()}
    report = modelzoo.initialize(net, {"weights": {"name": "hidden.weight", "fill": 1}})
    after = {name: (each, each._version) for name, each in tensors_of(net).items()}
    assert [name for name in before if before[name][1] != after[name][1]] == ["hidden.weight"]
    assert all(before[name][0].equal(after[name][0]) for name in before if name != "hidden.weight")
    assert report.rules == {
        "kept": (
            "scale",
            "embed.weight",
            "norm.weight",
            "norm.bias",
            "hidden.bias",
            *(f"norm.{each}" for each in ("running_mean", "running_var", "num_batches_tracked")),
        ),
        "init.weights": ("hidden.weight",),
    }


def test_the_rest_gets_torchs_values_where_torch_made_the_layer() -> None:
    class Angles(nn.Embedding):
        """Its values are a table of sines, whatever torch thinks of embeddings."""

    net = nn.Sequential(Net(), Angles(5, 4))
    with torch.no_grad():
        for each in net.parameters():
            each.fill_(9)
    report = modelzoo.initialize(net, RULES, rest="torch")
    assert report.rules["kept"] == ("0.scale", "1.weight")
    assert net[0].norm.weight.tolist() == [1] * 4
    assert net[0].embed.weight[2].tolist() == [0] * 4
    assert net[0].head.weight is net[0].embed.weight


def test_a_padding_row_stays_zero_and_a_tie_is_one_tensor() -> None:
    net = Net()
    report = modelzoo.initialize(net, {"w": {"param": "weight", "layer": "Embedding", "fill": "normal"}})
    assert net.embed.weight[2].tolist() == [0] * 4
    tied = next(each for each in report.tensors if each.name == "embed.weight")
    assert (tied.aliases, tied.fill) == (("head.weight",), "normal(mean=0.0, std=1.0) -> row 2 zero")


# -- what is not as in a config ---------------------------------------------------------------------------------------


class Conv1D(nn.Module):
    """As that of transformers: a column for each output."""

    def __init__(self, nf: int, nx: int) -> None:
        super().__init__()
        self.nf, self.weight, self.bias = nf, nn.Parameter(torch.zeros(nx, nf)), nn.Parameter(torch.zeros(nf))


@pytest.mark.parametrize(
    "fill", ["kaiming_normal", "w = kaiming_normal()\nreturn w", "normal(std=(2 / fan_in) ** 0.5)"]
)
def test_a_weight_with_a_column_for_each_output_has_its_own_fans(fill: str) -> None:
    layer = Conv1D(2000, 50)
    rules = {"w": {"layer": "Conv1D", "param": "weight", "fill": fill}}
    modelzoo.initialize(layer, {**rules, "b": {"param": "bias", "fill": "constant(fan_in)"}})
    assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / 50), rel=0.02)
    assert layer.bias[0] == 50


def test_a_parametrized_weight_is_what_is_parametrized() -> None:
    layer, plain = parametrizations.spectral_norm(nn.Linear(6, 5)), nn.Linear(6, 5)
    model, bare = nn.Sequential(layer), nn.Sequential(plain)
    before = layer.parametrizations.weight[0]._u.clone()
    for each in (model, bare):
        assert {*modelzoo.initialize(each, RULES, seed=2).rules["init.weights"]} == {"0.weight"}
    assert layer.parametrizations.weight.original.equal(plain.weight)
    assert layer.parametrizations.weight[0]._u.equal(before)


@pytest.mark.parametrize("by", [{"param": "weight"}, {"layer": "Linear", "param": "weight"}, {"name": "*weight"}])
def test_a_weight_of_several_parts_is_drawn_whole(by: dict[str, Any]) -> None:
    model, plain = (nn.Sequential(nn.Linear(6, 5)) for _ in range(2))
    parametrizations.weight_norm(model[0])
    parts = tensors_of(model)
    for each in (model, plain):
        modelzoo.initialize(each, {"w": {**by, "fill": "xavier_uniform"}}, seed=2)
    assert torch.allclose(model[0].weight, plain[0].weight, atol=1e-7)
    assert tensors_of(model).keys() == parts.keys()
    assert all(tensors_of(model)[name] is each for name, each in parts.items())


def test_a_weight_of_several_parts_that_no_rule_selects_is_not_written() -> None:
    layer = parametrizations.weight_norm(nn.Linear(6, 5))
    before = {name: (each, each._version) for name, each in tensors_of(layer).items() if name != "bias"}
    report = modelzoo.initialize(layer, {"b": {"param": "bias", "fill": 0}})
    assert report.rules == {"init.b": ("bias",), "kept": ("weight",)}
    assert all((each, each._version) == before[name] for name, each in tensors_of(layer).items() if name != "bias")


def test_on_meta_there_is_nothing_to_fill_and_after_to_empty_there_is() -> None:
    with torch.device("meta"):
        net = Net()
    assert answer(net, RULES) == (
        "module\n  on meta there is nothing to fill in 'embed.weight', 'norm.bias', 'hidden.weight' and 1 more. "
        "Call module.to_empty(device='cpu') before."
    )
    net.to_empty(device="cpu")
    net.head.weight = net.embed.weight
    modelzoo.initialize(net, {**RULES, "scale": {"name": "scale", "fill": 7}}, rest="torch")
    other = Net()
    modelzoo.initialize(other, RULES, rest="torch")
    assert all(each.equal(tensors_of(other)[name]) for name, each in tensors_of(net).items())


# -- what is wrong ----------------------------------------------------------------------------------------------------


def test_with_rest_error_each_parameter_needs_a_rule() -> None:
    assert answer(Net(), RULES, rest="error") == (
        "rest\n  no rule fills 'scale', 'norm.weight'. Add a rule, or write rest='keep'."
    )


def test_all_mistakes_are_told_at_once_and_nothing_is_filled() -> None:
    rules = {"a": {"name": "hiden.weight", "fill": 0}, "b": {"param": "bias", "fill": "xavier_uniform"}}
    assert answer(Net(), rules) == (
        "init.a\n  the rule 'a' (name: hiden.weight) selects no tensor of this model. Did you mean 'hidden.weight'?\n"
        "init.b.fill\n  init.b cannot fill 'norm.bias' and 1 more: xavier_uniform needs at least 2 dimensions, not 1: "
        "write zeros or uniform(-0.1, 0.1)."
    )
    assert answer(Net(), RULES, rest="all", seed=-1) == (
        "seed\n  seed must be an integer of 0 or more, not -1. Type seed=0.\n"
        "rest\n  rest is keep, torch or error, not 'all'. Write rest='keep'."
    )


def test_a_layer_that_waits_for_its_size_is_named() -> None:
    assert answer(nn.Sequential(nn.LazyLinear(3)), RULES) == (
        "module\n  '0.weight' and 1 more have no size yet. Call the module once before."
    )


def test_rules_without_effect_are_warnings_and_what_is_no_module_is_refused() -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        report = modelzoo.initialize(Net(), {**RULES, "c": {"layer": "Conv2d", "fill": 0}})
    assert [each.filename for each in told] == [__file__]
    assert str(told[0].message).splitlines()[1] in str(report)
    with pytest.raises(TypeError, match="initialize takes a module, not dict"):
        modelzoo.initialize(MODEL, RULES)  # type: ignore[arg-type]


def test_an_empty_module_and_a_copy_are_initialised_too() -> None:
    assert modelzoo.initialize(nn.Identity(), {}).tensors == ()
    net = copy.deepcopy(modelzoo.build({"layers": ["Linear(4, 4)"]}, seed=1))
    modelzoo.initialize(net, RULES, seed=1)
    assert net[0].weight.equal(modelzoo.build({"layers": ["Linear(4, 4)"]}, RULES, seed=1)[0].weight)


def test_a_summary_knows_what_filled_a_tensor_and_that_it_was_changed_since() -> None:
    net = Net()
    modelzoo.initialize(net, RULES)
    with torch.no_grad():
        net.hidden.bias.zero_()
    rows = {each.name: each.fill for each in modelzoo.summary(net).rows}
    assert rows["hidden.weight"] == "normal(mean=0.0, std=0.02)"
    assert rows["hidden.bias"] == "uniform(a=-1, b=1), then changed"


def test_a_hostile_class_name_is_shown_escaped() -> None:
    kind = type("\x1b[31mred", (nn.Linear,), {})
    text = str(modelzoo.initialize(kind(2, 2), RULES))
    assert "\x1b" not in text
    assert isinstance(kind(2, 2).weight, Tensor)
