"""What surrounds a build is afterwards as it was before, whatever is planned and whether that works or not."""

import random
import subprocess
import sys
import warnings

import numpy
import pytest
import torch
from torch import nn

import modelzoo
from modelzoo.plans import draft


def around():
    """All that no build may change."""
    return {
        "torch": torch.get_rng_state().tolist(),
        "numpy": numpy.random.get_state()[1].tolist(),
        "random": random.getstate(),
        "dtype": torch.get_default_dtype(),
        "gradients": torch.is_grad_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "warnings": [*warnings.filters],
    }


def summary(model):
    return str(modelzoo.summary(modelzoo.build(model)))


def on_meta(model):
    return draft.fill(draft.draft(model, device="meta"), "meta")


RANDOM = {
    "in forward": {"inputs": {"x": [2, 4]}, "layers": {"a": "Linear(4, 4)"}, "forward": "a(x) + randn_like(x) * rand(4)"},
    "in a fill": {"inputs": {"x": [2, 4]}, "parameters": {"w": {"shape": [4], "fill": "rand(4) + randn_like(normal())"}}, "forward": "x * w"},
    "in an example": {"inputs": {"x": {"shape": [2, 4], "fill": "rand(2, 4)"}}, "layers": ["Linear(4, 4)"]},
    "in a layer": {"inputs": {"x": [2, 4, 8, 8]}, "layers": ["FractionalMaxPool2d(2, output_size=4)", "Dropout(0.5)"]},
    "and fails in forward": {"inputs": {"x": [2, 4]}, "forward": "randn_like(x) @ x"},
    "and fails in a fill": {"inputs": {"x": [2, 4]}, "parameters": {"w": {"shape": [4], "fill": "randperm(5)"}}, "forward": "x * w"},
}  # fmt: skip


@pytest.mark.parametrize("what", [modelzoo.plan, modelzoo.build, summary, on_meta])
@pytest.mark.parametrize("model", RANDOM.values(), ids=RANDOM)
def test_random_texts_move_no_generator(model, what):
    before = around()
    try:
        what(model)
    except modelzoo.ConfigError:
        assert "randn_like(x) @ x" in str(model) or "randperm(5)" in str(model)
    assert around() == before


class Meddling(nn.Module):
    """A layer of somebody who cares for nobody."""

    def __init__(self, fails=False):
        super().__init__()
        self.scale = nn.Parameter(torch.rand(4))
        self.meddle()
        if fails:
            raise ValueError("no")

    def meddle(self):
        random.random()
        numpy.random.rand()
        torch.rand(1)
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        torch.use_deterministic_algorithms(True)
        warnings.simplefilter("error")

    def forward(self, x):
        self.meddle()
        return x * self.scale


@pytest.mark.parametrize("what", [modelzoo.plan, modelzoo.build, summary, on_meta])
@pytest.mark.parametrize("layer", ["Meddling", "Meddling(fails=True)"])
def test_a_registered_layer_changes_nothing_around_a_build(layer, what):
    modelzoo.register.layer(Meddling)
    before = around()
    try:
        what({"inputs": {"x": [2, 4]}, "layers": [layer]})
    except modelzoo.ConfigError:
        assert "fails" in layer
    assert around() == before


def test_what_torch_imports_for_meta_changes_no_filter_of_warnings():
    code = (
        "import warnings, torch, modelzoo; before = [*warnings.filters]; "
        "modelzoo.build({'inputs': {'x': [2, 4]}, 'layers': ['Linear(4, 4)']}, device='meta'); "
        "raise SystemExit(before != warnings.filters)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
