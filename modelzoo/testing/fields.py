"""What may be written in a test: each key of it, of what it expects, and how that is read."""

from __future__ import annotations

import itertools
import pathlib
from collections.abc import Mapping
from typing import Any

from modelzoo.config.modelfile import KINDS
from modelzoo.errors import Code, Path, TextError, nearest
from modelzoo.measuring.limits import FINDINGS
from modelzoo.testing import readers
from modelzoo.testing.case import OF_CALLS, OPTIONS, Facts, Given, Message, Output, Same, Unchanged
from modelzoo.testing.readers import Read, Reader, Table

ROUND_TRIPS = ("save_load", "deepcopy", "pickle", "source")


def _config(_: Reader, value: Any, key: Path) -> Given:
    match value:
        case list() if all(isinstance(each, str) and each for each in value):
            return tuple(value)
        case dict() if value:
            return _inline(value)
        case str() if value.strip():
            return value
    raise TextError(
        "config is a list of overrides, an inline model or the path of a model file.", "Write config: [model=mlp]."
    )


def _inline(value: dict[str, Any]) -> dict[str, Any]:
    """A model written in place as `{model: ..., init: ..., seed: ...}`."""
    if "model" not in value:
        return {"model": value}
    known = (*KINDS, *OPTIONS)
    for name in value:
        if name not in known:
            raise TextError(f"'{name}' stands beside 'model'.", nearest(str(name), known))
    return value


def _equals(_: Reader, value: Any, key: Path) -> Any:
    """Values, or a fill as it is written in a rule."""
    if readers.is_number(value) or isinstance(value, list) or (isinstance(value, Mapping) and "value" in value):
        return readers.values(_, value, key)
    if not (isinstance(value, str) and value.strip()) and not (isinstance(value, Mapping) and "_target_" in value):
        raise TextError(
            f"equals takes values or a fill, not {value!r}.", "Write equals: 0, [[1, 2]] or xavier_uniform."
        )
    return value


def _options(_: Reader, value: Any, key: Path) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not value:
        raise TextError(f"options are those of an optimiser, not {value!r}.", "Write options: {weight_decay: 0}.")
    return {str(name): each for name, each in value.items()}


def _same(reader: Reader, value: Any, key: Path) -> Same:
    if isinstance(value, Mapping) and "config" in value:
        for name in value.keys() - {"config", "within"}:
            raise TextError(f"same_as has no '{name}'.", nearest(str(name), ("config", "within")))
        within = readers.tolerance(value["within"]) if "within" in value else 0.0
        return Same(given=_config(reader, value["config"], key), within=within)
    return Same(given=_config(reader, value, key))


def _is_output(value: Any) -> bool:
    return isinstance(value, Mapping) or (isinstance(value, list) and bool(value) and all(map(_is_output, value)))


def _output(reader: Reader, value: Any, key: Path) -> Output:
    if isinstance(value, list) and value:
        return [_output(reader, each, key / index) for index, each in enumerate(value)]
    if isinstance(value, Mapping) and value and all(map(_is_output, value.values())):
        inside = [each for each in value.values() if isinstance(each, Mapping) and not each.keys() & _OUTPUT.keys()]
        if not value.keys() & _OUTPUT.keys() or not inside:
            found: dict[str, Output] = {}
            for name, each in value.items():
                with reader.problems.at(key / name):
                    found[str(name)] = _output(reader, each, key / name)
            return found
    return reader.facts(value, key, _OUTPUT, str(key[-1]) if isinstance(key[-1], str) else "output")


def _by_glob(table: Table, what: str, short: str = "") -> Read:
    """Reads `{glob: facts}`; with `short` a text alone is that fact."""

    def read(reader: Reader, value: Any, key: Path) -> dict[str, Facts]:
        if not isinstance(value, Mapping) or not value:
            raise TextError(f"{key[-1]} maps names to what is said about them, not {value!r}.")
        found: dict[str, Facts] = {}
        for name, each in value.items():
            with reader.problems.at(key / name):
                body = {short: each} if short and isinstance(each, str) else each
                found[str(name)] = reader.facts(body, key / name, table, what)
        return found

    return read


def _keys(_: Reader, value: Any, key: Path) -> tuple[str, ...] | pathlib.PurePath:
    return pathlib.PurePath(value) if isinstance(value, str) and value else readers.texts(_, value, key)


def _gradient(_: Reader, value: Any, key: Path) -> tuple[str, ...] | dict[str, bool]:
    if isinstance(value, Mapping) and value and all(isinstance(each, bool) for each in value.values()):
        return {str(name): each for name, each in value.items()}
    if isinstance(value, Mapping):
        raise TextError(
            "gradient maps names to true or false, or lists all that get one.", "Write gradient: {'*': true}."
        )
    return readers.texts(_, value, key)


