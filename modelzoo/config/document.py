"""Reads YAML into nodes that know their line and column, within bounds that hold before an alias expands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import yaml

from modelzoo import bounds
from modelzoo.config import quotes
from modelzoo.config.scalars import Scalars, is_merge, scalar_of
from modelzoo.errors import ConfigError, Path, Problem
from modelzoo.names import is_index

Mark = yaml.error.Mark
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C loader where PyYAML was built with one
_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
_ANY, _QUOTE = re.compile("."), re.compile("''|.")
_ESCAPE = re.compile(r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.|$)|.")


Scalars.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(_[0-9]+)*(\.[0-9_]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """How far a key can be followed in a document.

    Attributes:
        depth: the number of parts of the key that are there.
        mark: where the last of them is written: its key, or its entry of a list.
        node: its value.
    """

    depth: int
    mark: Mark
    node: yaml.Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One YAML file: its text, its nodes, and the name under which messages show it.

    >>> document = read("layers:\\n  out: Linear(4, 1)\\n", "x.yaml")
    >>> document.place(Path(("layers", "out")))
    'x.yaml:2:3'
    >>> document.place(Path(("layers", "out")), 1, 8)
    'x.yaml:2:15'
    """

    shown: str
    text: str
    root: yaml.Node | None
    known: dict[tuple[int, bool], dict[str, tuple[yaml.Node, yaml.Node]]] = field(default_factory=dict, repr=False)
    """The keys and values of mappings that were looked into, by the mapping's id, as they are written or read."""

    def find(self, key: Path) -> Found | None:
        """Follows `key` from the root as far as it goes; `None` in an empty document."""
        if self.root is None:
            return None
        found = Found(depth=0, mark=self.root.start_mark, node=self.root)
        for depth, part in enumerate(key, start=1):
            child = self.child(found.node, str(part))
            if child is None:
                break
            found = Found(depth=depth, mark=child[0].start_mark, node=child[1])
        return found

    def child(self, node: yaml.Node, part: str) -> tuple[yaml.Node, yaml.Node] | None:
        """The key and the value below a node; in a list both are the entry."""
        if isinstance(node, yaml.SequenceNode):
            index = _index(part)
            entry = None if index is None or index >= len(node.value) else node.value[index]
            return (entry, entry) if entry else None
        if not isinstance(node, yaml.MappingNode):
            return None
        for read in (False, True):  # to read every key takes its time in a large mapping
            child = self.keys(node, read).get(part)
            if child is not None:
                return child
        for key, value in reversed(node.value):
            if is_merge(key):
                for base in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    child = self.child(base, part)
                    if child:
                        return child
        return None

    def keys(self, node: yaml.MappingNode, read: bool) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """The keys and values of a mapping by its keys, as they are written or read; of equal ones the last."""
        found = self.known.get((id(node), read))
        if found is None:
            scalars = (each for each in node.value if isinstance(each[0], yaml.ScalarNode))
            found = {_as_read(each[0]) if read else each[0].value: each for each in scalars}
            self.known[id(node), read] = found
        return found

    def place(self, key: Path, line: int = 0, column: int = 0) -> str:
        """`file:line:column` of a key, of its nearest ancestor, or of a position inside its text."""
        found = self.find(key)
        if found is None:
            return f"{self.shown}:1:1"
        at = (found.mark.line + 1, found.mark.column + 1)
        if line and found.depth == len(key) and isinstance(found.node, yaml.ScalarNode):
            at = position(_lines(self.text), found.node, line, column)
        return f"{self.shown}:{at[0]}:{at[1]}"


@lru_cache(maxsize=64)
def read(text: str, shown: str) -> Document:
    """Reads one YAML document; one that was read before, as those of a sweep's jobs, is not read again.

    Args:
        text: the YAML.
        shown: the name of the file in messages.

    Raises:
        ConfigError: it is not YAML, not one document, contains itself, or is deeper or larger than allowed.
    """
    try:
        return Document(shown=shown, text=text, root=_compose(yaml.parse(text, Loader=_Loader), shown))
    except yaml.YAMLError as error:
        raise ConfigError([yaml_problem(error, shown, text)]) from error


