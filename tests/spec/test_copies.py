"""Copies that are layers of the block itself, under names of their own, as torchvision's `layer1` ... `layer4` are."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import modelzoo
from modelzoo.export.graph.dataflow import graph
from modelzoo.export.source.model import source

STAGE = {
    "args": ["dim", "depth"],
    "layers": ["Linear(dim, 2 * dim)", {"_repeat_": "depth", "_target_": "Linear(2 * dim, 2 * dim)"}],
}
STAGES = {"_repeat_": "n", "_unpack_": True, "_name_": "layer{i + 1}", "_target_": "Stage(8 * 2 ** i, depths[i])"}
MODEL = {
    "args": {"n": 2, "depths": [1, 0, 2], "on": True},
    "inputs": {"x": [2, 8]},
    "blocks": {"Stage": STAGE},
    "layers": {"stem": "Linear(8, 8)", "stages": STAGES, "head": "Linear(8 * 2 ** n, 2)"},
}  # fmt: skip
COPY = {"_repeat_": 2, "_unpack_": True, "_name_": "layer{i + 1}", "_target_": "Linear(8, 8)"}
OPTIONAL = {
    "args": {"on": True},
    "inputs": {"x": [2, 8]},
    "layers": {"pair": {**COPY, "_if_": "on"}, "again": {"_ref_": "layer2"}},
    "forward": "return x if layer1 is None else again(layer1(x))",
}
IN_PLACE = {
    "args": {"n": 2, "on": True},
    "inputs": {"x": [2, 8]},
    "layers": {"body": {"layers": {"first": "ReLU", "rest": {**COPY, "_repeat_": "n", "_if_": "on"}}}, "head": "Linear(8, 1)"},
}  # fmt: skip


def children(model: nn.Module) -> list[str]:
    return [name for name, _ in model.named_children()]


def test_copies_stand_in_the_block_in_their_place_each_with_its_own_arguments() -> None:
    built = modelzoo.build(MODEL, args={"n": 3})
    assert children(built) == ["stem", "layer1", "layer2", "layer3", "head"]
    assert [len(each[1]) for each in (built.layer1, built.layer2, built.layer3)] == [1, 0, 2]
    assert children(modelzoo.build({**MODEL, "layers": {"stages": {**STAGES, "_repeat_": 0}, "z": "ReLU"}})) == ["z"]


def test_a_forward_calls_them_by_their_names() -> None:
    built = modelzoo.build({**MODEL, "forward": "x = layer2(layer1(stem(x)))\nreturn head(x)"})
    x = torch.randn(2, 8)
    assert torch.equal(built(x), built.head(built.layer2(built.layer1(built.stem(x)))))


def test_where_the_condition_is_false_they_are_absent_and_none_in_forward() -> None:
    assert children(modelzoo.build(IN_PLACE, args={"on": False}).body) == ["first"]
    built = modelzoo.build(OPTIONAL, args={"on": False})
    assert (built.layer1, built.again, list(built.state_dict())) == (None, None, [])


def test_references_and_ties_name_them() -> None:
    layers = {"before": {"_ref_": "layer2"}, "pair": COPY, "after": {"_ref_": "layer1"}}
    built = modelzoo.build({"inputs": {"x": [2, 8]}, "layers": layers, "tie": {"layer1.bias": "layer2.bias"}})
    assert built.before is built.layer2
    assert built.after is built.layer1
    assert built.layer1.bias is built.layer2.bias


def test_repeated_references_are_one_layer_under_all_names() -> None:
    copies = {"_repeat_": 2, "_unpack_": True, "_name_": "b{i}", "_ref_": "a"}
    built: Any = modelzoo.build({"inputs": {"x": [2, 8]}, "layers": {"a": "Linear(8, 8)", "more": copies}})
    assert built.b0 is built.a
    assert built.b1 is built.a
    assert len(built) == 3


@pytest.mark.parametrize(
    ("model", "args"),
    [
        (MODEL, {"n": 3}),
        ({**MODEL, "forward": "head(layer2(layer1(stem(x))))"}, {"depths": [2, 2]}),
        (OPTIONAL, {"on": False}),
        (IN_PLACE, {"on": False}),
        (IN_PLACE, {"n": 3}),
    ],
)
def test_the_source_makes_them_too(model: dict[str, Any], args: dict[str, Any]) -> None:
    scope: dict[str, Any] = {"__name__": "model"}
    exec(compile(source(model), "model.py", "exec"), scope)
    for given in ({}, args):
        twin, built = scope["Model"](**given), modelzoo.build(model, args=given)
        assert list(twin.state_dict()) == list(built.state_dict())
        twin.load_state_dict(built.state_dict())
        x = torch.randn(2, 8)
        assert torch.equal(twin(x), built(x))


def test_the_graph_shows_them() -> None:
    found = graph({**MODEL, "forward": "head(layer2(layer1(stem(x))))"})
    assert [each.name for each in found.nodes if "layer" in each.name] == ["layer1.0", "layer1.1.0", "layer2.0"]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ({"s": COPY, "layer2": "ReLU"}, "model.layers.s._name_\n  a copy is named 'layer2', as something else in this block is. Rename one."),
        ({"s": COPY, "t": COPY}, "model.layers.t._name_\n  a copy is named 'layer1', as something else in this block is. Rename one."),
        ({"s": {**COPY, "_name_": "x{i}"}, "x0": "ReLU"}, "model.layers.s._name_\n  a copy is named 'x0', as something else in this block is. Rename one."),
        ({"s": {**COPY, "_name_": "same"}}, 'model.layers.s._name_\n  two copies are named \'same\'. Write _name_: "block{i}".'),
        ({"s": {**COPY, "_name_": None}}, 'model.layers.s._unpack_\n  among layers that have names the copies need some too. Write _name_: "block{i}".'),
        ({"s": COPY, "t": {"_ref_": "s"}}, "model.layers.t._ref_\n  there is no layer 's' to refer to. Known: layer1, layer2, t."),
        ({"s": {**COPY, "_if_": False}, "t": {"_ref_": "layer9"}}, "model.layers.t._ref_\n  there is no layer 'layer9' to refer to. Did you mean 'layer2'?"),
        ([COPY], "model.layers.0._name_\n  a list numbers its layers: beside _unpack_ the copies have no names of their own. Remove _name_, or write layers as a mapping."),
    ],
)  # fmt: skip
def test_names_that_cannot_be_given_are_told(layers: Any, message: str) -> None:
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.plan({"inputs": {"x": [2, 8]}, "layers": layers})
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("forward", "message"),
    [
        ("layer3(layer1(x))", "model.forward\n  there is no function or layer 'layer3'. Did you mean 'layer2'?"),
        ("s(x)", "model.forward\n  there is no function or layer 's'"),
    ],
)
def test_a_forward_knows_the_names_of_the_copies_alone(forward: str, message: str) -> None:
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.plan({"inputs": {"x": [2, 8]}, "layers": {"s": COPY}, "forward": forward})
    assert str(caught.value) == message


def test_in_a_block_with_a_forward_they_are_called_as_its_layers_may_be() -> None:
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.plan(
            {"inputs": {"x": [2, 8]}, "layers": {"s": {**COPY, "_repeat_": 1, "_name_": "forward"}}, "forward": "x"}
        )
    assert str(caught.value) == (
        "model.layers.s._name_\n  'forward' is a name of nn.Module and cannot be the name of a layer. Write forward_."
    )


# --- a definition that is a repeat ---------------------------------------------------------------------------------


def modules(blocks: Any, layers: Any, **more: Any) -> list[str]:
    built = modelzoo.build({"inputs": {"x": [2, 8]}, "blocks": blocks, "layers": layers, **more})
    return [name for name, _ in built.named_modules() if name]


@pytest.mark.parametrize(
    ("definition", "names"),
    [
        ({"args": ["n"], "_repeat_": "n", "_target_": "Linear(8, 8)"}, ["0", "0.0", "0.1"]),
        ({"args": ["n"], "_repeat_": "n", "layers": ["Linear(8, 8)", "ReLU"]}, ["0", "0.0", "0.0.0", "0.0.1", "0.1", "0.1.0", "0.1.1"]),
        ({"args": ["n"], "_repeat_": "n", "_name_": "b{i}", "_target_": "Linear(8, 8)"}, ["0", "0.b0", "0.b1"]),
        ({"args": ["n"], "_repeat_": "n", "inputs": ["y"], "layers": {"a": "ReLU"}, "forward": "a(y) + i"}, ["0", "0.0", "0.0.a", "0.1", "0.1.a"]),
        ({"args": ["n"], "blocks": {"In": ["ReLU"]}, "_repeat_": "n", "_target_": "In"}, ["0", "0.0", "0.0.0", "0.1", "0.1.0"]),
    ],
)  # fmt: skip
def test_a_definition_may_be_a_repeat_whose_copies_are_its_layers(definition: Any, names: list[str]) -> None:
    assert modules({"Tower": definition}, ["Tower(2)"]) == names


def test_the_source_of_a_definition_that_is_a_repeat_is_a_class() -> None:
    tower = {"args": ["dim", "depth=2"], "_repeat_": "depth", "_target_": "Linear(dim, dim)"}
    model = {
        "args": {"n": 3},
        "inputs": {"x": [2, 8]},
        "blocks": {"Tower": tower},
        "layers": ["Tower(8, n)", "Tower(8)"],
    }
    scope: dict[str, Any] = {"__name__": "model"}
    exec(compile(source(model), "model.py", "exec"), scope)
    twin, built = scope["Model"](n=1), modelzoo.build(model, args={"n": 1})
    assert list(twin.state_dict()) == list(built.state_dict()) == ["0.0.weight", "0.0.bias", "1.0.weight", "1.0.bias", "1.1.weight", "1.1.bias"]  # fmt: skip
    twin.load_state_dict(built.state_dict())
    x = torch.randn(2, 8)
    assert torch.equal(twin(x), built(x))


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        ({"_repeat_": "k", "_target_": "ReLU"}, "model.blocks.Tower._repeat_\n  there is no value 'k'"),
        ({"_repeat_": 2, "_target_": "RelU"}, "model.blocks.Tower._target_\n  there is no layer 'RelU'. Did you mean 'ReLU'?"),
        ({"_repeat_": 2}, "model.blocks.Tower\n  this is neither a layer nor a block: it has no _target_, layers or forward. Write layers or forward for a block, _target_ for a layer."),
        ({"_repeat_": 2, "_name_": "same", "_target_": "ReLU"}, 'model.blocks.Tower._name_\n  two copies are named \'same\'. Write _name_: "block{i}".'),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_definition_that_is_a_repeat_is_told_in_it(definition: Any, message: str) -> None:
    with pytest.raises(modelzoo.ConfigError) as caught:
        modules({"Tower": definition}, ["Tower"])
    assert str(caught.value) == message


def test_copies_of_what_cannot_be_read_are_told_as_that() -> None:
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.plan({"layers": {"stages": {"_repeat_": 2, "_unpack_": True, "_name_": "layer{i}"}}})
    assert [each.path for each in caught.value.problems] == ["model.layers.stages"]