def _signals(reader: Reader, value: Any, key: Path) -> dict[str, Facts | tuple[str, ...]]:
    if not isinstance(value, Mapping) or not value:
        example = "Write signals: {findings: none}, or signals: {'*': {output_std: {between: [0.5, 2]}}}."
        raise TextError(f"signals maps names of modules to what is said about them, not {value!r}.", example)
    found: dict[str, Facts | tuple[str, ...]] = {}
    for name, each in value.items():
        with reader.problems.at(key / name):
            if name == "findings":
                found[name] = _kinds(reader, each, key / name)
            else:
                found[str(name)] = reader.facts(each, key / name, _SIGNAL, "a signal")
    return found


def _kinds(reader: Reader, value: Any, key: Path) -> tuple[str, ...]:
    if value == "none":
        return ()
    kinds = readers.texts(reader, value, key)
    for each in kinds:
        if each not in FINDINGS:
            raise TextError(f"there is no finding '{each}'.", nearest(each, FINDINGS), code=Code.UNKNOWN)
    return kinds


def _unchanged(reader: Reader, value: Any, key: Path) -> tuple[Unchanged, ...]:
    every = value if isinstance(value, list) else [value]
    table: Table = {"overrides": readers.texts, "tensors": readers.texts}
    found = []
    for index, each in enumerate(every):
        where = key / index if isinstance(value, list) else key
        example = "Write unchanged_by: {overrides: [model.args.classes=5], tensors: ['hidden.*']}."
        if not isinstance(each, Mapping) or not table.keys() <= each.keys():
            raise TextError("unchanged_by says under which overrides which tensors stay as they are.", example)
        fields = reader.mapping(each, where, table, "unchanged_by")
        if fields.keys() == table.keys():
            found.append(Unchanged(**fields, key=where))
    if not every:
        raise TextError("unchanged_by is empty: this asserts nothing.")
    return tuple(found)


def _error(reader: Reader, value: Any, key: Path) -> tuple[Message, ...]:
    every = value if isinstance(value, list) else [value]
    table: Table = {"text": readers.text, "where": readers.text, "path": readers.text}
    found = []
    for index, each in enumerate(every):
        if isinstance(each, Mapping):
            where = key / index if isinstance(value, list) else key
            facts = reader.facts(each, where, table, "error")
            found.append(Message(**{fact.name: fact.value for fact in facts}))
        else:
            found.append(Message(text=readers.text(reader, each, key)))
    if not found:
        raise TextError("error is empty: this asserts nothing.", "Write error: Did you mean 'Linear'?")
    return tuple(found)


def _round_trip(_: Reader, value: Any, key: Path) -> tuple[str, ...]:
    for name in readers.texts(_, value, key):
        if name not in ROUND_TRIPS:
            raise TextError(f"there is no round trip '{name}'.", nearest(name, ROUND_TRIPS), code=Code.UNKNOWN)
    return readers.texts(_, value, key)


def _expect(reader: Reader, value: Any, key: Path) -> Facts:
    return reader.facts(value, key, _EXPECT, "expect")


def _sweep(_: Reader, value: Any, key: Path) -> tuple[tuple[tuple[str, Any], ...], ...]:
    example = "Write sweep: {init: [xavier, normal]}."
    if not isinstance(value, Mapping) or not value:
        raise TextError(f"sweep maps keys to lists of values, not {value!r}.", example)
    for name, values in value.items():
        if not isinstance(values, list) or not values:
            raise TextError(f"'{name}' takes a list of values, not {values!r}.", example)
    names = [str(name) for name in value]
    return tuple(tuple(zip(names, point, strict=True)) for point in itertools.product(*value.values()))


_ANY: Table = {
    "shape": readers.shape,
    "dtype": readers.dtype,
    "finite": readers.flag,
    "range": readers.limits,
    "sum": readers.number,
    "mean": readers.number,
    "std": readers.number,
    "min": readers.number,
    "max": readers.number,
}
_OUTPUT: Table = {**_ANY, "values": readers.values, "same_as": _same}
_TENSOR: Table = {
    **_ANY,
    "equals": _equals,
    "same_as": readers.text,
    "trainable": readers.flag,
    "rule": readers.text,
    "group": readers.text,
    "options": _options,
}
_MODULE: Table = {"type": readers.text, "same_as": readers.text, "absent": readers.flag, "calls": readers.count}
_SIGNAL: Table = dict.fromkeys(OF_CALLS, readers.near)
_EXPECT: Table = {
    "output": _output,
    "parameters": readers.count,
    "buffers": readers.count,
    "trainable": readers.count,
    "bytes": readers.count,
    "tensors": _by_glob(_TENSOR, "a tensor"),
    "modules": _by_glob(_MODULE, "a module", short="type"),
    "keys": _keys,
    "gradient": _gradient,
    "signals": _signals,
    "unchanged_by": _unchanged,
    "error": _error,
    "round_trip": _round_trip,
}
CASE: Table = {
    "config": _config,
    "expect": _expect,
    "sweep": _sweep,
    "marks": readers.texts,
    "skip": readers.reason,
    "xfail": readers.reason,
}
"""The keys of a test."""
