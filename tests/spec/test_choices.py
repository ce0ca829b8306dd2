"""A `_target_` chooses a layer as a text does: by a condition, or from a list."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from torch import nn

import modelzoo
from modelzoo.export.source.model import source

CHOSEN = """
args: {wide: [true, false, true], acts: [ReLU, Tanh, LeakyReLU(0.1)], last: true}
inputs: {x: [2, 8]}
blocks:
  Wide: {args: [n], layers: {up: "Linear(n, 2 * n)", down: "Linear(2 * n, n)"}}
layers:
  - {_repeat_: len(wide), _target_: "Wide(8) if wide[i] else Linear(8, 8)"}
  - {_repeat_: len(acts), _unpack_: true, _target_: "=acts[i]"}
  - {_if_: last, _target_: "Linear(8, 4) if wide[0] else Linear(8, 2)"}
  - {_target_: "Dropout(0.1) if wide[1] else None"}
"""


def test_each_copy_is_what_the_condition_chooses_for_it():
    model = modelzoo.build(yaml.safe_load(CHOSEN))
    assert [[*dict(each.named_children())] for each in model[0]] == [["up", "down"], [], ["up", "down"]]
    assert [type(each) for each in model[1:]] == [nn.ReLU, nn.Tanh, nn.LeakyReLU, nn.Linear]
    assert model[4].out_features == 4


def test_a_choice_follows_its_arg():
    model = modelzoo.build(yaml.safe_load(CHOSEN), args={"wide": [False, True], "last": False})
    assert [[*dict(each.named_children())] for each in model[0]] == [[], ["up", "down"]]
    assert [type(each) for each in model[1:]] == [nn.ReLU, nn.Tanh, nn.LeakyReLU, nn.Dropout]


def test_the_source_chooses_too():
    made: dict[str, Any] = {}
    exec(source(yaml.safe_load(CHOSEN)), made)
    model = modelzoo.build(yaml.safe_load(CHOSEN))
    assert list(made["Model"]().state_dict()) == list(model.state_dict())
    assert "Wide(8) if wide[i] else nn.Linear(8, 8) for i in range(len(wide))" in source(yaml.safe_load(CHOSEN))


@pytest.mark.parametrize(
    ("layer", "what"),
    [
        (
            {"_target_": "Linear if wide else Bilinear", "in_features": 8, "out_features": 4},
            "model.0._target_\n  a layer that is chosen has no arguments beside it. "
            "Write them in each call: Linear(...) if wide else Bilinear(...).",
        ),
        (
            {"_target_": "=kinds[0]", "_args_": [8, 4]},
            "model.0._target_\n  a layer that is chosen has no arguments beside it. "
            "Make it an arg, kind: =kinds[0], and write _target_: kind.",
        ),
        (
            {"_target_": "Linear(8, 4) if wide else ReLU", "_init_": {"weight": 0}},
            "model.0._init_\n  _init_ is of one layer, and not of one that is chosen. Write it on a block around it.",
        ),
        (
            {"_target_": "Linaer(8, 4) if wide else ReLU"},
            "model.0._target_\n  there is no function or layer 'Linaer'. Did you mean 'Linear'?",
        ),
    ],
)
def test_what_a_choice_cannot_have_is_answered_with_what_to_write(layer, what):
    args = {"wide": True, "kinds": ["Linear", "Bilinear"]}
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build({"args": args, "inputs": {"x": [2, 8]}, "layers": [layer]})
    assert str(caught.value) == what.replace("model.0", "model.layers.0")


def test_what_is_advised_works():
    args = {"wide": True, "kinds": ["Linear", "Bilinear"], "kind": "=kinds[0]"}
    layers = ["Linear(8, 8) if wide else Bilinear(8, 8, 4)", {"_target_": "kind", "_args_": [8, 4]}]
    assert modelzoo.build({"args": args, "inputs": {"x": [2, 8]}, "layers": layers})[1].out_features == 4
