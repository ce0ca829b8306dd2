"""`python -m modelzoo check`: every config is planned without values, and what is wrong with it is said."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys
import textwrap
from typing import Any

import pytest

import modelzoo
from modelzoo.__main__ import main
from modelzoo.cli import check, run_file, sandbox
from modelzoo.cli.check import Rules
from modelzoo.cli.checked import SENT, Checked
from modelzoo.cli.typed import Typed
from modelzoo.config.compose import compose
from modelzoo.config.search_path import conf_directory
from modelzoo.errors import Code, ConfigError, Problem
from modelzoo.plans.draft import draft


def write(path: pathlib.Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


@pytest.fixture
def project(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A project with a `conf` of its own, whose every group shows only what it holds itself."""
    from modelzoo.config import search_path

    monkeypatch.chdir(tmp_path)
    listed = search_path.options
    own = {"model": ["broken", "deep", "shallow"], "init": ["by_depth", "first_only", "plain"]}
    monkeypatch.setattr(search_path, "options", lambda group: [each for each in listed(group) if each in own[group]])
    write(tmp_path / "conf/model/shallow.yaml", "inputs: {x: [2, 4]}\nlayers: {first: 'Linear(4, 2)'}\n")
    write(
        tmp_path / "conf/model/deep.yaml",
        "args: {depth: 2}\ninputs: {x: [2, 4]}\nlayers: {body: [{_target_: 'Linear(4, 4)', _repeat_: depth}]}\n",
    )
    write(tmp_path / "conf/model/broken.yaml", "inputs: {x: [2, 4]}\nlayers: {a: 'Linaer(4, 2)', b: 'Linear(4, -1)'}\n")
    write(tmp_path / "conf/init/plain.yaml", "weights: {layer: Linear, param: weight, fill: normal(std=0.1)}\n")
    write(tmp_path / "conf/init/first_only.yaml", "weights: {name: first.weight, fill: 0}\n")
    write(
        tmp_path / "conf/init/by_depth.yaml", "weights: {layer: Linear, param: weight, fill: normal(std=1 / depth)}\n"
    )
    return tmp_path


BROKEN = """
model=broken
conf/model/broken.yaml:2:14  model.layers.a
  there is no layer 'Linaer'. Did you mean 'Linear'?
conf/model/broken.yaml:2:29  model.layers.b.out_features
  out_features of Linear must be a positive integer, not -1
"""


