"""What an argument of a registered layer may be: which values it takes, where layers stand in them, what Python gets.

A value goes through three hands: `placed` has the layers in it built, `problem` says what is wrong with it, and
`python` makes of it what the constructor asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from torch import nn

from modelzoo.catalog import checks
from modelzoo.catalog.checks import Schema, shortened
from modelzoo.catalog.functions import find_function
from modelzoo.errors import Path

_SCALARS = (bool, int, float, str, type(None))
_PLAIN = (*_SCALARS, tuple, list, dict)
NODE_KEYS = frozenset(("_target_", "_ref_", "layers", "forward"))


class Build(Protocol):
    """Builds what a value describes; what is wrong with it is told at the key."""

    def layer(self, value: Any, cls: type[nn.Module], key: Path) -> Any:
        """A layer of a class."""

    def factory(self, value: Any, key: Path) -> Any:
        """What makes a layer, with some of its arguments; the value itself where it names none."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is wrong with a value, or with a part of it."""

    what: str
    at: tuple[Any, ...] = ()

    def below(self, key: Any) -> Wrong:
        return Wrong(self.what, (key, *self.at))

    def sentence(self) -> str:
        """The rest of a sentence about the argument."""
        return f"at '{'.'.join(map(str, self.at))}' {self.what}" if self.at else self.what


def must_be(wants: str, value: object) -> Wrong:
    """A value is not what it must be."""
    return Wrong(checks.must_be(wants, value))


def is_layer(value: object, keys: frozenset[str] = NODE_KEYS) -> bool:
    """Whether a value is written as a layer."""
    return not isinstance(value, _PLAIN) or (isinstance(value, dict) and not keys.isdisjoint(value))


class Wanted:
    """What an argument may be; this one is anything, as it is written.

    Attributes:
        wants: in words.
        schemas: as alternatives of JSON Schema; anything where more would have to be said.
        layers: whether a text may be a layer here.
        like: what a list becomes.
        keys: those that tell a layer from a mapping.
    """

    wants = "anything"
    schemas: tuple[Schema, ...] = ({},)
    layers = False

    def __init__(self, like: Callable[[Any], Any] = list, keys: frozenset[str] = NODE_KEYS) -> None:
        self.like, self.keys = like, keys

    def suits(self, value: Any) -> bool:
        """Whether a value has this shape, whatever is in it."""
        return True

    def placed(self, value: Any, build: Build, key: Path) -> Any:
        """The value with its layers built."""
        if is_layer(value, self.keys):
            return build.layer(value, nn.Module, key)
        if isinstance(value, (list, tuple)):
            return tuple(Wanted.placed(self, each, build, key / index) for index, each in enumerate(value))
        if isinstance(value, dict):
            return {name: Wanted.placed(self, each, build, key / str(name)) for name, each in value.items()}
        return value

    def problem(self, value: Any) -> Wrong | None:
        """What is wrong with a value."""
        return None

    def python(self, value: Any) -> Any:
        """What the constructor gets; nothing of it is shared."""
        if isinstance(value, (list, tuple)):
            return self.like(map(ANYTHING.python, value))
        if isinstance(value, dict):
            return {name: ANYTHING.python(each) for name, each in value.items()}
        return value.call if isinstance(value, Factory) else value


ANYTHING = Wanted()
DATA = Wanted(keys=frozenset(("_target_", "_ref_")))
"""Anything where a mapping is asked for: one with the key `layers` is no block there."""


_JSON = {
    (str,): "string",
    (bool,): "boolean",
    (int,): "integer",
    (int, float): "number",
    (type(None),): "null",
}
"""What JSON calls the types of plain values."""


class Plain(Wanted):
    """A number, a text, true, false or null."""

    def __init__(self, wants: str, *types: type) -> None:
        self.wants, self.types = wants, types
        self.schemas = ({"type": _JSON[types]},)

    def suits(self, value: Any) -> bool:
        return type(value) in self.types

    def placed(self, value: Any, build: Build, key: Path) -> Any:
        return build.layer(value, nn.Module, key) if is_layer(value) else value

    def problem(self, value: Any) -> Wrong | None:
        return None if self.suits(value) else must_be(self.wants, value)

    def python(self, value: Any) -> Any:
        return value


class Choice(Plain):
    """One of a few values, each with what Python gets for it; `shown` are those that a message names."""

    def __init__(self, choices: Iterable[tuple[Any, Any]], shown: Iterable[Any]) -> None:
        self.choices = {(type(each), each): given for each, given in choices}
        named = [*shown]
        self.wants = f"one of {', '.join(map(shortened, named))}"
        texts = [each for each in named if isinstance(each, str)]
        self.schemas = (_suggesting(texts) if named[:1] == texts[:1] and texts else {},)

    def suits(self, value: Any) -> bool:
        return isinstance(value, _SCALARS) and (type(value), value) in self.choices

    def python(self, value: Any) -> Any:
        return self.choices[type(value), value]


