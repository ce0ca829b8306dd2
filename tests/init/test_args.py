"""The args of an init: numbers of its own that its fills read."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest
import torch

import modelzoo
from modelzoo.config import config
from modelzoo.config.unused import unused
from modelzoo.export.source.model import source

MODEL = {"args": {"dim": 4, "std": 8.0}, "inputs": {"x": [2, 4]}, "layers": ["Linear(dim, dim)", "Linear(dim, 2)"]}


def fills(init: Any, **options: Any) -> dict[str, str]:
    return {each.name: each.fill for each in modelzoo.plan(MODEL, init, **options).tensors}


def test_fills_read_the_args_of_an_init_and_those_hide_the_args_of_the_model() -> None:
    init = {
        "args": {"std": 0.5, "half": "=std / 2", "wide": "=dim * 100", "mode": "fan_out"},
        "weights": {"param": "weight", "fill": "kaiming_normal(mode=mode, a=half)"},
        "biases": {"param": "bias", "fill": "w = zeros()\nreturn w + std + wide"},
    }
    assert fills(init)["0.weight"] == "kaiming_normal(a=0.25, mode='fan_out', nonlinearity='leaky_relu')"
    assert (modelzoo.build(MODEL, init)[1].bias == 400.5).all()


def test_one_arg_changes_all_fills_that_read_it(tmp_path: pathlib.Path) -> None:
    rules = tmp_path / "own.yaml"
    rules.write_text(
        "args: {std: 0.02}\nw: {param: weight, fill: normal(std=std)}\nb: {param: bias, fill: normal(std=std / 10)}\n"
    )
    found = fills(rules, overrides=["init.args.std=1"])
    assert (found["0.weight"], found["1.bias"]) == ("normal(mean=0.0, std=1)", "normal(mean=0.0, std=0.1)")


def test_an_init_without_args_still_reads_those_of_the_model() -> None:
    assert fills({"w": {"param": "weight", "fill": "normal(std=std)"}})["0.weight"] == "normal(mean=0.0, std=8.0)"


def test_the_source_assigns_the_args_that_its_rules_read() -> None:
    init = {
        "args": {"std": "=std / 10", "half": "=std / 2", "spare": 3, "level": 2},
        "weights": {"param": "weight", "fill": "constant(half)"},
        "biases": {"param": "bias", "fill": "w = ones() * std\nreturn w + level * dim"},
    }
    text = source(MODEL, init)
    assert "        std2 = std / 10\n        half = std2 / 2\n        level = 2\n        for" in text
    assert "spare" not in text
    scope: dict[str, Any] = {"__name__": "model"}
    exec(compile(text, "model.py", "exec"), scope)
    twin, built = scope["Model"]().state_dict(), modelzoo.build(MODEL, init).state_dict()
    assert all(torch.equal(twin[name], each) for name, each in built.items())


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"std": "???"}, "init.args.std\n  this arg is required. Type init.args.std=..."),
        ({"std": "=sdt"}, "init.args.std\n  there is no value 'sdt'. Did you mean 'std'?"),
        ({"std": -1}, "init.w.fill\n  init.w cannot fill '0.weight' and 1 more: normal needs std to be 0 or more, not -1."),
        ({"class": 1, "std": 1}, "init.args.class\n  'class' is a word of Python and cannot be the name of an arg. Write class_."),
        (3, "init.args\n  a signature is a mapping or a list, not 3. Write [dim, stride=1]."),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_arg_is_told_at_its_place(args: Any, message: str) -> None:
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.plan(MODEL, {"args": args, "w": {"param": "weight", "fill": "normal(std=std)"}})
    assert str(caught.value) == message


def test_an_arg_that_is_called_like_a_fill_is_told_from_it() -> None:
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.plan(MODEL, {"args": {"ones": 2}, "w": {"param": "weight", "fill": "ones"}})
    assert str(caught.value) == (
        "init.w.fill\n  'ones' is a fill, and an arg. Write ones() for the fill. For the arg, take another name."
    )


def test_an_arg_that_is_misspelt_in_an_override_is_told() -> None:
    init = {"args": {"std": 1}, "w": {"param": "weight", "fill": "normal(std=std)"}}
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.plan(MODEL, init, overrides=["init.args.stdd=2"])
    assert str(caught.value) == "overrides  init.args.stdd=2\n  There is no 'stdd' in init.args. Did you mean 'std'?"


def test_an_arg_that_no_rule_reads_is_told() -> None:
    init = {"args": {"std": 1, "half": "=std / 2", "spare": 2}, "w": {"param": "weight", "fill": "normal(std=half)"}}
    given = config.from_mapping({"model": {"layers": ["Linear(4, 2)"]}, "init": init})
    assert [(str(each.key), each.what, each.hint) for each in unused(given)] == [
        ("init.args.spare", "Nothing reads this arg.", "Remove it.")
    ]


def test_a_file_of_rules_with_args_is_told_from_a_model(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("args: {std: 1}\nw: {param: weight, fill: normal(std=std)}\n")
    with pytest.raises(modelzoo.ConfigError, match="This file has rules of an init"):
        modelzoo.build(file)
