"""Checks what a test written as a config expects of a model; everything that is not so is a problem with its place."""

from __future__ import annotations

import copy
import dataclasses
import fnmatch
import pathlib
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
import yaml
from torch import Tensor

from modelzoo.config import modelfile
from modelzoo.config.config import Config, from_mapping
from modelzoo.config.document import Document
from modelzoo.errors import ConfigError, Path, Problem, fail, located, nearest, render
from modelzoo.plans.statistics import describe
from modelzoo.run import compare, gradients
from modelzoo.testing import trials
from modelzoo.testing.cases import OPTIONS, Case, Close, Fact, Given, Message, Output, Same, Unchanged, override_value
from modelzoo.testing.trials import Built, build, forward


def check(case: Case, document: Document, folder: pathlib.Path) -> None:
    """Builds what a test describes, in the current directory as its project, and looks at all that it expects.

    Args:
        case: the test.
        document: the file where it stands.
        folder: where that file lies; model files and lists of keys are relative to it.

    Raises:
        ConfigError: everything that is not as expected, or what is wrong with the test or its config.
    """
    if case.problems:
        raise ConfigError(case.problems)
    Checker(case, document, folder).check()


def command(case: Case, folder: pathlib.Path) -> str:
    """The command that shows the model of a test; empty where there is none, as for an inline model.

    Args:
        case: the test.
        folder: where its file lies; the command is for the current directory.
    """
    if isinstance(case.given, tuple):
        program = ["python", "run.py"] if pathlib.Path("run.py").is_file() else ["modelzoo"]
        return shlex.join([*program, *_overrides(case.given, case.point)])
    if isinstance(case.given, str) and all(key in OPTIONS for key, _ in case.point):
        file = _near(folder / case.given)
        return shlex.join(["python", "-m", "modelzoo", "run", str(file), *_overrides((), case.point)])
    return ""


def _near(path: pathlib.Path) -> pathlib.Path:
    """A path as it is typed in the current directory."""
    cwd = pathlib.Path.cwd()
    return path.relative_to(cwd) if path.is_relative_to(cwd) else path


def _overrides(given: tuple[str, ...], point: Iterable[tuple[str, Any]]) -> list[str]:
    return [*given, *(f"{key}={override_value(value)}" for key, value in point)]