def test_without_a_name_every_model_is_checked_with_every_init_that_applies(
    project: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check"]) == 1
    shown = capsys.readouterr()
    assert [line.split()[:-4] if line.startswith("ok") else line.split() for line in shown.out.splitlines()] == [
        ["failed", "model=broken", "2", "problems"],
        ["ok", "model=deep", "init=by_depth"],
        ["ok", "model=deep", "init=plain"],
        ["ok", "model=shallow", "init=first_only"],
        ["ok", "model=shallow", "init=plain"],
    ]
    assert shown.err == BROKEN


def test_an_init_that_applies_to_no_model_is_a_problem(
    project: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "conf/model/broken.yaml").unlink()
    write(project / "conf/init/first_only.yaml", "weights: {name: frist.weight, fill: 0}\n")
    assert main(["check"]) == 1
    shown = capsys.readouterr()
    assert "failed  init=first_only" in shown.out
    assert "\ninit=first_only\ninit\n  It applies to no model: " in shown.err


def test_a_rule_that_is_wrong_for_a_model_it_applies_to_is_a_problem(
    project: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "conf/model/broken.yaml").unlink()
    write(project / "conf/init/plain.yaml", "weights: {layer: Linear, param: bias, fill: xavier_uniform}\n")
    assert main(["check"]) == 1
    shown = capsys.readouterr()
    assert "failed  model=deep init=plain" in shown.out
    assert "conf/init/plain.yaml:1:39  init.weights.fill\n" in shown.err


def test_an_init_may_refer_to_the_model_it_stands_beside(
    project: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "conf/model/broken.yaml").unlink()
    write(
        project / "conf/model/shallow.yaml", "args: {depth: 0}\ninputs: {x: [2, 4]}\nlayers: {first: 'Linear(4, 2)'}\n"
    )
    write(
        project / "conf/init/by_depth.yaml",
        "weights: {layer: Linear, param: weight, fill: {_target_: normal, std: '${model.args.depth}'}}\n",
    )
    write(
        project / "conf/init/plain.yaml",
        "bad: {layer: Linear, param: weight, fill: {_target_: uniform, a: 1, b: '${model.args.depth}'}}\n",
    )
    assert main(["check"]) == 1
    shown = capsys.readouterr()
    assert "ok      model=deep init=by_depth" in shown.out
    assert "ok      model=deep init=plain" in shown.out
    assert "failed  model=shallow init=plain" in shown.out


def test_names_and_overrides_are_composed_as_the_main_job_composes_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "mlp", "nested", "model.args.dim=30"]) == 0
    assert [line.split()[:3] for line in capsys.readouterr().out.splitlines()] == [
        ["ok", "model=mlp", "model.args.dim=30"],
        ["ok", "model=nested", "model.args.dim=30"],
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mlp", "model.args.dim=-3"], "command line  model.args.dim=-3\n  "),
        (["mlp", "model.args.dmi=3"], "command line  model.args.dmi=3\n  There is no 'dmi' in model.args."),
        (["mpl"], "command line  mpl\n  There is no config 'mpl'. Did you mean 'mlp'?\n"),
        (["mlp", "init=xaiver"], "command line  init=xaiver\n"),
    ],
)
def test_what_was_typed_is_the_place_of_what_is_wrong_with_it(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", *arguments]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${model.args.dim", "${model.args.dim cannot be read as a reference. Close it with }."),
        ("${}", "${} cannot be read as a reference. Write a key, as in ${model.args.dim}."),
    ],
)
def test_a_reference_that_nobody_can_read_is_shown_where_it_stands(
    text: str, message: str, project: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(project / "conf/model/broken.yaml", f"layers:\n  a: {{_target_: Linear, in_features: '{text}'}}\n")
    assert main(["check", "broken"]) == 1
    assert capsys.readouterr().err == (
        f"\nmodel=broken\nconf/model/broken.yaml:2:25  model.layers.a.in_features\n  {message}\n"
    )


def test_a_memory_budget_holds_for_plans_too(project: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "shallow", "memory=40"]) == 0
    assert main(["check", "shallow", "memory=39"]) == 1
    assert "conf/model/shallow.yaml:1:1  model\n  the model needs 40 bytes and 39 bytes are allowed." in (
        capsys.readouterr().err
    )
    file = str(project / "conf/model/shallow.yaml")
    assert (main(["check", file, "memory=4GB"]), main(["check", file])) == (0, 0)
    large = project / "large.yaml"
    large.write_text("inputs: {x: [2, 8]}\nforward: |\n  y = zeros([2**42, 2])\n  return x + y.sum()\n")
    assert main(["check", str(large)]) == 0
    assert main(["check", str(large), "memory=4GB"]) == 1
    what = "a forward pass makes a tensor of 35.2 TB in `y = zeros([2**42, 2])`, and 4.0 GB are allowed."
    assert what in capsys.readouterr().err
    assert main(["check", "memory=39", "init=plain"]) == 1
    assert capsys.readouterr().out.count("failed") == 3


