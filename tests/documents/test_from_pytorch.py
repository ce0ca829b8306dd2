"""docs/from-pytorch.md: what is said of each idiom is what the answer says, and what it says to write can be planned."""

from __future__ import annotations

import re
from typing import Any

import pytest

import modelzoo
from tests.helpers.documents import ROOT

TABLE = (ROOT / "docs" / "from-pytorch.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(.*?)` \| (?:`(.*?)`|(the same|nothing)) \|$", TABLE, re.M)


def model(line: str) -> dict[str, Any]:
    """A model with a line in its `forward`, and a body below one that needs it."""
    body = f"{line}\n    x = fc(x)" if line.endswith(":") else line
    return {
        "inputs": {"x": [2, 8]},
        "layers": {"fc": "Linear(8, 8)", "layers": ["Linear(8, 8)", "Linear(8, 8)"]},
        "forward": f"a = [x, x]\ny = x + 1\n{body}\nreturn y",
    }


def test_the_table_is_read_whole():
    assert len(ROWS) == TABLE.count("\n| `") > 30


@pytest.mark.parametrize(("pasted", "here", "word"), ROWS, ids=[row[0] for row in ROWS])
def test_an_idiom_of_pytorch_is_answered_with_the_line_that_works_here(pasted, here, word):
    if word == "the same":
        modelzoo.plan(model(pasted))
        return
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.plan(model(pasted))
    (problem,) = caught.value.problems
    assert problem.hint == ("Remove this line." if word else f"Write {here}{'' if here.endswith(':') else '.'}")
    modelzoo.plan(model(here or "y = y + 1"))
