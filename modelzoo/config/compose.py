"""Overrides, composed by Hydra, as a `Config`: plain values and their places."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterator
from contextlib import contextmanager

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from modelzoo.config.config import Config, check_plain
from modelzoo.config.omega import plain, plain_list, referred
from modelzoo.config.places import Places
from modelzoo.config.plain import misread_numbers
from modelzoo.config.search_path import CONFIG_NAME, INITIALIZE, conf_directory, may_misread, places, register
from modelzoo.config.shorthand import written_out
from modelzoo.errors import ConfigError, Problems, located


def compose(overrides: list[str]) -> Config:
    """Composes as `python run.py` does, without running anything.

    Raises:
        ConfigError: what Hydra refuses, a wrong `${...}`, or a key that is no text or integer.
    """
    with composing(overrides):
        return from_hydra(_compose(overrides), places(tuple(overrides), pathlib.Path.cwd()))


def _compose(overrides: list[str]) -> DictConfig:
    register()
    with hydra.initialize_config_dir(str(conf_directory()), **INITIALIZE):
        return hydra.compose(CONFIG_NAME, written_out(overrides))


def stands_alone(key: str, overrides: list[str]) -> bool:
    """Whether no `${...}` of a part leads out of it, so that it is the same beside other parts.

    One dot stays within the part: `${.std}` is a key beside the one that says so.

    >>> stands_alone("init", ["init=trunc_normal"])
    True
    """
    part = OmegaConf.select(_compose(overrides), key)
    return part is None or not re.search(r"\$\{(?!\.\w)", OmegaConf.to_yaml(part))


def from_hydra(cfg: DictConfig, where: Places | None = None) -> Config:
    """A composed config as plain data.

    Args:
        cfg: what Hydra hands to the task.
        where: where its keys stand; default: what Hydra knows of the running job.

    Raises:
        ConfigError: every wrong `${...}` and every key that is no text or integer.
    """
    where = where or _places_of_job()
    added = Problems()
    added.found += where.added_to_texts()
    added.check()
    with located(where.locate):
        data = plain(cfg)
        problems = Problems()
        check_plain(data, problems)
        if may_misread():
            for document in where.documents():
                problems.found += misread_numbers(document)
        problems.check()
    options = {name: value for name, value in data.items() if name not in ("model", "init", "hydra")}
    return Config(
        model=data.get("model"), init=data.get("init"), options=options, locate=where.trace, referred=referred(cfg)
    )


def _places_of_job() -> Places:
    if not HydraConfig.initialized():
        return Places(sources=tuple)
    job = HydraConfig.get()
    overrides = (*plain_list(job.overrides.hydra), *plain_list(job.overrides.task))
    return places(overrides, pathlib.Path(job.runtime.cwd), job.job.config_name or CONFIG_NAME)


@contextmanager
def composing(overrides: list[str]) -> Iterator[list[Exception]]:
    """Turns what Hydra raises into problems like ours; exceptions put into the list it yields pass as they are."""
    own: list[Exception] = []
    try:
        yield own
    except ConfigError:
        raise
    except Exception as error:
        from modelzoo.config.hydra_errors import composition_problem

        problem = None if error in own else composition_problem(error, overrides)
        if problem is None:
            raise
        raise ConfigError([problem]) from error
