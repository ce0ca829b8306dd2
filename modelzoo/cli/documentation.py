"""What torch's documentation says of what a config may name: from a table, or from torch's docstrings."""

from __future__ import annotations

import pathlib

from modelzoo.known import Questions, Table


def _questions() -> Questions:
    from modelzoo.cli import documented

    return documented.QUESTIONS


TABLE = Table(pathlib.Path(__file__).with_name("documentation.json"), _questions)

told = TABLE.told
"""The answer to one of the questions of `modelzoo.cli.documented`."""
