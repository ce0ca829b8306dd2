"""How modules start is told as rules that start others in the same way."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

import modelzoo
from modelzoo.errors import ConfigError


class Written(nn.Module):
    """A module of many ways to start."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(200, 32, padding_idx=3)
        self.fc1, self.fc2, self.fc3 = nn.Linear(64, 128), nn.Linear(128, 64), nn.Linear(64, 64)
        self.square, self.even = nn.Linear(64, 64, bias=False), nn.Linear(64, 64, bias=False)
        self.conv, self.norm = nn.Conv2d(16, 64, 3), nn.BatchNorm2d(64)
        self.token, self.place = nn.Parameter(torch.zeros(1, 32)), nn.Parameter(torch.randn(1, 50, 32) * 0.02)
        self.scale = nn.Parameter(torch.tensor(2.6592))
        self.table = nn.Parameter(torch.arange(40.0).view(8, 5))
        self.apply(self._init_weights)
        nn.init.orthogonal_(self.square.weight, gain=2)
        nn.init.uniform_(self.even.weight, -0.3, 0.1)
        nn.init.trunc_normal_(self.fc3.weight, std=0.02, a=-0.04, b=0.04)

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
            if module.bias is not None:
                nn.init.constant_(module.bias, 0.5)
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
            with torch.no_grad():
                module.weight[3].zero_()
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")


def test_each_way_to_start_is_a_rule():
    found = modelzoo.init_of(Written)
    assert found.rules == {
        "embedding_weight": {
            "layer": "Embedding",
            "param": "weight",
            "fill": "w = normal(std=0.02)\nw[3] = 0\nreturn w\n",
        },
        "linear_weight": {"layer": "Linear", "param": "weight", "fill": "normal(std=0.01)"},
        "linear_bias": {"layer": "Linear", "param": "bias", "fill": 0.5},
        "conv2d_weight": {"layer": "Conv2d", "param": "weight", "fill": "kaiming_normal(mode='fan_out')"},
        "token": {"name": "token", "fill": 0},
        "place": {"name": "place", "fill": "normal(std=0.02)"},
        "scale": {"name": "scale", "fill": 2.6592},
        "table": {"name": "table", "fill": "arange(40).view(8, 5)"},
        "fc3_weight": {"name": "fc3.weight", "fill": "trunc_normal(std=0.02, a=-0.04, b=0.04)"},
        "square_weight": {"name": "square.weight", "fill": "orthogonal(gain=2.0)"},
        "even_weight": {"name": "even.weight", "fill": "uniform(-0.3, 0.1)"},
    }
    assert (found.explained, found.unexplained) == (1.0, ())
    assert "100% of the parameters and buffers are explained" in str(found)


def test_the_rules_start_a_module_as_it_was():
    torch.manual_seed(1)
    module, other = Written(), Written()
    for parameter in other.parameters():
        nn.init.constant_(parameter, 7.0)
    modelzoo.initialize(other, modelzoo.init_of(module).rules, rest="torch")
    for (name, first), second in zip(module.state_dict().items(), other.state_dict().values(), strict=True):
        if first.ndim == 0:
            assert torch.equal(first, second)
            continue
        assert math.isclose(first.std(correction=0), second.std(correction=0), rel_tol=0.15, abs_tol=1e-6), name
        assert math.isclose(first.mean(), second.mean(), abs_tol=0.02), name
    assert torch.equal(module.embed.weight[3], other.embed.weight[3])


def test_a_module_that_is_given_is_left_as_it_is():
    module = Written()
    before = {name: each.clone() for name, each in module.state_dict().items()}
    state = torch.get_rng_state()
    assert modelzoo.init_of(module).explained == 1.0
    assert all(torch.equal(before[name], each) for name, each in module.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


def test_what_torch_starts_in_the_same_way_needs_no_rule():
    found = modelzoo.init_of(
        lambda: nn.Sequential(nn.Linear(64, 64), nn.GRU(8, 8), nn.LayerNorm(8), nn.Embedding(9, 64))
    )
    assert (found.rules, found.explained) == ({}, 1.0)


def test_a_part_that_starts_as_torch_starts_it_is_said_where_a_rule_counts():
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 64)
            for each in (self.a, self.b):
                nn.init.xavier_normal_(each.weight)

    found = modelzoo.init_of(Mixed)
    assert found.rules == {
        "linear_weight": {"layer": "Linear", "param": "weight", "fill": "xavier_normal"},
        "c_weight": {"name": "c.weight", "fill": "uniform(-fan_in ** -0.5, fan_in ** -0.5)"},
    }
    assert found.explained == 1.0


def test_a_spread_by_depth_has_names_with_stars():
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up, self.out = nn.Linear(64, 128), nn.Linear(128, 64)

    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList(Block() for _ in range(3))
            self.head = nn.Linear(64, 64)
            for name, each in self.named_parameters():
                if name.endswith("weight"):
                    nn.init.normal_(each, std=0.005 if "out" in name else 0.02)

    found = modelzoo.init_of(Deep)
    assert found.rules["linear_weight"] == {"layer": "Linear", "param": "weight", "fill": "normal(std=0.02)"}
    assert found.rules["out_weight"] == {"name": "*.out.weight", "fill": "normal(std=0.005)"}


