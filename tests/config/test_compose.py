"""From the command line to plain data: what Hydra composes, where each key stands, and what is said when it cannot."""

from __future__ import annotations

import logging
import os
import pathlib
import re
import subprocess
import sys
import textwrap
import types

import pytest
from omegaconf import OmegaConf

import modelzoo.run
from modelzoo import cli
from modelzoo.__main__ import main as tools
from modelzoo.config import compose, search_path
from modelzoo.errors import ConfigError, Path, Problem, fail, located
from modelzoo.plans import draft
from modelzoo.run.sweep import Sweep

PACKAGE = pathlib.Path(compose.__file__).parents[2]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Writes config files below an empty working directory: `project({"model/x": "..."})`."""
    monkeypatch.chdir(tmp_path)

    def project(files: dict[str, str]) -> pathlib.Path:
        for name, text in files.items():
            file = tmp_path / "conf" / f"{name}.yaml"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(textwrap.dedent(text), encoding="utf-8")
        return tmp_path

    return project


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs `python run.py ...` in this process with another job; returns exit code, stdout and stderr."""

    def run(*arguments: str, job=lambda config, directory: None) -> tuple[int, str, str]:
        stub = types.ModuleType("modelzoo.run.job")
        stub.run = job
        monkeypatch.setitem(sys.modules, "modelzoo.run.job", stub)
        monkeypatch.setattr(modelzoo.run, "job", stub, raising=False)
        monkeypatch.setattr(sys, "argv", ["run.py", *arguments])
        monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
        try:
            code = cli.main()
        finally:
            logging.getLogger().handlers.clear()  # Hydra's, bound to a stream that ends with the test
        return code, *capsys.readouterr()

    return run


def place(key: str, *overrides: str, line: int = 0, column: int = 0) -> str:
    parts = [int(part) if part.isdigit() else part for part in key.split(".")]
    return "  ".join(compose.compose(list(overrides)).locate(Path(parts), line, column))


def test_a_folder_with_one_model_file_is_a_project(project, run):
    project({"model/tiny": "layers: {out: 'Linear(4, 1)'}"})
    seen = []
    code, _, err = run("model=tiny", "seed=7", job=lambda config, directory: seen.append((config, directory)))
    assert (code, err) == (0, "")
    config, directory = seen[0]
    assert config.model == {"layers": {"out": "Linear(4, 1)"}}
    assert config.options["seed"] == 7
    assert directory.is_relative_to(pathlib.Path.cwd() / "outputs")
    assert not list(directory.glob("*.log"))


def test_the_models_of_the_package_are_found_from_anywhere(project):
    project({})
    assert compose.compose(["model=nested"]).model["layers"]["linear"]


def test_the_configs_stand_beside_the_package_or_inside_it(tmp_path, monkeypatch):
    package = tmp_path / "modelzoo"
    package.mkdir()
    monkeypatch.setattr(search_path, "__file__", str(package / "config" / "search_path.py"))
    assert search_path.conf_directory() == tmp_path / "conf"
    (package / "conf").mkdir()
    assert search_path.conf_directory() == package / "conf"


def test_a_projects_own_file_comes_before_that_of_the_package(project):
    project({"model/nested": "layers: [ReLU]"})
    assert compose.compose(["model=nested"]).model == {"layers": ["ReLU"]}


def test_two_runs_in_one_second_have_directories_of_their_own(project, run):
    project({"model/tiny": "layers: [ReLU]"})
    seen = []
    for _ in range(2):
        run("model=tiny", job=lambda config, directory: seen.append(directory))
    assert seen[0] != seen[1]


def test_values_are_plain_and_what_is_missing_stays(project):
    project({"model/x": "args: {dim: '???', width: 1e-3, same: '${.width}'}\nlayers: {0: '${..args}'}"})
    model = compose.compose(["model=x", "model.args.dim=???"]).model
    assert model == {"args": {"dim": "???", "width": 0.001, "same": 0.001},
                     "layers": {0: {"dim": "???", "width": 0.001, "same": 0.001}}}  # fmt: skip
    assert type(model) is dict
    assert type(model["layers"]) is dict


