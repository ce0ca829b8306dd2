"""Reads what the annotations and defaults of a registered layer's constructor say about its arguments."""

from __future__ import annotations

import collections
import collections.abc
import dataclasses
import enum
import functools
import inspect
import numbers
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Literal, Union

import torch
from torch import nn

from modelzoo.catalog.containers import Entries, Fields, Items
from modelzoo.catalog.functions import DTYPES
from modelzoo.catalog.layers import Layer
from modelzoo.catalog.wanted import ANYTHING, Choice, Either, Module, Plain, Recipe, Wanted

_TEXT, _FLAG, _NULL = Plain("a text", str), Plain("true or false", bool), Plain("null", type(None))
_INTEGER, _NUMBER = Plain("an integer", int), Plain("a number", int, float)
_DTYPE = Choice([(f"{of}{name}", dtype) for of in ("", "torch.") for name, dtype in DTYPES.items()], shown=DTYPES)

_PLAIN: Mapping[Any, Wanted] = {
    str: _TEXT,
    bool: _FLAG,
    int: _INTEGER,
    float: _NUMBER,
    complex: _NUMBER,
    numbers.Number: _NUMBER,
    numbers.Real: _NUMBER,
    numbers.Integral: _INTEGER,
    type(None): _NULL,
    None: _NULL,
    torch.dtype: _DTYPE,
    torch.Size: Items(_INTEGER, torch.Size),
}

_LISTS: Mapping[Any, Callable[[Any], Any]] = {
    list: list,
    tuple: tuple,
    set: set,
    frozenset: frozenset,
    collections.deque: collections.deque,
    collections.abc.Set: set,
    collections.abc.MutableSet: set,
    collections.abc.Sequence: list,
    collections.abc.MutableSequence: list,
    collections.abc.Iterable: list,
    collections.abc.Collection: list,
}
"""What each makes of a list."""

_MAPPINGS = (dict, collections.OrderedDict, collections.abc.Mapping, collections.abc.MutableMapping)


@cache
def wanted(layer: Layer, argument: str) -> Wanted:
    """What an argument of a registered layer may be.

    Raises:
        KeyError: the layer has no such argument.

    >>> from modelzoo.catalog.layers import Layer
    >>> class Pool(nn.Module):
    ...     def __init__(self, mode: Literal["sum", "mean"], sizes: list[int]): ...
    >>> pool = Layer(name="Pool", cls=Pool)
    >>> wanted(pool, "mode").wants, wanted(pool, "sizes").wants
    ("one of 'sum', 'mean'", 'a list, each an integer')
    """
    known = layer.signature
    if argument not in known:
        argument = next((each.name for each in known.values() if each.kind is each.VAR_KEYWORD), argument)
    constructor = inspect.unwrap(layer.cls.__init__)
    parameter = inspect.signature(constructor).parameters[known[argument].name]
    annotation = _resolved(parameter.annotation, constructor)
    if annotation is parameter.empty:
        return _by_default(parameter.default)
    bare = annotation in (Callable, typing.Callable) and inspect.isroutine(parameter.default)
    found = _by_default(parameter.default) if bare else read(annotation)
    return Either(found, _NULL) if parameter.default is None and found.problem(None) else found


