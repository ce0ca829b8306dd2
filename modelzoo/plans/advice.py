"""Advice, tried before it is given: each repair is made in memory, and told only if the config is better with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from modelzoo.errors import ConfigError, Path, Problem, Repair

TRIES = 10
"""How many repairs are tried at most: each takes as long as a plan."""

Attempt = Callable[[Any, Any], object]
"""Plans a model with its rules, or raises a `ConfigError`."""


def advised(problems: Iterable[Problem], model: Any, init: Any, attempt: Attempt) -> list[Problem]:
    """The problems, each with the first of its repairs that helps as its hint.

    Args:
        problems: what is wrong with a config.
        model, init: the config as plain data.
        attempt: plans another.
    """
    tries = 0
    found: list[Problem] = []
    for problem in problems:
        for repair in problem.repairs:
            changed = _changed({"model": model, "init": init}, repair.key, repair.value)
            tries += changed is not None
            if changed is not None and tries <= TRIES and _helps(repair, problem, changed, attempt):
                problem = _with(problem, repair)
                break
        found.append(replace(problem, repairs=()))
    return found


def _with(problem: Problem, repair: Repair) -> Problem:
    if not repair.moves:
        return replace(problem, hint=repair.hint)
    return replace(problem, hint=repair.hint, key=repair.key, path=str(repair.key), line=0, column=0)


def _helps(repair: Repair, problem: Problem, changed: Any, attempt: Attempt) -> bool:
    """Whether a problem is gone with a repair, and nothing is wrong with what it changed."""
    try:
        attempt(changed["model"], changed["init"])
    except ConfigError as error:
        left = error.problems
    else:
        return True
    return problem not in left and not any(repair.changes(each.key) for each in left)


def _changed(data: Any, key: Path, value: Any) -> Any:
    """Plain data with another value at a key; None if there is nothing at that key."""
    if not key:
        return value
    first, rest = key[0], Path(key[1:])
    if isinstance(data, dict):
        name = next((each for each in data if str(each) == str(first)), None)
        below = None if name is None else _changed(data[name], rest, value)
        return None if below is None else {**data, name: below}
    if isinstance(data, (list, tuple)) and type(first) is int and first < len(data):
        below = _changed(data[first], rest, value)
        return None if below is None else [*data[:first], below, *data[first + 1 :]]
    return None