def test_all_wrong_references_and_keys_are_reported_with_their_places(project):
    project(
        {"model/x": "args: {dim: 1, bad: '${.dmi}'}\nlayers:\n  a: ${nope.x}\n  b: ${c}\n  c: ${oc.foo:1}\nc: ${b}"}
    )
    with pytest.raises(ConfigError) as caught:
        compose.compose(["model=x"])
    assert str(caught.value) == textwrap.dedent("""\
        conf/model/x.yaml:1:16  model.args.bad
          '${.dmi}' refers to 'model.args.dmi', which does not exist. Did you mean 'dim'?
        conf/model/x.yaml:3:3  model.layers.a
          '${nope.x}' refers to 'nope', which does not exist.
        conf/model/x.yaml:4:3  model.layers.b
          '${c}' refers to 'c', which does not exist.
        conf/model/x.yaml:5:3  model.layers.c
          Unsupported interpolation type oc.foo.
        conf/model/x.yaml:6:1  model.c
          '${b}' refers to 'b', which does not exist.""")


def test_a_reference_to_itself_is_reported(project):
    project({"model/x": "a: ${.b}\nb: ${.a}\nc: {d: '${..c}'}"})
    with pytest.raises(ConfigError) as caught:
        compose.compose(["model=x"])
    assert [problem.path for problem in caught.value.problems] == ["model.a", "model.b", "model.c.d"]
    assert [problem.what for problem in caught.value.problems] == [
        "'${.b}' refers to itself.",
        "'${.a}' refers to itself.",
        "'${..c}' refers to itself.",
    ]


def test_a_key_that_yaml_reads_as_a_boolean_is_to_be_quoted(project):
    project({"model/x": "layers:\n  on: ReLU\n  out: ReLU"})
    with pytest.raises(ConfigError) as caught:
        compose.compose(["model=x"])
    assert str(caught.value) == (
        "conf/model/x.yaml:2:3  model.layers.True\n"
        "  YAML reads the key 'True' as a boolean. Put it in quotes: 'no' or 'on'."
    )


# Places

FILES = {
    "model/part": "args: {dim: 4}\nlayers:\n  out: Linear(dim, 1)\n  act: ReLU\n",
    "model/whole": """\
        defaults:
          - /model@blocks.Part: part
          - _self_
        args:
          width: 8
          same: ${.width}
        layers:
          first: Part
          list: [ReLU, {_target_: Linear, in_features: 3}]
          copy: ${..args}
        """,
    "model/base": "layers:\n  a: ReLU\n  b: {x: 1, y: 2}\n  c: [1, 2]\n",
    "model/derived": "defaults: [base, _self_]\nlayers:\n  a: GELU\n  b: {y: 3}\n  c: [9]\n",
    "model/first": "defaults: [_self_, base]\nlayers:\n  a: GELU\n",
    "model/header": "# @package model.blocks.Deep\nlayers: [ReLU]\n",
    "model/headed": "defaults: [header, _self_]\nlayers: [Deep]\n",
    "model/scalar": "defaults: [base, _self_]\nlayers:\n  b: ReLU\n",
    "model/anchors": "a: &a {x: 1}\nb: {<<: *a, y: 2}\nc: *a\n",
    "init/rules": "weights: {layer: Linear, fill: 1}\n",
}


