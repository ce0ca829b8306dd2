"""Buffers that a `forward` sets in training: running statistics, averages, the power iteration of spectral norm."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
import yaml
from torch import nn
from torch.nn.utils import spectral_norm
from torch.nn.utils.parametrizations import spectral_norm as parametrized

import modelzoo
from modelzoo.export.source.model import source

torch.set_num_threads(1)

NORM = """
inputs: {x: [4, 8]}
blocks:
  Norm:
    args: [dim, momentum=0.1]
    buffers:
      running_mean: {shape: [dim], fill: 0}
      running_var: {shape: [dim], fill: 1}
      num_batches_tracked: {shape: [], fill: 0, dtype: int64}
    forward: |
      mean, var = running_mean, running_var
      if training:
          mean, var = x.mean(0), x.var(0, correction=0)
          running_mean = lerp(running_mean, mean, momentum)
          running_var = lerp(running_var, x.var(0), momentum)
          num_batches_tracked += 1
      return (x - mean) * rsqrt(var + 1e-5)
layers: ["Linear(8, 8)", Norm(8)]
"""


def written(text):
    """The class that is written of a model."""
    namespace: dict = {}
    exec(source(yaml.safe_load(text)), namespace)
    return namespace["Model"]


def trained_alike(model, twin, *inputs, steps=3):
    """In training and after it outputs, gradients and buffers are those of the twin."""
    for mode in (True, False):
        for _ in range(steps):
            for each in (model, twin):
                each.train(mode).zero_grad()
            for x in inputs:
                one, other = model(x), twin(x)
                torch.testing.assert_close(one, other)
                one.square().sum().backward()
                other.square().sum().backward()
            for (name, own), theirs in zip(model.named_parameters(), twin.parameters(), strict=True):
                torch.testing.assert_close(own.grad, theirs.grad, msg=name)
            for (name, own), theirs in zip(model.named_buffers(), twin.buffers(), strict=True):
                torch.testing.assert_close(own, theirs, msg=name)


def test_running_statistics_are_those_of_torch():
    model = modelzoo.build(
        yaml.safe_load(NORM), dtype="float64"
    )  # of what is normalised some gradients are rounding alone
    twin = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8, affine=False)).double()
    assert list(model.state_dict()) == list(twin.state_dict())
    twin.load_state_dict(model.state_dict())
    before = {name: each.clone() for name, each in model.state_dict().items()}
    x = torch.randn(4, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    trained_alike(model, twin, x, x + 1)
    moved = [name for name, each in model.state_dict().items() if not torch.equal(each, before[name])]
    assert moved == ["1.running_mean", "1.running_var", "1.num_batches_tracked"]


SPECTRAL = """
inputs: {x: [2, 3, 8, 8]}
blocks:
  SpectralConv:
    args: [channels, out, kernel, stride=1, padding=0]
    parameters:
      bias: {shape: [out], fill: "uniform(-0.1, 0.1)"}
      weight_orig: {shape: [out, channels, kernel, kernel], fill: normal(std=0.02)}
    buffers:
      weight_u: {shape: [out], fill: "w = normal(); return w / w.norm()"}
      weight_v: {shape: [channels * kernel * kernel], fill: "w = normal(); return w / w.norm()"}
    forward: |
      w = weight_orig.flatten(1)
      if training:
          weight_v = normalize(mv(w.T, weight_u), dim=0, eps=1e-12)
          weight_u = normalize(mv(w, weight_v), dim=0, eps=1e-12)
      sigma = dot(weight_u, mv(w, weight_v))
      return conv2d(x, weight_orig / sigma, bias, stride, padding)
layers:
  - SpectralConv(3, 8, 4, 2, 1)
  - LeakyReLU(0.2)
  - SpectralConv(8, 1, 4)
