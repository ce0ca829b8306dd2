"""A file of tests written as configs: read into frozen values, with every mistake in it, and without torch."""

from __future__ import annotations

import itertools
import math
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from modelzoo.config import document as marks
from modelzoo.config import plain
from modelzoo.errors import ConfigError, Path, Problem, Problems, TextError, located, nearest

KEYS = ("config", "expect", "sweep", "marks", "skip", "xfail")
OPTIONS = ("seed", "dtype", "device", "training", "max_steps", "memory", "load")
ROUND_TRIPS = ("save_load", "deepcopy", "pickle", "source")
DTYPES = (
    *("float32", "float64", "float16", "bfloat16", "complex64", "complex128"),
    *("int64", "int32", "int16", "int8", "uint8", "bool"),
)

Given = tuple[str, ...] | dict[str, Any] | str
"""What is to be built: overrides of the project's configs, an inline model, or the path of a model file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """A number, or nested lists of them, and how far from it a value may be.

    Attributes:
        within: the largest difference; None allows for rounding: 1e-5, and 1e-5 of the number.
    """

    value: Any
    within: float | None = None

    def __str__(self) -> str:
        return f"{self.value}" + (f" within {self.within:g}" if self.within is not None else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One statement about one thing, as in `shape: [2, 10]`."""

    name: str
    value: Any
    key: Path


Facts = tuple[Fact, ...]
Output = Facts | list["Output"] | dict[str, "Output"]  # of a tensor, of a tuple, of a dict


@dataclass(frozen=True, slots=True, kw_only=True)
class Same:
    """Another model that gives the same output with the same weights."""

    given: Given
    within: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchanged:
    """Overrides under which the tensors that match the globs stay bit-identical."""

    overrides: tuple[str, ...]
    tensors: tuple[str, ...]
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A problem that has to be reported.

    Attributes:
        text: what its rendered form has to contain; "" is anything.
        where: its place: `file`, `file:line`, `file:line:column` or `command line`; "" is anywhere.
        path: its config key or override; "" is any.
    """

    text: str = ""
    where: str = ""
    path: str = ""

    def __str__(self) -> str:
        parts = [f"'{self.text}'"] if self.text else []
        parts += [f"at {self.where}"] if self.where else []
        parts += [f"for {self.path}"] if self.path else []
        return " ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One test: a config, and what is expected of it.

    Attributes:
        name: its key in the file, and in brackets the point of its sweep.
        key: its key in the file.
        given, point: what is to be built, and what the sweep sets in it.
        expect: the statements, in their written order.
        marks, skip, xfail: for pytest; the reasons are empty where the test is to run.
        problems: what is wrong with the test itself; it fails with them.
    """

    name: str
    key: Path
    given: Given = ()
    point: tuple[tuple[str, Any], ...] = ()
    expect: Facts = ()
    marks: tuple[str, ...] = ()
    skip: str = ""
    xfail: str = ""
    problems: tuple[Problem, ...] = ()


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
        if {"config", "expect"} <= names and (project or names <= set(KEYS)):
            return document
        if project and {"config", "expect"} <= {_meant(name) for name in names} <= set(KEYS):
            return document
    return None


def _meant(name: str) -> str:
    """The key that a name is, or is a misspelling of."""
    guess = re.match("Did you mean '(.*)'", nearest(name, KEYS))
    return guess[1] if guess and name not in KEYS else name


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
        fields = reader.mapping(body, key, _CASE, f"'{name}'")
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


def override_value(value: Any) -> str:
    """A value as Hydra reads it in an override.

    >>> override_value({"a": [1, True, None, "ReLU", "Linear(4, 2)"]})
    "{a:[1,true,null,ReLU,'Linear(4, 2)']}"
    """
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case list():
            return "[" + ",".join(map(override_value, value)) + "]"
        case dict():
            return "{" + ",".join(f"{name}:{override_value(each)}" for name, each in value.items()) + "}"
        case str() if not re.fullmatch(r"[A-Za-z_][\w./-]*", value) or value.lower() in ("true", "false", "null"):
            return "'" + value.replace("'", r"\'") + "'"
    return str(value)


# -- what may be written ----------------------------------------------------------------------------------------------


