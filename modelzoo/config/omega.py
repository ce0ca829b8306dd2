"""A container of OmegaConf as plain data."""

from __future__ import annotations

import contextlib
import re
from typing import Any

from omegaconf import Container, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from modelzoo.config import interpolation
from modelzoo.errors import ConfigError, Path, Problem, Problems

_RESOLVER = re.compile(r"\$\{[^}]*:")


def is_config(value: object) -> bool:
    """Whether a value is OmegaConf's."""
    return isinstance(value, Container)


def plain(cfg: Any) -> Any:
    """OmegaConf's container as plain data, `???` kept.

    Raises:
        ConfigError: every `${...}` that cannot be resolved.
    """
    try:
        return OmegaConf.to_container(cfg, resolve=True)
    except (OmegaConfBaseException, RecursionError) as error:
        raise ConfigError(_reference_problems(cfg, error)) from error


def _reference_problems(cfg: Any, error: BaseException) -> list[Problem]:
    """What is wrong with the references of a config, in the words of `interpolation` where those do."""
    raw = OmegaConf.to_container(cfg)
    ours, problems = Problems(), Problems()
    with contextlib.suppress(ConfigError):  # a limit; the problems found up to it are kept
        interpolation.resolve(raw, ours)
    known = {problem.key: problem for problem in ours.found}
    for key, (text, failure) in _failures(cfg, Path()).items():
        if _RESOLVER.search(text):
            problems.add(key, _first_line(failure), interpolation.formula_meant(text))
        elif key in known:
            problems.found.append(known[key])
    if not problems.found:
        problems.add(Path(), _first_line(error))
    return problems.found


def _failures(cfg: Any, key: Path) -> dict[Path, tuple[str, BaseException]]:
    """Every text whose references OmegaConf cannot follow, and what it says."""
    found: dict[Path, tuple[str, BaseException]] = {}
    raw: Any = OmegaConf.to_container(cfg)
    for name in range(len(cfg)) if isinstance(cfg, ListConfig) else list(cfg.keys()):
        refers = OmegaConf.is_interpolation(cfg, name)
        if not refers and OmegaConf.is_missing(cfg, name):
            continue
        try:
            value = cfg[name]
            if refers and is_config(value):
                OmegaConf.to_container(value, resolve=True)  # a circle through a mapping shows here
        except (OmegaConfBaseException, RecursionError) as error:
            found[key / name] = (str(raw[name]), error)
        else:
            if not refers and is_config(value):
                found |= _failures(value, key / name)
    return found


def _first_line(error: BaseException) -> str:
    text = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return text if text.endswith(".") else text + "."


def referred(cfg: Any) -> frozenset[str]:
    """The names in the references of a container."""
    return interpolation.referred(OmegaConf.to_container(cfg, resolve=False))


def plain_list(config: Any) -> list[str]:
    """What was typed, a `${...}` in it untouched."""
    plain_list: Any = OmegaConf.to_container(config, resolve=False)
    return [str(each) for each in plain_list]