@pytest.mark.parametrize(
    ("option", "answer"),
    [
        ("load.strict=perhaps", "load.strict must be true or false, not 'perhaps'. Type 'load.strict=false'."),
        ("resume=x", "resume must be true or false, not 'x'. Type resume=true."),
        ("device=cup", "there is no device 'cup'. Did you mean 'cpu'?"),
    ],
)
def test_the_value_of_an_option_is_checked_though_nothing_is_run(
    option: str, answer: str, project: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("shallow", str(project / "conf/model/shallow.yaml")):
        assert main(["check", name, option]) == 1
        assert capsys.readouterr().err.endswith(f"command line  {option}\n  {answer}\n")
    assert main(["check", "shallow", "device=cuda:7"]) == 0


def test_as_many_problems_are_told_as_were_asked_for(project: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "broken", "problems=1"]) == 1
    assert "a\n  there is no layer 'Linaer'. Did you mean 'Linear'?\n... and 1 more problem" in capsys.readouterr().err
    for every in ("problems=all", "problems=2"):
        assert main(["check", "broken", every]) == 1
        assert capsys.readouterr().err == BROKEN
    assert main(["check", "broken", "problems=0"]) == 1
    assert capsys.readouterr().err == (
        "command line  problems=0\n  problems must be a positive integer or all, not 0. Type problems=all.\n"
    )


