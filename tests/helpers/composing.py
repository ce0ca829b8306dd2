"""Composes the configs that ship with the project, as `run.py` does, into plain mappings for `modelzoo.build`."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any

import hydra
from omegaconf import OmegaConf

from modelzoo.config.search_path import INITIALIZE

CONF = Path(__file__).resolve().parents[2] / "conf"

Config = dict[str, Any]


def compose(*overrides: str) -> tuple[Config, Config]:
    """The model and the init rules that `run.py OVERRIDES...` composes; the caller may change both."""
    return copy.deepcopy(_compose(overrides))


@functools.cache
def _compose(overrides: tuple[str, ...]) -> tuple[Config, Config]:
    with hydra.initialize_config_dir(str(CONF), **INITIALIZE):
        config = hydra.compose("config", list(overrides))
    plain: Any = OmegaConf.to_container(config, resolve=True)
    return plain["model"], plain["init"]
