"""The coordinate check: the sizes of a hand-made loop, flat under muP and not without, and the picture of a sweep."""

from __future__ import annotations

import json
import pathlib
import re

import pytest
import torch
from torch import nn

import modelzoo
from modelzoo import cli
from modelzoo.run.curves import curves
from tests.helpers.documents import here

WIDE = """
args: {width: 64}
inputs: {x: [16, 20]}
layers:
  first: Linear(20, width)
  act: ReLU
  second: Linear(width, width)
  act2: ReLU
  head: Linear(width, 10)
"""
LOSS = ("loss=output.square().mean()", "optimizer=Adam", "coordinates=true")


@pytest.fixture(autouse=True)
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pathlib.Path("conf/model").mkdir(parents=True)
    pathlib.Path("conf/model/wide.yaml").write_text(WIDE)


def test_sizes_are_those_of_a_loop_by_hand_and_the_values_are_put_back():
    groups = "+groups={all: {name: '*', lr: 0.01}}"
    code, output = here(cli.main, ["run.py", "model=wide", groups, *LOSS, "export=[source]", "hydra.run.dir=o"])
    assert code == 0, output
    from modelzoo.plans.draft import draft, example_inputs

    x = example_inputs(draft(modelzoo.load("o/model.yaml")["model"]), "cpu")["x"]
    model = modelzoo.build("o/model.yaml")
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    sizes: dict[str, list[str]] = {"first": [], "second": [], "head": []}
    for name, layer in model.named_children():
        if isinstance(layer, nn.Linear):
            layer.register_forward_hook(lambda _, __, made, name=name: sizes[name].append(f"{made.abs().mean():.3g}"))
    for _ in range(5):
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
    shown = output.partition("size after steps")[2].splitlines()
    assert shown[0].split() == ["0", "1", "2", "3", "4"]
    assert {each.split()[0]: each.split()[1:] for each in shown[1:4]} == sizes


def test_sizes_are_flat_under_mup_and_not_without_and_the_page_draws_both():
    mup = ("init=mup", "groups=mup_adam", "groups.args.lr=0.01", "groups.base=${init.base}")
    bases = 'init.base={width: 64},{width: "${model.args.width}"}'
    widths = ("model.args.width=128,1024", "loss=(output - 1).square().mean()")
    code, output = here(cli.main, ["run.py", "-m", "model=wide", *mup, bases, *widths, *LOSS[1:]])
    assert code == 0, output
    (page,) = pathlib.Path("multirun").glob("*/summary.html")
    jobs = json.loads(page.with_suffix(".json").read_text())
    sizes = {(each["init.base"], each["model.args.width"]): each["coordinates"] for each in jobs}
    follows, other = sorted({base for base, _ in sizes}, key=len)
    for layer, steps in sizes[follows, "128"].items():
        for step in range(1, 5):
            assert sizes[follows, "1024"][layer][step] == pytest.approx(steps[step], rel=0.4), (layer, step)
    grown = sizes[other, "1024"]["head"][1] / sizes[other, "128"]["head"][1]
    assert grown > 4
    text = page.read_text()
    assert text.count("<polyline") == 2 * 4 * 3  # bases, steps, layers
    assert re.findall(r"<h3>(init\.base=\S+)", text)[0].startswith("init.base={width:64}")
    assert "coordinates" not in page.with_suffix(".csv").read_text()


def test_only_a_key_of_positive_numbers_is_a_width():
    rows = [
        {"init": "a", "width": "2", "coordinates": {"x": [1.0, 1.0]}},
        {"init": "a", "width": "8", "coordinates": {"x": [1.0, 100.0]}},
        {"init": "b", "width": "2", "coordinates": {"x": [1.0, 10.0], "y": [0.0, float("nan")]}},
        {"init": "b", "width": "8", "status": "failed"},
    ]
    assert curves(["init"], rows) is None
    assert curves(["width"], [{"width": "2"}, {"width": "3"}]) is None
    found = curves(["init", "width"], rows)
    assert found is not None
    assert (found.key, found.ticks, found.low, found.high) == ("width", ((0.0, "2"), (100.0, "8")), "1", "1e+02")
    (first,), (second,) = found.panels
    assert (first.title, first.step) == ("init=a", 1)
    assert first.lines == ((0, "x", ((0.0, 100.0), (100.0, 0.0))), (1, "y", ()))
    assert second.lines == ((0, "x", ((0.0, 50.0),)), (1, "y", ()))


def test_without_an_optimiser_it_is_a_mistake():
    code, output = here(cli.main, ["run.py", "model=wide", "coordinates=true"])
    assert (code, "a step needs an optimiser, and none is named. Type optimizer=AdamW." in output) == (1, True)
