"""What a scalar of YAML means: a text, a number, true or false, null."""

from __future__ import annotations

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


def is_merge(node: yaml.Node) -> bool:
    """Whether a key is `<<`, which takes over the keys of another mapping."""
    return isinstance(node, yaml.ScalarNode) and node.value == "<<" and node.style in (None, "") and not node.tag
