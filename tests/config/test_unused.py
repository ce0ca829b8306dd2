"""Warnings of what a config has and nothing uses: each once, with its place, and none that is wrong."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest
import yaml

from modelzoo.config import compose, config, search_path
from modelzoo.config.unused import unused

ALL_USED = """
args: {dim: 4, half: =dim // 2, share: 0.1, act: GELU, deep: true, std: 0.02, name: nearest, far: 8}
inputs: {x: [2, dim], mask: null}
blocks:
  Used: {args: [n, k=1, used=ReLU], layers: ["Linear(n, n * k)", "used()"]}
  Inner: ["Used(4)"]
layers:
  fc: Linear(dim, half)
  up: Linear(half, far)
  embed: Embedding(4, 4)
  tied: {_target_: Linear, in_features: 4, out_features: 4}
  absent: null
  inside:
    layers: {again: {_ref_: lent}, own: "Inner()"}
    forward: own(again(x))
  lent: {_target_: act, _if_: deep}
parameters: {scale: {shape: [dim], fill: "normal(std=std)"}}
buffers: {shift: {shape: [4], fill: zeros}}
tie: {tied.weight: embed.weight}
forward: |
  y = up(fc(x * scale + shift))
  y = interpolate(y[None], scale_factor=2, mode='nearest')[0]
  return inside(x), dropout(y, share, training), embed.weight
init: null
"""


def warned(data: Any) -> list[tuple[str, str, str]]:
    return [(str(each.key), each.what, each.hint) for each in unused(config.from_mapping(data))]


def test_what_is_used_in_any_way_is_not_warned_of():
    model = yaml.safe_load(ALL_USED)
    del model["init"]
    assert warned(model) == [
        ("model.args.name", "Nothing reads this arg.", "Remove it.")
    ]  # a text has the word, not the arg


def test_everything_that_nothing_uses_is_told_at_its_place(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text(
        "args: {dim: 4, spare: 7}\ninputs: {x: [2, dim]}\nblocks:\n  Never: {args: [n], layers: ['ReLU']}\n"
        "layers:\n  fc: Linear(dim, 4)\n  lost: Linear(dim, 4)\n"
        "parameters: {gain: {shape: [4], fill: 1}}\nbuffers: {old: {shape: [4], fill: 1}}\nforward: fc(x)\n"
    )
    found = [(each.where.removeprefix(str(file)), each.path, each.what) for each in unused(config.from_mapping(file))]
    assert found == [
        (":1:16", "model.args.spare", "Nothing reads this arg."),
        (":7:3", "model.layers.lost", "Nothing calls this layer."),
        (":8:14", "model.parameters.gain", "Nothing reads this tensor."),
        (":9:11", "model.buffers.old", "Nothing reads this tensor."),
        (":4:18", "model.blocks.Never.args.0", "Nothing reads this arg."),
        (":4:3", "model.blocks.Never", "Nothing uses this definition."),
    ]


@pytest.mark.parametrize(
    ("model", "init"),
    [
        ({"args": {"dim": 4, "copy": "${model.args.dim}"}, "layers": ["Linear(copy, 4)"]}, None),
        ({"args": {"dim": 4}, "layers": ["Linear(${model.args.dim}, 4)"]}, None),
        ({"args": {"std": 0.1}, "layers": ["Linear(4, 4)"]}, {"a": {"param": "weight", "fill": "normal(std=std)"}}),
    ],
)
def test_references_and_rules_use_args_too(model, init):
    assert warned({"model": model, "init": init} if init else {"model": model}) == []


def test_an_arg_that_was_misspelt_is_told_with_the_nearest():
    assert warned({"args": {"dim": 4, "dmi": 8}, "layers": ["Linear(dim, 4)"]}) == [
        ("model.args.dmi", "Nothing reads this arg.", "Did you mean 'dim'?")
    ]


@pytest.mark.parametrize("model", search_path.options("model"))
def test_no_model_that_ships_has_what_nothing_uses(model):
    assert [str(each) for each in unused(compose.compose([f"model={model}"]))] == []


def test_an_arg_that_is_added_on_the_command_line_is_warned_of():
    (found,) = unused(compose.compose(["model=mlp", "+model.args.widht=3"]))
    assert str(found) == ("command line  +model.args.widht=3\n  Nothing reads this arg. Did you mean 'width'?")


def test_what_another_file_brought_is_no_mistake_of_this_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = pathlib.Path("conf", "model")
    folder.mkdir(parents=True)
    (folder / "base.yaml").write_text('args: {dim: 4, more: 2}\nlayers: ["Linear(dim, more)"]\n')
    (folder / "own.yaml").write_text('defaults: [base, _self_]\nargs: {wide: 8}\nlayers: ["Linear(dim, dim)"]\n')
    assert [str(each.key) for each in unused(compose.compose(["model=own"]))] == ["model.args.wide"]


def test_a_layer_that_stays_when_files_are_merged_is_told_with_what_leaves_it_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = pathlib.Path("conf", "model")
    folder.mkdir(parents=True)
    base = "layers:\n  body:\n    layers: {a: 'Linear(8, 8)'}\n    forward: a(x)\n"
    own = "defaults: [base, _self_]\nlayers:\n  body:\n    layers: {b: 'Linear(8, 8)'}\n    forward: b(x)\n"
    (folder / "base.yaml").write_text(base)
    (folder / "own.yaml").write_text(own)
    (found,) = unused(compose.compose(["model=own"]))
    assert str(found) == (
        "conf/model/base.yaml:3:14  model.layers.body.layers.a\n"
        "  Nothing calls this layer. It stays, since the two files are merged: write a: null in conf/model/own.yaml."
    )
    (folder / "own.yaml").write_text(own.replace("{b:", "{a: null, b:"))
    assert [*unused(compose.compose(["model=own"]))] == []


NAMED_AS_KEYS = """
args: {depth: 2, dim: 4}
inputs: {x: [2, dim]}
blocks:
  Stage: {args: [n, blocks], layers: [{_repeat_: blocks, _target_: "Linear(n, n)"}]}
layers:
  blocks: {_repeat_: depth, _target_: "Linear(dim, dim)"}
  args: {layers: ["Linear(dim, dim)"]}
  layers: {_target_: Stage, n: =dim, blocks: =depth}
forward: layers(args(blocks(x)))
"""


def test_a_layer_or_an_argument_may_be_called_as_a_key_of_the_language_is():
    assert warned(yaml.safe_load(NAMED_AS_KEYS)) == []


@pytest.mark.parametrize("name", ["depth", "dim"])
def test_an_arg_beside_layers_called_as_keys_is_still_told(name):
    model = yaml.safe_load(NAMED_AS_KEYS.replace(name, f"not_{name}"))
    model["args"][name] = 4
    assert warned(model) == [(f"model.args.{name}", "Nothing reads this arg.", f"Did you mean 'not_{name}'?")]


def test_a_tensor_that_a_tie_around_its_block_reads_is_used():
    model = yaml.safe_load(
        """
        layers:
          head:
            layers: {decoder: "Linear(4, 9)"}
            parameters: {bias: {shape: [9], fill: zeros}, lost: {shape: [9], fill: zeros}}
            forward: decoder(x)
        tie: {head.decoder.bias: head.bias}
        forward: head(x)
        """
    )
    what = "Nothing reads this tensor."
    assert warned(model) == [("model.layers.head.parameters.lost", what, "Read it in forward, or remove it.")]