def test_json_holds_all_that_is_known(project: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(
        project / "conf/model/shallow.yaml",
        "inputs: {x: [2, 4]}\nblocks: {ReLU: {forward: x}}\nlayers: ['Linear(4, 2)', ReLU]\n",
    )
    assert main(["check", "shallow", "broken", "--format", "json"]) == 1
    shallow, broken = json.loads(capsys.readouterr().out)
    assert shallow == {
        "ok": True,
        "config": "model=shallow",
        "problems": [],
        "warnings": [
            {
                "where": "conf/model/shallow.yaml:2:10",
                "path": "model.blocks.ReLU",
                "what": "This definition hides torch's 'ReLU'.",
                "hint": "torch.nn.ReLU is always torch's.",
            }
        ],
        "notes": [],
        "parameters": 10,
        "bytes": 40,
        "flops": 32,
        "rules": None,
    }
    assert broken["ok"] is False
    assert broken["parameters"] is None
    assert broken["problems"][0] == {
        "where": "conf/model/broken.yaml:2:14",
        "path": "model.layers.a",
        "what": "there is no layer 'Linaer'.",
        "hint": "Did you mean 'Linear'?",
    }


def test_a_large_model_is_planned_without_memory(project: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    layers = "{_target_: 'Linear(32768, 32768)', _repeat_: 100}"
    write(project / "conf/model/deep.yaml", f"inputs: {{x: [2, 32768]}}\nlayers: [{layers}]\n")
    assert main(["check", "deep"]) == 0
    assert "107,377,459,200 parameters, 429.5 GB" in capsys.readouterr().out


def test_files_are_checked_in_a_child_with_limits(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = write(tmp_path / "good.yaml", "inputs: {x: [2, 4]}\nlayers: ['Linear(4, 2)']\n")
    endless = write(tmp_path / "endless.yaml", "args: {a: 1}\ndefaults: [x]\nlayers: [ReLU]\n")
    assert main(["check", good, endless, "seed=1"]) == 1
    shown = capsys.readouterr()
    assert [line.split()[0] for line in shown.out.splitlines()] == ["ok", "failed"]
    assert shown.err == (
        f"\n{endless}\n{endless}:2:1  defaults\n  'defaults' refers to other files. Compose it: python run.py model=endless\n"
    )


@pytest.mark.parametrize(
    ("code", "text", "what"),
    [(0, "", "The process that checked it ended without an answer."), (-9, "", "SIGKILL ended it:")],
)
def test_a_child_that_ends_early_is_a_problem_of_its_file(
    code: int, text: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ended:
        returncode = code

    monkeypatch.setattr(sandbox.subprocess, "run", lambda *_, **__: Ended())  # type: ignore[attr-defined]
    found = check.check_file("x.yaml")
    assert found.problems[0].where == "x.yaml"
    assert found.problems[0].what.startswith(what)


def test_what_a_child_says_comes_back_as_it_was() -> None:
    problem: dict[str, Any] = {"where": "x.yaml:1:1", "path": "a", "what": "b", "hint": "c"}
    checked = Checked(config="x.yaml", problems=(Problem(**problem),), notes=("n",))
    assert Checked.from_json(json.loads(json.dumps(checked.json()))) == checked


def test_a_child_says_which_problems_are_names_that_do_not_exist_and_the_user_sees_what_he_saw_before() -> None:
    problem = Problem(where="x.yaml:1:1", path="a", what="b", hint="c", code=Code.UNKNOWN)
    checked = Checked(config="x.yaml", problems=(problem,))
    sent = Checked.from_json(json.loads(json.dumps(checked.json(SENT))))
    assert [each.code for each in sent.problems] == [Code.UNKNOWN]
    assert checked.json()["problems"] == [{"where": "x.yaml:1:1", "path": "a", "what": "b", "hint": "c"}]


def test_a_problem_that_several_configs_share_is_said_once_for_all(
    project: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check._explain([Checked(config=each, parameters=1, bytes=4, notes=("slow",)) for each in "abc"], None)
    assert capsys.readouterr().out == "note: slow\n  (a and 2 more)\n"
    write(project / "conf/init/plain.yaml", "weights: {layer: Linear, fill: nomal}\n")
    assert main(["check", "deep", "shallow", "init=plain"]) == 1
    shown = capsys.readouterr()
    assert shown.out.count("failed") == 2
    assert shown.err == (
        "\nmodel=deep init=plain and 1 more\nconf/init/plain.yaml:1:26  init.weights.fill\n"
        "  there is no fill 'nomal'. Did you mean 'normal'?\n"
    )


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("model: []", None),
        ("model: {}", "this is neither a layer nor a block: it has no _target_, layers or forward."),
        ("model:", "there is no model"),
    ],
)
def test_a_model_of_nothing_is_checked_and_run_as_it_is_planned(
    text: str, what: str | None, tmp_path: pathlib.Path
) -> None:
    file = write(tmp_path / "nothing.yaml", text)
    checked = check.check_file(file)
    assert [each.what for each in checked.problems] == [what] * (what is not None)
    with pytest.raises(ConfigError) as caught:
        run_file.inside(sandbox.Limits(memory=10**9, seconds=10), file, Typed().json())
    assert caught.value.problems[0].what == (what or "the model has no example input to run on.")


def test_a_refusal_of_torch_shows_no_class_of_python(tmp_path: pathlib.Path) -> None:
    file = write(tmp_path / "large.yaml", "inputs: {x: {shape: [5, 9999999], dtype: int64}}\nlayers: [ELU(alpha=2)]")
    what = "'0' is ELU(alpha=2) and cannot take [5, 9999999]: "
    what += "input_scale argument of type float cannot be safely cast to type int."
    assert [each.what for each in check.check_file(file).problems] == [what]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (
            "token(arange(2))",
            "'token' is Embedding(num_embeddings=1, embedding_dim=3) and cannot take [2]: index out of range",
        ),
        ("x[:, full((1,), 7)]", "index 7 is out of bounds for dimension 0 with size 4"),
        ("one_hot(arange(3), 2)", "Class values must be smaller than num_classes."),
    ],
)
def test_what_only_numbers_show_is_checked_too(text: str, what: str, tmp_path: pathlib.Path) -> None:
    layers = "{token: 'Embedding(1, 3)'}"
    file = write(tmp_path / "model.yaml", f"inputs: {{x: [2, 4]}}\nlayers: {layers}\nforward: {text}")
    (problem,) = check.check_file(file).problems
    assert what in problem.what
    with pytest.raises(ConfigError, match=re.escape(what)):
        modelzoo.build(file)


def test_a_folder_is_every_file_in_it_and_below(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, text in {"b.yaml": "[ReLU]", "a/c.yml": "[Relu]", ".hidden/d.yaml": "[]", "notes.txt": ""}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"layers: {text}\n")
    assert main(["check", str(tmp_path)]) == 1
    told = capsys.readouterr()
    assert [line.split()[:2] for line in told.out.splitlines()] == [
        ["failed", str(tmp_path / "a/c.yml")],
        ["ok", str(tmp_path / "b.yaml")],
    ]
    (tmp_path / "empty").mkdir()
    assert main(["check", str(tmp_path / "empty")]) == 1
    assert "There is no YAML file in this folder." in capsys.readouterr().err


def test_a_model_comes_in_by_a_pipe_as_from_a_file() -> None:
    command = [sys.executable, "-m", "modelzoo", "check", "-", "model.args.n=3"]
    text = "args: {n: 2}\nlayers:\n- Linear(n, 4)\n- Relu\n"
    ended = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout.split()[:2]) == (1, ["failed", "-"])
    assert "-:4:3  model.layers.1\n  there is no layer 'Relu'. Did you mean 'ReLU'?" in ended.stderr
    ended = subprocess.run(command, input=text.replace("Relu", "ReLU"), capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout.split()) == (0, ["ok", "-", "16", "parameters,", "64", "bytes"])