class Reader:
    """Reads mappings by tables of readers, and collects what is wrong with them."""

    def __init__(self) -> None:
        self.problems = Problems()

    def mapping(self, value: Mapping[Any, Any], key: Path, table: _Table, what: str) -> dict[str, Any]:
        """The entries of a mapping that can be read; the others are problems."""
        found: dict[str, Any] = {}
        for name, each in value.items():
            if name not in table:
                self.problems.add(key / name, f"{what} has no '{name}'.", nearest(str(name), table))
                continue
            with self.problems.at(key / name):
                found[str(name)] = table[str(name)](self, each, key / name)
        return found

    def facts(self, value: Any, key: Path, table: _Table, what: str) -> Facts:
        """One fact for each entry of a mapping that is not empty."""
        example = f"Known: {', '.join(table)}."
        if not isinstance(value, Mapping):
            raise TextError(f"{what} takes a mapping, not {value!r}.", example)
        if not value:
            raise TextError(f"{what} is empty: this asserts nothing.", example)
        found = self.mapping(value, key, table, what)
        return tuple(Fact(name=name, value=each, key=key / name) for name, each in found.items())


_Read = Callable[[Reader, Any, Path], Any]
_Table = Mapping[str, _Read]


def _flag(_: Reader, value: Any, key: Path) -> bool:
    if not isinstance(value, bool):
        raise TextError(f"{key[-1]} is true or false, not {value!r}.")
    return value


def _count(_: Reader, value: Any, key: Path) -> int:
    if type(value) is not int or value < 0:
        raise TextError(f"{key[-1]} is a number of 0 or more, not {value!r}.")
    return value


def _text(_: Reader, value: Any, key: Path) -> str:
    if not isinstance(value, (str, int)) or isinstance(value, bool) or str(value).strip() == "":
        raise TextError(f"{key[-1]} is a text, not {value!r}.")
    return str(value)


def _reason(_: Reader, value: Any, key: Path) -> str:
    if not isinstance(value, str) or not value.strip():
        raise TextError(f"{key[-1]} takes its reason, not {value!r}.", f"Write {key[-1]}: why.")
    return value


def _shape(_: Reader, value: Any, key: Path) -> tuple[int, ...]:
    if not isinstance(value, list) or any(type(each) is not int or each < 0 for each in value):
        raise TextError(f"shape is a list of sizes, not {value!r}.", "Write shape: [2, 10].")
    return tuple(value)


def _dtype(_: Reader, value: Any, key: Path) -> str:
    if value not in DTYPES:
        raise TextError(f"there is no dtype {value!r}.", nearest(str(value), DTYPES))
    return str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)


def _within(value: Any) -> float:
    if not _is_number(value) or value < 0:
        raise TextError(f"within is a number of 0 or more, not {value!r}.", "Write within: 0.01.")
    return float(value)


def _close(value: Any, what: str, accepted: Callable[[Any], bool], example: str) -> Close:
    within = None
    if isinstance(value, Mapping):
        unknown = [str(name) for name in value if name not in ("value", "within")]
        if unknown or "value" not in value:
            hint = nearest(unknown[0], ("value", "within")) if unknown else ""
            raise TextError(f"{what} has " + (f"no '{unknown[0]}'." if unknown else "no value."), hint or example)
        within = _within(value["within"]) if "within" in value else None
        value = value["value"]
    if not accepted(value):
        raise TextError(f"{what} cannot be {value!r}.", example)
    return Close(value=value, within=within)


def _number(_: Reader, value: Any, key: Path) -> Close:
    return _close(value, str(key[-1]), _is_number, f"Write {key[-1]}: {{value: 0.35, within: 0.01}}.")