@dataclass(slots=True)
class _Open:
    """A collection whose end has not been read yet."""

    node: Any
    anchor: str | None
    size: int = 1
    height: int = 1


def _compose(events: Iterator[Any], shown: str) -> yaml.Node | None:
    anchors: dict[str, tuple[yaml.Node, int, int] | None] = {}  # None: still open
    stack: list[_Open] = []
    root: yaml.Node | None = None
    nodes = 0
    documents = 0

    def close(node: yaml.Node, anchor: str | None, size: int, height: int, mark: Any) -> None:
        nonlocal root, nodes
        if anchor is not None:
            anchors[anchor] = (node, size, height)
        if len(stack) + height > bounds.DEPTH:
            raise _refusal(shown, mark, f"This is nested more than {bounds.DEPTH} levels deep.")
        if not stack:
            root, nodes = node, size
            return
        top = stack[-1]
        top.node.value.append(node)
        top.size += size
        top.height = max(top.height, height + 1)
        if sum(each.size for each in stack) > bounds.VALUES:
            raise _refusal(shown, mark, f"The file holds more than {bounds.VALUES:,} values, aliases counted in full.")

    for event in events:
        mark = event.start_mark
        match event:
            case yaml.DocumentStartEvent():
                documents += 1
                if documents > 1:
                    raise _refusal(shown, mark, "A second document begins here; a file holds one.")
            case yaml.AliasEvent():
                name = str(event.anchor)
                known = anchors.get(name)
                if known is None:
                    what = "stands inside its own anchor" if name in anchors else "has no anchor before it"
                    raise _refusal(shown, mark, f"The alias '*{name}' {what}.")
                close(known[0], None, known[1], known[2], mark)
            case yaml.ScalarEvent():
                close(_node(yaml.ScalarNode, event, event.value), event.anchor, 1, 1, mark)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                kind = yaml.MappingNode if isinstance(event, yaml.MappingStartEvent) else yaml.SequenceNode
                stack.append(_Open(_node(kind, event, []), event.anchor))
                if event.anchor is not None:
                    anchors[event.anchor] = None
                if len(stack) > bounds.DEPTH:
                    raise _refusal(shown, mark, f"This is nested more than {bounds.DEPTH} levels deep.")
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                done = stack.pop()
                done.node.end_mark = event.end_mark
                if isinstance(done.node, yaml.MappingNode):
                    flat = done.node.value
                    done.node.value = list(zip(flat[::2], flat[1::2], strict=True))
                close(done.node, done.anchor, done.size, done.height, done.node.start_mark)
    return root


def _node(kind: Any, event: Any, value: Any) -> Any:
    style = event.style if kind is yaml.ScalarNode else event.flow_style
    return kind(event.tag, value, event.start_mark, event.end_mark, style)


def _refusal(shown: str, mark: Mark, what: str, hint: str = "") -> ConfigError:
    return ConfigError([Problem(where=at(shown, mark), what=what, hint=hint)])


def at(shown: str, mark: Mark) -> str:
    """`file:line:column` of a mark."""
    return f"{shown}:{mark.line + 1}:{mark.column + 1}"


