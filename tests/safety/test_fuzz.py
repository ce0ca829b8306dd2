"""The fuzzer of `tests/fuzz`: it gives the same mutants everywhere, finds what breaks a law, and finds nothing now."""

from __future__ import annotations

import os
import pathlib
import random
import re
import subprocess
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import pytest
import torch
import yaml

import modelzoo
from modelzoo import errors
from modelzoo.cli import check
from tests.fuzz import laws
from tests.fuzz.corpus import Corpus, corpus
from tests.fuzz.foreign import foreign
from tests.fuzz.minimise import minimised
from tests.fuzz.mutate import mutant

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = """
inputs: {x: [2, 4]}
layers: {a: "Linear(4, 3)", b: ReLU}
forward: b(a(x))
"""


@pytest.fixture(scope="module")
def every() -> Corpus:
    return corpus()


# --- what is mutated -----------------------------------------------------------------------------------------------


def test_every_shipped_file_is_mutated(every):
    names = {seed.name for seed in every.seeds}
    for path in (*(ROOT / "conf").glob("model/*.yaml"), *(ROOT / "conf").glob("init/*.yaml")):
        assert str(path.relative_to(ROOT)) in names
    for folder in ("hostile", "benign"):
        for path in (ROOT / "tests" / folder).glob("*.yaml"):
            assert f"{folder}/{path.name}" in names or path.stat().st_size > 2**15
    assert any(name.startswith("README.md:") for name in names)
    assert any(name.startswith("docs/language/block.md:") for name in names)


def test_shipped_models_are_made_small(every):
    """A model that takes seconds would take the time of hundreds of mutants: give it a line in `corpus.SMALL`."""
    for seed in every.groups[0]:
        model = seed.tree.get("model", seed.tree)
        assert modelzoo.plan(model).parameters < 100_000, seed.name


def test_other_folders_are_mutated_too(tmp_path):
    (tmp_path / "mine.yaml").write_text(MODEL)
    also = corpus([tmp_path]).groups[-1]
    assert [(seed.name, seed.text) for seed in also] == [(f"{tmp_path.name}/mine.yaml", MODEL)]


def test_a_number_gives_the_same_mutant_in_every_process(every):
    code = "from tests.fuzz.corpus import corpus; from tests.fuzz.mutate import mutant; c = corpus(); "
    code += "print([mutant(c, 5, each).text for each in range(60)])"
    there = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(PYTHONHASHSEED="7"), stdout=subprocess.PIPE, check=True
    )
    here = [mutant(every, 5, each).text for each in range(60)]
    assert there.stdout.decode() == f"{here}\n"
    assert len(set(here)) > 55


def test_another_seed_gives_other_mutants(every):
    ones = [mutant(every, 1, each).text for each in range(20)]
    assert ones != [mutant(every, 2, each).text for each in range(20)]


def test_mutants_leave_the_files_they_come_from(every):
    before = [yaml.safe_dump(seed.tree) for seed in every.groups[1]]
    for number in range(100):
        mutant(every, 3, number)
    assert [yaml.safe_dump(seed.tree) for seed in every.groups[1]] == before


# --- laws that are broken on purpose -------------------------------------------------------------------------------


@pytest.fixture
def judge(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    laws.judge(MODEL)  # what torch imports late changes the process once

    def judge(text: str = MODEL) -> list[tuple[str, str]]:
        return [(each.stage, each.what) for each in laws.judge(text).broken]

    return judge


def test_a_model_that_works_breaks_no_law(judge):
    assert judge() == []
    assert laws.judge(MODEL).reached == "python"


def test_a_file_that_is_refused_breaks_no_law(judge):
    assert judge("layers: Linaer(4, 3)") == []
    assert judge("{") == []


def test_an_exception_that_is_not_ours_is_found(judge, monkeypatch):
    monkeypatch.setattr(modelzoo, "plan", lambda file: {}["x"], raising=False)
    assert judge() == [("plan", "KeyError"), ("check", "takes what a plan refuses")]


def test_a_problem_without_a_place_is_found(judge, monkeypatch):
    def refuse(file: str) -> Any:
        raise modelzoo.ConfigError([modelzoo.Problem(what="It is wrong.")])

    monkeypatch.setattr(modelzoo, "load", refuse, raising=False)
    assert judge() == [("load", "no place")]


def test_a_message_that_shows_an_object_is_found(judge, monkeypatch):
    def refuse(file: str) -> Any:
        errors.fail(errors.Path(("model",)), f"{object()} is wrong.")

    monkeypatch.setattr(modelzoo, "load", refuse, raising=False)
    assert judge() == [("load", "shows Python")]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda: torch.rand(1), "torch's generator"),
        (random.random, "Python's generator"),
        (lambda: torch.set_default_dtype(torch.float64), "default dtype"),
        (lambda: torch.set_grad_enabled(False), "gradients"),
        (lambda: warnings.simplefilter("error"), "warnings"),
    ],
)
def test_a_build_that_changes_the_process_is_found(change, what, judge, monkeypatch):
    build = modelzoo.build

    def changing(file: str) -> Any:
        change()
        return build(file)

    monkeypatch.setattr(modelzoo, "build", changing, raising=False)
    found = laws.judge(MODEL).broken
    assert [(each.stage, each.what, each.frame) for each in found] == [("build", "changes the process", what)]