class Module(Wanted):
    """A layer."""

    layers = True

    def __init__(self, cls: type[nn.Module]) -> None:
        self.cls = cls
        self.wants = "a layer" if cls is nn.Module else f"a {cls.__name__}"

    def suits(self, value: Any) -> bool:
        return isinstance(value, (str, list, tuple)) or is_layer(value)

    def placed(self, value: Any, build: Build, key: Path) -> Any:
        return build.layer(value, self.cls, key) if self.suits(value) else value

    def problem(self, value: Any) -> Wrong | None:
        return must_be(self.wants, value) if isinstance(value, (*_PLAIN, Factory)) else None

    def python(self, value: Any) -> Any:
        return value


@dataclass(frozen=True, slots=True)
class Factory:
    """What makes a layer: its class, or the class with some of its arguments."""

    call: Callable[..., nn.Module]
    text: str

    def __repr__(self) -> str:
        return self.text


class Recipe(Wanted):
    """A class of layers, or with `partial` one with some of its arguments; with `functions` a function of the catalog.

    Args:
        module: what a layer is where no class is asked for.
    """

    layers = True

    def __init__(self, *, partial: bool = True, functions: bool = False, module: bool = False) -> None:
        self.partial, self.functions, self.module = partial, functions, module
        self.wants = "the name of a function, or a layer" if functions else "a layer to be made"
        if not partial:
            self.wants = "the name of a layer"

    def suits(self, value: Any) -> bool:
        return isinstance(value, str) or is_layer(value)

    def placed(self, value: Any, build: Build, key: Path) -> Any:
        if not self.suits(value) or self.is_function(value):
            return value
        return build.layer(value, nn.Module, key) if self.module else build.factory(value, key)

    def is_function(self, value: Any) -> bool:
        return self.functions and isinstance(value, str) and find_function(value) is not None

    def problem(self, value: Any) -> Wrong | None:
        fits = isinstance(value, Factory) and (self.partial or isinstance(value.call, type))
        if fits or self.is_function(value) or (self.module and not isinstance(value, (*_PLAIN, Factory))):
            return None
        return must_be(self.wants, value)

    def python(self, value: Any) -> Any:
        if isinstance(value, str):
            function = find_function(value)
            assert function is not None
            return function.call
        return value.call if isinstance(value, Factory) else value


class Either(Wanted):
    """One of several."""

    def __init__(self, *members: Wanted) -> None:
        self.members = sorted(members, key=lambda each: each.layers)  # text is text where it may be
        self.layers = any(each.layers for each in members)
        words = dict.fromkeys(each.wants for each in members)
        self.wants = " or ".join(sorted(words, key=lambda each: " each " in each))
        self.schemas = _of_several([schema for each in members for schema in each.schemas])

    def suits(self, value: Any) -> bool:
        return any(each.suits(value) for each in self.members)

    def suiting(self, value: Any) -> Wanted | None:
        """The member that a value is meant for."""
        found = [each for each in self.members if each.suits(value)]
        fitting = (each for each in found if not each.layers and each.problem(value) is None)
        return next(fitting, found[0] if found else None)

    def placed(self, value: Any, build: Build, key: Path) -> Any:
        return (self.suiting(value) or ANYTHING).placed(value, build, key)

    def problem(self, value: Any) -> Wrong | None:
        wrong = [each.problem(value) for each in self.members]
        if None in wrong:
            return None
        suiting = self.suiting(value) if isinstance(value, (dict, list, tuple)) else None
        deep = suiting.problem(value) if suiting else None
        return deep or must_be(self.wants, value)

    def python(self, value: Any) -> Any:
        return next(each for each in self.members if each.problem(value) is None).python(value)


def _suggesting(texts: list[str]) -> Schema:
    """Anything; an editor completes the texts."""
    return {"anyOf": [{"enum": texts}, True]}


def _of_several(schemas: list[Schema]) -> tuple[Schema, ...]:
    """The alternatives of several; what is said of one is lost beside another of which nothing can be said."""
    if all("type" in each for each in schemas):
        return tuple(schemas)
    first, *others = schemas
    if "anyOf" not in first:
        return ({},)
    return (_suggesting([text for each in (first, *others) if "anyOf" in each for text in each["anyOf"][0]["enum"]]),)
