"""What was built from a config comes back as a config of the same model, and again as the same text."""

from __future__ import annotations

import pytest
import torch

import modelzoo
from modelzoo.importing.written import text
from tests.helpers import zoo_vision
from tests.helpers.composing import compose
from tests.helpers.documents import ROOT

SMALL = {
    "alexnet": "width=4 hidden=32",
    "bert": "vocab=61 context=16 dim=24 layers=3 heads=4",
    "chimera": "",
    "densenet121": "growth=4 depths=[2,3,1,3]",
    "fixed_hidden": "",
    "gpt2": "vocab=61 context=16 dim=24 layers=3 heads=4",
    "lenet": "",
    "llama": "vocab=61 dim=24 layers=3 heads=4 width=40",
    "lstm_lm": "vocab=31 dim=12",
    "mixture_of_experts": "",
    "mlp": "",
    "mobilenet_v2": "dims=[8,4,6,8,10,12,14,16,32] depths=[1,2,1,2,1,3,1]",
    "nested": "",
    "regression": "",
    "resnet18": "stem=8 dims=[8,16,16,16]",
    "resnet50": "stem=8 dims=[32,48,64,80] depths=[2,1,3,1]",
    "rgnet": "",
    "seq2seq": "vocab=31 context=16 dim=16 layers=2 heads=4 width=24",
    "sequential": "",
    "shared": "",
    "unet": "width=4 depth=3",
    "vae": "",
    "vgg16": "dims=[3,4,6,8,10,12] depths=[1,2,1,3,1] hidden=32",
    "vit_b_16": "image=24 patch=8 dim=32 depth=3 num_heads=4",
}
"""The args of a small one of each model that ships."""

IMAGES = {
    "alexnet": "[1,3,95,63]",
    "densenet121": "[1,3,32,32]",
    "mobilenet_v2": "[1,3,64,40]",
    "resnet18": "[1,3,32,32]",
    "resnet50": "[1,3,64,40]",
    "unet": "[1,1,32,24]",
    "vgg16": "[1,3,32,48]",
}


@pytest.mark.parametrize("name", SMALL)
def test_a_model_of_ours_comes_back_and_again_as_the_same_text(name):
    overrides = [f"model.args.{each}" for each in SMALL[name].split()]
    overrides += [f"model.inputs.x={IMAGES[name]}"] if name in IMAGES else []
    config, _ = compose(f"model={name}", *overrides)
    built, plan = modelzoo.build(config), modelzoo.plan(config)
    inputs = tuple(
        torch.randn(each.shape) if each.dtype == "float32" else torch.ones(each.shape, dtype=getattr(torch, each.dtype))
        for each in plan.inputs
    )
    first = modelzoo.from_module(built, inputs)
    again = modelzoo.build(first)
    assert list(again.state_dict()) == list(built.state_dict())
    assert text(modelzoo.from_module(again, inputs)) == text(first)


def test_every_model_that_ships_is_among_them():
    assert sorted(SMALL) == sorted(path.stem for path in (ROOT / "conf" / "model").glob("*.yaml"))


def test_resnet18_by_hand_is_as_short_as_a_config_by_hand():
    module = zoo_vision.resnet18(stem=8, dims=(8, 16, 24, 32), classes=10)
    found = modelzoo.from_module(module, torch.randn(1, 3, 32, 32))
    assert len(text(found).splitlines()) <= 42
    assert modelzoo.build(found)(torch.randn(2, 3, 64, 64)).shape == (2, 10)
