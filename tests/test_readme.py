"""The README is run: its YAML builds, its commands print what it shows, its tables name every file."""

from __future__ import annotations

import doctest
import pathlib
import re
import shlex
import subprocess
import sys

import pytest
import torch
import yaml

import modelzoo

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(*languages: str) -> list[str]:
    """The contents of the fenced blocks in these languages."""
    return [
        text for language, text in re.findall(r"^```(\w+)\n(.*?)^```$", README, re.M | re.S) if language in languages
    ]


def shown() -> list[tuple[str, int, list[str]]]:
    """Every `python run.py ...` with the exit code and the lines that the README shows for it."""
    found: list[tuple[str, int, list[str]]] = []
    for block in blocks("sh"):
        found += [(command, 0, []) for command in re.findall(r"python run\.py[^\n&|;]*", block)]
    for block in blocks("console"):
        command, *after = re.split(r"^\$ ", block, flags=re.M)[1:]
        typed, *lines = command.splitlines()
        code = next((int(each.splitlines()[1]) for each in after if each.startswith("echo $?")), 0)
        found.append((typed, code, lines))
    return found


def is_deterministic(line: str) -> bool:
    return line.strip() not in ("", "...") and "outputs/" not in line and "multirun/" not in line


def test_the_readme_has_commands_yaml_and_python_to_run() -> None:
    assert len(shown()) >= 6
    assert sorted({code for _, code, _ in shown()}) == [0, 1]
    assert blocks("yaml")
    assert blocks("pycon")


@pytest.mark.parametrize("text", blocks("yaml"))
def test_every_yaml_block_builds_and_runs_on_its_inputs(text: str) -> None:
    model = modelzoo.build(yaml.safe_load(text))
    assert isinstance(model, torch.nn.Module)
    assert list(model.parameters())


@pytest.mark.parametrize(("command", "code", "lines"), shown(), ids=[command for command, _, _ in shown()])
def test_every_command_does_what_the_readme_shows(
    command: str, code: int, lines: list[str], tmp_path: pathlib.Path
) -> None:
    python, script, *arguments = shlex.split(command)
    assert (python, script) == ("python", "run.py")
    done = subprocess.run(
        [sys.executable, str(ROOT / "run.py"), *arguments],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == code, done.stdout
    printed = iter([line.rstrip() for line in done.stdout.splitlines()])
    for line in filter(is_deterministic, lines):  # in the order shown: each search goes on where the last one ended
        assert line.rstrip() in printed, f"{line!r} is not printed, or not there:\n{done.stdout}"


def test_every_python_example_prints_what_the_readme_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for block in blocks("pycon"):
        example = doctest.DocTestParser().get_doctest(block, {}, "README.md", "README.md", 0)
        report: list[str] = []
        assert doctest.DocTestRunner().run(example, out=report.append).failed == 0, "".join(report)


@pytest.mark.parametrize(("group", "column"), [("model", "`model=`"), ("init", "`init=`")])
def test_the_tables_name_every_model_and_every_init(group: str, column: str) -> None:
    table = README.split(f"| {column} |", 1)[1].split("\n\n", 1)[0]
    named = re.findall(r"^\| `(\w+)` \|", table, re.M)
    assert sorted(named) == sorted(path.stem for path in (ROOT / "conf" / group).glob("*.yaml"))
