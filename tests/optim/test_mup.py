"""muP: rules that follow the width, against the `mup` package and against the published table."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import modelzoo
from modelzoo.config import compose
from modelzoo.errors import Path
from modelzoo.init.widths import Widths

MLP = {
    "args": {"width": 64},
    "inputs": {"x": [2, 8]},
    "layers": {
        "first": "Linear(8, width)",
        "act": "ReLU",
        "second": "Linear(width, 2 * width)",
        "act2": "ReLU",
        "head": "Linear(2 * width, 4)",
    },
}
RESNET = {
    "args": {"width": 32},
    "inputs": {"x": [2, 3, 8, 8]},
    "layers": {
        "stem": "Conv2d(3, width, 3, padding=1)",
        "h": {"_repeat_": 2, "_target_": "Block(width)"},
        "pool": "AdaptiveAvgPool2d(1)",
        "flat": "Flatten",
        "head": "Linear(width, 4)",
    },
    "blocks": {
        "Block": {
            "args": ["width"],
            "layers": {"conv": "Conv2d(width, width, 3, padding=1)", "norm": "BatchNorm2d(width)"},
            "forward": "x + relu(norm(conv(x)))",
        }
    },
}
TRANSFORMER = {
    "args": {"width": 32},
    "inputs": {"tokens": {"shape": [2, 6], "dtype": "int64"}},
    "layers": {
        "embed": "Embedding(11, width)",
        "h": {"_repeat_": 2, "_target_": "Layer(width)"},
        "norm": "LayerNorm(width)",
        "head": "Linear(width, 11)",
    },
    "blocks": {
        "Layer": {
            "args": ["width"],
            "layers": {
                "ln": "LayerNorm(width)",
                "qkv": "Linear(width, 3 * width)",
                "proj": "Linear(width, width)",
                "up": "Linear(width, 4 * width)",
                "down": "Linear(4 * width, width)",
            },
            "forward": "q, k, v = qkv(ln(x)).chunk(3, -1)\n"
            "x = x + proj(softmax(q @ k.mT / q.shape[-1], -1) @ v)\n"
            "return x + down(gelu(up(x)))",
        }
    },
}
MODELS = {"mlp": MLP, "resnet": RESNET, "transformer": TRANSFORMER}
BASE = {"model.args.width": 16}


def shipped() -> tuple[Any, Any]:
    composed = compose.compose(["init=mup", "groups=mup_adam", "init.base={width: 16}", "groups.base={width: 16}"])
    return composed.init, composed.options["groups"]


def lrs(model: nn.Module, groups: list[dict[str, Any]]) -> dict[str, float]:
    names = {tensor: name for name, tensor in model.named_parameters()}
    return {names[tensor]: each["lr"] for each in groups for tensor in each["params"]}


def reference(model: dict[str, Any]) -> nn.Module:
    """A model with torch's own values, whose head is the package's readout, with its base shapes."""
    mup = pytest.importorskip("mup")

    def made(width: int) -> nn.Module:
        built = modelzoo.build(model, args={"width": width})
        head = built.head
        built.head = mup.MuReadout(head.in_features, head.out_features)
        built.head.load_state_dict(head.state_dict())
        return built

    found = made(model["args"]["width"])
    mup.set_base_shapes(found, made(16), delta=made(24))
    return found


@pytest.mark.parametrize("name", MODELS)
def test_ratios_and_learning_rates_are_those_of_the_package(name):
    mup = pytest.importorskip("mup")
    model = MODELS[name]
    theirs = reference(model)
    init, rules = shipped()
    ours = modelzoo.build(model, init)
    shapes, base = (
        {name: tuple(each.shape) for name, each in built.named_parameters()}
        for built in (ours, modelzoo.build(model, args={"width": 16}))
    )
    widths = Widths(shapes=shapes, base=base, key=Path())
    for each, tensor in theirs.named_parameters():
        assert widths.of(each)["width_ratio"] == tuple(dim.width_mult() for dim in tensor.infshape), each
    wanted = lrs(theirs, mup.MuAdam(theirs.parameters(), lr=0.01).param_groups)
    found = lrs(ours, modelzoo.groups(ours, rules, "Adam", lr=0.01))
    readout = theirs.head.width_mult()  # its output is divided by that, and ours has that in its weight
    assert found == {each: lr / (readout if each == "head.weight" else 1) for each, lr in wanted.items()}


@pytest.mark.parametrize("name", ["mlp", "resnet"])
def test_a_model_starts_and_trains_as_with_the_package(name):
    mup = pytest.importorskip("mup")
    model = MODELS[name]
    theirs = reference(model)
    init, rules = shipped()
    ours = modelzoo.build(model, init)
    readout = theirs.head.width_mult()
    for each, tensor in theirs.named_parameters():
        held = ours.get_parameter(each) * (readout if each == "head.weight" else 1)
        torch.testing.assert_close(held, tensor, rtol=1e-6, atol=0)
    optimizers = (
        torch.optim.Adam(modelzoo.groups(ours, rules, "Adam", lr=0.01), eps=1e-30),
        mup.MuAdam(theirs.parameters(), lr=0.01, eps=1e-30),
    )
    x = torch.linspace(-1, 1, 2 * 8 if name == "mlp" else 2 * 3 * 8 * 8).reshape(model["inputs"]["x"])
    for _ in range(3):
        outputs = [each(x) for each in (ours, theirs)]
        torch.testing.assert_close(*outputs, rtol=1e-4, atol=1e-5)
        for output, optimizer in zip(outputs, optimizers, strict=True):
            optimizer.zero_grad()
            (output - 1).square().mean().backward()
            optimizer.step()


def test_the_shipped_rules_are_the_published_table():
    """Tensor Programs V, table 3: variances and Adam's learning rates of input, hidden and output weights."""
    init, rules = shipped()
    wide, base = modelzoo.build(MLP, init, args={"width": 256}), modelzoo.build(MLP, init, args={"width": 16})
    found = lrs(wide, modelzoo.groups(wide, rules, "Adam", lr=0.01))
    assert found == {
        "first.weight": 0.01,
        "first.bias": 0.01,
        "second.weight": 0.01 / 16,
        "second.bias": 0.01,
        "head.weight": 0.01 / 16,
        "head.bias": 0.01,
    }
    assert {*lrs(base, modelzoo.groups(base, rules, "Adam", lr=0.01)).values()} == {0.01}
    plain = modelzoo.build(MLP, args={"width": 16})
    assert all(torch.equal(one, other) for one, other in zip(base.parameters(), plain.parameters(), strict=True))
    std = {each: wide.get_parameter(each).std().item() / base.get_parameter(each).std().item() for each in found}
    assert std["first.weight"] == pytest.approx(1, rel=0.2)
    assert std["second.weight"] == pytest.approx(16**-0.5, rel=0.2)
    assert std["head.weight"] == pytest.approx(1 / 16, rel=0.2)
    assert std["second.bias"] == pytest.approx(1, rel=0.3)


