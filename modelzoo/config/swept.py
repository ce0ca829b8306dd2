"""How the jobs of a sweep are composed: those that differ in values only are one composition, with other values.

Hydra composes every job twice, once to see that it can be and once to launch it, from files that it reads each time.
What it composes is kept here, and copied, as long as these files stay what they were.
"""

from __future__ import annotations

import pathlib
import pickle
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.plugins.config_source import ConfigSource
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from modelzoo.config.omega import plain_list

_MOST = 64
"""So many answers are kept, of 20 KB each."""

Stamps = dict[str, tuple[int, int] | None]
"""Of each file that a composition may be read from when it was changed, and its size; None where there is none."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What Hydra answered once, and the files that it may have read.

    Attributes:
        made: a list of defaults; or a config, pickled, of which that makes a copy in a sixth of the time.
    """

    stamps: Stamps
    made: Any


_known: dict[tuple[Any, ...], Answer] = {}


def install() -> None:
    """Lets the sweep that begins in this process compose as this module does."""
    running = GlobalHydra.instance().hydra
    if running is not None and not isinstance(running.config_loader, SweepLoader):
        running.config_loader = SweepLoader(running.config_loader)


class SweepLoader(ConfigLoader):
    """Answers as Hydra's own loader, which it asks for whatever it does not know.

    Args:
        loader: Hydra's.
    """

    def __init__(self, loader: ConfigLoader) -> None:
        self.loader = loader

    def __reduce__(self) -> tuple[type[SweepLoader], tuple[ConfigLoader]]:
        return SweepLoader, (self.loader,)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """The config of a job; what cannot be composed is refused by Hydra, in its words."""
        try:
            made = self.made(master_config, sweep_overrides)
        except Exception:  # whatever is wrong, Hydra meets it too
            made = None
        if made is None:
            return self.loader.load_sweep_config(master_config, sweep_overrides)
        OmegaConf.copy_cache(from_config=master_config, to_config=made)
        return made

    def made(self, master_config: DictConfig, overrides: Sequence[str]) -> DictConfig | None:
        """A copy of what is known, with the values of a job; None if all of its overrides decide what is composed."""
        parsed = [_parsed(each) for each in overrides]
        values = self.values(parsed)
        if not values:
            return None
        others = _lines(each for each in parsed if each not in values)
        before = plain_list(master_config.hydra.overrides.hydra)
        name = master_config.hydra.job.config_name
        key = ("config", *self.paths(), name, *before, *others)
        known = _fresh(key)
        if known is None:
            composed = self.loader.load_sweep_config(master_config, others)
            defaults = self.compute_defaults_list(name, [*before, *others], RunMode.RUN)
            known = _keep(key, Answer(stamps=self.stamps(defaults), made=pickle.dumps(composed)))
        config: DictConfig = pickle.loads(known.made)  # made by this process
        for each in values:
            OmegaConf.update(config, each.key_or_group, each.value(), merge=True)
        task = [each for each in parsed if not each.is_hydra_override()]
        config.hydra.overrides.task = _lines(task)
        with open_dict(config.hydra):
            job = config.hydra.job
            if not OmegaConf.is_interpolation(job, "override_dirname"):  # as in Hydra 1.4
                job.override_dirname = _directory_name(task, job.config.override_dirname)
        return config

    def values(self, overrides: Sequence[Override]) -> list[Override]:
        """The last overrides that give keys another value, after all that add keys or delete them."""
        found: list[Override] = []
        for each in reversed(overrides):
            if self.is_group(each.key_or_group):
                continue
            if each.type is not OverrideType.CHANGE or each.package is not None or each.is_hydra_override():
                break
            found.append(each)
        return found[::-1]

    def is_group(self, name: str) -> bool:
        return any(each.is_group(name) for each in self.loader.get_sources())

    def paths(self) -> list[str]:
        return [each.path for each in self.loader.get_sources()]

    def stamps(self, defaults: Any) -> Stamps:
        """Of all files that the configs in a list of defaults may be read from."""
        folders = [each.path for each in self.loader.get_sources() if each.scheme() == "file"]
        names = [each.config_path.removesuffix(".yaml").lstrip("/") for each in defaults.defaults]
        return _stamps(f"{folder}/{name}.yaml" for folder in folders for name in names)

    def compute_defaults_list(self, config_name: str | None, overrides: list[str], run_mode: RunMode) -> Any:
        """The configs that overrides read, and those overrides that set values."""
        parsed = [_parsed(each) for each in overrides]
        values = self.values(parsed)
        others = _lines(each for each in parsed if each not in values)
        key = ("defaults", *self.paths(), config_name, run_mode, *others)
        known = _fresh(key)
        if known is None:
            defaults = self.loader.compute_defaults_list(config_name, others, run_mode)
            known = _keep(key, Answer(stamps=self.stamps(defaults), made=defaults))
        return replace(known.made, config_overrides=[*known.made.config_overrides, *values])

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        return self.loader.load_configuration(config_name, overrides, run_mode, from_shell, validate_sweep_overrides)

    def get_search_path(self) -> ConfigSearchPath:
        return self.loader.get_search_path()

    def get_sources(self) -> list[ConfigSource]:
        return self.loader.get_sources()

    def list_groups(self, parent_name: str) -> list[str]:
        return self.loader.list_groups(parent_name)

    def get_group_options(
        self,
        group_name: str,
        results_filter: ObjectType | None = ObjectType.CONFIG,
        config_name: str | None = None,
        overrides: list[str] | None = None,
    ) -> list[str]:
        return self.loader.get_group_options(group_name, results_filter, config_name, overrides)


@lru_cache(maxsize=1_024)
def _parsed(override: str) -> Override:
    return OverridesParser.create().parse_override(override)


def _lines(overrides: Iterable[Override]) -> list[str]:
    """As they were typed."""
    return [each.input_line or "" for each in overrides]


def _directory_name(overrides: Iterable[Override], settings: Any) -> str:
    """What `hydra.job.override_dirname` is: `a=1,b=2`, sorted, written as its settings say."""
    lines = sorted(_lines(each for each in overrides if each.key_or_group not in settings.exclude_keys))
    return str(settings.item_sep).join(lines).replace("=", settings.kv_sep)


def _stamps(files: Iterable[str]) -> Stamps:
    return {file: _stamp(file) for file in files}


def _stamp(file: str) -> tuple[int, int] | None:
    try:
        stat = pathlib.Path(file).stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size


def _fresh(key: tuple[Any, ...]) -> Answer | None:
    """What is known, if no file has changed since."""
    known = _known.get(key)
    return known if known is not None and _stamps(known.stamps) == known.stamps else None


def _keep(key: tuple[Any, ...], made: Answer) -> Answer:
    while len(_known) >= _MOST:
        del _known[next(iter(_known))]
    _known[key] = made
    return made