def test_a_build_that_refuses_what_was_planned_is_found(judge, monkeypatch):
    def refuse(file: str) -> Any:
        errors.fail(errors.Path(("model",)), "it does not fit.")

    monkeypatch.setattr(modelzoo, "build", refuse, raising=False)
    assert judge() == [("build", "refused after a plan")]


def test_a_check_that_refuses_what_is_planned_is_found(judge, monkeypatch):
    def refuse(*_: Any) -> Any:
        errors.fail(errors.Path(("model",)), "it does not fit.")

    monkeypatch.setattr(check, "_planned", refuse)
    assert judge() == [("check", "refuses what a plan takes")]


@pytest.mark.parametrize(
    ("broken", "stage"),
    [
        (lambda self, x: x @ torch.ones(5, 5), "eval"),
        (lambda self, x: x @ torch.ones(5, 5) if self.training else x, "train"),
        (lambda self, x: self.a(x).exp().add_(1), "backward"),
    ],
)
def test_a_model_that_fails_where_the_plan_did_not_is_found(broken, stage, judge, monkeypatch):
    build = modelzoo.build

    def breaking(file: str) -> Any:
        model = build(file)
        monkeypatch.setattr(type(model), "forward", broken)
        return model

    monkeypatch.setattr(modelzoo, "build", breaking, raising=False)
    found = judge()
    assert (stage, "RuntimeError") in found


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("import os\n", "foreign"),
        ("class Model", "SyntaxError"),
        ("class Model:\n    pass\n", "AttributeError"),
        (
            "from torch import nn\nclass Model(nn.Linear):\n    def __init__(self): super().__init__(4, 3)\n",
            "RuntimeError",
        ),
    ],
)
def test_a_source_that_is_not_the_model_is_found(text, what, judge, monkeypatch):
    monkeypatch.setattr(laws, "source", lambda file: text)
    assert judge() == [("python", what)]


def test_a_source_with_another_output_is_found(judge, monkeypatch):
    source = laws.source
    monkeypatch.setattr(laws, "source", lambda file: source(file).replace("self.b(self.a(x))", "self.a(x)"))
    assert judge() == [("python", "another output")]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **more}


def test_a_child_that_dies_or_never_ends_is_found_and_the_next_file_is_judged():
    code = """
import os, signal, sys
from tests.fuzz import fork, laws
def judge(text, report):
    report("plan")
    if text == "dies": os.kill(os.getpid(), signal.SIGSEGV)
    if text == "leaves": os._exit(3)
    while text == "hangs": pass
    return laws.Verdict("python", ())
laws.judge = judge
for each in fork.judged(["works", "dies", "leaves", "hangs", "works"], 1):
    print(each.text, each.verdict.reached, [broken.what for broken in each.verdict.broken])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        "works python []",
        "dies plan ['SIGSEGV']",
        "leaves plan ['exit code 3']",
        "hangs plan ['SIGXCPU']",
        "works python []",
    ]


# --- sources -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import torch\nx = torch.zeros(1)", []),
        ("import torch, os", ["import os"]),
        ("from torch import hub", ["from torch import hub"]),
        ("exec('1')", ["exec"]),
        ("getattr(1, 'x')", ["getattr"]),
        ("__import__('os')", ["__import__"]),
        ("import torch\nclass torch: pass", ["class torch"]),
        ("class A:\n    def __init__(self):\n        super().__init__()", []),
        ("class A:\n    def __del__(self):\n        pass", ["def __del__"]),
        ("class A:\n    def f(self):\n        self.__class__ = A", [".__class__"]),
        ("class A:\n    def f(self):\n        self._modules.clear()", ["._modules"]),
        ("class A:\n    def f(self):\n        self._modules['a'] = A", ["._modules"]),
        ("class A:\n    def f(self):\n        return self._modules['a'](len(self._modules))", []),
        ("class A:\n    def f(self):\n        return self._x", []),
        ("def f(x):\n    global y", ["Global"]),
        ("def f(x=lambda: 1):\n    return x()", []),
    ],
)
def test_a_source_with_more_than_a_model_needs_is_seen(text, found):
    assert foreign(text) == found


# --- what is found -------------------------------------------------------------------------------------------------


def test_a_find_is_told_without_what_it_does_not_need():
    def same(texts: Sequence[str]) -> int | None:
        return next((number for number, text in enumerate(texts) if re.search(r"forward:.*\bbad\b", text)), None)

    text = yaml.safe_dump(
        {"layers": {"a": "Linear(4, 3)"}, "args": [1, {"b": 2}], "forward": "x = a(x) + bad\nreturn x"}
    )
    assert minimised(text, same) == "forward: bad\n"


def test_a_find_that_is_no_yaml_is_told_by_its_lines():
    def same(texts: Sequence[str]) -> int | None:
        return next((number for number, text in enumerate(texts) if "{" in text), None)

    assert minimised("a: 1\nb: {\nc: 2", same) == "b: {"


@pytest.mark.parametrize("start", [0, 140])
def test_mutants_are_refused_with_a_place_or_work(start):
    command = [sys.executable, "-m", "tests.fuzz", "--seed", "0", "--start", str(start), "--count", "140", "--whole"]
    done = subprocess.run(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, done.stdout
    ended = {stage: int(count) for stage, count in re.findall(r"(\w+) (\d+)", done.stdout.splitlines()[1])}
    assert ended["python"] > 20  # or they would prove little
