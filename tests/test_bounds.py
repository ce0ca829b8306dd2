"""The bounds of what a config may hold: one table, said in `SECURITY.md`, and nothing beyond them is taken."""

from __future__ import annotations

import pathlib
import re

from modelzoo import bounds

SECURITY = pathlib.Path(__file__).parent.parent / "SECURITY.md"


def number(text: str) -> int:
    """A number as the table writes it: 10,000 or 2**20."""
    base, _, exponent = text.replace(",", "").partition("**")
    return int(base) ** int(exponent or 1)


def test_the_page_on_security_says_every_bound():
    said = dict(re.findall(r"^\| `([A-Z]+)` \| ([0-9,*]+) \| .+ \|$", SECURITY.read_text(), re.MULTILINE))
    held = {name: value for name, value in vars(bounds).items() if name.isupper()}
    assert {name: number(text) for name, text in said.items()} == held
