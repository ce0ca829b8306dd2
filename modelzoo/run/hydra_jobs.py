"""What Hydra knows of the running job and its sweep, and what of that is typed."""

from __future__ import annotations

import os
import pathlib
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig

from modelzoo import ranks
from modelzoo.config import swept
from modelzoo.config.omega import plain_list
from modelzoo.run import progress, sweep


class NotBegun(BaseException):
    """A sweep that cannot begin; its cause says why. Hydra would make a warning of an `Exception`, and go on."""


class OnSweep(Callback):
    """Hydra calls it in the process that launches a sweep's jobs."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        try:
            swept.install()
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
    return tuple(plain_list(HydraConfig.get().overrides.task))


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


def know_ranks() -> None:
    """Lets each task of a job of a cluster know which it is, as `torchrun` lets its processes know."""
    launcher = HydraConfig.get().launcher
    if max(launcher.get("tasks_per_node") or 1, launcher.get("nodes") or 1) > 1:
        from submitit.helpers import TorchDistributedEnvironment

        TorchDistributedEnvironment().export(set_cuda_visible_devices=False, overwrite=True)


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


def rank_arguments(arguments: list[str]) -> list[str]:
    """What is typed, as it is for this process of a job: the first makes a directory for all of them."""
    if not ranks.rank():
        return arguments
    typed = any(each.startswith("hydra.run.dir=") for each in arguments)
    return [*arguments, "hydra.output_subdir=null", *([] if typed else ["hydra.run.dir=."])]


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
