"""YAML nodes as plain data, with every key that is none refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from modelzoo import arithmetic
from modelzoo.config import quotes
from modelzoo.config.document import Document, at, is_readable, read, twice
from modelzoo.config.scalars import is_merge, misread, scalar, scalar_of
from modelzoo.errors import ConfigError, Path, Problem, Problems


def plain(document: Document, problems: Problems) -> Any:
    """The document as plain data; what is not plain data is a problem.

    Refused are tags, keys that are no text or integer, and keys that are one after normalisation (`1` and `'1'`).
    """
    return _Reading(document, problems).value(document.root, Path()) if document.root is not None else None


def misread_numbers(document: Document) -> Iterator[Problem]:
    """The numbers of a document that YAML reads as others than they show."""
    waiting: list[tuple[Path, yaml.Node | None]] = [(Path(), document.root)]
    while waiting:
        key, node = waiting.pop()
        if isinstance(node, yaml.ScalarNode) and (wrong := misread(node)) is not None:
            yield Problem(where=at(document.shown, node.start_mark), path=str(key), what=wrong[0], hint=wrong[1])
        elif isinstance(node, yaml.MappingNode):
            waiting += [(key / str(name.value), value) for name, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            waiting += [(key / index, value) for index, value in enumerate(node.value)]


class _Reading:
    """Reads the nodes of a document; what is not plain data goes to `problems`."""

    def __init__(self, document: Document, problems: Problems) -> None:
        self.document, self.problems = document, problems
        self.cut: set[int] = set()  # the lines of texts that YAML cut

    def refuse(self, node: yaml.Node, key: Path, what: str, hint: str = "") -> None:
        self.problems.note(
            Problem(where=at(self.document.shown, node.start_mark), path=str(key), what=what, hint=hint, key=key)
        )

    def value(self, node: yaml.Node, key: Path) -> Any:
        if node.tag:
            self.refuse(node, key, f"The tag '{_short(node.tag)}' is not allowed: a file is plain data.", "Remove it.")
            return None
        match node:
            case yaml.ScalarNode():
                return self.scalar(node, key)
            case yaml.SequenceNode():
                return [self.value(each, key / index) for index, each in enumerate(node.value)]
            case _:
                return self.mapping(node, key)

    def scalar(self, node: yaml.ScalarNode, key: Path) -> Any:
        wrong = misread(node)
        if wrong is not None:
            self.refuse(node, key, *wrong)
            return None
        try:
            value = scalar_of(node)
        except (KeyError, ValueError):
            self.refuse(node, key, f"'{node.value[:40]}' cannot be read as a value.", "Quote it, if a text is meant.")
            return None
        if arithmetic.too_large(value):
            self.refuse(node, key, *arithmetic.large_integer(value))
            return None
        return value

    def mapping(self, node: yaml.Node, key: Path) -> dict[str | int, Any]:
        own: dict[str | int, Any] = {}
        inherited: dict[str | int, Any] = {}
        seen: set[str] = set()
        for key_node, value_node in node.value:
            if is_merge(key_node):
                inherited |= self.merged(value_node, key)
                continue
            name = self.name_of(key_node, key)
            if name is None:
                continue
            if str(name) in seen:
                self.refuse_twice(key_node, key / name)
            seen.add(str(name))
            own[name] = self.value(value_node, key / name)
        return inherited | own

    def refuse_twice(self, node: yaml.ScalarNode, key: Path) -> None:
        """A key that stands twice, which may be what a text was cut to: `{a: Conv2d(8, 8, 8, 3)}`."""
        row = node.start_mark.line
        line = quotes.requoted(self.document.text, row, is_readable)
        if row not in self.cut:
            self.refuse(node, key, twice(key[-1], bool(line)), f"Write {line}" if line else "")
        if line:
            self.cut.add(row)

    def merged(self, node: yaml.Node, key: Path) -> dict[str | int, Any]:
        parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
        result: dict[str | int, Any] = {}
        for part in reversed(parts):
            if isinstance(part, yaml.MappingNode):
                result |= self.mapping(part, key)
            else:
                self.refuse(part, key, "'<<' takes a mapping or a list of mappings.")
        return result

    def name_of(self, node: yaml.Node, key: Path) -> str | int | None:
        if not isinstance(node, yaml.ScalarNode):
            self.refuse(node, key, "A key must be a name or an index, not a list or a mapping.", "Quote it.")
            return None
        before = len(self.problems.found)
        name = self.value(node, key / str(node.value))
        if isinstance(name, str) or type(name) is int:
            return name
        if len(self.problems.found) == before:
            self.refuse(node, key / str(node.value), *bad_key(name, str(node.value)))
        return None


def bad_key(name: object, written: str = "") -> tuple[str, str]:
    """What is wrong with a key that is no text and no integer, and what to type."""
    kind = {bool: "a boolean", type(None): "nothing (null)", float: "a number"}.get(type(name), "no name")
    shown = written or str(name)
    example = repr(written) if written else "'no' or 'on'" if isinstance(name, bool) else repr(str(name))
    return f"YAML reads the key '{shown}' as {kind}.", f"Put it in quotes: {example}."


def _short(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")


def typed(text: str) -> Any:
    """The value of an option as it is typed: a scalar, or plain data in brackets; anything else is a text.

    >>> typed("[source, report]"), typed("{a: b}"), typed("3"), typed("[ab].bias")
    (['source', 'report'], {'a': 'b'}, 3, '[ab].bias')
    """
    if text.startswith(("[", "{")):
        try:
            problems = Problems()
            found = plain(read(text, "command line"), problems)
            problems.check()
            return found
        except ConfigError:  # such as the pattern of a name
            return text
    return scalar(text)