def test_what_no_law_explains_is_named():
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(64, 64)
            self.odd = nn.Parameter(torch.randn(40, 40) ** 3)
            self.spoilt = nn.Parameter(torch.full((4,), math.nan))

    found = modelzoo.init_of(Odd)
    assert found.unexplained == ("odd", "spoilt")
    assert found.explained == 0.5
    assert "not explained: odd, spoilt" in str(found)


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (lambda: nn.Linear(2, 2, device="meta"), "on meta there is nothing to fill in 'weight', 'bias'"),
        (lambda: nn.LazyLinear(3), "'weight' and 1 more have no size yet"),
    ],
)
def test_a_module_without_values_is_told(module, said):
    with pytest.raises(ConfigError, match=said):
        modelzoo.init_of(module())


def test_one_tensor_of_two_homes_is_explained_once():
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.head = nn.Embedding(100, 32), nn.Linear(32, 100, bias=False)
            nn.init.normal_(self.embed.weight, std=0.02)
            self.head.weight = self.embed.weight

    found = modelzoo.init_of(Tied)
    assert found.rules == {"embedding_weight": {"layer": "Embedding", "param": "weight", "fill": "normal(std=0.02)"}}
    assert [each.name for each in found.report.tensors] == ["embed.weight"]


def test_the_rules_start_what_was_imported():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(64, 64)
            self.shift = nn.Parameter(torch.full((64,), 0.25))
            nn.init.xavier_uniform_(self.fc.weight)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(x) + self.shift

    found = modelzoo.init_of(Net)
    built = modelzoo.build(modelzoo.from_module(Net(), torch.randn(2, 64)), found.rules)
    assert math.isclose(float(built.fc.weight.detach().std()), math.sqrt(2 / 128), rel_tol=0.05)
    assert torch.equal(built.shift, torch.full((64,), 0.25))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (lambda: 3, "factory\n  it returns a int, and no module."),
        (
            lambda: nn.Linear(4, int(torch.randint(1, 9, (1,)))),
            "factory\n  it makes other tensors each time.",
        ),
    ],
)
def test_what_makes_no_module_is_told(source, said):
    with pytest.raises(ConfigError) as caught:
        modelzoo.init_of(source)
    assert str(caught.value) == said


def test_what_cannot_be_called_is_told():
    with pytest.raises(TypeError, match=r"^init_of takes a module or what makes one, not int$"):
        modelzoo.init_of(3)


def test_a_module_without_parameters_starts_by_no_rules():
    found = modelzoo.init_of(nn.ReLU())
    assert (found.rules, found.explained, found.unexplained) == ({}, 1.0, ())


class Buffered(nn.Module):
    """Buffers of many kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.ModuleDict({"fc": nn.Linear(64, 64), "norm": nn.BatchNorm1d(64)}) for _ in range(2)
        )
        for block in self.blocks:
            block.register_buffer("mask", torch.ones(8, 8).tril())
        self.register_buffer("places", torch.arange(6).view(1, 6), persistent=False)
        self.register_buffer("seen", torch.tensor(False))
        self.register_buffer("features", 3 * torch.randn(64, 32))
        self.register_buffer("curve", torch.linspace(0, 1, 1000).sqrt())
        self.norm = nn.BatchNorm1d(64)
        self.norm.running_var.fill_(0.5)


def test_buffers_are_told_by_their_whole_names():
    found = modelzoo.init_of(Buffered)
    features = found.rules.pop("features")
    assert found.rules == {
        "places": {"name": "places", "fill": "arange(6).view(1, 6)"},
        "seen": {"name": "seen", "fill": 0},
        "blocks_0_mask": {"name": ["blocks.0.mask", "blocks.1.mask"], "fill": "tril(ones(8, 8))"},
        "norm_running_var": {"name": "norm.running_var", "fill": 0.5},
    }
    assert features["name"] == "features"
    assert float(features["fill"].removeprefix("normal(std=").removesuffix(")")) == pytest.approx(3, rel=0.02)
    assert found.unexplained == ("curve",)
    assert found.explained == 1 - 1 / len(Buffered().state_dict() | {"places": None})


def test_the_rules_give_buffers_what_the_module_gives_them():
    module = Buffered()
    for each in (module.blocks[0].mask, module.places, module.norm.running_var):
        each.zero_()
    modelzoo.initialize(module, modelzoo.init_of(Buffered).rules)
    assert torch.equal(module.blocks[0].mask, torch.ones(8, 8).tril())
    assert torch.equal(module.places, torch.arange(6).view(1, 6))
    assert bool((module.norm.running_var == 0.5).all())
    assert module.seen.dtype is torch.bool
