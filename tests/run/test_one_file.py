"""One file holds a model: `parameters.safetensors` has what it was built from, and its values."""

from __future__ import annotations

import json
import pathlib
from dataclasses import replace
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import modelzoo
from modelzoo.__main__ import main
from modelzoo.config.config import from_mapping
from modelzoo.run.job import run

MODEL: dict[str, Any] = {
    "args": {"dim": 6},
    "inputs": {"x": {"shape": [2, 4], "dtype": "int64", "fill": "uniform(0, 9)"}},
    "layers": {"embed": "Embedding(9, dim)", "norm": "BatchNorm1d(4)", "out": "Linear(dim, 9, bias=False)"},
    "buffers": {"noise": {"shape": ["dim"], "fill": "normal", "persistent": False}},
    "tie": {"out.weight": "embed.weight"},
    "forward": "out(norm(embed(x)) + noise)",
}
RULES = {"table": {"layer": "Embedding", "fill": "normal(std=0.1)"}}


@pytest.fixture
def file(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """What a run wrote, with a value that no seed gives."""
    monkeypatch.chdir(tmp_path)
    given = from_mapping({"model": MODEL, "init": RULES})
    run(replace(given, options={"seed": 7, "dtype": "float64"}), tmp_path)
    tensors, about = load_file("parameters.safetensors"), metadata()
    tensors["embed.weight"][0, 0] = 123.0
    save_file(tensors, "parameters.safetensors", {"modelzoo": json.dumps(about)})
    return pathlib.Path("parameters.safetensors")


def metadata() -> dict[str, Any]:
    with safe_open("parameters.safetensors", "pt") as file:
        return json.loads(file.metadata()["modelzoo"])


def test_a_model_comes_back_with_its_values_its_ties_and_what_no_file_keeps(file):
    built = modelzoo.build(file)
    assert built.embed.weight is built.out.weight
    assert built.embed.weight[0, 0] == 123
    assert built.embed.weight.dtype == torch.float64
    same = modelzoo.build(MODEL, RULES, seed=7, dtype="float64")
    assert torch.equal(built.noise, same.noise)
    assert torch.equal(built.embed.weight[1:], same.embed.weight[1:])
    assert modelzoo.plan(str(file)).seed == 7
    assert modelzoo.load(file) == {"model": MODEL, "init": RULES}
    assert modelzoo.build(file, device="meta").embed.weight.is_meta


def test_the_file_says_of_itself_what_it_needs(file):
    about = metadata()
    assert about.keys() == {"scheme", "seed", "dtype", "aliases", "versions", "model"}
    assert (about["seed"], about["dtype"], about["aliases"]) == (7, "float64", {"embed.weight": ["out.weight"]})
    assert about["versions"] == {"modelzoo": modelzoo.__version__, "torch": torch.__version__}
    pathlib.Path("again.yaml").write_text(about["model"])
    assert modelzoo.load("again.yaml") == modelzoo.load(file)


def test_a_change_of_the_model_is_one_that_its_values_have_to_fit(file):
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build(file, args={"dim": 8})
    assert str(caught.value).splitlines()[:2] == [
        "parameters.safetensors  embed.weight",
        "  The shape is [9, 6] in the file and [9, 8] in the model. "
        "To load everything else, type 'load.skip=[embed.*, out.*]'",
    ]


def test_it_is_written_as_source_and_runs_in_a_process_with_limits(file, capfd):
    capfd.readouterr()
    assert main(["source", "parameters.safetensors"]) == 0
    assert "self.to(torch.float64)" in capfd.readouterr().out
    changed = ["model.layers.out='Linear(dim, 9)'", "load.skip=[out.bias]"]
    assert main(["run", "parameters.safetensors", "show=embed.weight", *changed]) == 0
    told = capfd.readouterr().out
    assert "loaded 6 tensors of parameters.safetensors" in told
    assert "1.2300e+02" in told


OTHERS = "This file has tensors and no model: "
NEEDED = " Give it to a model: python run.py model=NAME load=other.safetensors"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (None, f"other.safetensors\n  {OTHERS}modelzoo did not write it.{NEEDED}"),
        (
            {"model": None},
            f"other.safetensors\n  {OTHERS}an older modelzoo wrote it, or its model is above 1 MB.{NEEDED}",
        ),
        ({"model": 5}, "other.safetensors\n  The model in its metadata must be a text of at most 1 MB."),
        (
            {"model": "a" * (2**20 + 1)},
            "other.safetensors\n  The model in its metadata must be a text of at most 1 MB.",
        ),
        ({"model": "\ud800"}, "other.safetensors\n  The model in its metadata must be a text of at most 1 MB."),
        ({"seed": "7"}, "other.safetensors\n  The model in its metadata must have a seed and a dtype."),
        ({"seed": True}, "other.safetensors\n  The model in its metadata must have a seed and a dtype."),
        ({"seed": -1}, "other.safetensors  seed\n  seed must be an integer of 0 or more, not -1. Type seed=0."),
        (
            {"dtype": "evil"},
            "other.safetensors  dtype\n  there is no floating dtype 'evil'. Known: float32, float64, float16, bfloat16.",
        ),
        (
            {"model": "layers: [!!python/object/apply:os.system [id]]"},
            "other.safetensors:1:10  layers.0\n"
            "  The tag '!!python/object/apply:os.system' is not allowed: a file is plain data. Remove it.",
        ),
        (
            {"model": "layers: [" + "[" * 200 + "]" * 200 + "]"},
            "other.safetensors:1:108\n  This is nested more than 100 levels deep.",
        ),
        (
            {"model": "layers: ['Linear(2, 1)', '${oc.env:HOME}']"},
            "other.safetensors:1:26  model.layers.1\n  '${oc.env:HOME}' is not a plain reference. A reference names another "
            "key of the same file, as in ${args.dim}.",
        ),
    ],
)
def test_a_file_that_holds_no_model_or_a_hostile_one_is_refused_in_words(file, change, told):
    about = metadata()
    if change is not None:
        about |= change
        about = {name: each for name, each in about.items() if each is not None}
    save_file(load_file(file), "other.safetensors", None if change is None else {"modelzoo": json.dumps(about)})
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build("other.safetensors")
    assert str(caught.value) == told


@pytest.mark.parametrize("text", ["[" * 100_000, '{"model": "a", "model": "b"}', "no json", '{"seed": 1e999}'])
def test_metadata_that_cannot_be_read_is_refused_in_words(file, text):
    save_file(load_file(file), "other.safetensors", {"modelzoo": text})
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build("other.safetensors")
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].where == "other.safetensors"


def test_what_is_no_file_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("folder.safetensors").mkdir()
    pathlib.Path("huge.safetensors").write_bytes((2**40).to_bytes(8, "little") + b"{}")
    pathlib.Path("short.safetensors").write_bytes(b"ab")
    told = {
        "none.safetensors": "There is no such file.",
        "folder.safetensors": "This is not a regular file.",
        "huge.safetensors": "This file cannot be read as safetensors: its header would have 1,099,511,627,776 bytes, and "
        "at most 33,554,432 are read.",
        "short.safetensors": "This file cannot be read as safetensors.",
    }
    for name, what in told.items():
        with pytest.raises(modelzoo.ConfigError) as caught:
            modelzoo.build(name)
        assert str(caught.value) == f"{name}\n  {what}"
