"""What is known of torch before it is imported: tables have it for one version; torch of another is asked itself.

The tables are written by `python -m tests.helpers.torch_tables`.
"""

from __future__ import annotations

import importlib.util
import json
import pathlib
import re
from collections.abc import Callable, Mapping
from functools import cache, cached_property
from typing import Any

from modelzoo import late

Questions = Mapping[str, Callable[..., Any]]
"""By name: what answers with plain data, or with None where there is nothing of the kind."""


class Table:
    """Answers of torch of one version, written down.

    Args:
        path: the file that has them.
        questions: what asks torch itself.
    """

    def __init__(self, path: pathlib.Path, questions: Callable[[], Questions]) -> None:
        self.path, self.questions = path, questions
        self.told = cache(self._told)

    @cached_property
    def written(self) -> Any:
        """The table, if it is of the torch that would be imported."""
        found = json.loads(self.path.read_text("utf-8"))
        return found if found["torch"] == installed() else None

    def _told(self, question: str, *of: str) -> Any:
        """The answer to a question; nobody changes it."""
        answer = self.written
        if answer is None:
            late.need()
            return self.questions()[question](*of)
        for each in (question, *of):
            answer = None if answer is None else answer.get(each)
        return answer


@cache
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


def _questions() -> Questions:
    from modelzoo import asked

    return asked.QUESTIONS


TORCH = Table(pathlib.Path(__file__).with_name("torch.json"), _questions)
"""What a config must know of torch."""


def told(question: str, *of: str) -> Any:
    """The answer to one of the questions of `modelzoo.asked`.

    >>> told("layer", "ReLU")["module"], told("layer", "ReLUU")
    ('torch.nn.modules.activation', None)
    """
    return TORCH.told(question, *of)
