"""What a list or a mapping may be that a registered layer takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

from modelzoo.catalog.checks import shortened
from modelzoo.catalog.wanted import ANYTHING, DATA, Build, Wanted, Wrong, is_layer, must_be
from modelzoo.errors import Path, nearest


class Items(Wanted):
    """A list.

    Args:
        items: what each of any number is, or one for each.
        like: what Python gets.
    """

    def __init__(self, items: Wanted | tuple[Wanted, ...], like: Callable[[Any], Any]) -> None:
        self.items, self.like = items, like
        each = items.wants if isinstance(items, Wanted) else ""
        if isinstance(items, tuple):
            several = {one.wants: one for one in items}
            same = f", each {items[0].wants}" if len(several) == 1 else ": " + ", ".join(one.wants for one in items)
            self.wants = f"a list of {len(items)}{same if items else ''}"
        else:
            self.wants = "a list" if each == "anything" else f"a list, each {each}"
            self.schemas = ({"type": "array"} if each == "anything" else {},)

    def suits(self, value: Any) -> bool:
        return isinstance(value, (list, tuple))

    def pairs(self, value: Any) -> Iterator[tuple[Wanted, Any]]:
        """Each item with what it must be."""
        kinds = self.items if isinstance(self.items, tuple) else (self.items,) * len(value)
        return zip(kinds, value, strict=False)

    def placed(self, value: Any, build: Build, key: Path) -> Any:
        if not self.suits(value):
            return DATA.placed(value, build, key)
        found = [kind.placed(each, build, key / index) for index, (kind, each) in enumerate(self.pairs(value))]
        return (*found, *value[len(found) :])

    def problem(self, value: Any) -> Wrong | None:
        if not self.suits(value) or (isinstance(self.items, tuple) and len(value) != len(self.items)):
            return must_be(self.wants, value)
        for index, (kind, each) in enumerate(self.pairs(value)):
            if wrong := kind.problem(each):
                return wrong.below(index)
        return None

    def python(self, value: Any) -> Any:
        return self.like([kind.python(each) for kind, each in self.pairs(value)])


class Entries(Wanted):
    """A mapping from any keys."""

    def __init__(self, key: Wanted, value: Wanted) -> None:
        self.key, self.value = key, DATA if value is ANYTHING else value
        self.wants = "a mapping" if value.wants == "anything" else f"a mapping, each {value.wants}"
        self.schemas = ({"type": "object"} if value.wants == "anything" else {},)

    def suits(self, value: Any) -> bool:
        return isinstance(value, dict) and not is_layer(value, DATA.keys)

    def placed(self, value: Any, build: Build, key: Path) -> Any:
        if not self.suits(value):
            return DATA.placed(value, build, key)
        return {name: self.value.placed(each, build, key / str(name)) for name, each in value.items()}

    def problem(self, value: Any) -> Wrong | None:
        if not isinstance(value, dict):
            return must_be(self.wants, value)
        for name, each in value.items():
            if self.key.problem(name):
                return Wrong(f"must have keys that are {self.key.wants}, not {shortened(name)}")
            if wrong := self.value.problem(each):
                return wrong.below(name)
        return None

    def python(self, value: Any) -> Any:
        return {self.key.python(name): self.value.python(each) for name, each in value.items()}


class Fields(Entries):
    """A mapping with known keys: a dataclass, a named tuple, a typed dictionary.

    Args:
        make: what Python gets.
        names: of the keys, each with whether it is required.
        read: what each is; asked late, since one may hold another of its own kind.
    """

    def __init__(
        self, make: Callable[..., Any], names: Mapping[str, bool], read: Callable[[], Mapping[str, Wanted]]
    ) -> None:
        self.make, self.names, self.read = make, names, read
        self.wants = f"a mapping of {', '.join(map(repr, names)) or 'nothing'}"

    @cached_property
    def fields(self) -> Mapping[str, Wanted]:
        """What each is."""
        return {name: DATA if each is ANYTHING else each for name, each in self.read().items()}

    def placed(self, value: Any, build: Build, key: Path) -> Any:
        if not self.suits(value):
            return DATA.placed(value, build, key)
        known = {name: self.fields.get(name, DATA) for name in value}
        return {name: known[name].placed(each, build, key / str(name)) for name, each in value.items()}

    def problem(self, value: Any) -> Wrong | None:
        if not isinstance(value, dict):
            return must_be(self.wants, value)
        for name, each in value.items():
            if name not in self.fields:
                hint = nearest(str(name), [*self.fields])
                return Wrong(f"is {self.wants}, and has no {shortened(name)}. {hint}".strip())
            if wrong := self.fields[name].problem(each):
                return wrong.below(name)
        missing = next((each for each, required in self.names.items() if required and each not in value), None)
        return None if missing is None else Wrong(f"is {self.wants}, and needs {missing!r}")

    def python(self, value: Any) -> Any:
        return self.make(**{name: self.fields[name].python(each) for name, each in value.items()})