@pytest.mark.parametrize(
    ("overrides", "key", "where"),
    [
        ("model=whole", "model.args.width", "conf/model/whole.yaml:5:3"),
        ("model=whole", "model.blocks.Part.layers.out", "conf/model/part.yaml:3:3"),
        ("model=whole", "model.blocks.Part.layers.out.bias", "conf/model/part.yaml:3:3"),
        ("model=whole", "model.blocks.Part.lyaers", "conf/model/part.yaml:1:1"),
        ("model=whole", "model.blocks", "conf/model/part.yaml:1:1"),
        ("model=whole", "model.layers.list.1.in_features", "conf/model/whole.yaml:9:35"),
        ("model=whole", "model.layers.list.1", "conf/model/whole.yaml:9:16"),
        ("model=whole", "model.layers.list.7", "conf/model/whole.yaml:9:3"),
        ("model=whole", "model.layers.missing", "conf/model/whole.yaml:7:1"),
        ("model=whole", "model.args.same", "conf/model/whole.yaml:6:3"),
        ("model=whole", "model.layers.copy.width", "conf/model/whole.yaml:10:3"),
        ("model=whole model@model.blocks.Part=base", "model.blocks.Part.layers.a", "conf/model/base.yaml:2:3"),
        ("model=derived", "model.layers.a", "conf/model/derived.yaml:3:3"),
        ("model=derived", "model.layers.b.x", "conf/model/base.yaml:3:7"),
        ("model=derived", "model.layers.b.y", "conf/model/derived.yaml:4:7"),
        ("model=derived", "model.layers.c.0", "conf/model/derived.yaml:5:7"),
        ("model=derived", "model.layers.c.1", "conf/model/derived.yaml:5:3"),
        ("model=first", "model.layers.a", "conf/model/base.yaml:2:3"),
        ("model=headed", "model.blocks.Deep.layers.0", "conf/model/header.yaml:2:10"),
        ("model=scalar", "model.layers.b.x", "conf/model/scalar.yaml:3:3"),
        ("model=anchors", "model.b.x", "conf/model/anchors.yaml:1:8"),
        ("model=anchors", "model.c", "conf/model/anchors.yaml:3:1"),
        ("model=base init=rules", "init.weights.fill", "conf/init/rules.yaml:1:26"),
    ],
)
def test_a_key_is_found_in_the_file_that_decided_it(project, overrides, key, where):
    project(FILES)
    assert place(key, *overrides.split()).partition("  <- ")[0] == f"{where}  {key}"


def test_of_a_value_that_an_interpolation_brought_both_ends_are_named(project):
    project(FILES)
    start = "conf/model/whole.yaml:6:3  model.args.same"
    assert place("model.args.same", "model=whole") == f"{start}  <- conf/model/whole.yaml:5:3  model.args.width"
    typed = "model.args.width=3"
    assert place("model.args.same", "model=whole", typed) == f"{start}  <- command line  {typed}"


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("model.layers.a=Tanh", "model.layers.a"),
        ("model.layers.a=Tanh", "model.layers.a.bias"),
        ("+model.layers.b.z=3", "model.layers.b.z"),
        ("model.layers.b={x: 5}", "model.layers.b.x"),
        ("model.layers.c=[5,6]", "model.layers.c.1"),
        ("~model.layers.a", "model.layers.a"),
        ("model.layers.c.0=5", "model.layers.c.0"),
        ("seed=-1", "seed"),
        ("+model.layers.n.m=3", "model.layers.n"),
    ],
)
def test_an_override_is_named_as_it_was_typed(project, override, key):
    project(FILES)
    assert place(key, "model=base", override) == f"command line  {override}"


def test_an_override_of_one_key_leaves_the_others_where_they_were(project):
    project(FILES)
    assert place("model.layers.b.y", "model=base", "model.layers.b={x: 5}") == (
        "conf/model/base.yaml:3:13  model.layers.b.y"
    )


def test_a_file_outside_is_shown_with_its_whole_path(project):
    project({})
    file = search_path.conf_directory() / "config.yaml"
    number = next(i for i, row in enumerate(file.read_text().splitlines(), 1) if row.startswith("seed:"))
    assert place("seed") == f"{file}:{number}:1  seed"


@pytest.mark.parametrize(
    ("overrides", "target"),
    [
        (["model=new"], "conf/model/new.yaml:3:7"),
        (["model=old", "model.layers.a._target_=Conv2d"], "command line  model.layers.a._target_=Conv2d"),
    ],
)
def test_a_key_that_an_exchanged_target_left_behind_names_both_places(project, overrides, target):
    old = "layers:\n  a: {_target_: Linear, in_features: 4, out_features: 4}\n"
    new = "defaults: [old, _self_]\nlayers:\n  a: {_target_: Conv2d}\n"
    project({"model/old": old, "model/new": new})
    config = compose.compose(overrides)
    with pytest.raises(ConfigError) as caught, located(config.locate):
        draft.draft(config.model)
    assert str(caught.value).startswith("conf/model/old.yaml:2:25  model.layers.a.in_features\n")
    assert f"If the _target_ was changed ({target}), type ~model.layers.a.in_features to remove" in str(caught.value)


