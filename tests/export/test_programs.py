"""Programs: what a model does without its Python is the same, and what stands in the way of that is named."""

from __future__ import annotations

import ast
import importlib.util
import pathlib
import subprocess
import sys
from typing import Any

import pytest
import torch

import modelzoo
from modelzoo.config.config import Config, nowhere
from modelzoo.errors import located
from modelzoo.export import exports, loops, onnx_file, pt2
from modelzoo.modules import gradients
from modelzoo.plans.draft import draft, example_inputs, fill

MODEL: dict[str, Any] = {
    "args": {"dim": 8},
    "inputs": {"ids": {"shape": [1, 5], "dtype": "int64", "fill": "uniform(0, 9)"}, "scale": {"shape": [1, 1, 1]}},
    "layers": {
        "embed": "Embedding(9, dim)",
        "drop": "Dropout(0.1)",
        "norm": "BatchNorm1d(5)",
        "out": "Linear(dim, 9, bias=False)",
    },
    "buffers": {"noise": {"shape": ["dim"], "fill": "normal", "persistent": False}},
    "tie": {"out.weight": "embed.weight"},
    "forward": "x = drop(embed(ids) * scale) + noise\nx = x[:, None]\ny = norm(scaled_dot_product_attention(x, x, x)[:, 0])\nreturn {'scores': out(y), 'mean': y.mean(1)}",
}
LOOP = {
    "inputs": {"x": [2, 4]},
    "layers": {"fc": "Linear(4, 4)"},
    "forward": "x = fc(x)\nwhile x.abs().sum() > 1:\n    x = x / 2\nreturn x",
}
ALONE = """
import sys, torch
given = torch.load("given.pt")
found = torch.export.load("model.pt2").module()(**given["inputs"])
assert "modelzoo" not in sys.modules
assert all(torch.equal(found[name], each) for name, each in given["outputs"].items())
"""


def written(export: Any, model: Any, folder: pathlib.Path) -> tuple[Any, dict[str, torch.Tensor]]:
    """What was built, and its inputs."""
    made = draft(model)
    built = fill(made, "cpu")
    with located(nowhere):
        export.export(made, built, Config(model=model, locate=nowhere), folder)
    assert built.training
    return built.eval(), example_inputs(made, "cpu")


def test_a_program_returns_the_same_bits_in_a_process_without_this_package(tmp_path, capsys):
    built, inputs = written(pt2, MODEL, tmp_path)
    assert capsys.readouterr().out == "model.pt2 takes any batch.\n"
    inputs = {name: torch.cat([each] * 3) for name, each in inputs.items()}
    outputs = built(**inputs)
    torch.save(
        {"inputs": inputs, "outputs": {name: each.detach() for name, each in outputs.items()}}, tmp_path / "given.pt"
    )
    done = subprocess.run([sys.executable, "-c", ALONE], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("model", "takes"),
    [
        ({"inputs": {"x": [1, 4]}, "layers": ["Linear(4, 2)"]}, "any batch"),
        ({"inputs": {"x": [3, 4]}, "forward": "return x.view(3, 2, 2)"}, "inputs of the shapes of the example"),
        ({"inputs": {"x": [4], "y": [2, 4]}, "forward": "return x + y"}, "inputs of the shapes of the example"),
        ({"inputs": {"x": [2, 4]}, "forward": "return x + randn_like(x)"}, "any batch"),
    ],
)
def test_a_program_says_whether_it_takes_any_batch(model, takes, tmp_path, capsys):
    written(pt2, model, tmp_path)
    assert capsys.readouterr().out == f"model.pt2 takes {takes}.\n"


LEFT = LOOP | {"forward": "while True:\n    if x.abs().sum() < 1:\n        break\n    x = x / 2\nreturn fc(x)"}


