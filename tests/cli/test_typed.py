"""What is typed beside a model file: the options, overrides and lists of `python run.py`, with the same answers."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest

from modelzoo.__main__ import main
from modelzoo.cli.check import check_file
from modelzoo.cli.typed import Typed, read_typed
from modelzoo.errors import ConfigError

MODEL = 'args: {dim: 8}\ninputs: {x: [4, dim]}\nlayers: ["Linear(dim, 4)"]\n'


@pytest.fixture
def file(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    pathlib.Path("m.yaml").write_text(MODEL)
    return "m.yaml"


def refused(*texts: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read_typed(texts)
    return str(caught.value)


def test_options_are_read_as_yaml_reads_them_and_lists_as_lists() -> None:
    texts = ["seed=3", "show=[0.bias, '*.weight']", "memory=4GB", "training=true", "load=null", "export=[source,graph]"]
    assert read_typed([*texts, "seconds=10"], more=["seconds"]).options == {
        "seed": 3,
        "show": ["0.bias", "*.weight"],
        "memory": "4GB",
        "training": True,
        "load": None,
        "export": ["source", "graph"],
        "seconds": 10,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sed=3", "There is no key 'sed'. Did you mean 'seed'?"),
        ("seed", "This sets nothing: an override is written key=value."),
        ("modl.args.dim=3", "There is no key 'modl'. Did you mean 'model'?"),
        ("model=other", "The file is the model. Type the path of the other one instead."),
        ("hydra.run.dir=/tmp", "A model file is opened without Hydra, so there is nothing to set. Leave it out."),
        ("model.args.dim", "This sets nothing: an override is written key=value."),
        (
            "init=xavire",
            "There is no 'xavire' in conf/init. Did you mean 'xavier'? A file is written as a path: init=rules.yaml.",
        ),
        (
            "model.layers.0=Linear(9, 1)",
            "Hydra reads Linear(...) as a function of its own. Put the text in quotes of its own: "
            "\"model.layers.0='Linear(9, 1)'\"",
        ),
    ],
)
def test_what_is_no_option_and_no_override_is_answered_as_of_a_config(text: str, message: str) -> None:
    assert refused(text) == f"command line  {text}\n  {message}"


def test_all_that_is_wrong_is_told_at_once() -> None:
    assert refused("sed=3", "model.args.dim", "hydra.job=1").count("command line  ") == 3


def test_what_was_typed_reaches_another_process() -> None:
    typed = read_typed(["seed=3", "+model.args.more=[1, {a: b}]", "~model.args.dim", "init=./r.yaml"])
    assert Typed.from_json(typed.json()) == typed
    assert [each.key for each in typed.overrides] == [("model", "args", "more"), ("model", "args", "dim")]
    assert typed.init == "./r.yaml"


def test_an_init_may_be_named_as_in_conf(file: str) -> None:
    name = str(read_typed(["init=xavier"]).init)
    assert (
        pathlib.Path(name).read_text().endswith("fill: xavier_uniform}\n") or pathlib.Path(name).name == "xavier.yaml"
    )
    own = pathlib.Path("conf/init/own.yaml")
    own.parent.mkdir(parents=True)
    own.write_text("all: {param: weight, fill: 7}\n")
    assert read_typed(["init=own"]).init == "conf/init/own.yaml"
    assert read_typed(["init=null"]).init is None


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["model.args.dim=16"], 68),
        (["model.layers.0='Linear(dim, 1)'", "model.args={dim: 2}"], 3),
        (
            ["model.args.dmi=16"],
            "command line  model.args.dmi=16\n  There is no 'dmi' in model.args. Did you mean 'dim'?",
        ),
        (
            ["model.args.dim=-1"],
            "command line  model.args.dim=-1\n  model.layers.0.in_features must be a positive integer, not -1",
        ),
    ],
)
def test_check_takes_overrides_beside_a_file(file: str, texts: list[str], expected: Any) -> None:
    found = check_file(file, texts)
    assert (found.parameters or "\n".join(map(str, found.problems))) == expected


def test_source_takes_overrides_options_and_an_init_beside_a_file(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["source", "model.args.dim=16", file, "init=xavier", "dtype=float64"]) == 0
    printed = capsys.readouterr().out
    assert "dim=16" in printed
    assert "xavier_uniform_" in printed
    assert "float64" in printed
    assert main(["source", file, "model.args.dmi=16"]) == 1
    assert capsys.readouterr().err == (
        "command line  model.args.dmi=16\n  There is no 'dmi' in model.args. Did you mean 'dim'?\n"
    )


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (["model.args.dim"], "m.yaml:1:8  model.args.dim: 8\n"),
        (["model.layers.0", "model.args.dim=3"], "m.yaml:3:10  model.layers.0: Linear(dim, 4)\n"),
        (["model.args.dim", "model.args.dim=3"], "m.yaml:1:8    model.args.dim: 8\ncommand line  model.args.dim=3\n"),
        (
            ["init.w.fill", "init=r.yaml", "init.w.fill=2"],
            "r.yaml:1:5    init.w.fill: 1\ncommand line  init.w.fill=2\n",
        ),
    ],
)
def test_where_reads_a_model_file(
    file: str, capsys: pytest.CaptureFixture[str], arguments: list[str], printed: str
) -> None:
    pathlib.Path("r.yaml").write_text("w: {fill: 1, param: weight}\n")
    assert main(["where", arguments[0], file, *arguments[1:]]) == 0
    assert capsys.readouterr().out == printed


def test_where_says_what_a_file_does_not_set(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["where", "model.args.dmi", file]) == 1
    assert capsys.readouterr().err == (
        "model.args.dmi\n  No place sets this key. The nearest that is set is 'model.args'. Did you mean 'dim'?\n"
    )