def test_a_key_that_was_typed_was_not_left_behind(project):
    project({"model/x": "layers:\n  a: {_target_: Linear, in_features: 4, out_features: 4}\n"})
    config = compose.compose(["model=x", "+model.layers.a.biass=false"])
    with pytest.raises(ConfigError) as caught, located(config.locate):
        draft.draft(config.model)
    assert str(caught.value) == (
        "command line  +model.layers.a.biass=false\n  Linear has no argument 'biass'. Did you mean 'bias'?"
    )


def test_a_position_in_a_text_is_the_one_in_the_file(project):
    project({"model/x": "forward: |\n  x = out(x)\n  return x +\n"})
    assert place("model.forward", "model=x", line=2, column=10) == "conf/model/x.yaml:3:12  model.forward"


def test_of_two_overrides_the_last_one_is_named(project):
    project(FILES)
    assert place("seed", "seed=1", "seed=2") == "command line  seed=2"


def test_an_unknown_place_is_left_empty_when_hydra_changes(project, monkeypatch):
    project(FILES)
    config = compose.compose(["model=base"])
    monkeypatch.setattr("hydra._internal.config_loader_impl.ConfigLoaderImpl.compute_defaults_list", None)
    assert config.locate(Path(("model", "layers")), 0, 0) == ("", "model.layers")


def test_files_are_read_once_and_only_when_asked(project, monkeypatch):
    project(FILES)
    count = []
    compute = search_path.sources
    monkeypatch.setattr(search_path, "sources", lambda *arguments: [count.append(1), *compute(*arguments)][1:])
    config = compose.compose(["model=base"])
    assert len(count) == 0
    config.locate(Path(("model",)), 0, 0)
    config.locate(Path(("model", "layers")), 0, 0)
    assert len(count) == 1


def test_where_prints_the_chain_of_places(project, capsys):
    project(FILES)
    assert tools(["where", "model.layers.a", "model=derived", "model.layers.a=Tanh"]) == 0
    assert capsys.readouterr().out == (
        "conf/model/base.yaml:2:3     model.layers.a: ReLU\n"
        "conf/model/derived.yaml:3:3  model.layers.a: GELU\n"
        "command line                 model.layers.a=Tanh\n"
    )
    assert tools(["where", "model.layers.copy.width", "model=whole"]) == 0
    assert capsys.readouterr().out == (
        "conf/model/whole.yaml:10:3  model.layers.copy.width: ${..args}\n"
        "conf/model/whole.yaml:5:3   model.args.width: 8\n"
    )


def test_where_finds_an_argument_in_the_text_of_its_layer(project, capsys):
    project({"model/m": "args: {w: 3}\nlayers:\n  out: Linear(${model.args.w}, 2)\n"})
    assert tools(["where", "model.layers.out.in_features", "model=m"]) == 0
    assert capsys.readouterr().out == (
        "conf/model/m.yaml:3:3  model.layers.out: Linear(${model.args.w}, 2)\nconf/model/m.yaml:1:8  model.args.w: 3\n"
    )


def test_where_says_what_is_not_set(project, capsys):
    project(FILES)
    assert tools(["where", "model.layers.zz.y", "model=base"]) == 1
    assert capsys.readouterr().err == (
        "model.layers.zz.y\n  No place sets this key. The nearest that is set is 'model.layers'. Known: a, b, c.\n"
    )
    assert tools(["where", "model.layer", "model=base"]) == 1
    assert capsys.readouterr().err.endswith("The nearest that is set is 'model'. Did you mean 'layers'?\n")
    assert tools(["where", "model", "model=nope"]) == 1
    assert "There is no 'nope' in conf/model." in capsys.readouterr().err


