"""A layer that exists already, given as an argument: in a mapping, by position and in a text; in the source too."""

from __future__ import annotations

import pytest
import torch
import yaml
from torch import nn

import modelzoo
from modelzoo.export.source.model import source

X = torch.linspace(-2, 2, 16).reshape(2, 8)
RESIDUAL = "blocks: {Residual: {args: [inner], layers: {inside: =inner}, forward: x + inside(x)}}\n"


def built(text):
    """A model, and one that its source makes, with its values."""
    given = yaml.safe_load("inputs: {x: [2, 8]}\n" + text)
    model, namespace = modelzoo.build(given), {}
    exec(source(given), namespace)
    made = namespace["Model"]()
    made.load_state_dict(model.state_dict())
    return model, made


@pytest.mark.parametrize(
    "again",
    [
        "{_target_: Residual, inner: {_ref_: first}}",
        "{_target_: Residual, _args_: [{_ref_: first}]}",
        "\"Residual({'_ref_': 'first'})\"",
        "\"Residual(inner={'_ref_': 'first'})\"",
    ],
)
def test_a_definition_holds_it_a_second_time(again):
    for model in built(f"{RESIDUAL}layers: {{first: 'Linear(8, 8)', again: {again}}}"):
        assert model.again.inside is model.first
        y = model.first(X)
        assert torch.equal(model(X), y + model.first(y))


@pytest.mark.parametrize(
    ("again", "call"),
    [
        ("Sequential({'_ref_': 'first'}, ReLU)", "again(x)"),
        ("Sequential(Sequential({'_ref_': 'first'}), ReLU)", "again(x)"),
        ("ModuleList([{'_ref_': 'first'}, ReLU])", "again[1](again[0](x))"),
        ("ModuleDict({'a': {'_ref_': 'first'}, 'b': ReLU})", "again['b'](again['a'](x))"),
    ],
)
def test_a_container_holds_it_a_second_time(again, call):
    for model in built(f'layers: {{first: "Linear(8, 8)", again: "{again}"}}\nforward: {call}'):
        assert [name for name, _ in model.named_parameters()] == ["first.weight", "first.bias"]
        assert torch.equal(model(X), nn.functional.relu(model.first(X)))


@pytest.mark.parametrize(
    ("again", "said"),
    [
        (
            "Sequential(first, ReLU)",
            "model.layers.again\n  'first' is no arg, and a formula sees args alone. "
            "For a layer again write {'_ref_': 'first'}.",
        ),
        (
            "Sequential({'_ref_': 'frist'}, ReLU)",
            "model.layers.again._ref_\n  there is no layer 'frist' to refer to. Did you mean 'first'?",
        ),
        (
            "Sequential({'_ref_': 3.5}, ReLU)",
            "model.layers.again._ref_\n  _ref_ must be the name of a layer, not 3.5",
        ),
        (
            "Sequential({'_ref_': 'first', 'bias': 3}, ReLU)",
            "model.layers.again.bias\n"
            "  a reference is the same module again and has no other keys, not 'bias'. Remove it.",
        ),
    ],
)
def test_what_is_no_reference_is_said(again, said):
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build({"layers": {"first": "Linear(8, 8)", "again": again}})
    assert str(caught.value) == said
