"""Overrides of a model file: they do what they do to a config that Hydra composes, and are answered as there."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest
import yaml

import modelzoo
from modelzoo.config import compose, modelfile
from modelzoo.config.config import from_mapping
from modelzoo.config.opening import overrides_of
from modelzoo.errors import Path

MODEL = """\
args: {dim: 8, dims: [1, 2], act: ReLU, none: null}
inputs: {x: [4, dim]}
layers:
  a: Linear(dim, 4)
  b: {_target_: Linear, in_features: 4, out_features: 3}
  width: {_target_: Linear, in_features: 3, out_features: "${model.args.dims.1}"}
  list: [Tanh, "Linear(2, 2)"]
"""


@pytest.fixture
def path(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A file, which is a config of the current directory as well."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "conf" / "model" / "own.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(MODEL)
    return file


@pytest.mark.parametrize(
    "overrides",
    [
        ["model.args.dim=16"],
        ["model.args.dims=[3, 4]", "model.args.act=null"],
        ["model.args.dims.1=5"],
        ["model.args={dim: 16}"],
        ["+model.args.more=[1, {a: 'b c'}]"],
        ["++model.args.dim=4", "++model.args.more.deep=1"],
        ["+model.layers.c.d={_target_: ReLU}"],
        ["+model.args={dim: 3, more: 4}"],
        ["~model.layers.list", "~model.args.dim=8"],
        ["model.layers.a='Linear(dim, 5)'", "model.layers.b.out_features=2"],
        ["model.layers.list.0=GELU", "model.layers.list.1='Linear(2, 1)'"],
        ["model.layers.a={_target_: ReLU}"],
        ["model.layers.b=Tanh"],
        ["model.args.dim='${model.args.dims.0}'", 'model.args.act="a b"'],
        ["+model.args.none=3", "model.args.dim=1e3", "model.args.act=true"],
        ["+init.weights={param: weight, fill: zeros}", "init.weights.fill=ones"],
    ],
    ids=" ".join,
)
def test_an_override_does_to_a_file_what_it_does_to_a_config(path: pathlib.Path, overrides: list[str]) -> None:
    composed = compose.compose(["model=own", *overrides])
    opened = modelzoo.load(path, overrides=overrides)
    assert opened["model"] == composed.model
    assert opened.get("init", {}) == composed.init
    data = yaml.safe_load(path.read_text())
    before = yaml.safe_load(path.read_text())
    changed = overrides_of(None, overrides)
    assert from_mapping(data, overrides=changed).model == composed.model
    assert data == before


@pytest.mark.parametrize(
    "override",
    [
        "model.args.dmi=16",
        "model.args.more=16",
        "model.arsg.dim=16",
        "model.layers.a.out_features=3",
        "model.layers.list.2=ReLU",
        "model.layers.list.x=ReLU",
        "+model.args.dim=3",
        "~model.args.more",
        "~model.layers.list.0",
        "model.layers.a=Linear(3, 4)",
        "model.args.dim",
        "model.args.dim==3",
        "model.args.dims=[1",
        "model.a!b=3",
        "model.layers.a='Linaer(dim, 4)'",
    ],
)
def test_an_override_that_does_not_fit_is_answered_as_it_is_of_a_config(path: pathlib.Path, override: str) -> None:
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.plan(compose.compose(["model=own", override]).model)
    expected = [(each.what, each.hint) for each in caught.value.problems]
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.plan(path, overrides=[override])
    assert [(each.what, each.hint) for each in caught.value.problems] == expected
    assert [(each.where, each.path) for each in caught.value.problems] == [("overrides", override)]


def test_several_values_are_no_change() -> None:
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.plan({"args": {"dim": 3}, "layers": []}, overrides=["model.args.dim=1,2"])
    assert str(caught.value) == (
        "overrides  model.args.dim=1,2\n  Several values are a sweep, and a model file is one job. "
        'For one list type "model.args.dim=[1,2]", for one text "model.args.dim=\'1,2\'".'
    )


def test_args_are_given_by_name(path: pathlib.Path) -> None:
    model: dict[str, Any] = {"args": {"dim": 8}, "inputs": {"x": [4, "dim"]}, "layers": ["Linear(dim, 4)"]}
    for source in (model, {"model": model}, from_mapping(model).model):
        assert modelzoo.plan(source, args={"dim": 16}).parameters == 68
        assert modelzoo.build(source, args={"dim": 16}, overrides=["model.args.dim=2"])[0].in_features == 2
    assert modelzoo.load(path, args={"dim": 16})["model"]["args"]["dim"] == 16
    assert model["args"] == {"dim": 8}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"dmi": 16}, "args  dmi=16\n  There is no 'dmi' in model.args. Did you mean 'dim'?"),
        ({"dim": -1}, "args  dim=-1\n  model.layers.0.in_features must be a positive integer, not -1"),
        ({"dim": 10**40}, "args  dim=1"),
    ],
)
def test_args_that_do_not_fit_are_told_by_name(args: dict[str, Any], message: str) -> None:
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build({"args": {"dim": 8}, "layers": ["Linear(dim, 4)"]}, args=args)
    assert str(caught.value).startswith(message)


def test_rules_from_elsewhere_are_changed_too() -> None:
    model = {"layers": ["Linear(2, 2)"]}
    rules = {"weights": {"param": "weight", "fill": "zeros"}}
    for given in ((model, rules), ({"model": model, "init": rules},)):
        built = modelzoo.build(*given, overrides=["init.weights.fill=ones"])
        assert (built[0].weight == 1).all()


def test_a_reference_of_a_file_is_followed_after_the_change_and_nowhere_else(path: pathlib.Path) -> None:
    path.write_text("args: {dim: 8, twice: '${model.args.dim}', home: '${oc.env:HOME}'}\nlayers: ['Linear(dim, 4)']")
    with pytest.raises(modelzoo.ConfigError, match=r"'\$\{oc.env:HOME\}' is not a plain reference"):
        modelzoo.load(path, overrides=["model.args.dim=3"])
    assert modelzoo.load(path, overrides=["model.args.dim=3", "model.args.home=1"])["model"]["args"]["twice"] == 3
    path.write_text("args: ${oc.env:HOME}\nlayers: []")
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.load(path, overrides=["model.args.dim=3"])
    assert [each.what for each in caught.value.problems] == ["'model.args' is written as text, ${oc.env:HOME}."]


def test_a_key_of_a_changed_file_is_found_where_it_stands_or_was_typed(path: pathlib.Path) -> None:
    changes = overrides_of(None, ["model.args.dim=3", "+model.args.more={a: [1]}"])
    opened = modelfile.opened(path, "model", changes)
    for key, place in [
        ("args.dim", ("overrides", "model.args.dim=3")),
        ("args.more.a.0", ("overrides", "+model.args.more={a: [1]}")),
        ("args.act", (f"{path}:1:30", "model.args.act")),
        ("layers.list.1", (f"{path}:7:16", "model.layers.list.1")),
    ]:
        assert opened.locate(Path(("model", *key.split("."))), 0, 0) == place


def test_a_file_of_rules_is_no_model(path: pathlib.Path) -> None:
    for text in ("weights: {layer: Linear, fill: xavier_uniform}\n", "init:\n  b: {param: bias, fill: 0}\n"):
        path.write_text(text)
        with pytest.raises(modelzoo.ConfigError) as caught:
            modelzoo.load("conf/model/own.yaml")
        assert str(caught.value) == (
            "conf/model/own.yaml:1:1\n  This file has rules of an init, and no model. "
            "Give them to a model: python -m modelzoo check MODEL.yaml init=conf/model/own.yaml"
        )