def test_an_unknown_command_is_explained(capsys):
    assert tools(["wehre"]) == 2
    assert capsys.readouterr().err == "There is no command 'wehre'. Did you mean 'where'?\n"


# What cannot be composed

MODELS = {
    "model/mlp": "args: {dim: 20, sizes: [1, 2]}\nlayers:\n  hidden: Linear(20, 30)\n  act: {_target_: ReLU}\n  list: [a, b]\n",
    "model/parent": "defaults:\n  - /model@blocks.X: mpl\n  - _self_\n",
    "model/syntax": "layers: {a: [b}\n",
    "model/twice": "layers: {a: b, a: c}\n",
    "model/list": "defaults: [mlp, _self_]\nlayers: [ReLU]\n",
}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model=mpl", "There is no 'mpl' in conf/model. Did you mean 'mlp'?"),
        ("init=xaver", "There is no 'xaver' in conf/init. Did you mean 'xavier'?"),
        ("modle=mlp", "There is no key 'modle'. Did you mean 'model'?"),
        ("sede=3", "There is no key 'sede'. Did you mean 'seed'?"),
        ("model.layers.hiden=ReLU", "There is no 'hiden' in model.layers. Did you mean 'hidden'?"),
        (
            "model.args.width=4",
            "There is no 'width' in model.args. Known: dim, sizes. To add it, type +model.args.width=4",
        ),
        (
            "model.layers.hidden.out_features=8",
            "'model.layers.hidden' is written as text, Linear(20, 30). "
            "Replace it whole: \"model.layers.hidden='Linear(20, 30)'\"",
        ),
        *(
            (
                f"{adds}model.layers.hidden.{key}=8",
                "'model.layers.hidden' is written as text, Linear(20, 30). "
                "Replace it whole: \"model.layers.hidden='Linear(20, 30)'\"",
            )
            for adds, key in [("+", "bias"), ("++", "out_features"), ("+", "act.negative_slope")]
        ),
        (
            "model.layers.act=LeakyReLU(0.1)",
            "Hydra reads LeakyReLU(...) as a function of its own. "
            "Put the text in quotes of its own: \"model.layers.act='LeakyReLU(0.1)'\"",
        ),
        (
            "model.layers.act=Upsample(mode='nearest')",
            "Hydra reads Upsample(...) as a function of its own. "
            r"""Put the text in quotes of its own: 'model.layers.act='"'"'Upsample(mode=\'"'"'nearest\'"'"')'"'"''""",
        ),
        (
            "model.args.dim==4*dim",
            "Hydra does not read a value that begins with '='. "
            "Put the text in quotes of its own: \"model.args.dim='=4*dim'\"",
        ),
        ("model.args.dim=[1,2", "Hydra cannot read the value [1,2. Close every bracket and every quote."),
        ("seed", "This sets nothing: an override is written key=value."),
        ("=3", "This sets nothing: an override is written key=value."),
        ("model.layers.a{=3", "'model.layers.a{' cannot be the key of an override."),
        (
            "seed=1,2",
            "Several values are a sweep: one job for each. "
            'To run them all, add -m. For one list type "seed=[1,2]", for one text "seed=\'1,2\'".',
        ),
        ("seed=range(3)", "Several values are a sweep: one job for each. To run them all, add -m."),
        ("+model.args.dim=3", "'model.args.dim' exists already. To change it, type model.args.dim=3"),
        ("~model.layer.act", "There is no 'model.layer.act' that could be deleted. Did you mean 'layers'?"),
        ("model.args.sizes[0]=8", "Hydra reads no brackets in the key model.args.sizes[0]. Type model.args.sizes.0=8"),
        (
            "model.layers.act=LeakyReLU(0.1),ReLU",
            "Hydra reads a call as a function of its own. In a sweep (-m) each call is in quotes of its own: "
            "\"model.layers.act='LeakyReLU(0.1)',ReLU\"",
        ),
        (
            "model.layers.list=[Linear(4, 8),ReLU]",
            "Hydra cannot read the value [Linear(4, 8),ReLU]. Put each text in quotes of its own: "
            "\"model.layers.list=['Linear(4, 8)',ReLU]\"",
        ),
        ("~model.layers.foo", "There is no 'model.layers.foo' that could be deleted. Known: hidden, act, list."),
        (
            "~model.layers.list.1",
            "Hydra deletes no entry of a list. To leave the layer out, type model.layers.list.1=null; "
            "to put another in its place, model.layers.list.1=Identity",
        ),
        (
            "~model.args.sizes.0",
            "Hydra deletes no entry of a list. Type the whole list without it: model.args.sizes=[...]",
        ),
        ("~model.layers.list.x", "A list takes an index, not 'x'."),
        ("hydra.job.chdir=maybe", "Value 'maybe' is not a valid bool (type str)."),
        ("hydra.run.dir=null", "field 'hydra.run.dir' is not Optional."),
        ("model.layers.list.7=x", "The list model.layers.list has 2 entries, 0 to 1; there is no 7."),
        ("model.layers.list.x=x", "A list takes an index, not 'x'."),
        ("model=null", "'model' takes the name of a file in conf/model, not null."),
        ("model@model.blocks.X=mlp", "No defaults list names 'model@model.blocks.X'. Did you mean model?"),
    ],
)
def test_an_override_that_cannot_be_composed_is_explained(project, run, override, message):
    project(MODELS)
    assert run(override) == (1, "", f"command line  {override}\n  {message}\n")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("parent", "conf/model/parent.yaml:2:22  defaults\n  There is no 'mpl' in conf/model. Did you mean 'mlp'?\n"),
        (
            "syntax",
            "conf/model/syntax.yaml:1:15\n  This is not YAML: expected ',' or ']', but got '}'. "
            "Inside [] and {} a text with a comma, a bracket, a colon or ??? needs quotes.\n",
        ),
        ("twice", "conf/model/twice.yaml:1:16\n  The key 'a' stands twice in one mapping.\n"),
        (
            "list",
            "conf/model/list.yaml\n  The file has a list where one before it has a mapping, or the other way round. "
            "Hydra cannot merge the two.\n",
        ),
    ],
)
def test_a_file_that_cannot_be_composed_is_explained(project, run, model, message):
    project(MODELS)
    assert run(f"model={model}") == (1, "", message)


