"""What is asked of a file of weights: the option `load`, from the path of a file or a mapping to a value."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from typing import Any

from modelzoo.errors import Path, Problems, nearest
from modelzoo.weights.patterns import Rule, rule

KEY = Path(("load",))
MATCHES = ("name", "order")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A file, and what of it goes where.

    Attributes:
        file: a file of weights, the index of a sharded one, or a folder of `torch.distributed.checkpoint`.
        key: what the weights stand under in it, as `state_dict`; "" where there is only one choice.
        strict: whether every tensor of the model must be in the file, and nothing else.
        rename: regular expressions and what takes the place of what they find in the names of the file.
        skip: globs of names of the model: these stay as they are filled, and what the file says of them is left out.
        only: globs of the only names of the model that are loaded; all of them if there is none.
        transpose: globs of names, in the file or of the model, whose matrices are stored the other way round.
        reshape: globs of names whose elements are stored in another shape.
        split: of a tensor in the file, the names that its rows have here, one after the other.
        join: of a tensor of the model, the names that its rows have in the file.
        match: "name", or "order": layer by layer, without names.
        typed: what the user wrote of all that, as (option, pattern); the rest is of a family of checkpoints.
    """

    file: pathlib.Path
    key: str = ""
    strict: bool = True
    rename: tuple[Rule, ...] = ()
    skip: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    transpose: tuple[str, ...] = ()
    reshape: tuple[str, ...] = ()
    split: tuple[tuple[Rule, ...], ...] = ()
    join: tuple[tuple[Rule, ...], ...] = ()
    match: str = "name"
    typed: tuple[tuple[str, str], ...] = ()


def file_of(option: Any) -> Any:
    """The file that an option names; None where nothing is to be loaded.

    >>> file_of({"file": None, "strict": True}), file_of("a.safetensors")
    (None, 'a.safetensors')
    """
    return option.get("file") if isinstance(option, Mapping) else option


def parsed(option: Any) -> Request:
    """An option that names a file.

    Raises:
        ConfigError: everything that is wrong with it.

    >>> parsed({"file": "x.pt", "skip": "head.*", "names": {"skip": ["rope"]}}).skip
    ('rope', 'head.*')
    """
    problems = Problems()
    found = asked({"file": option} if not isinstance(option, Mapping) else option, problems)
    if found is None and not problems.found:
        problems.add(KEY, "load must be the path of a file, not None.", "Type load=FILE.")
    problems.check()
    assert found is not None
    return found


def asked(option: Any, problems: Problems) -> Request | None:
    """An option as a value; None if it names no file.

    Args:
        option: the path of a file, or a mapping with `file` and other attributes of a `Request`. Beside them `names`
            may have such a mapping without a file, which comes first: what a family of checkpoints needs.
        problems: gets everything that is wrong with it.
    """
    before = len(problems.found)
    given = dict(option) if isinstance(option, Mapping) else {"file": option}
    names = given.pop("names", None) or {}
    if not isinstance(names, Mapping):
        problems.add(KEY / "names", f"load.names must be a mapping, not {names!r}.", "Type load/names=NAME.")
        names = {}
    first = _read(names, KEY / "names", problems)
    then = _read(given, KEY, problems)
    file = given.get("file")
    if file is None:
        for name in (each for each, value in then.items() if value not in (True, "name")):
            what = f"load.{name} says how weights are loaded, and no file is named."
            problems.add(KEY / name, what, "Type load=FILE as well.")
        return None
    if not isinstance(file, (str, os.PathLike)):
        problems.add(KEY, f"load must be the path of a file, not {file!r}.", "Type load=FILE.")
    if len(problems.found) > before:
        return None
    path = pathlib.Path(file)
    with suppress(RuntimeError):  # there is nobody of that name
        path = path.expanduser()
    together: dict[str, Any] = {name: (*first.get(name, ()), *then.get(name, ())) for name in (*_LISTS, *_MAPPINGS)}
    both = {**first, **then}
    single: dict[str, Any] = {name: both[name] for name in ("key", "strict", "match") if name in both}
    typed = tuple((name, _pattern(each)) for name in together for each in then.get(name, ()))
    return replace(Request(file=path), **single, **together, typed=typed)


def _pattern(value: str | Rule | tuple[Rule, ...]) -> str:
    first = value[0] if isinstance(value, tuple) else value
    return first.old if isinstance(first, Rule) else first


def _read(given: Mapping[Any, Any], key: Path, problems: Problems) -> dict[str, Any]:
    """What a mapping says, without the file."""
    found: dict[str, Any] = {}
    known = [each.name for each in fields(Request) if each.name != "typed"]
    for name, value in given.items():
        if name not in known:
            problems.add(key / str(name), f"{key} has no '{name}'.", nearest(str(name), known))
        elif value is not None and name in _READERS:
            read, wants, example = _READERS[name]
            try:
                found[name] = read(value)
            except (TypeError, ValueError) as error:
                reason = f": {error}" if str(error) else ""
                what = f"{key}.{name} must be {wants}, not {value!r}{reason}."
                problems.add(key / name, what, f"Type 'load.{name}={example}'.")
    return found


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _match(value: Any) -> str:
    if value not in MATCHES:
        raise TypeError
    return _text(value)


def _texts(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(map(_text, _list(value)))


def _list(value: Any) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        raise TypeError
    return list(value)


def _rules(value: Any) -> tuple[Rule, ...]:
    if not isinstance(value, Mapping):
        raise TypeError
    return tuple(rule(str(old), _text(new)) for old, new in value.items())


def _several(value: Any) -> tuple[tuple[Rule, ...], ...]:
    if not isinstance(value, Mapping) or not all(map(_list, value.values())):
        raise TypeError
    return tuple(tuple(rule(str(old), _text(each)) for each in new) for old, new in value.items())


_LISTS = ("skip", "only", "transpose", "reshape")
_MAPPINGS = ("rename", "split", "join")
_GLOBS = "a list of names, in which * is any text"
_READERS: dict[str, tuple[Callable[[Any], Any], str, str]] = {
    "key": (_text, "a text", "state_dict"),
    "strict": (_flag, "true or false", "false"),
    "match": (_match, "name or order", "order"),
    **dict.fromkeys(_LISTS, (_texts, _GLOBS, "[head.*]")),
    "rename": (_rules, "a mapping from regular expressions to texts", "{OLD: NEW}"),
    "split": (_several, "a mapping from regular expressions to lists of texts", "{qkv.weight: [q.weight, k.weight]}"),
    "join": (_several, "a mapping from regular expressions to lists of texts", "{qkv.weight: [q.weight, k.weight]}"),
}