def yaml_problem(error: yaml.YAMLError, shown: str, text: str = "") -> Problem:
    """What a YAML parser says of a file, as a problem."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return Problem(where=shown, what=f"This is not YAML: {str(error).splitlines()[0]}.")
    unclosed = "quoted scalar" in (error.context or "") and "end of stream" in (error.problem or "")
    mark = error.context_mark if unclosed else error.problem_mark or error.context_mark
    where = at(shown, mark) if mark else shown
    row = text.split("\n")[mark.line : mark.line + 1] if mark else []
    if row and "\t" in row[0][: len(row[0]) - len(row[0].lstrip())]:
        what = "A tab stands where spaces indent: YAML takes no tab there."
        return Problem(where=where, what=what, hint="Write spaces.")
    line = quotes.requoted(text, mark.line, is_readable) if mark else ""
    duplicate = re.match("found duplicate key (.*)", error.problem or "")
    if duplicate:
        return Problem(where=where, what=twice(duplicate[1], bool(line)), hint=f"Write {line}" if line else "")
    if unclosed:
        return Problem(where=where, what="A quote begins here and does not end.", hint="Write one more at its end.")
    what = f"This is not YAML: {error.problem or error.context}."
    inside = "flow" in (error.context or "")
    hint = (
        "Inside [] and {} a text with a comma, a bracket, a colon or ??? needs quotes."
        if inside or line
        else _rule(what)
    )
    return Problem(where=where, what=what, hint=f"{hint} Write {line}" if line else hint)


def _rule(what: str) -> str:
    """The rule of YAML that a file breaks."""
    return next((rule for said, rule in _RULES.items() if said in what), "")


_RULES = {
    "mapping values are not allowed": "Keys of one mapping begin in the same column.",
    "expected '-' indicator": "A list has '-' before each item, and no keys beside them.",
    "expected <block end>, but found '?'": "A list has '-' before each item, and no keys beside them.",
    "expected key": "A mapping has keys, each with ': ' behind it, and no items beside them.",
    "expected <block end>, but found '-'": "A mapping has keys, each with ': ' behind it, and no items beside them.",
    "could not find expected ':'": "A key has ': ' behind it, and the lines of a text are indented.",
}
"""What the two parsers of YAML say, and what a file must be."""


def twice(name: object, cut: bool = False) -> str:
    """What to say of a key that stands twice: as such, or as what a text was cut to."""
    if cut:
        return f"YAML cut a text at its commas: '{name}' is no key, and stands twice."
    return f"The key '{name}' stands twice in one mapping."


def is_readable(text: str) -> bool:
    """Whether a text is YAML, without a key that stands twice in one mapping."""
    try:
        root = _compose(yaml.parse(text, Loader=_Loader), "")
    except (yaml.YAMLError, ConfigError):
        return False
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, yaml.MappingNode):
            names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            if len({*names}) < len(names):
                return False
            waiting += [value for _, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
    return True


def _index(text: str) -> int | None:
    return int(text) if is_index(text) else None


def _as_read(key: yaml.ScalarNode) -> str:
    try:
        return str(scalar_of(key))
    except (KeyError, ValueError):
        return key.value  # type: ignore[no-any-return]


@lru_cache(maxsize=4)
def _lines(text: str) -> list[str]:
    return _LINE_BREAK.split(text)


def position(lines: list[str], node: yaml.ScalarNode, line: int, column: int) -> tuple[int, int]:
    """The line and column in the file, which has these lines, of a position inside a scalar's value.

    All count from 1.

    Folding, indentation and quoting move only white space, so the n-th other character of the value is the n-th in the
    file.
    """
    value = _LINE_BREAK.split(node.value)
    line = min(line, len(value))
    row = value[line - 1]
    column = max(column, 1)
    before = "".join(value[: line - 1]) + row[: column - 1]
    count = len("".join(before.split()))
    written = list(_written(lines, node))
    if not written:
        return node.start_mark.line + 1, node.start_mark.column + 1
    on_a_character = bool(row[column - 1 : column].strip())
    in_the_indent = not row[: column - 1].strip()
    if count < len(written) and (on_a_character or in_the_indent):
        return written[count]
    last = written[min(count, len(written)) - 1]
    return last[0], last[1] + 1


def _written(lines: list[str], node: yaml.ScalarNode) -> Iterator[tuple[int, int]]:
    """Where the characters of a scalar that are no white space stand in the file."""
    block, quoted = node.style in ("|", ">"), node.style in ("'", '"')
    for number in range(node.start_mark.line + block, min(node.end_mark.line + 1, len(lines))):
        row = lines[number]
        start = node.start_mark.column + quoted if number == node.start_mark.line else 0
        end = node.end_mark.column - quoted if number == node.end_mark.line else len(row)
        token = {'"': _ESCAPE, "'": _QUOTE}.get(node.style or "", _ANY)
        for match in token.finditer(row, start, end):
            if not (_is_space(match[0]) if token is _ESCAPE else match[0].isspace()):
                yield number + 1, match.start() + 1


def _is_space(token: str) -> bool:
    """Whether a character of a text in double quotes stands for white space, or a line's last backslash for nothing."""
    if len(token) > 2:
        return chr(int(token[2:], 16)).isspace()
    return token == "\\" or (token[1] in "tnvfrNLP_ \t" if token[0] == "\\" else token.isspace())
