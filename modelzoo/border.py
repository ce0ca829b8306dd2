"""The border to Hydra: the one module that knows Hydra and OmegaConf. It hands over plain values and their places."""

from __future__ import annotations

import contextlib
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import hydra
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import RunMode
from omegaconf import Container, DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from modelzoo import interpolation, marks
from modelzoo.config import Config, check_keys, from_mapping
from modelzoo.errors import ConfigError, Path, Problem, Problems, located
from modelzoo.places import File, Override, Places, parts

__all__ = ["CONFIG_NAME", "Config", "compose", "conf_directory", "from_hydra", "from_mapping"]

CONFIG_NAME = "config"
VERSION: dict[str, Any] = (
    {"version_base": "1.3"} if hydra.__version__.startswith("1.3.") else {}
)  # Hydra 1.4 warns about it
_RESOLVER = re.compile(r"\$\{[^}]*:")


def conf_directory() -> pathlib.Path:
    """The configs that come with the package: inside it when installed, beside it in a checkout."""
    package = pathlib.Path(__file__).resolve().parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


class ConfSearchPath(SearchPathPlugin):
    """Searches a project's own `./conf` before the configs of the package."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        own = pathlib.Path.cwd() / "conf"
        if own.is_dir() and own.resolve() != conf_directory():
            search_path.prepend("project", f"file://{own}")


def register() -> None:
    """Makes Hydra of this process find a project's own configs; a second call changes nothing."""
    Plugins.instance().register(ConfSearchPath)


def compose(overrides: list[str]) -> Config:
    """Composes as `python run.py` does, without running anything.

    Raises:
        ConfigError: a wrong `${...}`, or a key that is no text or integer.
        Exception: Hydra's own; `composition_problem` explains it.
    """
    register()
    with hydra.initialize_config_dir(str(conf_directory()), **VERSION):
        cfg = hydra.compose(CONFIG_NAME, overrides)
    return from_hydra(cfg, places(tuple(overrides), pathlib.Path.cwd()))


def from_hydra(cfg: DictConfig, where: Places | None = None) -> Config:
    """A composed config as plain data.

    Args:
        cfg: what Hydra hands to the task.
        where: where its keys stand; default: what Hydra knows of the running job.

    Raises:
        ConfigError: every wrong `${...}` and every key that is no text or integer.
    """
    where = where or _places_of_job()
    with located(where.locate):
        data = plain(cfg)
        problems = Problems()
        check_keys(data, problems)
        problems.check()
    options = {name: value for name, value in data.items() if name not in ("model", "init", "hydra")}
    return Config(model=data.get("model"), init=data.get("init"), options=options, locate=where.trace)


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
            problems.add(key, _first_line(failure))
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


def places(overrides: tuple[str, ...], cwd: pathlib.Path, config_name: str = CONFIG_NAME) -> Places:
    """The places of what these overrides compose; files are shown relative to `cwd`, where they were typed."""
    return Places(sources=lambda: _sources(overrides, cwd, config_name))


def _places_of_job() -> Places:
    if not HydraConfig.initialized():
        return Places(sources=tuple)
    job = HydraConfig.get()
    overrides = (*_plain_list(job.overrides.hydra), *_plain_list(job.overrides.task))
    return places(overrides, pathlib.Path(job.runtime.cwd), job.job.config_name or CONFIG_NAME)


def _plain_list(config: Any) -> list[str]:
    """What was typed, a `${...}` in it untouched."""
    plain_list: Any = OmegaConf.to_container(config, resolve=False)
    return [str(each) for each in plain_list]


def _sources(overrides: tuple[str, ...], cwd: pathlib.Path, config_name: str) -> Iterator[File | Override]:
    """Everything that sets keys, weakest first. All that Hydra does not promise is used here and nowhere else."""
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra._internal.utils import create_automatic_config_search_path

    register()
    running = GlobalHydra.instance()
    loader: Any
    if running.is_initialized():
        loader = running.config_loader()
    else:
        loader = ConfigLoaderImpl(create_automatic_config_search_path(None, None, str(conf_directory())))
    defaults = loader.compute_defaults_list(config_name, list(overrides), RunMode.RUN)
    for default in defaults.defaults:
        result = loader.repository.load_config(default.config_path)
        if result is None or not result.path.startswith("file://"):
            continue
        name = default.config_path.removesuffix(".yaml").lstrip("/")
        file = pathlib.Path(result.path.removeprefix("file://"), f"{name}.yaml")
        document = marks.read(file.read_text("utf-8-sig"), shown(file, cwd))
        yield File(document=document, package=parts(default.package or ""))
    for override in defaults.config_overrides:
        yield Override(
            text=override.input_line,
            key=parts(override.key_or_group),
            value=override.value(),
            deletes=override.is_delete(),
        )


def shown(file: pathlib.Path, cwd: pathlib.Path) -> str:
    """A file as messages show it: relative to where the command was typed, absolute outside."""
    return str(file.relative_to(cwd)) if file.is_relative_to(cwd) else str(file)


def run_directory() -> pathlib.Path:
    """The directory of the running job."""
    return pathlib.Path(HydraConfig.get().runtime.output_dir)


def is_sweep() -> bool:
    """Whether the running job is one of a sweep."""
    return bool(HydraConfig.get().mode == RunMode.MULTIRUN)


def job_number() -> int:
    """The number of the running job of a sweep."""
    return int(HydraConfig.get().job.num)


def typed() -> str:
    """The overrides of the running job."""
    return " ".join(_plain_list(HydraConfig.get().overrides.task))