def test_any_module_is_compared_with_a_base_of_its_own():
    def made(width: int) -> nn.Module:
        return nn.Sequential(nn.Linear(4, width), nn.Linear(width, 2))

    rules = {
        "all": {"layer": "Linear", "ndim": 2, "lr": "=lr / fan_in_ratio"},
        "b": {"ndim": 1, "lr": "=lr * width_ratio[0]"},
    }
    with torch.device("meta"):
        base = made(8)
    groups = modelzoo.groups(made(32), rules, base=base, lr=1.0)
    assert [(each["name"], each["lr"]) for each in groups] == [
        ("all.0", 1.0),
        ("all.1", 0.25),
        ("b.0", 4.0),
        ("b.1", 1.0),
    ]


def test_a_source_starts_as_the_model_does():
    from modelzoo.export.source.model import source

    init, _ = shipped()
    names: dict[str, Any] = {}
    exec(source({"model": RESNET, "init": init}), names)
    torch.manual_seed(0)
    std = {name: each.std().item() for name, each in names["Model"]().named_parameters() if each.ndim > 1}
    ours = {name: each.std().item() for name, each in modelzoo.build(RESNET, init).named_parameters() if each.ndim > 1}
    assert std == pytest.approx(ours, rel=0.2)


@pytest.mark.parametrize(
    ("base", "answer"),
    [
        ("???", "init.base\n  this value is required. Type init.base={width: 64}."),
        ({}, "init.base\n  base is a mapping of args of the model to those of the base, not an empty mapping. "
             "Write base: {model.args.width: 64}."),
        ({"wide": 3}, "init.base.wide\n  the model has no arg 'wide'. Did you mean 'width'?"),
        ({"width": 0}, "init.base\n  the base cannot be made: model.args.width: model.layers.first.out_features must be a "
                       "positive integer, not 0."),
        ({"depth": 2}, "init.base\n  the base has no tensor 'h.2.weight': it is to differ in sizes alone.\n"
                       "init.base\n  the base has no tensor 'h.2.bias': it is to differ in sizes alone."),
    ],
)  # fmt: skip
def test_a_base_that_tells_nothing_is_a_mistake(base, answer):
    layers = {"first": "Linear(8, width)", "h": {"_repeat_": "depth", "_target_": "Linear(width, width)"}}
    model = {"args": {"width": 4, "depth": 3}, "layers": layers}
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.plan(model, {"base": base, "w": {"param": "weight", "fill": "value * fan_in_ratio"}})
    assert str(caught.value) == answer


def test_a_ratio_that_a_tensor_has_not_is_a_mistake():
    model = {"args": {"width": 4}, "layers": ["LayerNorm(width)"]}
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.plan(model, {"base": {"width": 2}, "w": {"param": "weight", "fill": "value * fan_in_ratio"}})
    assert str(caught.value) == (
        "init.w.fill\n  init.w cannot fill '0.weight': it has no fan_in and no fan_out. "
        "Write width_ratio[0], or select others."
    )
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.groups(modelzoo.build(model), {"base": {"width": 2}, "w": {"param": "weight", "lr": "=fan_in_ratio"}})
    assert str(caught.value) == (
        "groups.w.lr\n  '0.weight' has no fan_in and no fan_out, so that there is no 'fan_in_ratio'. "
        "Select others, or write a number."
    )
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.groups(nn.Linear(2, 2), {"base": {"width": 2}, "w": {"param": "weight", "lr": "=fan_in_ratio"}})
    assert "groups.base" in str(caught.value)
