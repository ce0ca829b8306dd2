"""What was built from a config comes back as a config of the same model, and again as the same text."""

from __future__ import annotations

import pytest
import torch

import modelzoo
from modelzoo.importing.written import text
from tests.helpers import zoo_vision
from tests.helpers.composing import compose

SMALL = {
    "chimera": (),
    "densenet121": ("model.args.growth=4", "model.inputs.x=[1,3,32,32]"),
    "fixed_hidden": (),
    "lenet": (),
    "mixture_of_experts": (),
    "mlp": (),
    "nested": (),
    "regression": (),
    "resnet18": ("model.args.stem=8", "model.args.dims=[8,16,16,16]", "model.inputs.x=[1,3,32,32]"),
    "rgnet": (),
    "sequential": (),
    "shared": (),
    "vae": (),
}


@pytest.mark.parametrize("name", SMALL)
def test_a_model_of_ours_comes_back_and_again_as_the_same_text(name):
    config, _ = compose(f"model={name}", *SMALL[name])
    built, plan = modelzoo.build(config), modelzoo.plan(config)
    inputs = tuple(
        torch.randn(each.shape) if each.dtype == "float32" else torch.ones(each.shape, dtype=getattr(torch, each.dtype))
        for each in plan.inputs
    )
    first = modelzoo.from_module(built, inputs)
    again = modelzoo.build(first)
    assert list(again.state_dict()) == list(built.state_dict())
    assert text(modelzoo.from_module(again, inputs)) == text(first)


def test_resnet18_by_hand_is_as_short_as_a_config_by_hand():
    module = zoo_vision.resnet18(stem=8, dims=(8, 16, 24, 32), classes=10)
    found = modelzoo.from_module(module, torch.randn(1, 3, 32, 32))
    assert len(text(found).splitlines()) <= 42
    assert modelzoo.build(found)(torch.randn(2, 3, 64, 64)).shape == (2, 10)
