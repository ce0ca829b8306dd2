"""A file of tests: whether it is one, and its tests as values, with every mistake in it, and without torch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from modelzoo.config import document as marks
from modelzoo.config import plain
from modelzoo.errors import ConfigError, Path, Problem, Problems, located, nearest
from modelzoo.testing.case import Case
from modelzoo.testing.fields import CASE
from modelzoo.testing.overrides import override_value
from modelzoo.testing.readers import Reader


def recognise(text: str, shown: str, project: bool) -> marks.Document | None:
    """The document if a text holds tests; None if it is some other program's YAML.

    An entry is a test if it is a mapping with `config` and `expect` and no key that is none of ours. Where `project`
    is true (there is a `conf/`), other keys and near misses count too, so that a misspelt key cannot hide a file.

    Raises:
        ConfigError: in a project, a file that speaks of `config` and `expect` but is not YAML.

    >>> recognise("a: {config: [], expect: {parameters: 0}}", "test_a.yaml", False).shown
    'test_a.yaml'
    >>> recognise("a: {config: [], expect: {parameters: 0}, input: 1}", "test_a.yaml", False)
    """
    words = set(re.findall(r"\b(config|expect)['\"]?\s*:", text))
    if not words or (not project and len(words) < 2):
        return None
    try:
        document = marks.read(text, shown)
    except ConfigError:
        if project and len(words) == 2:
            raise
        return None
    root = document.root
    entries = root.value if root is not None and isinstance(root.value, list) else []
    for entry in entries:
        node = entry[1] if isinstance(entry, tuple) else None
        if node is None or not isinstance(node.value, list):
            continue
        names = {str(each[0].value) for each in node.value if isinstance(each, tuple)}
        if {"config", "expect"} <= names and (project or names <= CASE.keys()):
            return document
        if project and {"config", "expect"} <= {_meant(name) for name in names} <= CASE.keys():
            return document
    return None


def _meant(name: str) -> str:
    """The key that a name is, or is a misspelling of."""
    guess = re.match("Did you mean '(.*)'", nearest(name, CASE))
    return guess[1] if guess and name not in CASE else name


def cases(document: marks.Document) -> Iterator[Case]:
    """The tests of a file, one for each point of their sweeps.

    Raises:
        ConfigError: the file is not plain data, as with a key that stands twice.
    """
    problems = Problems()
    data = plain.plain(document, problems)
    problems.check()
    for name, body in data.items():
        yield from _cases(str(name), body, document)


def _cases(name: str, body: Any, document: marks.Document) -> Iterator[Case]:
    key = Path((name,))
    reader = Reader()
    fields: dict[str, Any] = {}
    if isinstance(body, Mapping):
        fields = reader.mapping(body, key, CASE, f"'{name}'")
        for needed, hint in (("config", "Write config: [model=mlp]."), ("expect", "Write expect: {parameters: 121}.")):
            if needed not in body:
                reader.problems.add(key, f"'{name}' has no {needed}.", hint)
    else:
        reader.problems.add(key, f"'{name}' is no test.", "Write name: {config: [...], expect: {...}}.")
    facts = fields.get("expect", ())
    if len(facts) > 1 and any(fact.name == "error" for fact in facts):
        reader.problems.add(key / "expect" / "error", "Beside error nothing else can be expected.", "Remove it.")
    points = fields.get("sweep", ((),))
    for point in points:
        values = ",".join(f"{key}={_shown(value)}" for key, value in point)
        yield Case(
            name=f"{name}[{values}]" if point else name,
            key=key,
            given=fields.get("config", ()),
            point=point,
            expect=facts,
            marks=fields.get("marks", ()),
            skip=fields.get("skip", ""),
            xfail=fields.get("xfail", ""),
            problems=_placed(reader.problems, document),
        )


def _placed(problems: Problems, document: marks.Document) -> tuple[Problem, ...]:
    try:
        with located(lambda key, line, column: (document.place(key, line, column), str(key))):
            problems.check()
    except ConfigError as error:
        return error.problems
    return ()


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else override_value(value)
