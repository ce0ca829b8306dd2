"""`run.py`, as typed: what it prints, what it writes, how it ends."""

import json
import os
import subprocess
import sys
from pathlib import Path

import modelzoo

RUN = Path(__file__).parents[2] / "run.py"


def run(*overrides, cwd, **environment):
    environment = {**os.environ, "COLUMNS": "120", **environment}
    return subprocess.run(
        [sys.executable, str(RUN), *overrides], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def project(folder, text):
    (folder / "conf" / "model").mkdir(parents=True)
    (folder / "conf" / "model" / "own.yaml").write_text(text)


def test_a_run_writes_three_files_that_can_be_used_again(tmp_path):
    assert run("model=nested", "init=xavier", "hydra.run.dir=first", cwd=tmp_path).returncode == 0
    first = tmp_path / "first"
    assert {path.name for path in first.iterdir()} == {
        ".hydra",
        "model.yaml",
        "parameters.json",
        "parameters.safetensors",
    }
    ledger = json.loads((first / "parameters.json").read_text())
    assert '"0.weight"' in json.dumps(ledger) or "net.0.weight" in json.dumps(ledger)
    assert sum(each.numel() for each in modelzoo.build(first / "model.yaml").parameters()) == 3952
    again = run("model=nested", "seed=9", "load=first/parameters.safetensors", "hydra.run.dir=second", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "second" / "parameters.safetensors").read_bytes()[-1000:] == (
        first / "parameters.safetensors"
    ).read_bytes()[-1000:]


def test_an_infinite_input_is_traced_to_the_layer_that_made_the_first_bad_value(tmp_path):
    project(tmp_path, "inputs: {x: {shape: [2, 3], fill: .inf}}\nlayers:\n  a: Linear(3, 3)\n  b: ReLU\n")
    done = run("model=own", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (
        "warning: the output has a value that is not finite: 'a' made it first; the input has one already"
        in done.stdout
    )


def test_several_mistakes_are_shown_at_once_with_their_places_and_exit_code_1(tmp_path):
    project(tmp_path, "layers:\n  a: Linaer(3, 3)\n  b: {_target_: Linear, in_feature: 2}\n")
    done = run("model=own", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == (
        "conf/model/own.yaml:2:6  model.layers.a\n"
        "  there is no layer 'Linaer'. Did you mean 'Linear'?\n"
        "conf/model/own.yaml:3:25  model.layers.b.in_feature\n"
        "  Linear has no argument 'in_feature'. Did you mean 'in_features'?\n"
    )


def test_a_size_set_on_the_command_line_is_blamed_on_the_command_line(tmp_path):
    done = run("model=mlp", "model.args.dim=-3", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == (
        "command line  model.args.dim=-3\n  model.layers.hidden.in_features must be a positive integer, not -3\n"
    )


def test_device_meta_stops_after_the_plan(tmp_path):
    done = run("model=mlp", "device=meta", "hydra.run.dir=out", cwd=tmp_path)
    assert done.returncode == 0
    assert "7,946 parameters" in done.stdout
    assert "uniform(a=-0.2236, b=0.2236)" in done.stdout  # the ledger has the numbers in full
    assert not (tmp_path / "out" / "parameters.json").exists()


def test_gradients_are_none_before_a_backward_pass_and_shown_after_it(tmp_path):
    assert "gradient: none" in run("model=regression", "show='2.*'", cwd=tmp_path).stdout
    after = run("model=regression", "show='2.*'", "backward=true", cwd=tmp_path).stdout
    assert "gradient: none" not in after
    assert "tensor([2.])" in after


def test_no_library_has_to_warn_of_a_run_or_of_a_sweep(tmp_path):
    for words in (["model=nested", "init=xavier"], ["-m", "model=regression", "model.args.width=2,3"]):
        done = run(*words, cwd=tmp_path, PYTHONWARNINGS="error")
        assert (done.returncode, done.stderr) == (0, "")
