"""What is known of torch before it is imported: the table says what torch itself says, and torch of no other version."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from modelzoo import asked, known
from modelzoo.catalog.functions import FUNCTIONS, METHODS
from modelzoo.catalog.layers import LAYERS
from tests.helpers import torch_table


def test_the_table_is_what_the_installed_torch_answers():
    written = json.loads(known.TABLE.read_text("utf-8"))
    if written["torch"] != known.installed():
        pytest.skip(f"the table is of torch {written['torch']}, and here is {known.installed()}")
    found = json.loads(json.dumps(torch_table.table(LAYERS, FUNCTIONS, METHODS)))
    assert found == written, "write it again: python -m tests.helpers.torch_table"


@pytest.fixture
def other_version(monkeypatch):
    known.told.cache_clear()
    monkeypatch.setattr(known, "_table", lambda: None)
    yield
    known.told.cache_clear()


def test_torch_of_another_version_is_asked_itself(other_version):
    for question in (("layer", "LSTM"), ("function", "torch", "cat"), ("documented", "sum"), ("own names", "Module")):
        assert known.told(*question) == asked.QUESTIONS[question[0]](*question[1:])
    assert known.told("layer", "ReLUU") is None


def test_a_table_of_another_version_is_not_read(tmp_path, monkeypatch):
    read = vars(known)["_table"].__wrapped__
    other = tmp_path / "torch.json"
    monkeypatch.setattr(known, "TABLE", other)
    other.write_text('{"torch": "1.0.0", "layer": {}}')
    assert read() is None
    other.write_text(json.dumps({"torch": known.installed()}))
    assert read() == {"torch": known.installed()}


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
