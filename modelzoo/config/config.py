"""What the planner is given: plain data, and a way to find where each key of it stands."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from modelzoo import arithmetic
from modelzoo.config import modelfile
from modelzoo.config.places import Data, Override
from modelzoo.config.plain import bad_key
from modelzoo.errors import Locate, Path, Problems, located

_ROOT = Path()

Source = Mapping[str, Any] | str | os.PathLike[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A config without Hydra: every `${...}` resolved, every value plain; `???` stands where a value is missing.

    Attributes:
        model: the root block.
        init: the rules, or `None`.
        options: everything else that was composed: seed, device, dtype, ...; of a file of values those that it keeps.
        locate: finds the place of a key.
        referred: the names in references, which were followed.
    """

    model: Any
    init: Any = None
    options: dict[str, Any] = field(default_factory=dict)
    locate: Locate
    referred: frozenset[str] = frozenset()


def nowhere(key: Path, line: int = 0, column: int = 0) -> tuple[str, str]:
    """The `Locate` of data that came from no file."""
    return "", str(key)


def from_mapping(
    model: Source, init: Source | None = None, overrides: Sequence[Override] = (), groups: Source | None = None
) -> Config:
    """A config from what the Python API takes.

    Args:
        model: a block, or `{"model": block, "init": rules, "groups": groups}`, as a mapping or a DictConfig; or the
            path of a model file, or of a `.safetensors` that holds its model.
        init: rules, as a mapping or a DictConfig; or the path of a file of rules. They replace the model file's own.
        groups: likewise, of an optimiser.
        overrides: what is changed in all of them. References of a DictConfig were followed before.

    Raises:
        ConfigError: a file that cannot be opened as data, a key that is no text or integer, a wrong `${...}`, an
            override that does not fit.

    >>> from_mapping({"layers": ["Linear(4, ${..width})"], "width": 2}).model
    {'layers': ['Linear(4, 2)'], 'width': 2}
    """
    beside = {kind: each for kind, each in (("init", init), ("groups", groups)) if each is not None}
    own = [each for each in overrides if each.key[0] not in beside]
    parts = {"model": opened(model, "model", own)}
    for kind, source in beside.items():
        parts[kind] = opened(source, kind, [each for each in overrides if each.key[0] == kind])
    found = {kind: parts.get(kind, parts["model"]).get(kind) for kind in modelfile.KINDS}
    kept = dict(parts["model"].options)

    def locate(key: Path, line: int = 0, column: int = 0) -> tuple[str, str]:
        if key[:1] in (("seed",), ("dtype",), ("load",)) and kept:
            return kept["load"], str(key)
        return parts.get(str(key[0]) if key else "", parts["model"]).locate(key, line, column)

    return Config(
        model=found["model"],
        init=found["init"],
        options=kept if found["groups"] is None else {**kept, "groups": found["groups"]},
        locate=locate,
        referred=frozenset[str]().union(*(each.referred for each in parts.values())),
    )


def opened(source: Source, kind: str, overrides: Sequence[Override]) -> modelfile.ModelFile:
    """The source as `{kind: ...}`: a model, an init or groups, of a model file with all that it has beside them.

    Raises:
        ConfigError: as for `from_mapping`.
    """
    if isinstance(source, modelfile.ModelFile):
        if not overrides:
            return source
        return modelfile.resolved(dict(source), [Data(data=source, locate=source.locate)], overrides, source.options)
    if isinstance(source, (str, os.PathLike)):
        return modelfile.opened(source, kind, overrides)
    data = _plain(source)
    if not (kind == "model" and isinstance(data, dict) and "model" in data and data.keys() <= {*modelfile.KINDS}):
        data = {kind: data}
    problems = Problems()
    with located(nowhere):
        check_plain(data, problems)
        problems.check()
    return modelfile.resolved(data, [Data(data=data, locate=nowhere)], overrides)


def _plain(source: Any) -> Any:
    """A DictConfig resolved, anything else as it is; a DictConfig cannot exist before OmegaConf is imported."""
    if "omegaconf" in sys.modules:
        from modelzoo.config import omega

        if omega.is_config(source):
            return omega.plain(source)
    return source


def check_plain(data: Any, problems: Problems, key: Path = _ROOT) -> None:
    """Reports every key that is no text and no integer, as `on:` and `1.5:` become in YAML, and integers too large.

    What stands at the root itself are options, which have checks of their own.
    """
    for name, value in data.items() if isinstance(data, Mapping) else enumerate(data):
        if not isinstance(name, str) and type(name) is not int:
            problems.add(key / str(name), *bad_key(name))
        if arithmetic.too_large(name):
            problems.add(key, *arithmetic.large_integer(name))
            continue
        if isinstance(value, (Mapping, list)):
            check_plain(value, problems, key / name)
        elif key and arithmetic.too_large(value):
            problems.add(key / name, *arithmetic.large_integer(value))
