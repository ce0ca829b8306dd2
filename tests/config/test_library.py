"""Definitions in files beside a model file: what they give, where mistakes in them stand, and what is never opened."""

from __future__ import annotations

import os
import pathlib

import pytest
import torch

import modelzoo
from modelzoo import bounds

PARTS = """Residual:
  args: [dim]
  layers: {inside: "Linear(dim, dim)"}
  forward: x + relu(inside(x))
Twice: {args: [dim], layers: ["Residual(dim)", "Residual(dim)"]}
"""
MODEL = "inputs: {x: [2, 8]}\nblocks: {_from_: parts.yaml}\nlayers: [Twice(8), 'Linear(8, 1)']\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "parts.yaml").write_text(PARTS)
    (tmp_path / "model.yaml").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(text: str = MODEL) -> str:
    pathlib.Path("model.yaml").write_text(text)
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build("model.yaml")
    return str(caught.value)


def test_definitions_of_a_file_beside_it_are_those_of_the_model(folder):
    whole = MODEL.replace("{_from_: parts.yaml}", "\n" + "".join(f"  {line}\n" for line in PARTS.splitlines()))
    (folder / "whole.yaml").write_text(whole)
    model, other = modelzoo.build("model.yaml"), modelzoo.build("whole.yaml")
    x = torch.ones(2, 8)
    assert torch.equal(model(x), other(x))
    assert modelzoo.load("model.yaml") == modelzoo.load("whole.yaml")


def test_several_files_and_definitions_of_ones_own_stand_side_by_side(folder):
    (folder / "more.yaml").write_text("Narrow: {args: [dim], layers: ['Linear(dim, 2)']}\n")
    text = (
        "inputs: {x: [2, 8]}\nblocks: {_from_: [parts.yaml, more.yaml], Own: [Residual(8), Narrow(8)]}\nlayers: [Own]\n"
    )
    (folder / "model.yaml").write_text(text)
    assert list(modelzoo.build("model.yaml").state_dict())[-2:] == ["0.1.0.weight", "0.1.0.bias"]
    (folder / "whole.yaml").write_text("model:\n" + "".join(f"  {line}\n" for line in text.splitlines()))
    assert modelzoo.load("whole.yaml") == modelzoo.load("model.yaml")


def test_the_folder_is_that_of_the_model_file_wherever_one_is(folder, monkeypatch):
    monkeypatch.chdir("/")
    assert len(list(modelzoo.build(folder / "model.yaml").parameters())) == 6


def test_overrides_reach_what_a_file_brought(folder):
    model = modelzoo.build("model.yaml", overrides=["model.blocks.Residual.forward='inside(x)'"])
    x = torch.ones(2, 8)
    assert torch.equal(model[0][0](x), model[0][0].inside(x))


def test_a_mistake_stands_in_its_file(folder):
    (folder / "parts.yaml").write_text(PARTS.replace("inside(x))", "insid(x))"))
    assert refused() == (
        "parts.yaml:4:21  model.blocks.Residual.forward\n"
        "  there is no function or layer 'insid'. Did you mean 'inside'?"
    )
    (folder / "parts.yaml").write_text("Residual: [ReLU\n")
    assert refused().startswith("parts.yaml:")
    (folder / "parts.yaml").write_text("Residual: !!python/name:os.system [ReLU]\n")
    assert refused().startswith("parts.yaml:1:11  Residual\n  The tag")


@pytest.mark.parametrize(
    "name", ["../parts.yaml", "./parts.yaml", "/etc/passwd", "a/parts.yaml", "parts", "..", "~.yaml"]
)
def test_only_a_bare_name_of_a_yaml_file_is_taken(folder, name):
    assert refused(MODEL.replace("parts.yaml", name)) == (
        f"model.yaml:2:10  model.blocks._from_\n  '{name}' is not the name of a YAML file in the folder of this one. "
        "Write _from_: parts.yaml"
    )


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="links and pipes are a matter of the system")
def test_a_link_a_pipe_and_a_folder_are_not_opened(folder):
    (folder / "link.yaml").symlink_to(folder / "parts.yaml")
    assert refused(MODEL.replace("parts", "link")) == (
        "model.yaml:2:10  model.blocks._from_\n  'link.yaml' is a link. Put the file itself there."
    )
    os.mkfifo(folder / "pipe.yaml")
    assert refused(MODEL.replace("parts", "pipe")) == "pipe.yaml\n  This is not a regular file."
    (folder / "folder.yaml").mkdir()
    assert refused(MODEL.replace("parts", "folder")) == "folder.yaml\n  This is not a regular file."
    assert refused(MODEL.replace("parts", "missing")) == "missing.yaml\n  There is no such file."


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (
            "_from_: more.yaml\n",
            "parts.yaml:1:1  _from_\n  A file of definitions names no other. Name both in the model.",
        ),
        ("[ReLU]\n", "parts.yaml:1:1\n  This is no mapping of definitions. Write Name: {args: [dim], ...}."),
        ("Own: [ReLU]\n", "parts.yaml:1:1  Own\n  'Own' is defined twice. Rename one."),
    ],
)
def test_what_a_file_of_definitions_may_not_hold(folder, parts, said):
    (folder / "parts.yaml").write_text(parts)
    assert refused("blocks: {_from_: parts.yaml, Own: [ReLU]}\nlayers: [Own]\n") == said


def test_a_file_does_not_name_itself_nor_too_many(folder):
    assert refused(MODEL.replace("parts.yaml", "model.yaml")) == (
        "model.yaml:2:10  model.blocks._from_\n  a file does not name itself. Move its definitions to another."
    )
    many = [f"p{number}.yaml" for number in range(bounds.LIBRARIES + 1)]
    for given in (f"[{', '.join(many)}]", "3", "{a: 1}"):
        assert refused(MODEL.replace("parts.yaml", given)).startswith(
            "model.yaml:2:10  model.blocks._from_\n"
            "  _from_ must be the name of a file, or a list of at most 20 names. Write _from_: parts.yaml"
        )


def test_what_is_larger_than_a_file_may_be_is_not_read(folder):
    (folder / "parts.yaml").write_text(PARTS + "#" * bounds.FILE)
    assert refused() == "parts.yaml\n  The file is larger than 1 MB."


@pytest.mark.parametrize(
    "model",
    [
        {"blocks": {"_from_": "parts.yaml"}, "layers": ["ReLU"]},
        {"layers": [{"blocks": {"_from_": "parts.yaml"}, "layers": ["ReLU"]}]},
    ],
)
def test_nothing_but_an_opened_file_reads_another(folder, model):
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build(model)
    where = "model.blocks._from_" if "blocks" in model else "model.layers.0.blocks._from_"
    assert str(caught.value) == (
        f"{where}\n  _from_ names files beside a model file that is opened by itself, for the whole model. "
        "In a composed config write defaults: [/parts@blocks: name]."
    )
