"""What a scalar of YAML means: a text, a number, true or false, null."""

from __future__ import annotations

import re
from typing import Any

import yaml

_STR = "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"


class Scalars(yaml.constructor.SafeConstructor, yaml.resolver.Resolver):
    """Plain scalars as OmegaConf reads them: YAML 1.1, but `1e-3` is a float and a date is a text."""

    def __init__(self) -> None:
        yaml.constructor.SafeConstructor.__init__(self)
        yaml.resolver.Resolver.__init__(self)

    def read(self, text: str) -> Any:
        tag: str = self.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
        if tag in (_STR, _MERGE):
            return text
        return self.yaml_constructors[tag](self, yaml.ScalarNode(tag, text))  # KeyError: '=' alone


Scalars.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.resolver.Resolver.yaml_implicit_resolvers.items()
}


_scalars = Scalars()


def scalar(text: str) -> Any:
    """A plain scalar's value; what cannot be read as one stays a text.

    >>> scalar("1e-3"), scalar("null"), scalar("*.bias")
    (0.001, None, '*.bias')
    """
    try:
        return _scalars.read(text)
    except (KeyError, ValueError):
        return text


def scalar_of(node: yaml.ScalarNode) -> Any:
    """The value of a node: plain ones are read, quoted ones are texts."""
    return _scalars.read(node.value) if node.style in (None, "") and not node.tag else node.value


_MISREAD = re.compile(r"[-+]?(?:0[0-7_]*[0-7]|[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?)")


def misread(node: yaml.ScalarNode) -> tuple[str, str] | None:
    """What is wrong with a number that YAML 1.1 reads as another than it shows, and what to write; None of any other.

    >>> misread(yaml.ScalarNode("", "017"))
    ("YAML reads '017' as 15.", "Write 15 or 17; a text in quotes: '017'.")
    >>> misread(yaml.ScalarNode("", "1:30"))[0], misread(yaml.ScalarNode("", "0"))
    ("YAML reads '1:30' as 90.", None)
    """
    text = node.value
    if node.style not in (None, "") or node.tag or len(text) > 40 or not _MISREAD.fullmatch(text):
        return None
    value = scalar(text)
    plain = text.lstrip("+-").lstrip("0_")
    decimal = f"{text[: text.startswith('-')]}{plain.replace('_', '')}" if ":" not in text and plain else ""
    if isinstance(value, str) or str(value) == decimal or (":" not in text and not plain):
        return None
    either = f"{value} or {decimal}" if decimal else str(value)
    return f"YAML reads '{text}' as {value}.", f"Write {either}; a text in quotes: '{text}'."


def is_merge(node: yaml.Node) -> bool:
    """Whether a key is `<<`, which takes over the keys of another mapping."""
    return isinstance(node, yaml.ScalarNode) and node.value == "<<" and node.style in (None, "") and not node.tag