"""


def test_a_discriminator_with_spectral_norm_is_trained_as_torchs():
    model = modelzoo.build(yaml.safe_load(SPECTRAL))
    first, last = spectral_norm(nn.Conv2d(3, 8, 4, 2, 1)), spectral_norm(nn.Conv2d(8, 1, 4))
    twin = nn.Sequential(first, nn.LeakyReLU(0.2), last)
    assert list(model.state_dict()) == list(twin.state_dict())
    twin.load_state_dict(model.state_dict())
    generator = torch.Generator().manual_seed(0)
    trained_alike(model, twin, *(torch.randn(2, 3, 8, 8, generator=generator) for _ in range(2)))


def test_a_parametrization_has_the_keys_of_torchs():
    model = modelzoo.build(
        yaml.safe_load(
            """
            inputs: {x: [2, 6]}
            blocks:
              Spectral:
                args: [dim, out]
                inputs: [w]
                buffers:
                  _u: {shape: [out], fill: "w = normal(); return w / w.norm()"}
                  _v: {shape: [dim], fill: "w = normal(); return w / w.norm()"}
                forward: |
                  if training:
                      _u = normalize(mv(w, _v), dim=0, eps=1e-12)
                      _v = normalize(mv(w.T, _u), dim=0, eps=1e-12)
                  return w / dot(_u, mv(w, _v))
              List:
                args: [dim, out]
                parameters: {original: {shape: [out, dim], fill: normal}}
                layers: ["Spectral(dim, out)"]
                inputs: []
                forward: layers[0](original)
            parameters: {bias: {shape: [3], fill: 0}}
            layers: {parametrizations: {layers: {weight: "List(6, 3)"}, inputs: [], forward: weight()}}
            forward: linear(x, parametrizations(), bias)
            """
        )
    )
    twin = parametrized(nn.Linear(6, 3))
    assert list(model.state_dict()) == list(twin.state_dict())
    twin.load_state_dict(model.state_dict())
    trained_alike(model, twin, torch.randn(2, 6, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize(("text", "x"), [(NORM, torch.ones(4, 8)), (SPECTRAL, torch.ones(2, 3, 8, 8))])
def test_the_source_moves_them_too(text, x):
    model, cls = modelzoo.build(yaml.safe_load(text)), written(text)
    twin = cls()
    twin.load_state_dict(model.state_dict())
    generator = torch.Generator().manual_seed(0)
    trained_alike(model, twin, *(torch.randn(x.shape, generator=generator) for _ in range(2)))


def test_a_plan_and_a_build_leave_them_as_they_are_filled():
    model = modelzoo.build(yaml.safe_load(NORM))
    assert [each.unique().tolist() for each in model.buffers()] == [[0], [1], [0]]
    drawn = {"mean": {"name": "1.running_mean", "fill": "normal"}}
    model = modelzoo.build(yaml.safe_load(NORM), drawn)
    assert model[1].running_mean.std() > 0.1
    assert torch.equal(model[1].running_mean, modelzoo.build(yaml.safe_load(NORM), drawn)[1].running_mean)


def test_a_buffer_stays_the_same_tensor_and_evaluation_never_sets_it():
    model = modelzoo.build(yaml.safe_load(NORM))
    held = model[1].running_mean
    model(torch.ones(4, 8))
    assert model[1].running_mean is held
    assert not held.requires_grad
    assert held.ne(0).any()
    before = held.clone()
    model.eval()(torch.ones(4, 8) * 5)
    assert torch.equal(held, before)


def test_compile_export_pickle_and_copies_keep_moving_them():
    x = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    built = modelzoo.build(yaml.safe_load(NORM))
    ways = {
        "compile": lambda model: torch.compile(model, backend="aot_eager", fullgraph=True),
        "export": lambda model: torch.export.export(model, (x,)).module(),
        "pickle": lambda model: pickle.loads(pickle.dumps(model)),
        "copy": copy.deepcopy,
        "functional": lambda model: lambda x: torch.func.functional_call(model, dict(model.named_buffers()), (x,)),
    }
    twin = copy.deepcopy(built)
    expected = twin(x), twin[1].running_var
    for way, how in ways.items():
        model = copy.deepcopy(built)
        made = how(model)
        output = made(x)
        owner = model if way in ("compile", "functional") else made
        torch.testing.assert_close(output, expected[0], msg=way)
        torch.testing.assert_close(dict(owner.named_buffers())["1.running_var"], expected[1], msg=way)


@pytest.mark.parametrize(
    ("forward", "said"),
    [
        ("u = x\nreturn u", "'u' is a buffer, and is set in training alone. Write if training: above it."),
        (
            "if training:\n    pass\nelse:\n    u = x\nreturn u",
            "'u' is a buffer, and is set in training alone. Write if training: above it.",
        ),
        (
            "if training or x.sum() > 0:\n    u = x\nreturn u",
            "'u' is a buffer, and is set in training alone. Write if training: above it.",
        ),
        (
            "if training:\n    u = x\nreturn u",
            "In training: u = x fails: 'u' is a buffer of shape [2], and is set to one of [2, 2]",
        ),
        (
            "if training:\n    u = 3\nreturn u + x",
            "In training: u = 3 fails: 'u' is a buffer, and is set to a tensor, not to int",
        ),
        (
            "if training:\n    for u in range(3):\n        x = x + 1\nreturn x + u",
            "'u' belongs to the block and cannot be assigned. Take another name.",
        ),
        (
            "if training:\n    w = x\nreturn w + u",
            "'w' belongs to the block and cannot be assigned. Take another name.",
        ),
    ],
)
def test_what_cannot_be_set_is_said(forward, said):
    model = {
        "inputs": {"x": [2, 2]},
        "parameters": {"w": {"shape": [2], "fill": 0}},
        "buffers": {"u": {"shape": [2], "fill": 0}},
        "forward": forward,
    }
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build(model)
    assert str(caught.value) == f"model.forward\n  {said}"