def python(layer: Layer, positional: Sequence[Any], named: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """What the constructor of a registered layer is called with; layers are modules already.

    Args:
        positional: what its `*args` gets.
        named: all other arguments, by name.
    """
    kinds = {each.kind: each.name for each in layer.signature.values()}
    given = {name: wanted(layer, name).python(value) for name, value in named.items()}
    variable = kinds.get(inspect.Parameter.VAR_POSITIONAL)
    further = [wanted(layer, variable).python(each) for each in positional] if variable else []
    by_position = inspect.Parameter.POSITIONAL_ONLY, *((inspect.Parameter.POSITIONAL_OR_KEYWORD,) if further else ())
    first = [each.name for each in layer.signature.values() if each.kind in by_position and each.name in given]
    return [*(given.pop(name) for name in first), *further], given


def takes_mapping(layer: Layer, argument: str) -> bool:
    """Whether an argument of a registered layer is a mapping, so that a key `layers` in it makes no block."""
    try:
        found = wanted(layer, argument)
    except KeyError:
        return False
    members = found.members if isinstance(found, Either) else [found]
    return any(isinstance(each, Entries) for each in members)


def read(annotation: Any) -> Wanted:
    """What an annotation asks for; anything where it says nothing about plain values."""
    try:
        return _read(annotation)
    except TypeError:  # what cannot be hashed
        return ANYTHING


def _read(annotation: Any) -> Wanted:
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    origin, given = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (Union, types.UnionType):
        members = [read(each) for each in given]
        return ANYTHING if ANYTHING in members else Either(*members)
    if origin is Literal:
        names = [each.name if isinstance(each, enum.Enum) else each for each in given]
        return Choice(zip(names, given, strict=True), shown=names)
    if origin is typing.Annotated:
        return read(given[0])
    if hasattr(annotation, "__supertype__"):
        return read(annotation.__supertype__)
    base = origin or annotation
    if base in (typing.Callable, collections.abc.Callable):
        return _callable(given)
    if base is type:
        return _of_class(given)
    if not isinstance(base, type):
        return ANYTHING
    return _container(base, given) or _class(base)


def _callable(given: tuple[Any, ...]) -> Wanted:
    """A function, a layer, or what makes a layer: what is returned tells."""
    returned = given[-1] if given else Any
    if isinstance(returned, type) and issubclass(returned, nn.Module):
        return Recipe()
    return Recipe(functions=True, module=returned is not Any)


def _of_class(given: tuple[Any, ...]) -> Wanted:
    of_layers = not given or (isinstance(given[0], type) and issubclass(given[0], nn.Module))
    return Recipe(partial=False) if of_layers else ANYTHING


def _container(base: type, given: tuple[Any, ...]) -> Wanted | None:
    if base in _MAPPINGS:
        key, value = map(read, given) if len(given) == 2 else (ANYTHING, ANYTHING)
        return Entries(key, value)
    if base not in _LISTS:
        return None
    if base is tuple and given and given[-1] is not ...:
        return Items(tuple(read(each) for each in given if each != ()), tuple)
    return Items(read(given[0]) if given else ANYTHING, _LISTS[base])


def _class(base: type) -> Wanted:
    if issubclass(base, enum.Enum):
        return _enum(base)
    if issubclass(base, nn.Module):
        return Module(base)
    if dataclasses.is_dataclass(base):
        missing = (dataclasses.MISSING,) * 2
        own = (each for each in dataclasses.fields(base) if each.init)
        return _fields(base, {each.name: (each.default, each.default_factory) == missing for each in own})
    if issubclass(base, tuple) and hasattr(base, "_field_defaults"):
        names = {each: each not in base._field_defaults for each in base._fields}  # type: ignore[attr-defined]
        hints = _hints(base)
        items = Items(tuple(read(hints.get(name, Any)) for name in names), base._make)  # type: ignore[attr-defined]
        return Either(_fields(base, names), items)
    if typing.is_typeddict(base):
        required: frozenset[str] = getattr(base, "__required_keys__", frozenset())
        return _fields(base, {each: each in required for each in _hints(base)})
    return ANYTHING


def _enum(base: type[enum.Enum]) -> Choice:
    """The names of the members, then their values."""
    values = [(each.value, each) for each in base if type(each.value) in (str, int, float, bool)]
    return Choice([*values, *base.__members__.items()], shown=base.__members__)


def _fields(base: type, names: Mapping[str, bool]) -> Wanted:
    def fields() -> dict[str, Wanted]:
        hints = _hints(base)
        return {name: read(hints.get(name, Any)) for name in names}

    return Fields(base, names, fields)


def _hints(base: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(base)
    except Exception:  # a name that is only there for a type checker
        return {}


def _by_default(default: Any) -> Wanted:
    """What an argument without an annotation is: its default tells it where a config could not write it."""
    made = default.func if isinstance(default, functools.partial) else default
    if isinstance(made, type) and issubclass(made, nn.Module):
        return Either(Recipe(), _NULL)
    if inspect.isroutine(default):
        return Either(Recipe(functions=True, module=True), _NULL)
    if isinstance(default, (enum.Enum, torch.dtype)):
        return Either(read(type(default)), ANYTHING)
    return Wanted(tuple) if isinstance(default, tuple) else ANYTHING


def _resolved(annotation: Any, constructor: Callable[..., Any]) -> Any:
    """An annotation that is written as text, as what it names; nothing where that is not known at run time."""
    if annotation is inspect.Parameter.empty:
        return annotation

    def stand_in() -> None: ...

    stand_in.__annotations__ = {"it": annotation}
    try:
        hints = typing.get_type_hints(stand_in, getattr(constructor, "__globals__", {}), include_extras=True)
    except Exception:  # whatever the text does when it is evaluated: a class of a function, a name of a type checker
        return inspect.Parameter.empty if isinstance(annotation, str) else annotation
    return hints["it"]
