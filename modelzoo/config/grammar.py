"""Overrides as they are typed, read by Hydra's grammar; nothing is composed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from hydra.core.override_parser.overrides_parser import OverridesParser

from modelzoo.config.answers import quoted
from modelzoo.config.compose import composing
from modelzoo.config.places import Override, parts
from modelzoo.errors import ConfigError, Problem

_KEY = re.compile(r"[~+]{0,2}[\w.$-]+")


def read(texts: Sequence[str], where: str = "command line") -> tuple[Override, ...]:
    """What each text sets.

    Args:
        where: what a message names as their place.

    Raises:
        ConfigError: texts that Hydra does not read, or that are a sweep.
    """
    problems: list[Problem] = []
    found = [_override(text, where, problems) for text in texts]
    if problems:
        raise ConfigError(replace(each, where=where) for each in problems)
    return tuple(each for each in found if each is not None)


def _override(text: str, where: str, problems: list[Problem]) -> Override | None:
    """One override; None if it is a problem."""
    try:
        with composing([text]):
            (read,) = OverridesParser.create().parse_overrides([text])
    except ConfigError as error:
        problems += error.problems
        return None
    key, _, value = text.partition("=")
    if not _KEY.fullmatch(key):
        problems.append(Problem(path=text, what=f"'{key}' cannot be the key of an override."))
        return None
    if read.is_sweep_override():
        what = "Several values are a sweep, and a model file is one job."
        hint = f'For one list type "{key}=[{value}]", for one text {quoted(key, value)}.'
        problems.append(Problem(path=text, what=what, hint=hint))
        return None
    return Override(
        text=text,
        key=parts(read.key_or_group),
        value=read.value(),
        deletes=read.is_delete(),
        adds="+" if read.is_add() else "++" if read.is_force_add() else "",
        where=where,
    )
