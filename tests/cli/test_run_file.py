"""`python -m modelzoo run FILE`: a stranger's file runs in a child process with limits, and what ended it is said."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from modelzoo.cli import run_file, sandbox
from modelzoo.errors import ConfigError

ROOT = pathlib.Path(__file__).parents[2]
SMALL = "inputs: {x: [2, 4]}\nlayers: ['Linear(4, 2)']\n"


def modelzoo(folder: pathlib.Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "modelzoo", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MODELZOO_SECRET": "xyzzy"},
        capture_output=True,
        text=True,
        check=False,
    )


def write(folder: pathlib.Path, text: str) -> str:
    (folder / "model.yaml").write_text(text)
    return "model.yaml"


def test_a_file_is_run_and_its_outputs_are_in_a_new_directory(tmp_path: pathlib.Path) -> None:
    ended = modelzoo(tmp_path, "run", write(tmp_path, SMALL), "seed=3", "show=*.bias", "dtype=float64")
    assert ended.returncode == 0, ended.stderr
    assert "10 parameters" in ended.stdout
    (directory,) = (tmp_path / "outputs").glob("*/*")
    assert sorted(each.name for each in directory.iterdir()) == [
        "model.yaml",
        "parameters.json",
        "parameters.safetensors",
    ]
    facts = json.loads((directory / "parameters.json").read_text())
    assert facts["seed"] == 3
    assert facts["tensors"][0]["dtype"] == "float64"


@pytest.mark.parametrize(
    ("command", "name", "place"),
    [
        ("run", "target_os_system", "model.layers.a._target_"),
        ("run", "text_open", "model.forward"),
        ("check", "reference_environment", "model.args.token"),
    ],
)
def test_a_hostile_file_is_answered_by_the_real_command(
    tmp_path: pathlib.Path, command: str, name: str, place: str
) -> None:
    ended = modelzoo(tmp_path, command, str(ROOT / "tests" / "hostile" / f"{name}.yaml"))
    assert ended.returncode == 1
    assert f"{name}.yaml:" in ended.stderr
    assert f"  {place}\n" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "xyzzy" not in ended.stderr + ended.stdout
    assert list(tmp_path.rglob("CANARY")) == []
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == []


def test_a_file_that_takes_too_long_is_ended_and_told_so(tmp_path: pathlib.Path) -> None:
    text = "inputs: {x: [1000, 1000]}\nforward: |\n  n = 9\n  while n > 0:\n    x = x @ x * 0\n  return x"
    ended = modelzoo(tmp_path, "run", write(tmp_path, text), "seconds=1")
    assert ended.returncode == 1
    assert ended.stderr == (
        "model.yaml\n  The limit ended it: it had used 1 s of processor time. Type seconds=4 to allow more.\n"
    )


def test_a_file_that_takes_too_much_memory_is_ended_and_told_so(tmp_path: pathlib.Path) -> None:
    text = "inputs: {x: [1000]}\nforward: |\n  while True:\n    x = cat([x, x])\n  return x"
    ended = modelzoo(tmp_path, "run", write(tmp_path, text), "memory=300MB")
    assert ended.returncode == 1
    assert ended.stderr.startswith("model.yaml:4:5  model.forward\n  x = cat([x, x]) fails: ")
    assert ended.stderr.endswith(
        "\n  The limit ended it: it had used 300.0 MB of memory. Type memory=1GB to allow more.\n"
    )


def test_a_plan_that_exceeds_the_limit_is_refused_before_it_is_filled(tmp_path: pathlib.Path) -> None:
    text = "inputs: {x: [2, 10000]}\nlayers: ['Linear(10000, 10000)', 'Linear(10000, 10000)']"
    ended = modelzoo(tmp_path, "run", write(tmp_path, text), "memory=500MB")
    assert ended.returncode == 1
    assert "the model needs 800.1 MB and 500.0 MB are allowed. The largest tensors:" in ended.stderr


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_wrong_option_is_shown_as_it_was_typed(command: str, tmp_path: pathlib.Path) -> None:
    ended = modelzoo(tmp_path, command, write(tmp_path, "layers: ['Linear(4, 4)']"), "seed=x")
    assert ended.returncode == 1
    assert "command line  seed=x\n  seed must be an integer of 0 or more, not 'x'. Type seed=0.\n" in ended.stderr


@pytest.mark.parametrize(
    ("number", "what"),
    [
        (signal.SIGKILL, "SIGKILL ended it: something outside ended it, such as the system when memory ran out."),
        (signal.SIGSEGV, "SIGSEGV ended it: a library crashed."),
        (signal.SIGXCPU, "The limit ended it: it had used 7 s of processor time."),
    ],
)
def test_a_signal_is_explained(number: int, what: str) -> None:
    given = sandbox.Limits(memory=3 * 10**9, seconds=7)
    problem = sandbox.ended(number, given, "x.yaml")
    assert problem.where == "x.yaml"
    assert problem.what == what
    assert problem.hint in ("Type memory=6GB to allow more.", "Type seconds=28 to allow more.")


def test_an_error_that_nobody_expected_is_a_problem_too() -> None:
    def task() -> None:
        raise KeyError("blocks")

    with pytest.raises(ConfigError) as error:
        run_file.reported(task, sandbox.Limits(memory=1, seconds=1), "x.yaml")
    assert str(error.value) == (
        "x.yaml\n  This file ended in an error that should not be possible: KeyError: 'blocks'. "
        "Please report it with the file. traceback=true shows more."
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seconds": 0}, "seconds must be a positive integer, not 0. Type seconds=60."),
        ({"seconds": "long"}, "seconds must be a positive integer, not 'long'. Type seconds=60."),
        ({"memory": "much"}, "memory must be a size, not 'much'. Type memory=4GB."),
    ],
)
def test_what_is_no_limit_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        sandbox.limits(options)
    assert str(error.value).endswith(message)


def test_limits_are_imposed_on_the_process_and_only_there() -> None:
    code = "\n".join(
        [
            "import resource",
            "from modelzoo.cli import sandbox as limits",
            "limits.impose(limits.Limits(memory=10**8, seconds=5))",
            "print(resource.getrlimit(resource.RLIMIT_CORE)[0], resource.getrlimit(resource.RLIMIT_CPU)[0] < 10)",
            "try: bytearray(2 * 10**8)",
            "except MemoryError: print('no memory')",
            "bytearray(5 * 10**7)",
        ]
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stdout == "0 True\nno memory\n", ended.stderr
