"""The JSON Schema: what ships is valid, what is admitted builds, and mistakes that an editor should mark are marked."""

from __future__ import annotations

import dataclasses
import functools
import json
import pathlib
from typing import Any, Literal

import jsonschema
import pytest
import torch
import yaml

import modelzoo
from modelzoo import register
from modelzoo.__main__ import main
from modelzoo.catalog import arguments, fills, layers
from modelzoo.cli import schema
from modelzoo.spec import nodes

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONF = ROOT / "conf"
FILES = [
    (kind, file)
    for kind, pattern in (("model", "model/*.yaml"), ("init", "init/*.yaml"), ("config", "config.yaml"))
    for file in sorted(CONF.glob(pattern))
]


@functools.cache
def committed(kind: str) -> dict[str, Any]:
    return json.loads((CONF / f"{kind}.schema.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def validators() -> dict[str, Any]:
    return {kind: jsonschema.Draft7Validator(committed(kind)) for kind in schema.KINDS}


@pytest.fixture
def mistakes(validators):
    """What the schema says about YAML: the place of each mistake."""

    def found(text: str, kind: str = "model") -> list[str]:
        return sorted(
            ".".join(map(str, each.absolute_path)) for each in validators[kind].iter_errors(yaml.safe_load(text))
        )

    return found


# --- the files that ship -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", schema.KINDS)
def test_a_schema_is_a_schema(kind):
    jsonschema.Draft7Validator.check_schema(committed(kind))


@pytest.mark.parametrize("kind", schema.KINDS)
def test_the_schemas_that_ship_are_what_the_tool_prints(kind, monkeypatch, capsys):
    if torch.__version__.partition("+")[0] not in committed(kind)["$comment"]:
        pytest.skip("they were written with another torch, which has other layers and says other things")
    monkeypatch.setattr(layers, "REGISTERED", {})
    monkeypatch.setattr(fills, "FILLS", {name: fill for name, fill in fills.FILLS.items() if name in fills.TORCHS})
    assert main(["schema", kind]) == 0
    assert capsys.readouterr().out == (CONF / f"{kind}.schema.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(("kind", "file"), FILES, ids=lambda each: getattr(each, "stem", each))
def test_a_file_that_ships_names_its_schema_in_the_second_line(kind, file):
    _, named = file.read_text(encoding="utf-8").splitlines()[1].split("$schema=")
    assert (file.parent / named).resolve() == CONF / f"{kind}.schema.json"


@pytest.mark.parametrize(("kind", "file"), FILES, ids=lambda each: getattr(each, "stem", each))
def test_a_file_that_ships_agrees_with_its_schema(kind, file, mistakes):
    assert mistakes(file.read_text(encoding="utf-8"), kind) == []


# --- what is admitted ----------------------------------------------------------------------------------------------

ADMITTED = {
    "text notation": "layers: {a: 'Linear(4, 8, bias=False)', b: ReLU}",
    "a formula": "{args: {dim: 4}, layers: [{_target_: Linear, in_features: =2 * dim, out_features: 8}]}",
    "an interpolation": "{args: {dim: 4}, layers: [{_target_: Linear, in_features: '${model.args.dim}', out_features: 8}]}",
    "a copy of a layer": "layers: {a: ReLU, b: '${..a}'}",
    "what is missing": "{args: {dim: '???'}, layers: [{_target_: Linear, in_features: '???', out_features: 8}, '???']}",
    "an input size left out": "layers: [{_target_: Linear, out_features: 8}]",
    "an input size of null": "layers: [{_target_: Linear, in_features: null, out_features: 8}]",
    "positions": "layers: [{_target_: Linear, _args_: [4, 8], bias: false}]",
    "a call with more": "layers: [{_target_: 'Linear(4, 8)', bias: false, _repeat_: 3, _name_: 'a{i}', _if_: true}]",
    "a name of torch": "layers: [{_target_: torch.nn.modules.linear.Linear, in_features: 4, out_features: 8}]",
    "a config of Hydra's": "{_target_: torch.nn.Sequential, _args_: [{_target_: torch.nn.ReLU}], _convert_: all}",
    "a reference": "layers: {a: ReLU, b: {_ref_: a}}",
    "a block of the file": "{layers: [{_target_: Mine, width: 3}], blocks: {Mine: {args: [width], layers: [ReLU]}}}",
    "a layer as an arg": "{args: {act: GELU}, layers: [{_target_: act}]}",
    "a block in place": "layers: {net: {layers: [ReLU]}, list: [ReLU], own: {parameters: {a: {shape: [2]}}, forward: x * a}}",
    "tensors": "{parameters: {a: {shape: [2], fill: normal(std=0.1), trainable: false}}, forward: x + a}",
    "a definition that is a repeat": "{blocks: {A: {args: [n], _repeat_: n, _target_: ReLU}}, layers: [A(2)]}",
    "conditions": "{args: {on: true}, layers: {a: ReLU}, parameters: {b: {shape: [2], _if_: on}}, tie: {c: {_ref_: b, _if_: on}}, forward: x}",
    "inputs": "{inputs: {x: [2, 3], y: {shape: [2], dtype: int64, fill: 'uniform(0, 3)'}, z: null}, forward: x + y}",
    "fills of a layer": "layers: [{_target_: 'Linear(4, 8)', _init_: {weight: {_target_: normal_, std: 0.1}, bias: 0}}]",
    "model and init": "{model: {layers: [ReLU]}, init: {all: {name: '*', fill: 0}}}",
    "parts of what defaults bring": "{defaults: [mlp, _self_], layers: {hidden: {out_features: 3}}}",
    "parts of a mounted file": "{defaults: [/model@blocks.A: mlp], layers: [A], blocks: {A: {args: {dim: 3}}}}",
    "several layers as arguments": "layers: [{_target_: ModuleDict, modules: {a: {_target_: ReLU}}}]",
}  # fmt: skip


@pytest.mark.parametrize("text", ADMITTED.values(), ids=ADMITTED)
def test_the_language_is_admitted(text, mistakes):
    assert mistakes(text) == []


def test_every_key_of_the_language_is_known():
    keys = committed("model")["definitions"]["block"]["properties"].keys()
    assert keys == {*nodes.BLOCK_KEYS, *nodes.NODE_KEYS}


# --- mistakes ------------------------------------------------------------------------------------------------------

MISTAKES = {
    "a misspelt argument": ("layers: {a: {_target_: Linear, in_feature: 4, out_features: 8}}", ["layers.a"]),
    "a misspelt argument of a call": ("layers: {a: {_target_: 'Linear(4, 8)', biass: false}}", ["layers.a"]),
    "a required argument": ("layers: [{_target_: Conv2d, in_channels: 3}]", ["layers.0", "layers.0"]),
    "a wrong type": (
        "layers: [{_target_: Linear, in_features: four, out_features: 8}]",
        ["layers.0.in_features"],
    ),
    "a size below 1": ("layers: [{_target_: Linear, in_features: 4, out_features: 0}]", ["layers.0.out_features"]),
    "too many sizes": ("layers: [{_target_: MaxPool2d, kernel_size: [2, 2, 2]}]", ["layers.0.kernel_size"]),
    "a word that is none of some": (
        "layers: [{_target_: Conv2d, out_channels: 3, kernel_size: 3, padding_mode: zero}]",
        ["layers.0.padding_mode"],
    ),
    "an unknown layer": ("layers: {a: {_target_: Linaer, in_features: 4}}", ["layers.a._target_"]),
    "an unknown layer as a call": ("layers: {a: {_target_: 'Linaer(4, 8)'}}", ["layers.a._target_"]),
    "an unknown layer of torch": (
        "{layers: [{_target_: torch.nn.Linaer}], blocks: {A: {layers: [ReLU]}}}",
        ["layers.0._target_"],
    ),
    "what is not torch's": ("{layers: [{_target_: os.system}], blocks: {A: {layers: []}}}", ["layers.0._target_"]),
    "an unknown layer deep inside": (
        "layers: {a: {layers: [{layers: [{_target_: Rulu}]}]}}",
        ["layers.a.layers.0.layers.0._target_"],
    ),
    "an unknown layer in an argument": (
        "layers: [{_target_: ModuleList, modules: [{_target_: Linear, a: 1}]}]",
        ["layers.0.modules"],
    ),
    "a misspelt argument in a definition": (
        "{layers: [A], blocks: {A: {layers: [{_target_: ReLU, inplce: true}]}}}",
        ["blocks.A.layers.0"],
    ),
    "a wrong key of the root": ("{layer: [ReLU], forward: x}", [""]),
    "a wrong key of a block": ("layers: {a: {layers: [ReLU], imputs: [x]}}", ["layers.a"]),
    "neither a layer nor a block": ("layers: {a: {_taget_: ReLU}}", ["layers.a", "layers.a"]),
    "a key beside a reference": ("layers: {a: ReLU, b: {_ref_: a, bias: true}}", ["layers.b"]),
    "a wrong key of a tensor": ("{parameters: {a: {shape: [2], fil: ones}}, forward: x + a}", ["parameters.a"]),
    "a tensor without a shape": ("{buffers: {a: {fill: ones}}, forward: x + a}", ["buffers.a"]),
    "a wrong dtype": ("{buffers: {a: {shape: [2], dtype: float23}}, forward: x}", ["buffers.a.dtype"]),
    "a wrong key of an input": ("{inputs: {x: {shape: [2], tpye: int64}}, forward: x}", ["inputs.x"]),
    "an unknown fill": (
        "{buffers: {a: {shape: [2], fill: {_target_: nromal}}}, forward: x}",
        ["buffers.a.fill._target_"],
    ),
    "a misspelt argument of a fill": (
        "layers: [{_target_: ReLU, _init_: {weight: {_target_: normal, sdt: 1}}}]",
        ["layers.0._init_.weight"],
    ),
    "defaults inside": ("layers: {a: {defaults: [mlp], layers: [ReLU]}}", ["layers.a"]),
    "a number for a layer": ("layers: [3]", ["layers.0"]),
    "something beside model and init": ("{model: {layers: [ReLU]}, seed: 1}", [""]),
    "a wrong rule": ("{model: {layers: [ReLU]}, init: {a: {layers: Linear, fill: 0}}}", ["init.a", "init.a"]),
}


@pytest.mark.parametrize(("text", "places"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_marked_where_it_stands(text, places, mistakes):
    assert mistakes(text) == places


@pytest.mark.parametrize("text", [text for text, _ in MISTAKES.values()], ids=MISTAKES)
def test_what_is_marked_is_refused_by_the_builder_too(text):
    with pytest.raises(modelzoo.ConfigError):
        modelzoo.build(yaml.safe_load(text))


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("a: {layer: Linear, param: weight, fill: normal(std=0.1)}", []),
        ("{a: {name: '*.bias', fill: 0}, b: null}", []),
        ("a: {layer: [Linear, Mine], fill: {_target_: kaiming_normal, mode: fan_out}}", []),
        ("{defaults: [xavier], weights: {fill: 0}}", []),
        ("a: {layer: Linear, parm: weight, fill: 0}", ["a"]),
        ("a: {layer: Linear}", ["a"]),
        ("a: {fill: 0}", ["a"]),
        ("a: {layer: Linear, fill: {_target_: kaiming_normal, mode: fan_uot}}", ["a.fill.mode"]),
        ("a: Linear", ["a"]),
        (
            "{args: {std: 0.1, half: =std / 2}, a: {param: [weight, bias], name: ['0.*', '1.*'], fill: normal(std=std)}}",
            [],
        ),
        ("{args: [std=0.1], a: {param: weight, fill: normal(std=std)}}", []),
        ("{args: {a-b: 1}, a: {param: weight, fill: 0}}", ["args"]),
        ("a: {name: teacher.*, fill: {_ref_: student.*}}", []),
        ("a: {name: teacher.*, fill: {_ref_: 3}}", ["a.fill._ref_"]),
        ("a: {param: [], fill: 0}", ["a.param"]),
        ("a: {name: [0.weight, 3], fill: 0}", ["a.name.1"]),
    ],
)
def test_rules_are_checked(text, places, mistakes):
    assert mistakes(text, "init") == places or (places and set(mistakes(text, "init")) == set(places))


def test_options_of_the_main_job_are_explained_and_checked(mistakes):
    assert committed("config")["properties"]["seed"] == {
        "description": "decides every random value, each tensor's by its name",
        "default": 0,
    }
    assert mistakes("{seed: 3, load: {strict: '${training}'}}", "config") == []
    assert mistakes("{load: {strict: maybe}, resume: maybe}", "config") == ["load.strict", "resume"]


# --- the catalog ---------------------------------------------------------------------------------------------------

SAMPLES: list[Any] = [
    *(None, True, False, 0, 1, 2, 3, -1, -3, 5000, 0.5, 1.5, -0.5, "none", "mean", "tanh", "same", "zeros", "word"),
    *([1], [1, 2], [0, 0], [1, 2, 3], [-1, 2], [0.5, 0.5], [None, 2], [1] * 4, [1] * 6, ["word"]),
]


@pytest.mark.parametrize("name", list(layers.LAYERS))
def test_an_argument_admits_what_the_builder_takes_and_nothing_else(name):
    layer = layers.LAYERS[name]
    written = committed("model")
    for argument, told in written["definitions"][f"layer.{name}"]["properties"].items():
        if argument not in layer.signature:
            continue
        check = arguments.check_of(layer, argument)
        validator = jsonschema.Draft7Validator({**told, "definitions": written["definitions"]})
        for value in SAMPLES:
            if isinstance(value, list) and "a layer" in check.wants:
                continue  # the builder looks at what is in them later
            left_out = value is None and "the input decides" in told["description"]
            assert validator.is_valid(value) == (check.fits(value) or left_out), (argument, value)


def test_every_layer_with_every_argument_is_explained():
    definitions = committed("model")["definitions"]
    for name, layer in layers.LAYERS.items():
        told = definitions[f"layer.{name}"]
        assert told["description"], name
        assert all(told["properties"][each]["description"] for each in layers.accepted(layer).named), name


def test_every_fill_is_known():
    targets = committed("model")["definitions"]["fill"]["then"]["properties"]["_target_"]["anyOf"][0]["enum"]
    assert {each for each in targets if not each.endswith("_")} == fills.TORCHS


def test_registered_layers_and_fills_belong_to_the_schema():
    @register.layer(sizes={"x": "* dim"})
    class SchemaScale(torch.nn.Module):
        """Scales its input. Slowly."""

        def __init__(self, dim: int, by: float = 2.0) -> None:
            super().__init__()

        def forward(self, x):
            return x

    @register.fill
    def schema_spread(tensor, width=1.0, *, generator):
        """Spreads evenly."""

    written = schema.schema()
    assert written["definitions"]["layer.SchemaScale"]["description"] == "Scales its input."
    validator = jsonschema.Draft7Validator(written)
    assert validator.is_valid(
        {"layers": [{"_target_": "SchemaScale", "by": 3, "_init_": {"a": {"_target_": "schema_spread"}}}]}
    )
    assert not validator.is_valid({"layers": [{"_target_": "SchemaScale", "bye": 3}]})
    assert not validator.is_valid(
        {"layers": [{"_target_": "ReLU", "_init_": {"a": {"_target_": "schema_spread", "w": 1}}}]}
    )


@dataclasses.dataclass
class Curve:
    steps: int = 3


def test_an_editor_completes_the_texts_of_a_registered_layer_and_no_keys_of_a_mapping_beside_them():
    @register.layer
    class SchemaCurved(torch.nn.Module):
        def __init__(self, curve: Literal["flat", "steep"] | Curve = "flat", size: int | None = None) -> None:
            super().__init__()

    arguments_of = schema.schema()["definitions"]["layer.SchemaCurved"]["properties"]
    computed = {"$ref": "#/definitions/computed"}
    assert arguments_of["curve"]["anyOf"] == [{"anyOf": [{"enum": ["flat", "steep"]}, True]}, computed]
    assert arguments_of["size"]["anyOf"] == [{"type": "integer"}, {"type": "null"}, computed]
