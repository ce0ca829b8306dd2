"""Ten planted faults: each is found, with the tensor and the rule that decided it, and is gone with the advice."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import modelzoo
from modelzoo.measuring.signals import Signals

LIN, W = "Linear(64, 64)", {"layer": "Linear", "param": "weight"}
HEALTHY = {"w": {**W, "fill": "normal(std=fan_in ** -0.5)"}, "b": {"param": "bias", "fill": 0}}


def chain(*layers: Any, depth: int = 20, **more: Any) -> dict[str, Any]:
    blocks = {"layers": list(layers), "_repeat_": depth}
    return {"inputs": {"x": [2, 64]}, "layers": {"body": blocks, "out": "Linear(64, 10)"}, **more}


def residual(forward: str) -> dict[str, Any]:
    block = {"args": [], "layers": {"norm": "LayerNorm(64)", "up": LIN, "down": LIN}, "forward": forward}
    layers = {"h": {"_target_": "Block", "_repeat_": 48}, "out": "Linear(64, 10)"}
    return {"inputs": {"x": [2, 64]}, "layers": layers, "blocks": {"Block": block}}


def normal(std: str) -> dict[str, Any]:
    return {**HEALTHY, "w": {**W, "fill": f"normal(std={std})"}}


TIED = {
    "inputs": {"x": {"shape": [2, 8], "dtype": "int64"}},
    "layers": {
        "embed": "Embedding(50, 64)",
        "mlp": [LIN, "ReLU", LIN],
        "norm": "LayerNorm(64)",
        "head": "Linear(64, 50, bias=False)",
    },
    "tie": {"head.weight": "embed.weight"},
}
BRANCHES = {
    "inputs": {"x": [2, 64]},
    "layers": {"left": LIN, "right": LIN, "out": "Linear(64, 10)"},
    "forward": "out(tanh(left(x)) - right(x))",
}

FAULTS: dict[str, tuple[dict[str, Any], dict[str, Any], str, str, str]] = {
    "a normal that is too small in a deep net of tanh": (
        chain(LIN, "Tanh"),
        normal("0.01"),
        "vanishes",
        "body.0.0.weight",
        "init.w",
    ),
    "He where there is no ReLU": (
        chain(LIN),
        {**HEALTHY, "w": {**W, "fill": "kaiming_normal"}},
        "explodes",
        "body.0.0.weight",
        "init.w",
    ),
    "zeros in two layers": (
        chain(LIN, "ReLU", depth=4),
        {**normal("0.18"), "z": {"name": ["body.1.0.weight", "body.2.0.weight"], "fill": 0}},
        "constant",
        "body.1.0.weight",
        "init.z",
    ),
    "a bias of -5 before ReLU": (
        chain(LIN, "ReLU", depth=2),
        {**normal("0.18"), "b": {"name": "body.1.0.bias", "fill": -5}},
        "dead",
        "body.1.0.bias",
        "init.b",
    ),
    "residual branches that are not scaled": (
        residual("x + down(relu(up(x)))"),
        {**HEALTHY, "w": {**W, "fill": "kaiming_normal"}},
        "explodes",
        "h.0.up.weight",
        "init.w",
    ),
    "residual branches that are not scaled, behind a norm": (
        residual("x + down(relu(up(norm(x))))"),
        {**HEALTHY, "w": {**W, "fill": "kaiming_normal"}},
        "explodes",
        "h.0.up.weight",
        "init.w",
    ),
    "a tied embedding that is not scaled": (
        TIED,
        {"w": {"name": "mlp.*.weight", "fill": "kaiming_normal"}},
        "logits",
        "embed.weight",
        "torch",
    ),
    "a gain that is twice too large": (
        chain(LIN, "ReLU", depth=8),
        {**HEALTHY, "w": {**W, "fill": "normal(std=2 * (2 / fan_in) ** 0.5)"}},
        "explodes",
        "body.0.0.weight",
        "init.w",
    ),
    "a random projection that is frozen": (
        {"inputs": {"x": [2, 64]}, "layers": {"proj": {"_target_": LIN, "_freeze_": True}, "out": "Linear(64, 10)"}},
        HEALTHY,
        "frozen",
        "proj.weight",
        "init.w",
    ),
    "a norm whose weight is zero": (
        chain(LIN, "LayerNorm(64)", depth=3),
        {**HEALTHY, "n": {"name": "body.1.1.weight", "fill": 0}},
        "constant",
        "body.1.1.weight",
        "init.n",
    ),
    "two branches that begin alike": (
        BRANCHES,
        {**HEALTHY, "copy": {"name": "right.weight", "fill": {"_ref_": "left.weight"}}},
        "equal",
        "right.weight",
        "init.copy",
    ),
}


def seen(model: Any, rules: Any, **options: Any) -> Signals:
    return modelzoo.signals(modelzoo.build(model, rules), **options)


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found_with_its_tensor_and_its_rule_and_is_gone_with_the_advice(name: str) -> None:
    model, rules, kind, tensor, rule = FAULTS[name]
    found = seen(model, rules).findings
    first = next(each for each in found if each.kind == kind)
    assert (first.tensors[0], first.rule) == (tensor, rule)
    if kind != "frozen":
        assert first.advice is not None
        left = {each: one for each, one in rules.items() if not (first.instead and f"init.{each}" == rule)}
        repaired = seen(model, {**left, "repair": first.advice}, advice=False)
        assert kind not in {each.kind for each in repaired.findings}


class Around(nn.Module):
    """A block that returns what has the shape of its input: its layer's output, or that added to the input."""

    def __init__(self, adds: bool) -> None:
        super().__init__()
        self.layer, self.adds = nn.Linear(64, 64), adds
        nn.init.orthogonal_(self.layer.weight, gain=1.6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layer(x) if self.adds else self.layer(x) * 1.0


@pytest.mark.parametrize(("adds", "kinds"), [(True, ["explodes"]), (False, [])])
def test_only_a_block_that_adds_to_its_input_is_judged_as_one(adds: bool, kinds: list[str]) -> None:
    torch.manual_seed(0)
    blocks = [Around(adds) for _ in range(4 if not adds else 3)]
    head = nn.Linear(64, 4)
    nn.init.normal_(head.weight, std=0.01)
    found = modelzoo.signals(nn.Sequential(*blocks, head), torch.randn(32, 64), advice=False)
    assert 4 < max(each.std for each in found.calls if each.trunk) < 10
    assert [each.kind for each in found.findings] == kinds
