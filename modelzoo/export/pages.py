"""Pages: one offline HTML file each, made from the templates beside this file."""

from __future__ import annotations

from functools import cache
from typing import Any

from modelzoo.escapes import printable


def _shown(value: Any) -> Any:
    """A text without what a browser obeys beside markup: characters that turn others around, or that nobody sees."""
    return printable(value) if type(value) is str else value


@cache
def _environment() -> Any:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("modelzoo.export"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
    )


def page(template: str, **values: Any) -> str:
    """A template filled with values; everything in them is escaped.

    Args:
        template: the name of a file in `templates`.
        values: what the template names.
    """
    return str(_environment().get_template(template).render(**values))