def test_a_file_that_is_no_utf8_is_named_with_its_line(project, run):
    folder = project(MODELS) / "conf" / "model"
    (folder / "latin.yaml").write_bytes(b"# a comment\n# caf\xe9\nlayers: [ReLU]\n")
    expected = "conf/model/latin.yaml\n  The file is not UTF-8: line 2 has the byte 0xe9.\n"
    assert run("model=latin") == (1, "", expected)


def test_a_config_that_is_nested_too_deeply_is_explained(project, run):
    project({"model/deep": "layers: " + "[" * 3000 + "]" * 3000})
    expected = "command line  model=deep\n  It is nested more deeply than Python can follow.\n"
    assert run("model=deep") == (1, "", expected)


def test_what_hydra_itself_cannot_do_is_no_mistake_of_the_program(project, run, monkeypatch):
    project(MODELS)
    monkeypatch.delenv("COMP_LINE", raising=False)
    assert run("-sc", "query=bash") == (1, "", "command line  query=bash\n  Hydra ended in KeyError: 'COMP_LINE'.\n")
    typed = "hydra.sweeper.max_batch_size=0"
    assert run("-m", typed)[::2] == (1, f"command line  {typed}\n  Hydra ended in AssertionError.\n")


def test_flags_of_hydra_and_what_they_take_are_no_overrides(project, run):
    (project(MODELS) / "more").mkdir()
    code, out, err = run("--config-dir", "more", "-m", "seed=1,2", job=lambda config, directory: {})
    assert (code, err, out.splitlines()[0]) == (0, "", "1/2  seed=1  done in 0.00 s")
    nowhere = pathlib.Path.cwd() / "none"
    expected = f"command line  model=mlp\n  Additional config directory '{nowhere}' not found.\n"
    assert run("--config-dir", "none", "model=mlp") == (1, "", expected)


