"""A block's own parameters and buffers, and the inputs and args of its signature."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from modelzoo import bounds
from modelzoo.errors import Path
from modelzoo.language import syntax
from modelzoo.names import Kind
from modelzoo.spec.calls import Calls, plain
from modelzoo.spec.keys import Keys, kind_of
from modelzoo.spec.nodes import REQUIRED, TENSOR_KEYS, Formula, Input, OwnTensor, Parameter
from modelzoo.spec.rules import Rules
from modelzoo.spec.visible import Visible


class Tensors:
    """Reads the tensors and the signature of a block."""

    def __init__(self, keys: Keys, calls: Calls, rules: Rules) -> None:
        self.keys, self.problems, self.calls, self.rules = keys, keys.problems, calls, rules

    def args(self, value: Any, key: Path, visible: Visible) -> tuple[Parameter, ...]:
        found: list[Parameter] = []
        self.keys.check_count(visible.values, value, key, bounds.ARGS, "args")
        for name, default, at in self.signature(value, key):
            earlier = replace(visible, values=visible.values | {each.name for each in found})
            self.keys.check_name(name, at, Kind.ARG)
            if isinstance(default, ast.expr):
                default = self.calls.from_tree(default, at, earlier)
            elif default is not REQUIRED:
                default = self.calls.value(default, at, earlier)
            found.append(Parameter(name=name, default=REQUIRED if default == "???" else default, key=at))
        for before, after in itertools.pairwise(found if isinstance(value, (list, tuple)) else ()):
            if before.default is not REQUIRED and after.default is REQUIRED:
                what = f"the arg '{after.name}' has no default but follows one that has"
                self.problems.add(after.key, what, "Put it first.")
        return tuple(found)

    def signature(self, value: Any, key: Path) -> Iterator[tuple[str, Any, Path]]:
        """(name, default, place) of each parameter of a mapping, or of a list of Python parameters."""
        if value is None:
            return
        if isinstance(value, Mapping):
            yield from ((str(name), default, key / name) for name, default in self.keys.whole(value, key).items())
            return
        if not isinstance(value, (list, tuple)):
            self.problems.add(key, f"a signature is a mapping or a list, not {value!r}", "Write [dim, stride=1].")
            return
        for index, text in self.keys.joined(list(value), key, "an arg" if key[-1] == "args" else "an input"):
            with self.problems.at(key / index):
                name, equals, default = str(text).partition("=")
                yield name.strip(), syntax.parse_expression(default) if equals else REQUIRED, key / index

    def inputs(self, value: Any, key: Path, visible: Visible, args: tuple[Parameter, ...]) -> tuple[Input, ...]:
        if value is None:
            return (Input(name="x", key=key),)
        inside = replace(visible, values=visible.values | {each.name for each in args})
        self.keys.check_count((), value, key, bounds.ARGS, "inputs")
        if isinstance(value, (list, tuple)) and value and all(type(each) is int for each in value):
            self.problems.add(key, f"an input has a name, and {list(value)} has none.", f"Write {{x: {list(value)}}}.")
            value = {"x": value}
        found = []
        for name, example, at in self.signature(value, key):
            self.keys.check_name(name, at, Kind.INPUT)
            found.append(self.input(name, example, at, inside))
        late = [b for a, b in itertools.pairwise(found) if a.optional and not b.optional]
        for each in late:
            self.problems.add(
                each.key, f"the input '{each.name}' has no default but follows one that has", "Put it first."
            )
        return tuple(found)

    def input(self, name: str, example: Any, key: Path, visible: Visible) -> Input:
        if example is None or (isinstance(example, ast.Constant) and example.value is None):
            return Input(name=name, optional=True, key=key)
        if example is REQUIRED or example == "???":
            return Input(name=name, key=key)
        if isinstance(example, ast.expr):
            self.problems.add(
                key, f"the default of an input is None, not {ast.unparse(example)}", f"Write {name}=None."
            )
            return Input(name=name, key=key)
        if isinstance(example, Mapping):
            self.keys.check_known(example, TENSOR_KEYS, key, "an input")
            if "shape" not in example:
                self.problems.add(key, "an example needs a shape", f"Write {name}: {{shape: [2, 20]}}.")
                return Input(name=name, key=key)
            fill = (
                self.rules.fill(example["fill"], key / "fill", visible.values)
                if example.get("fill") is not None
                else None
            )
            dtype = self.keys.dtype(example.get("dtype"), key / "dtype")
            return Input(
                name=name, shape=self.shape(example["shape"], key / "shape", visible), dtype=dtype, fill=fill, key=key
            )
        return Input(name=name, shape=self.shape(example, key, visible), key=key)

    def shape(self, value: Any, key: Path, visible: Visible) -> tuple[Any, ...]:
        value = plain(self.calls, value, key, visible) if isinstance(value, str) else value
        if isinstance(value, Formula):
            return (value,)
        if isinstance(value, int) and not isinstance(value, bool):
            return (value,)
        if not isinstance(value, (list, tuple)):
            self.problems.add(key, f"a shape is a list of sizes, not {value!r}", "Write [2, 20].")
            return ()
        return tuple(plain(self.calls, each, key / index, visible) for index, each in enumerate(value))

    def tensors(self, value: Any, key: Path, visible: Visible, *, buffers: bool) -> tuple[OwnTensor, ...]:
        if value is None:
            return ()
        if not isinstance(value, Mapping):
            self.problems.add(
                key, f"{key[-1]} must be a mapping, not {kind_of(value)}", "Write scale: {shape: [8], fill: ones}."
            )
            return ()
        return tuple(self.tensor(str(name), each, key / name, visible, buffers) for name, each in value.items())

    def test(self, value: Mapping[str, Any], key: Path, visible: Visible) -> Any:
        """When a tensor or a tie is there."""
        return True if value.get("_if_") is None else plain(self.calls, value["_if_"], key / "_if_", visible)

    def tensor(self, name: str, value: Any, key: Path, visible: Visible, buffer: bool) -> OwnTensor:
        self.keys.check_name(name, key, Kind.BUFFER if buffer else Kind.PARAMETER)
        known = (*TENSOR_KEYS, "persistent" if buffer else "trainable", "_if_")
        if isinstance(value, Mapping):
            value = self.keys.whole(value, key)
            self.keys.check_known(value, known, key, "a tensor")
        if not isinstance(value, Mapping) or "shape" not in value:
            self.problems.add(key, "a tensor is a shape and a fill", f"Write {name}: {{shape: [8], fill: ones}}.")
            return OwnTensor(name=name, shape=(), key=key)
        flag = "persistent" if buffer else "trainable"
        given = value.get(flag, True)
        formula = not buffer and isinstance(given, str)
        if not formula and not isinstance(given, bool):
            self.problems.add(key / flag, f"{flag} must be true or false, not {given!r}")
        trains = plain(self.calls, given, key / flag, visible) if formula else not buffer and given is not False
        return OwnTensor(
            name=name,
            shape=self.shape(value["shape"], key / "shape", visible),
            fill=self.rules.fill(value["fill"], key / "fill", visible.values)
            if value.get("fill") is not None
            else None,
            dtype=self.keys.dtype(value.get("dtype"), key / "dtype"),
            trainable=trains,
            persistent=value.get("persistent") is not False,
            test=self.test(value, key, visible),
            key=key,
        )
