"""Locks: the models and inits that ship are what they were, and a change of what is built does not go unseen."""

from __future__ import annotations

import functools
import pathlib
import re
from dataclasses import replace

import pytest

from modelzoo.__main__ import main
from modelzoo.catalog import torch_init
from modelzoo.config.config import from_mapping
from modelzoo.diff import digests, locks, written
from modelzoo.diff.difference import difference
from modelzoo.diff.snapshots import snapshot
from modelzoo.errors import Problems
from modelzoo.init.decide import decide
from modelzoo.plans.draft import Draft, draft
from modelzoo.spec.parser import parse_init
from tests.helpers.composing import CONF, compose

LOCKS = CONF.parent / "tests" / "locks"
EVERY = sorted(LOCKS.glob("*.lock"))
FILLED = 100_000
"""Parameters up to which a model is built for the digests of its values; a lock has them of all."""


def names(group: str) -> set[str]:
    return {path.stem for path in (CONF / group).glob("*.yaml")}


@functools.cache
def planned(model: str) -> Draft:
    """A shipped model without rules; without Hydra where its file is all of it."""
    file = CONF / "model" / f"{model}.yaml"
    composed = "defaults:" in file.read_text(encoding="utf-8")
    return draft(compose(f"model={model}")[0] if composed else from_mapping(str(file)).model)


def ruled(model: str, init: str) -> Draft:
    """A shipped model with rules, which are decided on the modules that are there."""
    made, problems = planned(model), Problems()
    rules = parse_init(from_mapping({}, str(CONF / "init" / f"{init}.yaml")).init, frozenset(made.values), problems)
    table, _ = decide(made.skeleton, rules, made.values, made.seed, problems)
    problems.check()
    return replace(made, table=table)


def test_every_model_and_every_init_is_locked():
    typed = [locks.read(path).typed for path in EVERY]
    assert {name for name, *more in typed if not more} == names("model")
    inits = {word.removeprefix("init=") for _, *more in typed for word in more}
    assert inits == names("init") - {"default", "mup"}  # one has no rules, and of the other a base is to be typed
    assert [path.name for path in EVERY] == sorted(map(locks.file_of, typed))


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)
def test_what_ships_is_what_it_was(path):
    lock = locks.read(path)
    model, *more = lock.typed
    made = ruled(model, more[0].removeprefix("init=")) if more else planned(model)
    compared = lock.model.totals["parameters"] <= FILLED and lock.machine == digests.machine()
    values = (lock.digests, digests.digests(made)) if compared else ({}, {})
    found = difference(lock.model, snapshot(made), values)
    assert found.equal, "\n".join(line for line, _ in written.text(found))
    assert lock.digests.keys() == lock.model.tensors.keys()


# --- each of these checks can fail -------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "own.yaml").write_text((CONF / "model" / "mlp.yaml").read_text())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    capsys.readouterr()
    code = main(["lock", *words])
    seen = capsys.readouterr()
    return code, seen.out + seen.err


def test_a_lock_reads_as_it_was_written_and_is_the_same_text_again(folder, capsys):
    assert run(capsys, "own", "own", "init=xavier", "seed=3") == (
        0,
        "locked  own.lock\nlocked  own+init=xavier+seed=3.lock\n",
    )
    first = pathlib.Path("own.lock").read_text()
    assert locks.written(locks.read(pathlib.Path("own.lock"))) == first
    assert run(capsys, "own")[0] == 0
    assert pathlib.Path("own.lock").read_text() == first
    assert run(capsys, "--check", "own", "own+init=xavier+seed=3.lock") == (
        0,
        "ok      own.lock\nok      own+init=xavier+seed=3.lock\n",
    )
    kinds = [line.partition(" ")[0] for line in first.splitlines()[1:]]
    assert list(dict.fromkeys(kinds)) == [
        "model",
        "versions",
        "streams",
        "costs",
        "values",
        "input",
        "module",
        "tensor",
    ]