@pytest.mark.parametrize(
    ("kind", "export", "model", "said"),
    [
        ("pt2", pt2, LEFT, "if x.abs().sum() < 1:"),
        ("onnx", onnx_file, LOOP, "while x.abs().sum() > 1:"),
    ],
)
def test_the_line_that_stands_in_the_way_is_named(kind, export, model, said, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    with pytest.raises(modelzoo.ConfigError) as caught:
        written(export, model, tmp_path)
    assert str(caught.value) == (
        f"model.forward\n  `{said}` stands in the way of export={kind}: what it does depends on data. "
        "Write it without a condition on data, or leave this export out."
    )
    assert caught.value.problems[0].line == 2
    assert capfd.readouterr() == ("", "")
    assert [*tmp_path.iterdir()] == []


def test_what_has_no_values_is_no_program(tmp_path):
    made = draft(MODEL, device="meta")
    with pytest.raises(modelzoo.ConfigError) as caught:
        pt2.export(made, made.skeleton.root, Config(model=MODEL, locate=nowhere), tmp_path)
    assert str(caught.value) == "device\n  export=pt2 needs values, and on meta there are none. Type device=cpu."


def test_what_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else name)
    with pytest.raises(modelzoo.ConfigError) as caught:
        written(onnx_file, LOOP, tmp_path)
    assert str(caught.value) == "export\n  export=onnx needs onnxruntime. Install it: pip install 'modelzoo[onnx]'"


def test_another_runtime_returns_the_same(tmp_path, capsys):
    for each in onnx_file.NEEDED:
        pytest.importorskip(each)
    import onnxruntime

    built, inputs = written(onnx_file, MODEL, tmp_path)
    assert capsys.readouterr().out.startswith("model.onnx takes any batch; what it returns is ")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    inputs = {name: torch.cat([each] * 3) for name, each in inputs.items()}
    found = session.run(None, {name: each.numpy() for name, each in inputs.items()})
    for one, other in zip(built(**inputs).values(), found, strict=True):
        torch.testing.assert_close(one.detach(), torch.as_tensor(other), atol=1e-5, rtol=0)


def test_what_draws_numbers_is_no_model_of_another_runtime(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    model = {"inputs": {"x": [2, 4]}, "forward": "return x + randn_like(x)"}
    with pytest.raises(modelzoo.ConfigError) as caught:
        written(onnx_file, model, tmp_path)
    assert str(caught.value) == (
        "export\n  export=onnx cannot draw numbers as the model does: other runtimes have other ones. Leave this export out."
    )


def test_the_line_of_an_operation_that_the_format_has_not_is_named(tmp_path):
    for each in onnx_file.NEEDED:
        pytest.importorskip(each)
    model = {"inputs": {"x": [2, 4, 8]}, "forward": "x = relu(x)\nreturn scaled_dot_product_attention(x, x, x)"}
    with pytest.raises(modelzoo.ConfigError) as caught:
        written(onnx_file, model, tmp_path)
    assert str(caught.value) == (
        "model.forward\n  `return scaled_dot_product_attention(x, x, x)` stands in the way of export=onnx: only 4D query, "
        "key, and value are supported. Leave this export out."
    )


TWO = "y = fc(x)\nwhile x.abs().sum() > 1:\n    z = x / 4\n    x = z + x / 2\nwhile y.sum() > 2:\n    y = y / 2 - x.mean() / 9\nreturn x, y"


@pytest.mark.parametrize("forward", [LOOP["forward"], TWO])
def test_a_loop_on_data_turns_in_the_program_as_often_as_the_data_ask_for(forward, tmp_path, capsys):
    built, inputs = written(pt2, LOOP | {"forward": forward}, tmp_path)
    assert capsys.readouterr().out == "model.pt2 takes any batch.\n"
    back = torch.export.load(tmp_path / "model.pt2").module()
    for size in (0.01, 1, 64):
        x = torch.cat([inputs["x"]] * 2) * size
        with torch.no_grad():
            one, other = built(x), back(x=x)
        assert all(map(torch.equal, gradients.tensors(one), gradients.tensors(other)))


@pytest.mark.parametrize(
    "text",
    [
        "def forward(self, x):\n    return x",
        "def forward(self, x):\n    while x.sum() > 1:\n        if x.sum() > 2:\n            break\n    return x",
        "def forward(self, x):\n    while x.sum() > 1:\n        return x",
    ],
)
def test_a_loop_that_is_left_on_the_way_stays_pythons(text):
    assert loops.rewritten(ast.parse(text)) is None


@pytest.mark.parametrize("name", ["pt2", "graph", "source", "report"])
def test_every_export_is_written_by_a_run(name, tmp_path, monkeypatch):
    made = draft(LOOP)
    given = Config(model=LOOP, locate=nowhere)
    (path,) = exports.write((name,), made, fill(made, "cpu"), given, tmp_path)
    assert path.stat().st_size > 0