def test_a_directory_that_cannot_be_made_is_explained(project, run):
    project(MODELS)
    what = "It cannot be made: Not a directory. Choose another directory:"
    file = "conf/model/mlp.yaml"
    assert run(f"hydra.run.dir={file}/x") == (1, "", f"{file}/x\n  {what} hydra.run.dir=DIR\n")
    place = pathlib.Path.cwd() / file / "x"
    assert run("-m", f"hydra.sweep.dir={file}/x") == (1, "", f"{place}\n  {what} hydra.sweep.dir=DIR\n")


def test_two_sweeps_in_one_directory_do_not_run_at_once(project, run):
    folder = project(MODELS) / "twice"
    lock = Sweep(folder).claim()
    expected = (
        f"{folder}\n  Another process runs a sweep in this directory. "
        "Wait until it has ended, or choose another directory: hydra.sweep.dir=DIR\n"
    )
    assert run("-m", "seed=1,2", "hydra.sweep.dir=twice") == (1, "", expected)
    lock.release()
    assert run("-m", "seed=1,2", "hydra.sweep.dir=twice", job=lambda config, directory: {})[0] == 0
    assert run("-m", "seed=1,2", "hydra.sweep.dir=twice")[0] == 0


def test_jobs_of_a_sweep_stay_where_it_was_typed(project, run):
    project(MODELS)
    seen = []

    def job(config, directory):
        seen.append((pathlib.Path.cwd(), directory.is_dir()))
        return {}

    code, out, err = run("-m", "seed=1,2", "hydra.job.chdir=true", job=job)
    assert (code, seen, err) == (0, [(pathlib.Path.cwd(), True)] * 2, "")
    assert "2 jobs, 2 done\nwritten:\n  multirun/" in out


def test_what_the_system_refuses_a_job_is_no_mistake_of_the_program(project, run):
    project(MODELS)

    def job(config, directory):
        raise PermissionError(13, "Permission denied", "/")

    assert run("model=mlp", job=job) == (1, "", "/\n  It cannot be opened: Permission denied.\n")


def test_the_recommended_lines_do_what_they_say(project, run):
    project(MODELS)
    recommended = []
    for override in ("model.layers.act=LeakyReLU(0.1)", "model.args.dim==4*dim", "model.layers.act=U(mode='a')"):
        line = run(override)[2].strip().rpartition("its own: ")[2]
        typed = subprocess.run(["sh", "-c", f"printf %s {line}"], capture_output=True, text=True, check=True).stdout
        recommended.append(compose.compose(["model=mlp", typed]).model)
    assert recommended[0]["layers"]["act"] == "LeakyReLU(0.1)"
    assert recommended[1]["args"]["dim"] == "=4*dim"
    assert recommended[2]["layers"]["act"] == "U(mode='a')"


# The single place that meets exceptions


def _broken(config, directory):
    fail(Path(("model", "layers", "hidden")), "It is wrong.", "Repair it.")


def test_a_problem_of_the_job_is_printed_with_its_place_and_without_a_traceback(project, run):
    project(MODELS)
    expected = "conf/model/mlp.yaml:3:3  model.layers.hidden\n  It is wrong. Repair it.\n"
    assert run("model=mlp", job=_broken) == (1, "", expected)


def test_the_traceback_is_printed_on_request(project, run):
    project(MODELS)
    code, _, err = run("model=mlp", "traceback=true", job=_broken)
    assert code == 1
    assert err.startswith("Traceback (most recent call last):")
    assert "It is wrong." in err.splitlines()[-1]
    assert "_broken" in err or "located" in err
    assert run("model=nope", "traceback=true")[2].count("Could not find 'model/nope'") == 1


def test_ten_problems_are_shown_or_as_many_as_asked(project, run):
    project(MODELS)

    def job(config, directory):
        raise ConfigError(
            [Problem(path=str(i), what="Wrong.", key=Path(("model", "layers", str(i)))) for i in range(12)]
        )

    assert run("model=mlp", job=job)[2].endswith("... and 2 more problems (problems=all shows all)\n")
    assert run("model=mlp", "problems=1", job=job)[2].endswith("... and 11 more problems (problems=all shows all)\n")
    assert "more problem" not in run("model=mlp", "problems=all", job=job)[2]


