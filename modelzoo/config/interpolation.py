"""Resolves `${a.b}` in plain data: copies of other values of the same data, never anything from outside it."""

from __future__ import annotations

import re
from typing import Any, NoReturn

from modelzoo import bounds
from modelzoo.errors import ConfigError, Path, Problems, TextError, nearest
from modelzoo.names import is_index

_REFERENCE = re.compile(r"\$\{\s*(\.*)([\w-]+(?:\.[\w-]+|\[[\w-]+\])*)\s*\}")
_MISSING = "???"


def resolve(data: Any, problems: Problems) -> Any:
    """The data with every `${...}` replaced by a copy of what it refers to.

    `${a.b}` counts from the root, `${.b}` from the mapping it stands in, `${..b}` from the one around that.

    Args:
        data: plain mappings, lists and scalars.
        problems: collects references that lead nowhere, in circles, to what is missing (`???`), or to a resolver.

    Raises:
        ConfigError: what comes out is deeper or larger than allowed.

    >>> resolve({"a": 4, "b": {"c": "${a}", "d": "${.c}", "e": "Linear(${a}, ${..a})"}}, Problems())
    {'a': 4, 'b': {'c': 4, 'd': 4, 'e': 'Linear(4, 4)'}}
    """
    return _Resolver(data, problems).value(data, Path())


def referred(data: Any) -> frozenset[str]:
    """Every name in a `${...}` of plain data whose references are not followed yet.

    >>> sorted(referred({"a": 4, "b": ["Linear(${..args.dim}, 4)"]}))
    ['args', 'dim']
    """
    found: set[str] = set()
    waiting = [data]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str) and "${" in value:
            for inside in re.findall(r"\$\{([^{}]*)\}", value):
                found.update(re.findall(r"\w+", inside))
        elif isinstance(value, (dict, list)):
            waiting += value.values() if isinstance(value, dict) else value
    return frozenset(found)


_COMPUTES = re.compile(r"\$\{\s*(?:[\w.]*(?:eval|calc|math|expr)\s*:\s*)?(.*)\}\s*")


def formula_meant(text: str) -> str:
    """What to write for a text that computes inside `${...}`; nothing if it does not.

    >>> formula_meant("${eval:'2 * ${model.args.dim}'}"), formula_meant("${env:HOME}")
    ('A formula computes: =2 * dim', '')
    """
    whole = _COMPUTES.fullmatch(text)
    inside = whole[1].strip().strip("'\"") if whole else ""
    plain = re.sub(r"\$\{[\w.]*?(\w+)\s*\}", r"\1", inside)
    plain = re.sub(r"\.*(?:\w+\.)*args\.(\w+)", r"\1", plain)
    computes = re.search(r"[\w)]\s*(?:[*+/%]|- )", plain) and not set(plain) & set("${}:'\"\\")
    return f"A formula computes: ={plain}" if computes else ""


class _ElsewhereError(TextError):
    """A mistake that stands in another text of the data, and is reported there."""


