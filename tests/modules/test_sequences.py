"""Inputs by name, where a block is an nn.Sequential."""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict

import pytest
import torch
from torch import nn

import modelzoo

MODEL = {
    "inputs": {"tokens": [2, 4]},
    "blocks": {"Gate": {"inputs": ["value"], "layers": ["Linear(4, 4)", "Sigmoid"]}},
    "layers": {"one": "Linear(4, 4)", "gate": {"_target_": "Gate", "_repeat_": 2}},
}


def test_the_input_of_a_sequence_may_be_given_by_its_name():
    model, tokens = modelzoo.build(MODEL), torch.ones(2, 4)
    assert isinstance(model, nn.Sequential)
    assert isinstance(model.gate[1], nn.Sequential)
    for each in (model, copy.deepcopy(model), pickle.loads(pickle.dumps(model)), torch.compile(model, backend="eager")):
        assert torch.equal(each(tokens=tokens), model(tokens))
        assert torch.equal(each.gate[1](value=tokens), model.gate[1](tokens))


def test_another_name_is_refused_as_by_any_module():
    model = modelzoo.build(MODEL)
    with pytest.raises(TypeError, match="unexpected keyword argument 'token'"):
        model(token=torch.ones(2, 4))
    with pytest.raises(TypeError, match="unexpected keyword argument 'tokens'"):
        model(torch.ones(2, 4), tokens=torch.ones(2, 4))


def test_a_forward_calls_a_definition_by_the_name_of_its_input():
    layers = {"layers": {"gate": "Gate"}, "inputs": {"x": [2, 4]}, "blocks": MODEL["blocks"]}
    named, plain = ({**layers, "forward": f"x * gate({given})"} for given in ("value=x", "x"))
    assert modelzoo.plan(named).flops == modelzoo.plan(plain).flops
    x = torch.randn(2, 4)
    assert torch.equal(modelzoo.build(named)(x), modelzoo.build(plain)(x))
    with pytest.raises(modelzoo.ConfigError, match="unexpected keyword argument 'valeu'"):
        modelzoo.plan({**layers, "forward": "x * gate(valeu=x)"})


def test_a_sequence_without_inputs_of_its_own_has_no_hook():
    model = modelzoo.build({"inputs": {"x": [2, 4]}, "layers": [["Linear(4, 4)"], {"layers": ["ReLU"], "_repeat_": 2}]})
    assert not any(each._forward_pre_hooks or "forward" in vars(each) for each in [*model.modules()][1:])


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    "model",
    [
        {"inputs": {"image": ["batch", 4]}, "layers": ["Linear(4, 4)", "ReLU"]},
        {"inputs": {"input": ["batch", 4]}, "layers": ["Linear(4, 4)", "ReLU"]},
        {"inputs": {"x": ["batch", 4]}, "layers": {"a": {"layers": ["Linear(4, 4)"]}, "b": "ReLU"}},
        {"inputs": {"x": ["batch", 4]}, "layers": {"a": "Linear(4, 4)"}, "forward": "a(x) + zeros(x.shape)"},
    ],
)
def test_a_model_is_exported_with_sizes_that_vary_by_the_names_of_its_inputs(model, strict):
    built = modelzoo.build({**model, "args": {"batch": 3}})
    (name,) = model["inputs"]
    sizes = {name: {0: torch.export.Dim("batch")}}
    exported = torch.export.export(built, (), {name: torch.ones(3, 4)}, dynamic_shapes=sizes, strict=strict)
    given = torch.randn(7, 4)
    assert torch.equal(exported.module()(**{name: given}), built(given))


def test_a_copy_and_a_replica_run_their_own_layers():
    model = modelzoo.build(MODEL)
    x = torch.randn(2, 4)
    for each in (copy.copy(model), model._replicate_for_data_parallel()):  # as nn.DataParallel makes them
        each._modules = nn.Sequential(nn.Tanh(), nn.Flatten(0))._modules
        assert torch.equal(each(x), torch.tanh(x).flatten())
        assert torch.equal(each(tokens=x), each(x))
    alone = copy.copy(model)
    expected = model(x)
    del model
    assert torch.equal(alone(x), expected)


def test_what_is_made_of_a_sequence_is_one_with_the_same_name():
    model, x = modelzoo.build(MODEL), torch.randn(2, 4)
    assert torch.equal(model[:1](tokens=x), model.one(x))
    assert repr(model) == repr(nn.Sequential(OrderedDict(model.named_children())))
    assert type(pickle.loads(pickle.dumps(model))) is type(copy.deepcopy(model)) is type(model)