class Checker:
    """Checks one test and collects all that is not as expected."""

    def __init__(self, case: Case, document: Document, folder: pathlib.Path) -> None:
        self.case, self.document, self.folder = case, document, folder
        self.found: list[Problem] = []

    def check(self) -> None:
        """Raises everything that was found."""
        if any(fact.name == "error" for fact in self.case.expect):
            self.error(self.case.expect[0])
        else:
            built = build(self.open(self.case.given, self.case.point))
            for name, look in _LOOKS.items():
                for fact in self.case.expect:
                    if fact.name == name:
                        look(self, built, fact)
        if self.found:
            raise ConfigError(self.found)

    def add(self, key: Path, expected: str, found: str, about: str = "") -> None:
        """One thing that is not as expected."""
        gap = "\n" if "\n" in found else " "
        end = "" if gap == "\n" or found.endswith("?") else "."
        what = f"Expected {expected}, found{':' * (gap != ' ')}{gap}{found}{end}"
        what += f"\n{about}" if about else ""
        self.found.append(Problem(where=self.document.place(key), path=str(key), what=what, key=key))

    # -- what is built --

    def open(self, given: Given, point: Iterable[tuple[str, Any]] = (), key: Path | None = None) -> Config:
        """What is to be built, as plain data with places."""
        if isinstance(given, tuple):
            from modelzoo.config import compose

            return compose.compose(_overrides(given, point))
        written = key or self.case.key / "config"
        if isinstance(given, str):
            return self._file(given, list(point), written)
        with located(self._sweep):
            data = _changed(given, point)

        def locate(at: Path, line: int = 0, column: int = 0) -> tuple[str, str]:
            inside = Path((*written, *at))
            bare = self.document.find(written / "model")
            if bare is None or bare.depth == len(written):
                inside = Path((*written, *at[1:]))
            return self.document.place(inside, line, column), str(at)

        return _config(data, locate)

    def _file(self, given: str, point: list[tuple[str, Any]], written: Path) -> Config:
        path = self.folder / given
        if not path.is_file():
            what = f"There is no file '{given}' beside the test."
            raise ConfigError([Problem(where=self.document.place(written), path=str(written), what=what)])
        opened = modelfile.load(_near(path))
        with located(self._sweep):
            data = _changed(opened, point)
        return _config(data, opened.locate)

    def _sweep(self, key: Path, line: int = 0, column: int = 0) -> tuple[str, str]:
        return self.document.place(Path((*self.case.key, "sweep", *key))), str(key)

    # -- counts and names --

    def count(self, built: Built, fact: Fact) -> None:
        """`parameters`, `trainable`, `buffers`, `bytes`: each tensor once."""
        parameters: list[Tensor] = list(built.model.parameters())
        held: list[Tensor] = list(built.model.buffers())
        chosen: list[Tensor] = {
            "parameters": parameters,
            "trainable": [each for each in parameters if each.requires_grad],
            "buffers": held,
            "bytes": [*parameters, *held],
        }[fact.name]
        size = sum(each.numel() * (each.element_size() if fact.name == "bytes" else 1) for each in chosen)
        if size == fact.value:
            return
        unit = {"trainable": "trainable parameters", "buffers": "elements in buffers"}.get(fact.name, fact.name)
        firsts = {id(each): name for name, each in reversed(built.names.items())}
        about = ", ".join(f"{firsts[id(each)]} {list(each.shape)}" for each in chosen[:8]) + ", ..." * (len(chosen) > 8)
        self.add(fact.key, f"{fact.value:,} {unit}", f"{size:,}", f"They are {about}." if about else "")

    def keys(self, built: Built, fact: Fact) -> None:
        """`keys`: those of the state dict, in their order."""
        expected = fact.value
        if isinstance(expected, pathlib.PurePath):
            file = self.folder / expected
            if not file.is_file():
                self.add(fact.key, f"a file '{expected}' beside the test", "none")
                return
            expected = [line.strip() for line in file.read_text("utf-8").splitlines() if line.strip()]
        found = list(built.model.state_dict())
        if list(expected) == found:
            return
        missing = [each for each in expected if each not in found]
        extra = [each for each in found if each not in expected]
        parts = [f"without {', '.join(missing)}"] if missing else []
        parts += [f"with {', '.join(extra)} besides"] if extra else []
        difference = "; ".join(parts) or f"in another order: {', '.join(found)}"
        self.add(fact.key, f"the {len(expected)} keys that are listed", f"{len(found)}: {difference}")

    def matching(self, key: Path, what: str, pattern: str, named: Mapping[str, object]) -> list[str]:
        """The names that a glob selects, one for each thing; none is a problem."""
        chosen = [name for name in named if fnmatch.fnmatchcase(name, pattern)]
        if not chosen:
            self.add(key, f"a {what} '{pattern}'", f"none. {nearest(pattern, named)}".rstrip(". "))
        return list({id(named[name]): name for name in reversed(chosen)}.values())[::-1]

    # -- tensors --

    def tensors(self, built: Built, fact: Fact) -> None:
        """`tensors`: by glob."""
        for pattern, facts in fact.value.items():
            for name in self.matching(fact.key / pattern, "tensor", pattern, built.names):
                for each in facts:
                    self.tensor(built, name, each)

    def tensor(self, built: Built, name: str, fact: Fact) -> None:
        """One statement about one tensor of a model."""
        tensor, about = built.names[name], built.describe(name)
        match fact.name:
            case "same_as":
                if self.matching(fact.key, "tensor", fact.value, built.names):
                    self.same(fact, tensor, built.names[fact.value], "tensor", about)
            case "equals" if not isinstance(fact.value, Close):
                self.drawn(built, name, fact)
            case "trainable" if tensor.requires_grad is not fact.value:
                kinds = ("one that is not trained", "a trainable tensor")
                self.add(fact.key, kinds[fact.value], kinds[not fact.value], about)
            case "rule" if built.facts[name].rule != fact.value:
                self.add(fact.key, f"that {fact.value} fills it", built.facts[name].rule, about)
            case "trainable" | "rule":
                pass
            case _:
                self.value(tensor, fact, about)

    def drawn(self, built: Built, name: str, fact: Fact) -> None:
        """Whether a tensor holds what a fill gives it."""
        about = built.describe(name)
        try:
            wanted = trials.drawn(built, name, fact.value)
        except ConfigError as error:
            self.add(fact.key, f"what the fill {fact.value} gives", render(error.problems), about)
            return
        if not compare.identical(built.names[name], wanted):
            self.add(
                fact.key, f"what the fill {fact.value} gives", compare.difference(built.names[name], wanted), about
            )

    def same(self, fact: Fact, one: object, other: object, what: str, about: str = "") -> None:
        """Whether two names are one object."""
        if one is not other:
            alike = isinstance(one, Tensor) and isinstance(other, Tensor) and compare.identical(one, other)
            found = f"two {what}s" + (" with equal values" if alike else "")
            self.add(fact.key, f"the same {what} as {fact.value}", found, about)

    def value(self, tensor: Tensor, fact: Fact, about: str = "") -> None:
        """One statement about the shape, the dtype or the values of a tensor."""
        wanted, statistics = fact.value, None
        if fact.name in ("mean", "std", "min", "max", "finite", "range"):
            statistics = describe(tensor)
        if statistics is None and fact.name not in ("shape", "dtype") and (tensor.is_meta or not tensor.numel()):
            self.add(fact.key, f"{fact.name} {compare.shown(wanted)}", "a tensor without values", about)
            return
        match fact.name:
            case "shape" if tuple(tensor.shape) != wanted:
                self.add(fact.key, f"shape {list(wanted)}", f"{list(tensor.shape)}", about)
            case "dtype" if compare.dtype(tensor) != wanted:
                self.add(fact.key, f"dtype {wanted}", compare.dtype(tensor), about)
            case "finite" if statistics and statistics.finite is not wanted:
                found = "finite ones" if statistics.finite else f"{compare.not_finite(tensor)} that are not"
                self.add(fact.key, "finite values" if wanted else "values that are not finite", found, about)
            case "range" if statistics and not (wanted[0] <= statistics.min and statistics.max <= wanted[1]):
                found = f"{statistics.min:.6g} to {statistics.max:.6g}"
                self.add(fact.key, f"values from {wanted[0]:g} to {wanted[1]:g}", found, about)
            case "mean" | "std" | "min" | "max":
                self.number(getattr(statistics, fact.name), fact, about)
            case "sum":
                self.number(tensor.detach().double().sum().item(), fact, about)
            case "values" | "equals":
                self.values(tensor, fact, about)

    def number(self, found: float, fact: Fact, about: str) -> None:
        """Whether a number is close enough to the expected one."""
        if not compare.is_close(found, fact.value.value, fact.value.within):
            self.add(fact.key, f"{fact.name} {fact.value}", f"{found:.6g}", about)

    def values(self, tensor: Tensor, fact: Fact, about: str) -> None:
        """Whether all values are close enough; one number stands for all of them."""
        try:
            wanted = torch.tensor(fact.value.value, dtype=torch.float64)
        except ValueError:
            self.add(fact.key, "a tensor", "lists of different lengths in the test")
            return
        if isinstance(fact.value.value, (int, float)):
            wanted = wanted.expand(tensor.shape)
        if wanted.shape != tensor.shape:
            self.add(fact.key, f"values of shape {list(wanted.shape)}", f"shape {list(tensor.shape)}", about)
            return
        found = tensor.detach().cpu().double()
        within = fact.value.within
        limit = 1e-5 + 1e-5 * wanted.abs() if within is None else torch.full_like(wanted, within)
        apart = ~((found == wanted) | ((found - wanted).abs() <= limit))
        if apart.any():
            allowed = "" if within is None else f" within {within:g}"
            self.add(fact.key, f"the values that are listed{allowed}", compare.first_apart(found, wanted, apart), about)

    # -- modules --

    def modules(self, built: Built, fact: Fact) -> None:
        """`modules`: by path or glob; "" is the model."""
        named = dict(built.model.named_modules(remove_duplicate=False))
        planned = {name: each for each in built.draft.plan.modules for name in (each.name, *each.aliases)}
        for pattern, facts in fact.value.items():
            said = {each.name: each.value for each in facts}
            if said.get("absent"):
                for name in (name for name in named if fnmatch.fnmatchcase(name, pattern)):
                    self.add(fact.key / pattern, f"no module '{pattern}'", f"{name}, {planned[name].type}")
                continue
            for name in self.matching(fact.key / pattern, "module", pattern, named):
                about = f"Module {name or 'of the root'}: {planned[name].call or planned[name].type}."
                for each in facts:
                    if each.name == "same_as" and self.matching(each.key, "module", each.value, named):
                        self.same(each, named[name], named.get(each.value), "module", about)
                    if each.name == "type" and each.value not in (planned[name].type, type(named[name]).__name__):
                        self.add(each.key, f"the type {each.value}", planned[name].type, about)
                    if each.name == "calls" and each.value != planned[name].calls:
                        self.add(each.key, f"{each.value} calls", str(planned[name].calls), about)

    # -- outputs --

    def output(self, built: Built, fact: Fact) -> None:
        """`output`: of the forward pass on the example inputs."""
        self.nested(built, forward(built), fact.value, fact.key)

    def nested(self, built: Built, output: Any, wanted: Output, key: Path) -> None:
        """A tensor, or a tuple or dict of outputs."""
        if isinstance(wanted, tuple):
            for fact in wanted:
                if isinstance(fact.value, Same):
                    self.same_output(built, fact, output)
                elif isinstance(output, Tensor):
                    self.value(output, fact)
                elif isinstance(output, (bool, int, float)):
                    self.value(torch.tensor(output), fact)
                else:
                    self.add(fact.key, "a tensor", compare.kind(output))
        elif isinstance(wanted, dict):
            if not isinstance(output, Mapping):
                self.add(key, "a dict", compare.kind(output))
                return
            for name, each in wanted.items():
                if name in output:
                    self.nested(built, output[name], each, key / name)
                else:
                    self.add(key / name, f"an output '{name}'", ", ".join(map(str, output)) or "an empty dict")
        elif not isinstance(output, (tuple, list)) or len(output) != len(wanted):
            self.add(key, f"{len(wanted)} outputs", compare.kind(output))
        else:
            for index, each in enumerate(wanted):
                self.nested(built, output[index], each, key / index)

    def same_output(self, built: Built, fact: Fact, output: Any) -> None:
        """Whether another config gives the same output with the same weights."""
        wanted: Same = fact.value
        key = fact.key
        written = self.document.find(key / "config")
        other = build(self.open(wanted.given, key=key / "config" if written and written.depth > len(key) else key))
        problem = trials.copy_weights(built.model, other.model)
        if problem:
            self.add(key, "a model that can take the same weights", problem)
            return
        other.inputs = dict(zip(other.inputs or built.inputs, built.inputs.values(), strict=False))
        theirs = forward(other)
        mine, others = list(gradients.tensors(output)), list(gradients.tensors(theirs))
        if len(mine) != len(others):
            self.add(key, "the same output", f"{compare.kind(output)} and {compare.kind(theirs)}")
        for one, two in zip(mine, others, strict=False):
            apart = None
            if one.shape != two.shape or one.dtype != two.dtype:
                apart = f"{compare.dtype(one)} {list(one.shape)} and {compare.dtype(two)} {list(two.shape)}"
            elif not compare.identical(one, two) and not compare.all_close(one, two, wanted.within):
                apart = compare.difference(one, two)
            if apart:
                self.add(key, f"the same output{f' within {wanted.within:g}' * (wanted.within > 0)}", apart)

    # -- what happens to a model --

    def gradient(self, built: Built, fact: Fact) -> None:
        """`gradient`: which tensors receive one when the sum of the outputs is differentiated."""
        trials.backward(built)
        firsts = {id(each): name for name, each in reversed(built.names.items())}
        received = {firsts[id(each)] for each in built.names.values() if each.grad is not None}
        built.model.zero_grad(set_to_none=True)
        patterns = fact.value if isinstance(fact.value, dict) else dict.fromkeys(fact.value, True)
        wanted = dict.fromkeys(firsts.values(), False) if isinstance(fact.value, tuple) else {}
        for pattern, receives in patterns.items():
            for name in self.matching(fact.key / pattern, "tensor", pattern, built.names):
                wanted[firsts[id(built.names[name])]] = receives
        for name, receives in wanted.items():
            if (name in received) is not receives:
                expected, found = ("a", "none") if receives else ("no", "one")
                self.add(fact.key, f"{expected} gradient for {name}", found, built.describe(name))

    def unchanged(self, built: Built, fact: Fact) -> None:
        """`unchanged_by`: overrides that leave tensors bit-identical."""
        every: tuple[Unchanged, ...] = fact.value
        for each in every:
            other = build(self.changed(each))
            shown = " ".join(each.overrides)
            for pattern in each.tensors:
                for name in self.matching(each.key / "tensors", "tensor", pattern, built.names):
                    if name not in other.names:
                        self.add(each.key, f"{name} unchanged by {shown}", "no such tensor", built.describe(name))
                    elif not compare.identical(built.names[name], other.names[name]):
                        found = compare.difference(other.names[name], built.names[name])
                        self.add(each.key, f"{name} unchanged by {shown}", found, built.describe(name))

    def changed(self, unchanged: Unchanged) -> Config:
        """The config of the test with other overrides on top."""
        if isinstance(self.case.given, tuple):
            return self.open((*_overrides(self.case.given, self.case.point), *unchanged.overrides))
        pairs = list(self.case.point)
        for override in unchanged.overrides:
            key, equals, value = override.partition("=")
            if not equals:
                fail(unchanged.key / "overrides", f"'{override}' sets nothing.", "Write key=value.")
            pairs.append((key, yaml.safe_load(value)))
        return self.open(self.case.given, pairs)

    def round_trip(self, built: Built, fact: Fact) -> None:
        """`round_trip`: what comes back has the same values, the same shared tensors and gives the same output."""
        for name in fact.value:
            try:
                back = trials.ROUND_TRIPS[name](built)
            except ConfigError as error:
                self.add(fact.key, f"that {name} brings the model back", f"{render(error.problems)}")
                continue
            except Exception as error:
                self.add(fact.key, f"that {name} brings the model back", f"{type(error).__name__}: {error}".rstrip("."))
                continue
            difference = trials.changed_by_trip(built, back)
            if difference:
                self.add(fact.key, f"that {name} brings the same model back", difference)

    # -- errors --

    def error(self, fact: Fact) -> None:
        """`error`: composing, building or running the model has to report it."""
        messages: tuple[Message, ...] = fact.value
        try:
            built = build(self.open(self.case.given, self.case.point))
            if built.inputs:
                forward(built)
        except ConfigError as error:
            for message in messages:
                if not any(_reports(problem, message) for problem in error.problems):
                    self.add(fact.key, f"the error {message}", render(error.problems, None))
            return
        for message in messages:
            self.add(fact.key, f"the error {message}", "none: the model builds and runs")


