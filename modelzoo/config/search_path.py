"""The configs that Hydra finds, and everything that sets their keys."""

from __future__ import annotations

import itertools
import os
import pathlib
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Any

import hydra
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import RunMode
from omegaconf import OmegaConf

from modelzoo import files
from modelzoo.config.document import read
from modelzoo.config.places import File, Override, Places, parts
from modelzoo.config.shorthand import written_out

CONFIG_NAME = "config"


def _of_version() -> tuple[dict[str, Any], dict[str, Any], Any]:
    """What Hydra takes in `initialize_config_dir` and in `main`, and what registers a resolver.

    Hydra 1.4 warns about what 1.3 needs, and calls only those classes of a config that are named here.
    """
    if hydra.__version__.startswith("1.3."):
        return {"version_base": "1.3"}, {"version_base": "1.3"}, OmegaConf.register_new_resolver
    return {}, {"execution_whitelist": ["modelzoo.run.hydra_jobs.OnSweep"]}, OmegaConf.register_resolver


INITIALIZE, MAIN, _register_resolver = _of_version()


def conf_directory() -> pathlib.Path:
    """The configs that come with the package: inside it when installed, beside it in a checkout."""
    package = pathlib.Path(__file__).resolve().parent.parent
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
    _register_resolver("modelzoo.choices", choices, replace=True, use_cache=True)  # help asks twice


_MAY_MISREAD = re.compile(r"(?<![\w.$'\"])(?:0[0-9_]|[0-9]+:[0-5]?[0-9])")


def may_misread() -> bool:
    """Whether a config may hold a number that YAML 1.1 reads as another: then all are asked, which takes time."""
    directories = {pathlib.Path.cwd() / "conf", conf_directory()}
    configs = (config for each in directories for config in _configs(str(each)))
    return any(_may_misread(each.path, (status := each.stat()).st_mtime_ns, status.st_size) for each in configs)


def _configs(folder: str) -> Iterator[os.DirEntry[str]]:
    """As `rglob("*.yaml")`, in a third of the time."""
    with suppress(OSError), os.scandir(folder) as entries:
        for each in entries:
            if each.is_dir(follow_symlinks=False):
                yield from _configs(each.path)
            elif each.name.endswith(".yaml"):
                yield each


@lru_cache(maxsize=1_024)
def _may_misread(file: str, *_: int) -> bool:
    """Whether one of them may; a file is read once for all jobs of a sweep, as long as it stays what it was."""
    return _MAY_MISREAD.search(pathlib.Path(file).read_text("utf-8", errors="replace")) is not None


def options(group: str) -> list[str]:
    """The names of all configs of a group that Hydra finds.

    >>> "nested" in options("model")
    True
    """
    register()
    with hydra.initialize_config_dir(str(conf_directory()), **INITIALIZE):
        return list(GlobalHydra.instance().config_loader().get_group_options(group))


def described(group: str) -> dict[str, str]:
    """The configs of a group that Hydra finds, each with the first line of the comment that it begins with.

    >>> described("init")["default"]
    'No rules: every layer starts as torch starts it'
    """
    if GlobalHydra.instance().is_initialized():
        return _described(group)
    register()
    with hydra.initialize_config_dir(str(conf_directory()), **INITIALIZE):
        return _described(group)


def _described(group: str) -> dict[str, str]:
    loader = GlobalHydra.instance().config_loader()
    found = {}
    for name in sorted(loader.get_group_options(group)):
        path = _file(loader, f"{group}/{name}.yaml")
        found[name] = "" if path is None else _comment(path)
    return found


def file_of(group: str, name: str) -> pathlib.Path | None:
    """The file of a config of a group that Hydra finds; None if there is none.

    >>> file_of("init", "xavier").name
    'xavier.yaml'
    """
    register()
    with hydra.initialize_config_dir(str(conf_directory()), **INITIALIZE):
        loader = GlobalHydra.instance().config_loader()
        return _file(loader, f"{group}/{name}.yaml") if name in loader.get_group_options(group) else None


def _file(loader: Any, file: str) -> pathlib.Path | None:
    for source in loader.get_sources():
        if source.scheme() == "pkg":
            if _is_packaged(source, file):
                return None
        elif source.available() and source.is_config(file):
            return pathlib.Path(source.path, file) if source.scheme() == "file" else None
    return None


@lru_cache(maxsize=1_024)
def _is_packaged(source: Any, file: str) -> bool:
    """Whether a package has a config, which takes long to find out and stays so."""
    return bool(source.available() and source.is_config(file))


def _comment(file: pathlib.Path) -> str:
    """The first line of the comment that a file begins with; Hydra's `# @package` is none."""
    with file.open(encoding="utf-8-sig", errors="replace") as lines:
        told = (line.lstrip("# ").strip() for line in itertools.takewhile(lambda line: line.startswith("#"), lines))
        return next((each for each in told if not each.startswith(("@package", "yaml-language-server:"))), "")


_SHOWS_HELP = re.compile(r"-[a-z]*h|--(he|hydra-h|res)")


def choices() -> str:
    """What `--help` lists: every group of configs with the configs in it; `hydra.help` names it as a resolver.

    Hydra asks for it in every composition, and shows it where help or all values are asked for: else it is empty.
    """
    if not any(_SHOWS_HELP.match(each) for each in sys.argv[1:]):
        return ""
    loader = GlobalHydra.instance().config_loader()
    waiting = [each for each in sorted(loader.list_groups(""), reverse=True) if each != "hydra"]
    parts = []
    while waiting:
        group = waiting.pop()
        waiting += [f"{group}/{each}" for each in sorted(loader.list_groups(group), reverse=True)]
        rows = _described(group)
        width = max(map(len, rows), default=0)
        parts += ["\n".join([f"{group}:", *(f"  {name:<{width}}  {about}".rstrip() for name, about in rows.items())])]
    return "\n\n".join(parts).replace("$", "$$")  # Hydra fills in a string.Template


def places(overrides: tuple[str, ...], cwd: pathlib.Path, config_name: str = CONFIG_NAME) -> Places:
    """The places of what these overrides compose; files are shown relative to `cwd`, where they were typed."""
    adding = any(each.startswith("+") for each in overrides)
    return Places(sources=lambda: sources(overrides, cwd, config_name), adding=adding)


def sources(overrides: tuple[str, ...], cwd: pathlib.Path, config_name: str) -> Iterator[File | Override]:
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
    defaults = loader.compute_defaults_list(config_name, written_out(overrides), RunMode.RUN)
    for default in defaults.defaults:
        file = _file(loader, f"{default.config_path.removesuffix('.yaml').lstrip('/')}.yaml")
        if file is None:
            continue
        document = read(file.read_text("utf-8-sig"), files.shown(file, cwd))
        yield File(document=document, package=parts(default.package or ""))
    for override in defaults.config_overrides:
        yield Override(
            text=override.input_line,
            key=parts(override.key_or_group),
            value=override.value(),
            deletes=override.is_delete(),
        )
