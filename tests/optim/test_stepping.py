"""A loss, and one step of an optimiser: what torch does by hand, and every mistake with its place."""

from __future__ import annotations

import json
import pathlib

import pytest
import torch
from torch.nn import functional

import modelzoo
from modelzoo import cli
from modelzoo.plans.draft import draft
from modelzoo.run.load import load_parameters
from tests.helpers.documents import here

TARGET = "+loss.inputs.target={shape: [2], dtype: int64, fill: 'uniform(0, classes)'}"
MODEL = {"args": {"classes": 3}, "inputs": {"x": [2, 4]}, "layers": ["Linear(4, classes)"]}


def run(*typed: str) -> tuple[int, str]:
    return here(cli.main, ["run.py", *typed, "hydra.run.dir=o"])


@pytest.fixture(autouse=True)
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_step_is_what_the_optimiser_makes_of_the_loss():
    groups = "+groups={all: {name: '*', lr: 0.1, momentum: 0.9}, head: {name: out.weight, lr: 0.5}}"
    frozen = "+groups.frozen={name: out.bias, trainable: false}"
    typed = ("loss=cross_entropy(output, target) * 2", TARGET, "step=true", "optimizer=SGD", groups, frozen)
    code, output = run("model=mlp", "training=true", *typed)
    assert code == 0, output
    model = modelzoo.build("o/model.yaml")
    load_parameters(model, "o/parameters.safetensors")  # the values are those before the step
    before = {name: each.detach().clone() for name, each in model.named_parameters()}
    assert all(torch.equal(each, modelzoo.build("o/model.yaml").get_parameter(name)) for name, each in before.items())
    from modelzoo.init.examples import example_tensors
    from modelzoo.optim.loss import loss_of

    made = draft(modelzoo.load("o/model.yaml")["model"])
    target = {"shape": [2], "dtype": "int64", "fill": "uniform(0, classes)"}
    loss = loss_of({"forward": "output", "inputs": {"target": target}}, made)
    assert loss is not None
    inputs, targets = example_tensors(made.given, "cpu"), example_tensors(loss.targets, "cpu")["target"]
    assert targets.dtype == torch.int64
    assert ((targets >= 0) & (targets < 10)).all()
    model.get_parameter("out.bias").requires_grad_(False)
    value = functional.cross_entropy(model(**inputs), targets) * 2
    value.backward()
    weight = model.get_parameter("out.weight")
    others = [each for each in model.parameters() if each.requires_grad and each is not weight]
    torch.optim.SGD([{"params": others, "lr": 0.1}, {"params": [weight], "lr": 0.5}], momentum=0.9).step()
    assert f"loss: {value.item():.6g}\n" in output
    assert "not moved: out.bias (frozen)\n" in output
    facts = {each["name"]: each for each in json.loads(pathlib.Path("o/parameters.json").read_text())["tensors"]}
    for name, each in model.named_parameters():
        update = (each - before[name]).norm().item()
        assert facts[name]["update"] == pytest.approx(update, rel=1e-4)
        assert facts[name]["update_ratio"] == pytest.approx(update / before[name].norm().item(), rel=1e-4)


def test_a_tensor_that_the_loss_does_not_reach_is_told():
    pathlib.Path("conf/model").mkdir(parents=True)
    pathlib.Path("conf/model/two.yaml").write_text(
        "inputs: {x: [2, 4]}\nlayers: {a: 'Linear(4, 2)', b: 'Linear(4, 2, bias=False)'}\n"
        "forward: \"return {'a': a(x), 'b': b(x)}\"\n"
    )
    code, output = run("model=two", "step=true", "optimizer=SGD", "loss=(output['a'] * 0 + x[0, 0]).sum()")
    assert code == 0, output
    assert (
        "tensor  group  update  update / value\n"
        "not moved: a.weight (its gradient is zero), a.bias (its gradient is zero), b.weight (no gradient)\n"
    ) in output


@pytest.mark.parametrize(
    ("option", "answer"),
    [
        ("mse_los(output, x)", "loss.forward\n  there is no function or layer 'mse_los'. Did you mean 'mse_loss'?"),
        (
            {"inputs": {"y": [2]}},
            "loss.forward\n  a loss is a text, not nothing. Type loss='mse_loss(output, target)'.",
        ),
        (["x"], "loss.forward\n  a loss is a text, not a list. Type loss='mse_loss(output, target)'."),
        ({"forward": "output", "input": {}}, "loss.input\n  loss has no 'input'. Did you mean 'inputs'?"),
        (
            {"forward": "output", "inputs": {"x": [2]}},
            "loss.inputs.x\n  'x' is an input of the model. Take another name.",
        ),
        (
            {"forward": "output", "inputs": {"output": [2]}},
            "loss.inputs.output\n  'output' is what the model returns. Take another name.",
        ),
        (
            {"forward": "output", "inputs": ["y"]},
            "loss.inputs.0\n  the target 'y' has no example. Write y: {shape: [2], dtype: int64}.",
        ),
        ("output", "loss.forward\n  a loss is one floating number, not a tensor [2, 3]. Write .mean() behind it."),
        ("classes", "loss.forward\n  a loss is one floating number, not int. Write .mean() behind it."),
    ],
)
def test_a_mistake_in_a_loss_is_told(option, answer):
    from modelzoo.init.examples import example_tensors
    from modelzoo.optim.loss import loss_of

    made = draft(MODEL)
    with pytest.raises(modelzoo.ConfigError) as caught:
        loss_of(option, made)(torch.ones(2, 3), example_tensors(made.given, "cpu"))
    assert str(caught.value) == answer


def test_without_a_step_nothing_is_said_of_one():
    code, output = run("model=mlp", "backward=true")
    assert (code, "update" in output) == (0, False)


def test_a_loss_that_fails_on_values_is_told():
    code, output = run(
        "model=mlp", "loss=cross_entropy(output, target)", "+loss.inputs.target={shape: [3], dtype: int64}"
    )
    assert (
        code,
        "the loss cannot be computed: Expected input batch_size (2) to match target batch_size (3)." in output,
    ) == (
        1,
        True,
    )


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        (
            ["step=true"],
            "command line  step=true\n  a step needs an optimiser, and none is named. Type optimizer=AdamW.\n",
        ),
        (
            ["step=true", "optimizer=AdamW", "+groups={all: {name: '*', trainable: false}}"],
            "command line  step=true\n  no parameter is trained, so there is nothing to step. Type step=false.\n",
        ),
        (
            ["step=true", "optimizer=Muon"],
            "command line  optimizer=Muon\n  Muon refuses the tensors: Muon only supports 2D",
        ),
    ],
)
def test_a_step_that_cannot_be_made_is_told(typed, answer):
    code, output = run("model=mlp", *typed)
    assert code == 1
    assert answer in output
