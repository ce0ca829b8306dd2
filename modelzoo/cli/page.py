"""Kinds of things that can be listed, and facts about them as text: tables, and values as YAML."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of things that a config may name.

    Attributes:
        rows: all their names, each with one line about it.
        facts: everything about one of them, as plain data.
    """

    rows: Callable[[], dict[str, str]]
    facts: Callable[[str], dict[str, Any]]


def table(rows: Mapping[str, str], indent: str = "") -> str:
    """Names and what they are, in two columns.

    >>> print(table({"ReLU": "Rectifies.", "Linear": "Maps."}))
    ReLU    Rectifies.
    Linear  Maps.
    """
    width = max(map(len, rows), default=0)
    return "\n".join(f"{indent}{name:<{width}}  {about}".rstrip() for name, about in rows.items())


def page(facts: Mapping[str, Any]) -> str:
    """Everything about one thing; a mapping among the facts becomes a table, a list lines."""
    parts = [facts.get("signature") or facts["name"]]
    for name, value in facts.items():
        if name in ("name", "signature") or value in ("", None, [], {}):
            continue
        if name == "arguments":
            parts.append(f"{name}:\n{table({each: _argument(told) for each, told in value.items()}, '  ')}")
        elif name == "examples":
            parts.append(table(value))
        elif isinstance(value, Mapping):
            parts.append(f"{name}:\n{textwrap.indent(_lines(value), '  ')}")
        elif isinstance(value, list):
            parts.append("\n".join(value))
        else:
            parts.append(value if name == "about" else f"{name}: {value}")
    return "\n\n".join(parts)


def _argument(facts: Mapping[str, Any]) -> str:
    default = f", {yaml_line(facts['default'])} if left out" if "default" in facts else ""
    return ": ".join(filter(None, (facts["is"] + default, facts["about"])))


def yaml_line(value: Any) -> str:
    """A value in one line of YAML."""
    plain = json.loads(json.dumps(value, default=str))
    return (
        str(yaml.safe_dump(plain, default_flow_style=True, sort_keys=False, width=10**9)).removesuffix("...\n").strip()
    )


def _lines(value: Any) -> str:
    """A value as a config writes it."""
    return yaml.dump(value, Dumper=Dumper, default_flow_style=None, sort_keys=False, width=120).strip()


class Dumper(yaml.SafeDumper):
    """Texts of several lines as YAML writes them with `|`."""


Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)
