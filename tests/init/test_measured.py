"""Fills that are measured: what a loop written by hand gives, whatever the threads, and nothing else of the model."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import modelzoo
from modelzoo.config import config
from modelzoo.export.source.model import written
from modelzoo.plans.draft import draft

NET: dict[str, Any] = {
    "inputs": {"x": [64, 16]},
    "layers": [{"layers": ["Linear(16, 16)", "ReLU"], "_repeat_": 4}, "Linear(16, 3)"],
}
BEFORE: dict[str, Any] = {
    "weights": {"layer": "Linear", "param": "weight", "fill": "orthogonal"},
    "biases": {"param": "bias", "fill": "uniform(-0.5, 0.5)"},
}
UNIT: dict[str, Any] = {"unit": {"layer": "Linear", "param": "weight", "fill": "lsuv"}}


def values(model: nn.Module) -> list[torch.Tensor]:
    return [*model.parameters(), *model.buffers()]


def equal(one: nn.Module, other: nn.Module) -> bool:
    return all(map(torch.equal, values(one), values(other)))


def example(model: Any, init: Any, seed: int) -> torch.Tensor:
    from modelzoo.plans.draft import example_inputs

    return example_inputs(draft(model, init, seed=seed), "cpu")["x"]


def stds(model: nn.Module, x: torch.Tensor) -> list[float]:
    found: list[float] = []
    for each in model.modules():
        if isinstance(each, nn.Linear):
            each.register_forward_hook(lambda module, given, output: found.append(float(output.detach().std())))
    model(x)
    return found


def test_each_layer_returns_what_has_unit_variance_as_by_hand() -> None:
    x = example(NET, BEFORE, 3)
    model, by_hand = modelzoo.build(NET, {**BEFORE, **UNIT}, seed=3), modelzoo.build(NET, BEFORE, seed=3)
    h = x
    with torch.no_grad():
        for each in [layer for layer in by_hand.modules() if isinstance(layer, nn.Linear)]:
            for _ in range(10):
                std = each(h).std()
                if abs(std - 1) <= 0.01:
                    break
                each.weight.div_(std)
            h = each(h).relu()
    assert all(torch.allclose(*pair, rtol=1e-5) for pair in zip(values(model), values(by_hand), strict=True))
    assert stds(model, x) == pytest.approx([1] * 5, abs=0.01)


def test_equal_seeds_give_equal_bits_in_any_number_of_threads() -> None:
    rules, threads = {**BEFORE, **UNIT}, torch.get_num_threads()
    one = modelzoo.build(NET, rules, seed=1)
    torch.set_num_threads(2)
    try:
        assert equal(one, modelzoo.build(NET, rules, seed=1))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert not equal(one, modelzoo.build(NET, rules, seed=2))
    modelzoo.initialize(other := modelzoo.build(NET, seed=2), rules, seed=1)
    assert equal(one, other)


def test_the_order_is_that_of_calls_and_the_first_call_decides() -> None:
    model = {
        "inputs": {"x": [64, 8]},
        "layers": {"late": "Linear(8, 8)", "early": "Linear(8, 8)", "twice": "Linear(8, 8)"},
        "forward": "twice(twice(late(relu(early(x)) * 5)))",
    }
    rules = {"zero": {"param": "bias", "fill": 0}, **UNIT}
    early, late, first, _ = stds(modelzoo.build(model, rules), example(model, rules, 0))
    assert [early, late, first] == pytest.approx([1, 1, 1], abs=0.01)


def test_a_later_rule_has_its_own_aim_and_the_plan_says_both() -> None:
    rules = {**BEFORE, **UNIT, "head": {"name": "1.weight", "fill": "lsuv(0.1)"}}
    plan = modelzoo.plan(NET, rules)
    assert {
        each.name: (each.rule, each.fill) for each in plan.tensors if each.name in ("0.0.0.weight", "1.weight")
    } == {
        "0.0.0.weight": ("init.unit", "orthogonal(gain=1.0) -> lsuv(std=1.0)"),
        "1.weight": ("init.head", "orthogonal(gain=1.0) -> lsuv(std=1.0) -> lsuv(std=0.1)"),
    }
    with pytest.raises(
        modelzoo.ConfigError, match=r"^init\.head\.fill\n  .* a standard deviation of 0\.\d+, and no scale"
    ):
        modelzoo.build(NET, rules)  # the bias alone has more
    assert stds(modelzoo.build(NET, {**rules, "biases": {"param": "bias", "fill": 0}}), example(NET, rules, 0))[
        -1
    ] == pytest.approx(0.1, rel=0.01)


def test_nothing_else_of_the_model_changes() -> None:
    model = {"inputs": {"x": [64, 8]}, "layers": ["Linear(8, 8)", "BatchNorm1d(8)", "Dropout(0.5)", "Linear(8, 2)"]}
    state = torch.get_rng_state()
    built, plain = modelzoo.build(model, UNIT), modelzoo.build(model)
    changed = [name for name, each in built.state_dict().items() if not each.equal(plain.state_dict()[name])]
    assert changed == ["0.weight", "3.weight"]
    assert all(each.training for each in built.modules())
    assert not any(each._forward_hooks for each in built.modules())
    assert torch.get_rng_state().equal(state)
    assert modelzoo.build(model, UNIT, device="meta")[0].weight.is_meta


def test_the_last_layers_of_residual_branches_become_zero_through_selectors() -> None:
    model = {
        "inputs": {"x": [64, 8]},
        "layers": [{"_target_": "Block", "_repeat_": 3}],
        "blocks": {
            "Block": {"layers": {"up": "Linear(8, 8)", "down": "Linear(8, 8)"}, "forward": "x + down(relu(up(x)))"}
        },
    }
    last = {"last": {"block": "Block", "name": "*.down.*", "fill": 0}}
    built, x = modelzoo.build(model, {**UNIT, **last}), torch.randn(5, 8)
    assert built(x).equal(x)
    assert float(built[0][2].up.weight.detach().abs().min()) > 0


@pytest.mark.parametrize(
    ("model", "rules", "message"),
    [
        (
            {"layers": ["Linear(3, 3)"]},
            {},
            "init.unit.fill\n  init.unit cannot fill '0.weight': lsuv measures what layers return for the example inputs, "
            "and there are none. It takes a config with inputs: {x: [32, 8]}.",
        ),
        (
            NET,
            {"after": {"name": "1.weight", "fill": "value * 2"}},
            "init.after.fill\n  init.after cannot fill '1.weight', which init.unit fills with lsuv: that has to come last. "
            "Swap the two rules.",
        ),
        (
            NET,
            {"copy": {"name": "0.0.0.weight", "fill": {"_ref_": "0.1.0.weight"}}},
            "init.copy.fill\n  init.copy cannot fill '0.0.0.weight', a copy of '0.1.0.weight': it would be copied before "
            "that is measured.",
        ),
        (
            NET,
            {"none": {"name": "1.weight", "fill": "lsuv(std=0)"}},
            "init.none.fill\n  init.none cannot fill '1.weight': lsuv needs std above 0, not 0.",
        ),
        (
            NET,
            {"text": {"name": "1.weight", "fill": "lsuv() + 1"}},
            "init.text.fill\n  init.text cannot fill '1.weight': lsuv is a fill by itself, and no part of a text.",
        ),
        (
            {**NET, "layers": ["Linear(16, 16)", "ReLU", "Linear(16, 16)"]},
            {"zero": {"name": "0.*", "fill": 0}, "more": {"name": "0.weight", "fill": "lsuv"}},
            "init.more.fill\n  init.more cannot fill '0.weight': what '0' returns for the example inputs has a standard "
            "deviation of 0, and no scale of it makes that 1.",
        ),
    ],
)
def test_what_cannot_be_measured_is_told(model: Any, rules: Any, message: str) -> None:
    with pytest.raises(modelzoo.ConfigError) as told:
        modelzoo.build(model, {**UNIT, **rules})
    assert str(told.value) == message


def test_a_layer_that_the_example_does_not_reach_is_told() -> None:
    model = {
        "inputs": {"x": [4, 3]},
        "layers": {"a": "Linear(3, 3)", "b": "Linear(3, 3)"},
        "forward": "if x.shape[0] > 8:\n  return b(x)\nreturn a(x)",
    }
    with pytest.raises(modelzoo.ConfigError) as told:
        modelzoo.build(model, UNIT)
    assert (
        str(told.value)
        == "init.unit.fill\n  init.unit cannot fill 'b.weight': nothing calls 'b' for the example inputs."
    )


def test_a_module_without_a_config_has_nothing_to_measure() -> None:
    with pytest.raises(modelzoo.ConfigError, match="and there are none"):
        modelzoo.initialize(nn.Linear(2, 2), UNIT)


def test_a_source_says_that_it_cannot_measure() -> None:
    with pytest.raises(modelzoo.ConfigError) as told:
        written(draft(NET, {**BEFORE, **UNIT}), config.from_mapping(NET).model)
    assert str(told.value) == (
        "init.unit.fill\n  init.unit fills '0.0.0.weight' with lsuv, which measures the example inputs: a source cannot "
        "give it its values. Write the source without that rule, and load the values of a run."
    )
