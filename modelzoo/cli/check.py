"""`python -m modelzoo check`: plans configs and model files without values, and says everything that is wrong."""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from modelzoo import late
from modelzoo.cli import sandbox
from modelzoo.cli.checked import SENT, Checked
from modelzoo.cli.hidden import hiding
from modelzoo.cli.run_file import reported
from modelzoo.cli.typed import Typed, read_typed
from modelzoo.config import modelfile
from modelzoo.config.unused import unused
from modelzoo.errors import Code, ConfigError, Problem, Problems, located, nearest, render
from modelzoo.escapes import json_text
from modelzoo.plans import budget
from modelzoo.plans.options import Options
from modelzoo.terminal import say

if TYPE_CHECKING:
    from modelzoo.config.config import Config
    from modelzoo.plans import draft
    from modelzoo.plans.plan import Plan

_MEANT_FOR_OTHERS = (Code.NO_TENSOR, Code.NO_VALUE)


def command(arguments: list[str]) -> int:
    """Checks configs and prints one line for each; returns 1 if one of them has a problem.

    Args:
        arguments: files, folders of them, `-` for the standard input, names of configs in the group `model`, and
            overrides as `python run.py` takes them. Without a file or a name every config of the group is checked,
            with every init of the group that applies to it.

    Raises:
        ConfigError: a name or an override that does not exist.
    """
    parser = argparse.ArgumentParser(prog="python -m modelzoo check", description=__doc__)
    parser.add_argument(
        "what",
        nargs="*",
        help="files, folders, - for standard input, names of configs, and overrides; default: every config",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text")
    given = parser.parse_args(arguments)
    overrides = [each for each in given.what if modelfile.is_override(each)]
    targets = [each for each in given.what if each not in overrides]
    limit = _limit(read_typed(each for each in overrides if each.startswith("problems=")))
    overrides = [each for each in overrides if not each.startswith("problems=")]
    found: list[Checked] = []
    for each in _checked(targets, overrides):
        found.append(each)
        if given.format == "text":
            say(each.line(width=40), flush=True)
    if given.format == "json":
        say(json_text([each.json() for each in found]))
    else:
        _explain(found, limit)
    return int(any(each.problems for each in found))


def _limit(typed: Typed) -> int | None:
    """How many problems of each config are told in full."""
    from modelzoo.config.config import nowhere

    chosen = Options.of(typed.options)
    with located(typed.locate(nowhere)):
        if chosen.wrong:
            raise ConfigError(chosen.wrong)
    return chosen.in_full


def _explain(found: list[Checked], limit: int | None) -> None:
    """Warnings and notes, and problems in full: each once, with the configs that they are about."""
    said: dict[str, list[str]] = {}
    wrong: dict[str, list[str]] = {}
    for each in found:
        for text in (*(f"warning: {warning}" for warning in each.warnings), *(f"note: {note}" for note in each.notes)):
            said.setdefault(text, []).append(each.config)
        if each.problems:
            wrong.setdefault(render(each.problems, limit), []).append(each.config)
    for text, configs in said.items():
        say(f"{text}\n  ({_first(configs)})")
    sys.stdout.flush()
    for text, configs in wrong.items():
        say(f"\n{_first(configs)}\n{text}", sys.stderr)


def _first(configs: list[str]) -> str:
    more = f" and {len(configs) - 1} more" if configs[1:] else ""
    return f"{configs[0]}{more}"


def _checked(targets: list[str], overrides: list[str]) -> Iterator[Checked]:
    folders = [each for each in targets if pathlib.Path(each).is_dir()]
    files = [each for each in targets if modelfile.is_file(each) and each not in folders]
    names = [each for each in targets if each not in (*files, *folders)]
    for file in files:
        yield check_file(file, overrides)
    for folder in folders:
        yield from check_folder(folder, overrides)
    if names or not targets:
        yield from check_names(names, overrides)


# --- files from elsewhere ------------------------------------------------------------------------------------------


def check_file(file: str, overrides: Iterable[str] = ()) -> Checked:
    """Plans a model file in a child process with limits.

    Args:
        file: the path of a model file.
        overrides: as `python run.py` takes them; `memory=` and `seconds=` are limits, and `init=` may be a file.
    """
    typed = read_typed(overrides, more=["seconds"])
    given = sandbox.limits({**typed.options})  # what was typed stays: where memory was asked for, the plan has to fit
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        try:
            code = sandbox.start(
                "modelzoo.cli.check:inside", [file, typed.json()], given, shown_as=file, stdout=output, late=True
            )
        except ConfigError as error:
            return Checked(config=file, problems=error.problems)
        output.seek(0)
        text = output.read()
    if code or not text:
        what = "The process that checked it ended without an answer."
        return Checked(config=file, problems=(Problem(where=file, what=what),))
    return Checked.from_json(json.loads(text))


def check_folder(folder: str, overrides: Iterable[str] = ()) -> Iterator[Checked]:
    """Plans every YAML file in a folder and below, each in a child process of its own; hidden ones are left out.

    Args:
        folder: its path.
        overrides: as for `check_file`.
    """
    root = pathlib.Path(folder)
    found = [each for each in sorted(root.rglob("*")) if each.name.endswith(modelfile.SUFFIXES)]
    shown = [each for each in found if not any(part.startswith(".") for part in each.relative_to(root).parts)]
    if not shown:
        what = "There is no YAML file in this folder."
        yield Checked(config=folder, problems=(Problem(where=folder, what=what),))
    for each in shown:
        yield check_file(str(each), overrides)


def inside(given: sandbox.Limits, file: str, typed: dict[str, Any]) -> int:
    """What happens in the child process: prints what `check_file` reads."""
    found, said = [Checked(config=file)], Typed.from_json(typed)

    def task() -> None:
        from modelzoo.cli import rules
        from modelzoo.config import config

        source: config.Source = file
        if not said.init and not said.groups and not said.overrides:
            source = modelfile.opened(file)
            if "model" not in source:
                found[0] = rules.checked(file, source)
                return
        opened = config.from_mapping(source, said.init, said.overrides, said.groups)
        with located(said.locate(opened.locate)):
            found[0] = _planned(file, opened, said.over(opened.options))

    try:
        reported(task, given, file)
    except ConfigError as error:
        found[0] = Checked(config=file, problems=error.problems)
    say(json_text(found[0].json(SENT), indent=None))
    return 0


# --- configs of the search path ------------------------------------------------------------------------------------


def check_names(names: list[str], overrides: list[str]) -> Iterator[Checked]:
    """Plans configs of the group `model`.

    Args:
        names: of configs, each checked with the init that it is composed with; none: every config of the group, with
            every init of the group that applies to it.
        overrides: as `python run.py` takes them.

    Raises:
        ConfigError: there is no such name, or a wrong override.
    """
    from modelzoo.config import search_path

    known = search_path.options("model")
    for each in names:
        if each not in known:
            raise ConfigError(
                [
                    Problem(
                        where="command line", path=each, what=f"There is no config '{each}'.", hint=nearest(each, known)
                    )
                ]
            )
    chosen = {each.partition("=")[0] for each in overrides}
    if "model" in chosen:
        yield _check_composed(overrides)
    elif names or "init" in chosen:
        for name in names or known:
            yield _check_composed([f"model={name}", *overrides])
    else:
        yield from _every_pair(known, search_path.options("init"), overrides)


def _check_composed(overrides: list[str]) -> Checked:
    shown_as = " ".join(overrides)
    try:
        config = _composed(overrides)
        with located(config.locate):
            return _planned(shown_as, config, config.options)
    except ConfigError as error:
        return Checked(config=shown_as, problems=error.problems)


def _every_pair(models: list[str], inits: list[str], overrides: list[str]) -> Iterator[Checked]:
    """Each model is planned once; then the rules of each init are decided on it."""
    rules_of = Rules(overrides)
    applied: set[str] = set()
    for name in models:
        try:
            config = _composed([f"model={name}", *overrides])
            with located(config.locate):
                made = _draft(config, Options.of(config.options))
        except ConfigError as error:
            yield Checked(config=" ".join([f"model={name}", *overrides]), problems=error.problems)
            continue
        for init in inits:
            found = rules_of.on(init, name, config, made)
            if found is not None:
                applied.add(init)
                yield found
    for init in inits:
        if init not in applied and not rules_of.asks(init):
            what = "It applies to no model: each lacks a tensor that a rule selects, or an arg that a fill reads."
            yield Checked(config=f"init={init}", problems=(Problem(path="init", what=what),))


class Rules:
    """The inits of the search path, each composed once if it refers to nothing else."""

    def __init__(self, overrides: list[str]) -> None:
        self.overrides = overrides
        self.known: dict[str, Any] = {}

    def on(self, init: str, model: str, config: Config, made: draft.Draft) -> Checked | None:
        """A planned model with the rules of an init; None if these are meant for other models."""
        from modelzoo.config import search_path

        pair = [f"model={model}", f"init={init}", *self.overrides]
        locate = search_path.places(tuple(pair), pathlib.Path.cwd()).trace
        config = replace(config, init=self.of(init, pair), locate=locate)
        try:
            with located(locate):
                warnings = self.decided(config, made)
        except ConfigError as error:
            return Checked(config=" ".join(pair), problems=error.problems)
        return None if warnings is None else _facts(" ".join(pair), made.plan, warnings, config)

    @staticmethod
    def decided(config: Config, made: draft.Draft) -> list[Problem] | None:
        """Warnings; None if a rule selects nothing, or a fill reads an arg that this model does not have."""
        from modelzoo.init import decide
        from modelzoo.spec import parser as spec

        try:
            problems = Problems()
            init = spec.parse_init(config.init, frozenset(made.values), problems)
            _, warnings = decide.decide(made.skeleton, init, made.values, made.seed, problems)
        except ConfigError as error:
            if all(each.code in _MEANT_FOR_OTHERS for each in error.problems):
                return None
            raise
        return None if any(each.code in _MEANT_FOR_OTHERS for each in warnings) else warnings

    def asks(self, init: str) -> bool:
        """Whether an init leaves its base to be typed, so that it applies to no model as it is."""
        rules = self.known.get(init)
        return isinstance(rules, Mapping) and rules.get("base") == "???"

    def of(self, init: str, pair: list[str]) -> Any:
        from modelzoo.config import compose

        if init not in self.known:
            rules = _composed(pair).init
            if not compose.stands_alone("init", pair):
                return rules
            self.known[init] = rules
        return self.known[init]


def _composed(overrides: list[str]) -> Config:
    from modelzoo.config import compose

    return compose.compose(overrides)


# --- planning ------------------------------------------------------------------------------------------------------


def _draft(config: Config, chosen: Options) -> draft.Draft:
    from modelzoo.plans import reading

    read = reading.read_of(config, chosen)
    late.need()
    from modelzoo.plans import draft

    made = draft.drafted(config, chosen, count=True, read=read)
    if chosen.memory is not None:
        budget.check(made.bytes, lambda: made.plan, chosen.memory, made.record.largest)
    return made


def _planned(shown_as: str, config: Config, options: dict[str, Any]) -> Checked:
    chosen = Options.of(options)
    made = _draft(config, chosen)
    from modelzoo.run import groups, load

    made, grouping = groups.grouped(made, chosen)
    found = _facts(shown_as, made.plan, [*made.plan.warnings, *grouping.warnings], config)
    loaded = load.planned(made.skeleton.root, chosen.load)
    if loaded is None:
        return found
    return replace(found, warnings=(*found.warnings, *loaded.left), notes=(*found.notes, load.summary(loaded)))


def _facts(shown_as: str, plan: Plan, warnings: Iterable[Problem], config: Config) -> Checked:
    return Checked(
        config=shown_as,
        warnings=(*(each.located(config.locate) for each in warnings), *hiding(config), *unused(config)),
        notes=plan.notes,
        parameters=plan.parameters,
        bytes=plan.bytes,
        flops=plan.flops,
    )