_LOOKS: dict[str, Callable[[Checker, Built, Fact], None]] = {
    "parameters": Checker.count,
    "trainable": Checker.count,
    "buffers": Checker.count,
    "bytes": Checker.count,
    "keys": Checker.keys,
    "modules": Checker.modules,
    "tensors": Checker.tensors,
    "round_trip": Checker.round_trip,
    "unchanged_by": Checker.unchanged,
    "output": Checker.output,
    "gradient": Checker.gradient,
}
"""In this order: a forward pass in training mode moves the statistics of a BatchNorm."""


# -- configs ----------------------------------------------------------------------------------------------------------


def _config(data: dict[str, Any], locate: Any) -> Config:
    with located(locate):
        config = from_mapping({name: data[name] for name in ("model", "init") if name in data})
    options = {name: data[name] for name in OPTIONS if name in data}
    return dataclasses.replace(config, options=options, locate=locate)


def _changed(data: Mapping[str, Any], point: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Plain data with values set by dotted key, from the model or from the whole; a `+` adds what is not there."""
    changed: dict[str, Any] = copy.deepcopy(dict(data))
    for key, value in point:
        whole = key.lstrip("+").partition(".")[0] in ("model", "init", *OPTIONS)
        path = key.lstrip("+") if whole else f"model.{key.lstrip('+')}"
        *parents, last = path.split(".")
        at: Any = changed
        for index, part in enumerate(parents):
            at = _below(at, part, ".".join(parents[: index + 1]))
        name = _name_in(at, last)
        if name is None and (len(parents) or last not in OPTIONS) and not key.startswith("+"):
            fail(Path((key,)), f"There is no '{key}' in the model.", f"To add it, write +{key}.")
        at[last if name is None else name] = value
    return changed


def _below(data: Any, part: str, key: str) -> Any:
    name = _name_in(data, part)
    if name is None or not isinstance(data[name], (dict, list)):
        fail(Path((key,)), f"There is no mapping or list '{key}' in the model.")
    return data[name]


def _name_in(data: Any, part: str) -> Any:
    names = range(len(data)) if isinstance(data, list) else data
    return next((name for name in names if str(name) == part), None)


# -- messages ---------------------------------------------------------------------------------------------------------


def _reports(problem: Problem, message: Message) -> bool:
    at = re.sub(r"^\./", "", problem.where)
    placed = not message.where or at == message.where or at.startswith(f"{message.where}:")
    return placed and message.text.strip() in str(problem) and message.path in ("", problem.path)
