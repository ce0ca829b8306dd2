"""`layers` in a text: the block's own, by number and by names that Python could not name; in the source too."""

from __future__ import annotations

import pickle

import pytest
import torch
import yaml
from torch import nn

import modelzoo
from modelzoo.export.source.model import source

X = torch.linspace(-2, 2, 16).reshape(2, 8)


class Twin(nn.Module):
    """Linear layers by name, and what is done with them."""

    def __init__(self, run, **sizes):
        super().__init__()
        self.run = run
        for name, (a, b) in sizes.items():
            self.add_module(name, nn.Linear(a, b))

    def forward(self, x):
        return self.run(self._modules, x)


def same(text, twin):
    """The model, its source and a twin have equal keys in equal order, and equal outputs."""
    given = yaml.safe_load(text)
    model = modelzoo.build(given)
    namespace: dict = {}
    exec(source(given), namespace)
    for each in (namespace["Model"](), twin):
        assert list(each.state_dict()) == list(model.state_dict())
        each.load_state_dict(model.state_dict())
        assert torch.equal(each(X), model(X))
    return model


LIST = "inputs: {x: [2, 8]}\nlayers: ['Linear(8, 8)', 'Linear(8, 8)', 'Linear(8, 4)']\nforward: |\n"


@pytest.mark.parametrize(
    ("text", "run"),
    [
        ("return layers[2](layers[0](x)) + layers[-1](x)", lambda m, x: m["2"](m["0"](x)) + m["2"](x)),
        (
            "for layer in layers:\n      x = relu(layer(x))\n  return layers[1].weight.sum() * x * len(layers)",
            lambda m, x: m["1"].weight.sum() * m["2"](m["1"](m["0"](x).relu()).relu()).relu() * 3,
        ),
        (
            "for i in range(2):\n      x = x + layers[i](x)\n  return layers[2](x)",
            lambda m, x: m["2"]((x + m["0"](x)) + m["1"](x + m["0"](x))),
        ),
        (
            "y = x\n  for k, (a, b) in enumerate(zip(layers[:2], reversed(layers[:2]))):\n"
            "      y = y + k * b(a(x))\n  return y",
            lambda m, x: x + 0 * m["1"](m["0"](x)) + 1 * m["0"](m["1"](x)),
        ),
    ],
)
def test_a_number_counts_them(text, run):
    same(f"{LIST}  {text}\n", Twin(run, **{"0": (8, 8), "1": (8, 8), "2": (8, 4)}))


def test_a_text_is_a_name():
    model = same(
        """
        inputs: {x: [2, 8]}
        layers: {block1-0: "Linear(8, 8)", 7: "Linear(8, 8)", out: "Linear(8, 4)"}
        forward: out(layers['7'](layers['block1-0'](x))) + layers[-1](x)
        """,
        Twin(
            lambda m, x: m["out"](m["7"](m["block1-0"](x))) + m["out"](x),
            **{"block1-0": (8, 8), "7": (8, 8), "out": (8, 4)},
        ),
    )
    assert torch.equal(pickle.loads(pickle.dumps(model))(X), model(X))
    assert torch.equal(torch.compile(model, backend="eager", fullgraph=True)(X), model(X))
    assert torch.equal(torch.export.export(model, (X,)).module()(X), model(X))


def test_names_with_a_hyphen_are_those_of_sequences_copies_references_and_ties():
    model = modelzoo.build(
        yaml.safe_load(
            """
            inputs: {x: [2, 8]}
            layers:
              stage: {_repeat_: 2, _name_: "block1-{i}", layers: {conv-a: "Linear(8, 8)", act: ReLU}}
              again: {_ref_: stage.block1-1}
            tie: {stage.block1-1.conv-a.weight: stage.block1-0.conv-a.weight}
            """
        )
    )
    assert [name for name, _ in model.named_parameters()] == [
        "stage.block1-0.conv-a.weight",
        "stage.block1-0.conv-a.bias",
        "stage.block1-1.conv-a.bias",
    ]
    assert model.again is model.stage[1]


def test_a_list_is_numbered_as_it_stands_without_what_is_absent_and_with_what_is_unpacked():
    text = """
        args: {wide: false, depth: 2}
        inputs: {x: [2, 8]}
        layers:
          - {_target_: "Linear(8, 80)", _if_: wide}
          - {_repeat_: depth, _unpack_: true, layers: ["Linear(8, 8)"]}
          - Linear(8, 4)
        forward: layers[2](layers[1](layers[0](x)))
        """
    same(text, Twin(lambda m, x: m["2"](m["1"](m["0"](x))), **{"0": (8, 8), "1": (8, 8), "2": (8, 4)}))
    deeper = modelzoo.build(yaml.safe_load(text.replace("depth: 2", "depth: 4").replace("layers[2](", "layers[-1](")))
    assert list(deeper.state_dict())[-1] == "4.bias"


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (
            "layers: {block1-0: ReLU}\nforward: block1-0(x)",
            "model.forward\n  there is no value 'block1'. Write layers['block1-0'](x).\n"
            "model.forward\n  only functions, methods and layers are called",
        ),
        (
            "layers: {block1-0: ReLU}\nforward: layers['block1-1'](x)",
            "model.forward\n  there is no layer 'block1-1'. Did you mean 'block1-0'?",
        ),
        ("layers: [ReLU]\nforward: layers[1](x)", "model.forward\n  there is no layer '1'. Known: 0."),
        ("layers: [ReLU]\nforward: layers[-2](x)", "model.forward\n  there is no layer '-2'. Known: 0."),
        (
            "layers: [ReLU]\nforward: layers(x)",
            "model.forward\n  'layers' are all layers of this block. Write layers[0](x).",
        ),
        (
            "layers: [ReLU]\nforward: layers[0:1](x)",
            "model.forward\n  a layer is picked by one index. Write layers[0](x).",
        ),
        ("forward: layers[0](x)", "model.forward\n  only functions, methods and layers are called"),
    ],
)
def test_what_layers_are_not_is_said(block, said):
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build(yaml.safe_load(block))
    assert str(caught.value) == said


def test_whatever_else_is_called_layers_is_meant_first():
    model = modelzoo.build({"inputs": {"x": [2, 8]}, "layers": {"layers": ["Linear(8, 4)"]}, "forward": "layers[0](x)"})
    assert torch.equal(model(X), model._modules["layers"][0](X))
    assert modelzoo.build({"layers": ["ReLU"], "forward": "layers = [x]\nreturn layers[0]"})(X) is X