def _are_numbers(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(map(_are_numbers, value))
    return isinstance(value, bool) or _is_number(value)


def _values(_: Reader, value: Any, key: Path) -> Close:
    return _close(value, "values", _are_numbers, "Write values: [[1, 2]] or values: {value: [[1, 2]], within: 0.01}.")


def _equals(_: Reader, value: Any, key: Path) -> Any:
    """Values, or a fill as it is written in a rule."""
    if _is_number(value) or isinstance(value, list) or (isinstance(value, Mapping) and "value" in value):
        return _values(_, value, key)
    if not (isinstance(value, str) and value.strip()) and not (isinstance(value, Mapping) and "_target_" in value):
        raise TextError(
            f"equals takes values or a fill, not {value!r}.", "Write equals: 0, [[1, 2]] or xavier_uniform."
        )
    return value


def _range(_: Reader, value: Any, key: Path) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2 or not all(map(_is_number, value)) or value[0] > value[1]:
        raise TextError(f"range is the lowest and the highest value, not {value!r}.", "Write range: [-1, 1].")
    return value[0], value[1]


def _texts(_: Reader, value: Any, key: Path) -> tuple[str, ...]:
    every = [value] if isinstance(value, str) else value
    if not isinstance(every, list) or not all(isinstance(each, str) and each.strip() for each in every):
        raise TextError(f"{key[-1]} is a list of texts, not {value!r}.")
    if not every:
        raise TextError(f"{key[-1]} is empty: this says nothing.")
    return tuple(every)


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
    known = ("model", "init", *OPTIONS)
    for name in value:
        if name not in known:
            raise TextError(f"'{name}' stands beside 'model'.", nearest(str(name), known))
    return value


def _same(reader: Reader, value: Any, key: Path) -> Same:
    if isinstance(value, Mapping) and "config" in value:
        for name in value.keys() - {"config", "within"}:
            raise TextError(f"same_as has no '{name}'.", nearest(str(name), ("config", "within")))
        within = _within(value["within"]) if "within" in value else 0.0
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


def _by_glob(table: _Table, what: str, short: str = "") -> _Read:
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
    return pathlib.PurePath(value) if isinstance(value, str) and value else _texts(_, value, key)


def _gradient(_: Reader, value: Any, key: Path) -> tuple[str, ...] | dict[str, bool]:
    if isinstance(value, Mapping) and value and all(isinstance(each, bool) for each in value.values()):
        return {str(name): each for name, each in value.items()}
    if isinstance(value, Mapping):
        raise TextError(
            "gradient maps names to true or false, or lists all that get one.", "Write gradient: {'*': true}."
        )
    return _texts(_, value, key)


def _unchanged(reader: Reader, value: Any, key: Path) -> tuple[Unchanged, ...]:
    every = value if isinstance(value, list) else [value]
    table: _Table = {"overrides": _texts, "tensors": _texts}
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
    table: _Table = {"text": _text, "where": _text, "path": _text}
    found = []
    for index, each in enumerate(every):
        if isinstance(each, Mapping):
            where = key / index if isinstance(value, list) else key
            facts = reader.facts(each, where, table, "error")
            found.append(Message(**{fact.name: fact.value for fact in facts}))
        else:
            found.append(Message(text=_text(reader, each, key)))
    if not found:
        raise TextError("error is empty: this asserts nothing.", "Write error: Did you mean 'Linear'?")
    return tuple(found)


def _round_trip(_: Reader, value: Any, key: Path) -> tuple[str, ...]:
    for name in _texts(_, value, key):
        if name not in ROUND_TRIPS:
            raise TextError(f"there is no round trip '{name}'.", nearest(name, ROUND_TRIPS))
    return _texts(_, value, key)


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


_ANY: _Table = {
    "shape": _shape,
    "dtype": _dtype,
    "finite": _flag,
    "range": _range,
    "sum": _number,
    "mean": _number,
    "std": _number,
    "min": _number,
    "max": _number,
}
_OUTPUT: _Table = {**_ANY, "values": _values, "same_as": _same}
_TENSOR: _Table = {**_ANY, "equals": _equals, "same_as": _text, "trainable": _flag, "rule": _text}
_MODULE: _Table = {"type": _text, "same_as": _text, "absent": _flag, "calls": _count}
_EXPECT: _Table = {
    "output": _output,
    "parameters": _count,
    "buffers": _count,
    "trainable": _count,
    "bytes": _count,
    "tensors": _by_glob(_TENSOR, "a tensor"),
    "modules": _by_glob(_MODULE, "a module", short="type"),
    "keys": _keys,
    "gradient": _gradient,
    "unchanged_by": _unchanged,
    "error": _error,
    "round_trip": _round_trip,
}
_CASE: _Table = {
    "config": _config,
    "expect": _expect,
    "sweep": _sweep,
    "marks": _texts,
    "skip": _reason,
    "xfail": _reason,
}