def test_one_line_of_a_config_is_told_with_what_it_changes(folder, capsys):
    run(capsys, "own")
    file = folder / "conf" / "model" / "own.yaml"
    file.write_text(file.read_text().replace("width: 256", "width: 128"))
    assert run(capsys, "--check", ".") == (
        1,
        "own.lock -> own\n"
        "~ hidden  Linear: out_features 256 -> 128, weight [256, 20] -> [128, 20], bias [256] -> [128]\n"
        "~ out     Linear: in_features 256 -> 128, weight [10, 256] -> [10, 128]\n"
        "parameters 7,946 -> 3,978, tensors 31.8 KB -> 15.9 KB, FLOPs 30,720 -> 15,360, "
        "activations 2.1 KB -> 1.1 KB\n"
        "weights: 1 of 4 tensors of an old checkpoint fit: load=FILE 'load.skip=[hidden.*,out.weight]'\n"
        "To keep it so: python -m modelzoo lock own\n",
    )


def test_another_default_of_torch_is_told(folder, capsys, monkeypatch):
    run(capsys, "own")
    monkeypatch.setattr(torch_init, "_uniform", lambda count: ("normal", {"mean": 0.0, "std": 1 / count}))
    code, told = run(capsys, "--check", "own")
    assert code == 1
    assert told.splitlines()[1] == (
        "~ hidden.*  fill: uniform(a=-0.22360679774997896, b=0.22360679774997896) -> normal(mean=0, std=0.05) (torch)"
    )


def test_other_values_by_the_same_fill_are_told(folder, capsys):
    run(capsys, "own")
    file = pathlib.Path("own.lock")
    file.write_text(re.sub(r'(tensor "out.weight" .*"values": ")\w{4}', r"\g<1>0000", file.read_text()))
    assert run(capsys, "--check", "own") == (
        1,
        "own.lock -> own\n~ out.weight  other values by the same fill\n"
        "weights: all 4 tensors of an old checkpoint fit: load=FILE\nTo keep it so: python -m modelzoo lock own\n",
    )
    assert run(capsys, "--check", "--plan", "own") == (0, "ok      own.lock\n")
    file.write_text(re.sub(r'"machine": "[^"]*"', '"machine": "abacus"', file.read_text()))
    told = f"note: its values were computed on abacus; this is {digests.machine()}, so they are not compared.\n"
    assert run(capsys, "--check", "own") == (0, f"ok      own.lock\n{told}")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: "hello\n", "own.lock\n  This is no lock of modelzoo.\n"),
        (
            lambda text: text.replace("tensor", "tensor ["),
            "own.lock\n  This lock cannot be read: it was changed by hand. Write it again.\n",
        ),
        (
            lambda text: text.replace('"shape": [', '"shape": ["'),
            "own.lock\n  This lock cannot be read: it was changed by hand. Write it again.\n",
        ),
        (
            lambda text: text.replace('"type": "Linear"', '"kind": 3'),
            "own.lock\n  This lock cannot be read: it was changed by hand. Write it again.\n",
        ),
        (
            lambda text: text.replace("module", "module " + "[" * 100_000),
            "own.lock\n  This lock cannot be read: it was changed by hand. Write it again.\n",
        ),
    ],
)
def test_what_is_no_lock_is_answered_and_ends_with_2(folder, capsys, change, told):
    run(capsys, "own")
    file = pathlib.Path("own.lock")
    file.write_text(change(file.read_text()))
    assert run(capsys, "--check", "own.lock") == (2, told)


def test_a_lock_that_is_not_there_and_a_model_that_is_not_are_answered(folder, capsys):
    assert run(capsys, "--check", "own") == (
        2,
        "own.lock\n  There is no such lock. Write it: python -m modelzoo lock own\n",
    )
    assert run(capsys, "onw") == (2, "command line  onw\n  There is no config 'onw'. Did you mean 'own'?\n")
