"""What is known of torch before it is imported: a table has it for one version; torch of another is asked itself.

The table is written by `python -m tests.helpers.torch_table`.
"""

from __future__ import annotations

import importlib.util
import json
import pathlib
import re
from functools import cache
from typing import Any

from modelzoo import late

TABLE = pathlib.Path(__file__).with_name("torch.json")


@cache
def told(question: str, *of: str) -> Any:
    """The answer to one of the questions of `modelzoo.asked`; nobody changes it.

    >>> told("layer", "ReLU")["module"], told("layer", "ReLUU")
    ('torch.nn.modules.activation', None)
    """
    answer = _table()
    if answer is not None:
        for each in (question, *of):
            answer = None if answer is None else answer.get(each)
        return answer
    late.need()
    from modelzoo import asked

    return asked.QUESTIONS[question](*of)


@cache
def _table() -> Any:
    """The table, if it is of the torch that would be imported."""
    table = json.loads(TABLE.read_text("utf-8"))
    return table if table["torch"] == installed() else None


def installed() -> str:
    """The version of torch that is installed, without what tells its builds apart; empty where that is not known.

    >>> import torch
    >>> torch.__version__.startswith(installed())
    True
    """
    spec = importlib.util.find_spec("torch")
    folders = [] if spec is None else spec.submodule_search_locations or []
    for each in folders:
        try:
            text = (pathlib.Path(each) / "version.py").read_text("utf-8")
        except OSError:
            continue
        found = re.search(r"^__version__\s*=\s*['\"]([^'\"+]+)", text, re.MULTILINE)
        if found:
            return found[1]
    return ""
