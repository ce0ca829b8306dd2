"""What is known of torch before it is imported: the table says what torch itself says, and torch of no other version."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import pytest

from modelzoo import known
from modelzoo.cli import documentation
from modelzoo.optim import optimisers

ROOT = pathlib.Path(__file__).resolve().parents[1]

DIFFERING = """
from torch import nn
from modelzoo import names
from tests.helpers import torch_tables
for table, answers in torch_tables.answers().items():
    if torch_tables.text(answers) != table.path.read_text("utf-8"):
        print(table.path.name)
for owner in torch_tables.OWNERS:
    if names.names_of(owner) != frozenset(dir(getattr(nn, owner)())):
        print(owner)
"""


def test_the_tables_are_what_the_installed_torch_answers():
    version = json.loads(known.TORCH.path.read_text("utf-8"))["torch"]
    if version != known.installed():
        pytest.skip(f"the table is of torch {version}, and here is {known.installed()}")
    # In a process of its own: libraries add methods to the classes of torch where they are imported.
    command = [sys.executable, "-W", "ignore", "-c", DIFFERING]
    differing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert differing == "", "write them again: python -m tests.helpers.torch_tables"


def test_torch_of_another_version_is_asked_itself(tmp_path):
    for table in (known.TORCH, documentation.TABLE):
        other = known.Table(tmp_path / "other.json", table.questions)
        other.path.write_text('{"torch": "1.0.0", "layer": {}}')
        assert other.told("layer", "LSTM") == table.told("layer", "LSTM") == table.questions()["layer"]("LSTM")
    assert known.told("layer", "ReLUU") is None


def test_the_options_of_all_optimisers_are_known():
    every = {name for each in optimisers.known().values() for name in optimisers.options_of(each) or ()}
    assert known.told("options") == sorted(every)


def test_what_is_listed_needs_no_torch():
    code = """
import sys
from modelzoo.__main__ import main
for arguments in (["list", "layers"], ["list", "functions", "cat"], ["list", "methods"], ["list", "fills", "normal"]):
    main(arguments)
for kind in ("model", "groups", "config"):
    main(["schema", kind])
sys.exit("torch" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


WITHOUT = """
import sys
from modelzoo import known
vars(known)["installed"] = lambda: "0"
from modelzoo.plans import reading
from modelzoo.config.config import nowhere
model = {"layers": ["Linaer(4, 2)", "RNN(4, 2, nonlinearty='relu')"]}
found = reading.read(model, None, seed=0, dtype="float32", max_steps=10, training=False)
print([str(each) for each in found.problems.found], "torch" in sys.modules)
"""


def test_messages_are_the_same_with_the_table_and_with_torch():
    ways = [WITHOUT, WITHOUT.replace('vars(known)["installed"]', "unused")]
    told = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout for code in ways]
    assert told[0].replace("] True", "] False") == told[1]
    assert "Did you mean 'nonlinearity'?" in told[1]
    assert told[0].endswith("True\n")
    assert told[1].endswith("False\n")
