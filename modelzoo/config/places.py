"""Where the keys of a composed config stand: the chain of files and overrides that set each of them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import yaml

from modelzoo.config import answers
from modelzoo.config.document import Document
from modelzoo.errors import Locate, Path, Problem, nearest
from modelzoo.names import is_index

_NULL = ("", "~", "null", "Null", "NULL")
"""How null is written, below which a key can be added."""

_REFERENCE = re.compile(r"\$\{(\.*)([^:{}]+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One place that sets a key.

    Attributes:
        where: `file:line:column`, or `command line`.
        path: the key there, or the override as it was typed.
        value: what is written there, shortened; empty for a mapping or a list.
        typed: whether it is an override.
    """

    where: str
    path: str
    value: str = ""
    typed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """What one source says about a key: how many of its parts it has, and what it has there."""

    depth: int
    place: Place
    value: Any  # a dict, a list or a scalar; only its kind and a scalar's text matter
    weak: bool = False  # it sets something below the key only


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A config file, mounted at a package."""

    document: Document
    package: tuple[str, ...]

    def find(self, key: tuple[str, ...], line: int, column: int) -> Hit | None:
        """What the file says about a key, or a position in its text; `None` if nothing."""
        common = _common(key, self.package)
        if common < len(self.package):
            place = Place(where=self.document.place(Path()), path=".".join(self.package))
            return Hit(depth=common, place=place, value={}, weak=True) if common == len(key) else None
        inside = Path(key[common:])
        found = self.document.find(inside)
        if found is None:
            return None
        exact = found.depth == len(inside)
        where = self.document.place(inside, line if exact else 0, column)
        value = _kind(found.node)
        place = Place(where=where, path=".".join(key), value="" if isinstance(value, (dict, list)) else str(value))
        return Hit(depth=common + found.depth, place=place, value=value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """One override.

    Attributes:
        text: as it was typed.
        adds: "+" where the key is new, "++" where it may be, or nothing.
        where: where it was typed.
    """

    text: str
    key: tuple[str, ...]
    value: Any
    deletes: bool
    adds: str = ""
    where: str = "command line"

    def find(self, key: tuple[str, ...], line: int, column: int) -> Hit | None:
        """What the override says about a key; `None` if nothing."""
        common = _common(key, self.key)
        place = Place(where=self.where, path=self.text, typed=True)
        if common < len(self.key):
            return Hit(depth=common, place=place, value={}, weak=True) if common == len(key) else None
        value, depth = self.value, common
        if self.deletes:
            return Hit(depth=depth, place=place, value=None)
        for part in key[common:]:
            below = _below(value, part)
            if below is None:
                break
            value, depth = below[0], depth + 1
        return Hit(depth=depth, place=place, value=value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """Plain data from a program, or from a file that was opened before.

    Attributes:
        locate: finds the place of a key of it.
    """

    data: Any
    locate: Locate

    def find(self, key: tuple[str, ...], line: int, column: int) -> Hit | None:
        """What the data say about a key; `None` if nothing."""
        value, depth = self.data, 0
        for part in key:
            below = _below(value, part)
            if below is None:
                break
            value, depth = below[0], depth + 1
        where, path = self.locate(Path(key), line, column)
        return Hit(depth=depth, place=Place(where=where, path=path, typed=True), value=value) if depth else None


@dataclass(slots=True, kw_only=True)
class Places:
    """Where the keys of a composed config stand; asks for its sources when the first question comes.

    Attributes:
        sources: everything that sets keys, weakest first.
        adding: whether an override among them adds keys.
    """

    sources: Callable[[], Iterable[File | Data | Override]]
    adding: bool = False
    _read: list[File | Data | Override] | None = None

    def locate(self, key: Path, line: int = 0, column: int = 0) -> tuple[str, str]:
        """The place that decided a key, or its nearest ancestor; `("", key)` if that cannot be found out."""
        with contextlib.suppress(Exception):  # an error message without a place beats a crash while writing it
            hits = self.hits(key, line, column)
            if hits:
                place = hits[-1].place
                return place.where, place.path if place.typed else str(key)
        return "", str(key)

    def trace(self, key: Path, line: int = 0, column: int = 0) -> tuple[str, str]:
        """As `locate`; of a value that a `${...}` brought, both ends are named."""
        where, path = self.locate(key, line, column)
        with contextlib.suppress(Exception):
            hits = self.hits(key)
            whole = hits and not line and isinstance(hits[-1].value, str) and _REFERENCE.fullmatch(hits[-1].value)
            if hits and not line and (whole or hits[-1].depth < len(key)):  # of a text only what its arguments are
                for target in _referred(tuple(map(str, key)), hits[-1]):
                    end = self.chain(Path(target))[-1]
                    path += f"  <- {end.where}  {end.path}"
        return where, path

    def chain(self, key: Path) -> list[Place]:
        """All places that set a key, in order; the last one decided. What a `${...}` there refers to follows it."""
        result: list[Place] = []
        waiting = [key]
        while waiting and len(result) < 100:
            key = waiting.pop(0)
            hits = self.hits(key)
            new = [hit.place for hit in hits if hit.place not in result]
            result += new
            waiting += map(Path, _referred(tuple(map(str, key)), hits[-1]) if new else [])
        return result

    def hits(self, key: Path, line: int = 0, column: int = 0) -> list[Hit]:
        """What all sources that set a key say about it, or one that sets its nearest ancestor."""
        if self._read is None:
            self._read = list(self.sources())
        keys = tuple(map(str, key))
        exact: list[Hit] = []
        nearest_hit: Hit | None = None
        for source in self._read:
            hit = source.find(keys, line, column)
            if hit is None:
                continue
            if hit.depth == len(keys) and not hit.weak:
                exact.append(hit)
                continue
            if not isinstance(hit.value, dict):  # a text or a list here replaces all that stood below
                exact.clear()
                nearest_hit = hit
            elif nearest_hit is None or hit.depth >= nearest_hit.depth:
                nearest_hit = hit
        return exact or ([nearest_hit] if nearest_hit else [])

    def value(self, key: Path) -> Any:
        """What is written at a key: a text, an empty list, a mapping of its names; `None` if the key is not there."""
        hits = self.hits(key)
        return hits[-1].value if hits and hits[-1].depth == len(key) else None

    def added_to_texts(self) -> Iterator[Problem]:
        """Overrides that add a key below a text, which has none: Hydra puts a mapping of that key in its place."""
        if not self.adding:
            return
        sources = list(self.sources())
        for index, each in enumerate(sources):
            if not isinstance(each, Override) or each.deletes:
                continue
            before = Places(sources=partial(iter, sources[:index]))
            above = [each.key[:depth] for depth in range(1, len(each.key))]
            texts = [(key, value) for key in above if isinstance(value := before.value(Path(key)), str)]
            for key, written in [one for one in texts if one[1] not in _NULL][:1]:
                what, hint = answers.in_a_text(".".join(key), written)
                yield Problem(where=each.where, path=each.text, what=what, hint=hint)

    def documents(self) -> list[Document]:
        """The files among the sources."""
        return [each.document for each in self.sources() if isinstance(each, File)]

    def names(self, key: Path) -> list[str]:
        """The names that all sources together have in the mapping at a key."""
        values = [hit.value for hit in self.hits(key) if hit.depth == len(key)]
        mounted = [each.package for each in self._read or () if isinstance(each, File)]
        below = [each[len(key)] for each in mounted if each[: len(key)] == tuple(key) and len(each) > len(key)]
        return list(dict.fromkeys([*(str(name) for each in values if isinstance(each, dict) for name in each), *below]))

    def nearest(self, key: Path) -> str:
        """A repair for the first part of a key that is not there."""
        for depth, part in enumerate(key):
            names = self.names(Path(key[:depth]))
            if str(part) not in names:
                return nearest(str(part), names)
        return ""


def parts(key: str) -> tuple[str, ...]:
    """The parts of a key or a package as Hydra writes them.

    >>> parts("_global_.model.layers[0].bias")
    ('model', 'layers', '0', 'bias')
    """
    return tuple(part for part in re.split(r"[.\[\]]", key) if part and part != "_global_")


def _common(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    return next((i for i, (left, right) in enumerate(zip(a, b, strict=False)) if left != right), min(len(a), len(b)))


def _kind(node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return {str(key.value): None for key, _ in node.value}
    return [] if isinstance(node, yaml.SequenceNode) else node.value


def _below(value: Any, part: str) -> tuple[Any] | None:
    if isinstance(value, dict):
        return next(((each,) for name, each in value.items() if str(name) == part), None)
    if isinstance(value, list) and is_index(part) and int(part) < len(value):
        return (value[int(part)],)
    return None


def _referred(key: tuple[str, ...], hit: Hit) -> list[tuple[str, ...]]:
    """The keys that the `${...}` at a hit mean for `key`."""
    if not isinstance(hit.value, str):
        return []
    inside = key[hit.depth :] if _REFERENCE.fullmatch(hit.value) else ()
    found = []
    for match in _REFERENCE.finditer(hit.value):
        start = key[: hit.depth][: -len(match[1])] if match[1] else ()
        found.append((*start, *parts(match[2]), *inside))
    return found
