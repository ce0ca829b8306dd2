"""`python -m modelzoo check RULES.yaml`: rules are read without a model."""

from __future__ import annotations

import io
import json
import pathlib
import subprocess
import sys

import pytest

from modelzoo.__main__ import main

MEANT = "note: what rules select is known with a model: python -m modelzoo check MODEL.yaml init=RULES.yaml"
RIGHT = "args: {std: 0.02}\nweights: {layer: Linear, param: weight, fill: normal(std=std)}\nbiases: {param: bias, fill: 0}\n"


def test_a_file_of_rules_is_checked_as_rules(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "init.yaml"
    file.write_text(RIGHT)
    assert main(["check", str(file)]) == 0
    assert capsys.readouterr().out == f"ok      {file!s:<40}  2 rules\n{MEANT}\n  ({file})\n"


def test_a_note_names_what_fills_read_of_a_model(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "init.yaml"
    file.write_text(
        "a:\n  param: weight\n  fill: |-\n    scale = 2 * width\n    return randn_like(value) * scale / sqrt(fan_in + depth)\n"
        "b: {param: bias, fill: {_target_: constant, value: =shift}}\n"
    )
    assert main(["check", str(file)]) == 0
    noted = capsys.readouterr().out.splitlines()[1]
    assert noted == "note: fills read 'depth', 'shift', 'width': the model has to have such args."


def test_all_that_is_wrong_with_rules_is_told_at_its_place(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pathlib.Path("init.yaml").write_text(
        "weights: {layer: Linear, param: weight, fill: xavier_unifrom}\n"
        "heads: {nmae: 'head.*', fill: {_target_: normal, sdt: 0.02}}\n"
        "other: {fill: 0}\n"
    )
    assert main(["check", "init.yaml"]) == 1
    assert capsys.readouterr().err == (
        "\ninit.yaml\n"
        "init.yaml:1:41  init.weights.fill\n  there is no fill 'xavier_unifrom'. Did you mean 'xavier_uniform'?\n"
        "init.yaml:2:9  init.heads.nmae\n  'nmae' is not a key of a rule. Did you mean 'name'?\n"
        "init.yaml:2:25  init.heads.fill\n  normal has no argument 'sdt'. Did you mean 'std'?\n"
        "init.yaml:3:1  init.other\n"
        "  this rule selects nothing. Write layer: Linear, param: weight or name: '*.weight'.\n"
    )


@pytest.mark.parametrize("text", [RIGHT, "init:\n  " + RIGHT.replace("\n", "\n  ")], ids=["bare", "below init"])
def test_rules_may_stand_below_init_and_come_in_by_a_pipe(text: str, tmp_path: pathlib.Path) -> None:
    command = [sys.executable, "-m", "modelzoo", "check", "-", "--format", "json"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    [told] = json.load(io.StringIO(done.stdout))
    assert (told["ok"], told["rules"], told["parameters"]) == (True, 2, None)


def test_rules_below_init_are_given_to_a_model_like_others(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules, model = tmp_path / "init.yaml", tmp_path / "model.yaml"
    rules.write_text("init: {weights: {param: weight, fill: 0}}\n")
    model.write_text("layers: ['Linear(4, 2)']\n")
    assert main(["check", str(model), f"init={rules}"]) == 0
    assert "10 parameters" in capsys.readouterr().out
