"""The border to Hydra: the one module that knows Hydra and OmegaConf. It hands over plain values and their places."""

from __future__ import annotations

import contextlib
import itertools
import os
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import hydra
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import RunMode
from omegaconf import Container, DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from modelzoo import files
from modelzoo.config import document as marks
from modelzoo.config import interpolation
from modelzoo.config.config import Config, check_plain, from_mapping
from modelzoo.config.places import File, Override, Places, parts
from modelzoo.errors import ConfigError, Path, Problem, Problems, located
from modelzoo.run import progress, sweep

__all__ = ["CONFIG_NAME", "Config", "compose", "conf_directory", "from_hydra", "from_mapping"]

CONFIG_NAME = "config"
_RESOLVER = re.compile(r"\$\{[^}]*:")


def _of_version() -> tuple[dict[str, Any], dict[str, Any], Any]:
    """What Hydra takes in `initialize_config_dir` and in `main`, and what registers a resolver.

    Hydra 1.4 warns about what 1.3 needs, and calls only those classes of a config that are named here.
    """
    if hydra.__version__.startswith("1.3."):
        return {"version_base": "1.3"}, {"version_base": "1.3"}, OmegaConf.register_new_resolver
    return {}, {"execution_whitelist": ["modelzoo.config.compose.OnSweep"]}, OmegaConf.register_resolver


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
    _register_resolver("modelzoo.choices", choices, replace=True)


def compose(overrides: list[str]) -> Config:
    """Composes as `python run.py` does, without running anything.

    Raises:
        ConfigError: a wrong `${...}`, or a key that is no text or integer.
        Exception: Hydra's own; `composition_problem` explains it.
    """
    return from_hydra(_compose(overrides), places(tuple(overrides), pathlib.Path.cwd()))


def _compose(overrides: list[str]) -> DictConfig:
    register()
    with hydra.initialize_config_dir(str(conf_directory()), **INITIALIZE):
        return hydra.compose(CONFIG_NAME, overrides)


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
        file = f"{group}/{name}.yaml"
        source = next((each for each in loader.get_sources() if each.available() and each.is_config(file)), None)
        found[name] = "" if source is None or source.scheme() != "file" else _comment(pathlib.Path(source.path, file))
    return found


def _comment(file: pathlib.Path) -> str:
    """The first line of the comment that a file begins with; Hydra's `# @package` is none."""
    with file.open(encoding="utf-8-sig", errors="replace") as lines:
        told = (line.lstrip("# ").strip() for line in itertools.takewhile(lambda line: line.startswith("#"), lines))
        return next((each for each in told if not each.startswith(("@package", "yaml-language-server:"))), "")


def choices() -> str:
    """What `--help` lists: every group of configs with the configs in it; `hydra.help` names it as a resolver."""
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


def stands_alone(key: str, overrides: list[str]) -> bool:
    """Whether a part of a config holds no `${...}`, so that it is the same beside other parts.

    >>> stands_alone("init", ["model=mlp", "init=xavier"])
    True
    """
    part = OmegaConf.select(_compose(overrides), key)
    return part is None or "${" not in OmegaConf.to_yaml(part)


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
        check_plain(data, problems)
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
        document = marks.read(file.read_text("utf-8-sig"), files.shown(file, cwd))
        yield File(document=document, package=parts(default.package or ""))
    for override in defaults.config_overrides:
        yield Override(
            text=override.input_line,
            key=parts(override.key_or_group),
            value=override.value(),
            deletes=override.is_delete(),
        )


class NotBegun(BaseException):
    """A sweep that cannot begin; its cause says why. Hydra would make a warning of an `Exception`, and go on."""


class OnSweep(Callback):
    """Hydra calls it in the process that launches a sweep's jobs."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        try:
            progress.begin(pathlib.Path.cwd() / config.hydra.sweep.dir)
        except Exception as error:
            raise NotBegun from error

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **_: Any) -> None:
        if is_sweep():  # launchers keep what every job returned to the end: 100 KB each
            job_return.cfg = job_return.hydra_cfg = None


def run_directory() -> pathlib.Path:
    """The directory of the running job."""
    return pathlib.Path(HydraConfig.get().runtime.output_dir)


def is_sweep() -> bool:
    """Whether the running job is one of a sweep."""
    return bool(HydraConfig.get().mode == RunMode.MULTIRUN)


def sweep_directory() -> pathlib.Path:
    """The directory of the sweep that the running job belongs to."""
    job = HydraConfig.get()
    return pathlib.Path(job.runtime.cwd, job.sweep.dir)


def stay() -> None:
    """Undoes `hydra.job.chdir`: jobs of a sweep share a process, and where one works gets its name only at its end."""
    job = HydraConfig.get()
    if job.job.chdir:
        os.chdir(job.runtime.cwd)


def job_number() -> int:
    """The number of the running job of a sweep."""
    return int(HydraConfig.get().job.num)


def typed() -> tuple[str, ...]:
    """The overrides of the running job."""
    return tuple(_plain_list(HydraConfig.get().overrides.task))


def threads_of_worker() -> int | None:
    """How many threads a job may take where a launcher has processes of its own; `None` in this process."""
    launcher = HydraConfig.get().launcher
    if "BasicLauncher" in launcher._target_:
        return None
    if launcher.get("cpus_per_task"):
        return int(launcher.cpus_per_task)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = int(launcher.get("n_jobs") or 1)
    return max(1, cores // (workers if workers > 0 else max(1, cores + 1 + workers)))


def sweep_arguments(arguments: list[str]) -> list[str]:
    """What is typed for a sweep, with a directory that the same command finds again, unless one is typed.

    `-m` comes first: between or behind overrides it would hide those that follow it.

    >>> sweep_arguments(["model=mlp,nested", "-m"])[:3]
    ['-m', 'model=mlp,nested', 'hydra.sweep.dir=multirun/57456693']
    """
    if not sweep.is_typed(arguments):
        return arguments
    flags = [each for each in arguments if each in sweep.FLAGS]
    kept = [each for each in arguments if each not in flags]
    ours = {
        "hydra.sweep.dir": f"multirun/{sweep.name_of(kept)}",
        "hydra.sweep.subdir": ".",
        "hydra.output_subdir": "null",
    }
    typed = {each.partition("=")[0].lstrip("+") for each in kept}
    end = max((index for index, each in enumerate(kept, 1) if "=" in each and not each.startswith("-")), default=0)
    more = [f"{key}={value}" for key, value in ours.items() if key not in typed]
    return [*flags[:1], *kept[:end], *more, *kept[end:]]


def overrides_of(arguments: list[str]) -> list[str]:
    """What is typed without Hydra's flags and what these take.

    >>> overrides_of(["model=mlp", "-m", "seed=1,2", "--config-dir", "mine"])
    ['model=mlp', 'seed=1,2']
    """
    from hydra._internal.utils import get_args_parser

    known, others = get_args_parser().parse_known_args(arguments)
    return [*known.overrides, *(each for each in others if not each.startswith("-"))]


def planned_jobs(overrides: list[str]) -> list[tuple[str, ...]]:
    """The jobs that these overrides are swept to, in their order; none where another sweeper chooses them."""
    if any(each.startswith("hydra/sweeper=") for each in overrides):
        return []
    try:
        from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

        parsed = OverridesParser.create().parse_overrides([each for each in overrides if not each.startswith("hydra")])
        return [tuple(job) for batch in BasicSweeper.split_arguments(parsed, None) for job in batch]
    except Exception:  # then the table has those jobs that began
        return []