class _Resolver:
    def __init__(self, root: Any, problems: Problems) -> None:
        self.root = root
        self.problems = problems
        self.active: list[Path] = []  # the texts being resolved, outermost first
        self.depth = self.nodes = self.characters = self.references = 0

    def value(self, raw: Any, key: Path) -> Any:
        self.nodes += 1
        if self.nodes > bounds.VALUES:
            self.stop(key, f"With its references followed the config holds more than {bounds.VALUES:,} values.")
        if self.depth == bounds.DEPTH:
            self.stop(key, f"With its references followed this is nested more than {bounds.DEPTH} levels deep.")
        self.depth += 1
        try:
            if isinstance(raw, dict):
                return {name: self.part(each, key, name) for name, each in raw.items()}
            if isinstance(raw, list):
                return [self.part(each, key, index) for index, each in enumerate(raw)]
            if isinstance(raw, str):
                return self.count(self.text(raw, key) if "${" in raw else raw, key)
            return raw
        finally:
            self.depth -= 1

    def part(self, raw: Any, key: Path, name: str | int) -> Any:
        """A value inside another; most are scalars, whose own keys are never asked for."""
        plain = "${" not in raw if isinstance(raw, str) else not isinstance(raw, (dict, list))
        length = len(raw) if isinstance(raw, str) else 0
        if plain and self.nodes < bounds.VALUES and self.characters + length <= bounds.CHARACTERS:
            self.nodes += 1
            self.characters += length
            return raw
        return self.value(raw, key / name)

    def text(self, raw: str, key: Path) -> Any:
        try:
            return self.referred(raw, key)
        except _ElsewhereError:
            if self.active:
                raise
        except TextError as error:
            if self.active and self.active[0] != key:
                raise _ElsewhereError(error.what) from error
            self.problems.add_text(key, error)
        return None

    def referred(self, raw: str, key: Path) -> Any:
        if key in self.active:
            raise TextError(f"'{raw}' refers to itself.")
        self.active.append(key)
        try:
            whole = _REFERENCE.fullmatch(raw)
            if whole:
                return self.value(*self.target(whole, key))
            other = next(
                (at.start() for at in re.finditer(r"\$\{", raw) if not _REFERENCE.match(raw, at.start())), None
            )
            if other is not None:
                raise TextError(
                    f"'{raw[other : raw.find('}', other) + 1] or raw[other:]}' is not a plain reference.",
                    formula_meant(raw) or "A reference names another key of the same file, as in ${args.dim}.",
                )
            return _REFERENCE.sub(lambda match: self.inserted(match, key), raw)
        finally:
            self.active.pop()

    def inserted(self, match: re.Match[str], key: Path) -> str:
        value = self.value(*self.target(match, key))
        if isinstance(value, (dict, list)):
            raise TextError(f"'{match[0]}' is a mapping or a list and cannot stand inside a text.")
        return str(self.count(str(value), key))

    def target(self, match: re.Match[str], key: Path) -> tuple[Any, Path]:
        """What a reference means, not yet resolved, and where that stands."""
        self.references += 1
        if self.references > bounds.REFERENCES:
            self.stop(key, f"This config follows more than {bounds.REFERENCES:,} references.")
        raw, place = self.root, Path()
        if match[1]:
            place = Path(key[: max(len(key) - len(match[1]), 0)])
            for part in place:
                raw = raw[part]
        for part in re.split(r"[.\[]", match[2].replace("]", "")):
            raw, place = self.through(raw, place)
            found = _step(raw, part)
            if found is None:
                names = [str(name) for name in raw] if isinstance(raw, dict) else []
                raise TextError(f"'{match[0]}' refers to '{place / part}', which does not exist.", nearest(part, names))
            raw, place = raw[found], place / found
        if raw == _MISSING:
            raise TextError(f"'{match[0]}' refers to '{place}', which is missing (???).")
        return raw, place

    def through(self, raw: Any, place: Path) -> tuple[Any, Path]:
        """Follows a reference that stands where a mapping or a list is needed."""
        whole = _REFERENCE.fullmatch(raw) if isinstance(raw, str) else None
        if not whole:
            return raw, place
        if place in self.active or len(self.active) > bounds.DEPTH:
            raise TextError(f"'{raw}' refers to itself.")
        self.active.append(place)
        try:
            return self.through(*self.target(whole, place))
        except TextError as error:
            raise (_ElsewhereError(error.what) if place != self.active[0] else error) from error
        finally:
            self.active.pop()

    def count(self, value: Any, key: Path) -> Any:
        self.characters += len(value) if isinstance(value, str) else 0
        if self.characters > bounds.CHARACTERS:
            self.stop(
                key,
                f"With its references followed the config holds more than {bounds.CHARACTERS:,} characters of text.",
            )
        return value

    def stop(self, key: Path, what: str) -> NoReturn:
        self.problems.add(self.active[0] if self.active else key, what)
        raise ConfigError(self.problems.found)


def _step(raw: Any, part: str) -> str | int | None:
    """The key or index called `part`, or `None`."""
    index = int(part) if is_index(part) else None
    if isinstance(raw, dict):
        return next((name for name in (part, index) if name in raw), None)
    return index if isinstance(raw, list) and index is not None and index < len(raw) else None