def test_an_init_that_leaves_its_base_to_be_typed_is_no_problem(
    project: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "conf/model/broken.yaml").unlink()
    (project / "conf/init/wide.yaml").write_text((conf_directory() / "init/mup.yaml").read_text())
    assert main(["check"]) == 0
    assert "wide" not in capsys.readouterr().out


@pytest.mark.parametrize("model", ["mlp", "lenet"])
def test_the_rules_of_mup_are_meant_for_no_model_until_their_base_is_given(model: str) -> None:
    config = compose([f"model={model}"])
    made = draft(config.model, seed=0)
    assert Rules([]).on("mup", model, config, made) is None


IN_THE_CHILD = """
import sys
from modelzoo.cli import check, sandbox
from modelzoo.cli.typed import Typed
sandbox.impose(sandbox.Limits(memory=10**9, seconds=20))
check.inside(None, sys.argv[1], Typed().json())
print("torch" in sys.modules)
"""


def test_what_needs_no_torch_is_told_before_it_is_imported(tmp_path: pathlib.Path) -> None:
    text = """
    args: {width: 8, half: "=max(width // 2, 1)"}
    layers:
      a: Linear(4, widht)
      b: Conv2d(3, 4, kernel=3)
      c: {_target_: Linear, in_features: 4, out_features: 0}
      d: ReLUU
      training: ReLU
    forward: relu(a(x).t()) + softmax(x, dmi=1)
    """
    file = write(
        tmp_path / "x.yaml", "model:" + text.rstrip() + "\ninit: {all: {layer: Linear, fill: xavier_unifrom}}\n"
    )
    told = subprocess.run([sys.executable, "-c", IN_THE_CHILD, file], capture_output=True, text=True).stdout
    data, torch = told.splitlines()
    assert [f"{each['what']} {each['hint']}" for each in json.loads(data)["problems"]] == [
        "there is no value 'widht' Did you mean 'width'?",
        "Conv2d has no argument 'kernel'. Did you mean 'kernel_size'?",
        "out_features of Linear must be a positive integer, not 0 ",
        "there is no layer 'ReLUU'. Did you mean 'ReLU'?",
        "'training' is a name of nn.Module and cannot be the name of a layer. Write training_.",
        "softmax has no argument 'dmi' Did you mean 'dim'?",
        "there is no fill 'xavier_unifrom'. Did you mean 'xavier_uniform'?",
    ]
    assert torch == "False"


def test_what_importing_torch_takes_is_not_counted(tmp_path: pathlib.Path) -> None:
    code = """
    from modelzoo import late
    from modelzoo.cli import sandbox
    sandbox.impose(sandbox.Limits(memory=60 * 10**6, seconds=1))
    late.need()
    held = bytearray(30 * 10**6)
    try:
        bytearray(90 * 10**6)
    except MemoryError:
        print("refused")
    """
    told = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert (told.stdout, told.stderr) == ("refused\n", "")