def test_a_sweep_goes_on_after_a_job_that_failed(project, run):
    project(MODELS)
    seen = []

    def job(config, directory):
        seen.append(config.options["seed"])
        if config.options["seed"] == 2:
            _broken(config, directory)
        return {}

    code, out, err = run("-m", "model=mlp", "seed=1,2,3", job=job)
    assert (code, seen, err) == (1, [1, 2, 3], "")
    line = "2/3  model=mlp seed=2  failed: conf/model/mlp.yaml:3:3  model.layers.hidden It is wrong. Repair it.\n"
    assert line in out
    assert "3 jobs, 2 done, 1 failed\n" in out


def test_a_mistake_of_the_program_is_not_taken_for_one_of_the_config(project, run):
    project(MODELS)

    def job(config, directory):
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        run("model=mlp", job=job)


def test_an_interrupt_ends_quietly_with_130(project, run):
    project(MODELS)

    def job(config, directory):
        raise KeyboardInterrupt

    assert run("model=mlp", job=job) == (130, "", "")


def test_a_reader_that_leaves_is_no_error(project):
    project(MODELS)
    code = f"""
import sys, types
sys.path.insert(0, {str(PACKAGE)!r})
stub = types.ModuleType("modelzoo.run.job")
stub.run = lambda config, directory: print("x" * 10_000_000)
sys.modules["modelzoo.run.job"] = stub
sys.argv = ["run.py"]
from modelzoo.cli import main
sys.exit(main())
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 1


def _imported(*arguments: str) -> tuple[int, list[str], str]:
    code = f"""
import sys
sys.path.insert(0, {str(PACKAGE)!r})
sys.argv = ["run.py", *{list(arguments)!r}]
from modelzoo.cli import main
try:
    code = main()
except SystemExit as error:
    code = error.code or 0
print(code, *[name for name in ("torch", "rich") if name in sys.modules], file=sys.stderr)
"""
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE)}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    code, *names = run.stderr.splitlines()[-1].split()
    return int(code), names, run.stdout


def test_help_and_the_composed_config_come_without_torch(project):
    project({})
    code, names, out = _imported("--help")
    assert (code, names) == (0, [])
    assert re.search(r"^model:\n(  .*\n)*  nested +A block inside a block: ", out, re.MULTILINE)
    code, names, out = _imported("--cfg", "job", "model=nested", "seed=3")
    assert (code, names) == (0, [])
    assert OmegaConf.create(out).seed == 3


def test_the_check_for_torch_can_fail(project):
    file = project({}) / "run_torch.py"
    file.write_text("import torch")
    run = subprocess.run(
        [sys.executable, "-c", "import sys, run_torch; print('torch' in sys.modules)"],
        capture_output=True, text=True, cwd=file.parent,
    )  # fmt: skip
    assert run.stdout == "True\n"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("/modle@blocks.X: mlp", "There is no 'mlp' in conf/modle. Did you mean 'model'?"),
        ("/model@blocks.X: mlpp", "There is no 'mlpp' in conf/model. Did you mean 'mlp'?"),
        ("mlpp", "There is no 'mlpp' in conf/model. Did you mean 'mlp'?"),
    ],
)
def test_a_misspelt_entry_of_a_defaults_list_is_told_with_the_nearest(project, run, entry, message):
    project({"model/x": f"defaults:\n  - {entry}\n  - _self_\nlayers: [ReLU]\n"})
    code, out, err = run("model=x")
    assert (code, out) == (1, "")
    assert err.splitlines()[-1] == f"  {message}"


def test_a_number_that_yaml_reads_as_another_is_refused_in_a_composed_config_too(project, run):
    project({"model/x": "args: {dim: 017}\nlayers: ['Linear(dim, 4)']\n"})
    assert run("model=x") == (
        1,
        "",
        "conf/model/x.yaml:1:13  args.dim\n  YAML reads '017' as 15. Write 15 or 17; a text in quotes: '017'.\n",
    )
