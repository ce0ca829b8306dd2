"""The command line of the main job and its sweeps."""

from __future__ import annotations

import gc
import importlib
import os
import pathlib
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

import hydra

from modelzoo import ranks, system
from modelzoo.cli.guard import FAILED, flag, report
from modelzoo.config import compose, search_path
from modelzoo.config.compose import composing
from modelzoo.config.config import Config, nowhere
from modelzoo.config.shorthand import written_out
from modelzoo.errors import IN_FULL, ConfigError, Path, fail, located
from modelzoo.run import hydra_jobs
from modelzoo.run.progress import Watch
from modelzoo.run.sweep import Sweep, digest, is_typed, objective

if TYPE_CHECKING:
    from omegaconf import DictConfig


def launch() -> int:
    """Composes a config from the command line and runs it; returns the exit code.

    A sweep (`-m`) runs all its jobs; the exit code is 1 if one of them failed.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises instead of printing and leaving
    if is_typed(sys.argv):
        gc.enable()  # Hydra composes all jobs of a sweep at once; else `_thaw` is called when the imports are done
    try:
        search_path.register()
        sys.argv[1:] = written_out(sys.argv[1:])
        typed = hydra_jobs.overrides_of(sys.argv[1:])
        if ranks.world() > 1 and is_typed(sys.argv):
            _refuse_sweep()
        sys.argv[1:] = hydra_jobs.rank_arguments(hydra_jobs.sweep_arguments(sys.argv[1:]))
        failed: list[Exception] = []
        with composing(typed) as own:
            own_code, code = _registered()

            def task(cfg: DictConfig) -> float | None:
                if own_code is not None:
                    from modelzoo import register

                    register.restore(own_code)
                try:
                    return _job(cfg, failed, code)
                except Exception as error:
                    own.append(error)
                    raise

            main = hydra.main(
                config_path=str(search_path.conf_directory()), config_name=search_path.CONFIG_NAME, **search_path.MAIN
            )
            with Watch(hydra_jobs.planned_jobs(typed)) as watch:
                try:
                    main(task)()
                except hydra_jobs.NotBegun as end:
                    raise end.__cause__ or end from None
                except Exception as error:
                    if error in own or not watch.unfinished():
                        raise
                    main(task)()  # a launcher gives up when one of its processes is killed; what is done stays done
            if watch.failed:
                return FAILED
    finally:
        _thaw()
    return FAILED if failed else 0


def _refuse_sweep() -> NoReturn:
    what = f"a sweep runs its jobs one after the other in one process, and here are {ranks.world()}."
    fail(Path(("hydra.mode",)), what, "Start torchrun once for each job, without -m.")


def _registered() -> tuple[Any, str]:
    """What the user's own code registered, and its hash: a launcher's processes do not run that code again."""
    if "modelzoo.register" not in sys.modules:
        return None, ""
    from modelzoo import register

    return register.registered(), register.code()


def _job(cfg: DictConfig, failed: list[Exception], code: str) -> float | None:
    """One job, and the number that a sweeper is told. What is wrong with it is printed at once, or in its record."""
    if hydra_jobs.is_sweep():
        return _job_of_sweep(cfg, code)
    options: dict[str, Any] = {}
    try:
        config = compose.from_hydra(cfg)
        options = config.options
        with located(config.locate):
            from modelzoo.run.job import run

            _thaw()
            return objective(run(config, hydra_jobs.run_directory()), options.get("objective"))
    except Exception as error:
        told = system.told(error)
        if told is None:
            raise
        failed.append(told)
        problems = options.get("problems", "all" if flag("problems=all") else IN_FULL)
        shown = options.get("traceback", flag("traceback=true"))
        report(told, shown is True, problems if type(problems) is int and problems > 0 else None)
    return None


def _job_of_sweep(cfg: DictConfig, code: str) -> float | None:
    """One job of a sweep, in whatever process a launcher chose; of one that failed there is none."""
    import modelzoo
    from modelzoo.streams import SCHEME

    hydra_jobs.stay()
    hydra_jobs.know_ranks()
    number, overrides, threads = hydra_jobs.job_number(), hydra_jobs.typed(), hydra_jobs.threads_of_worker()
    try:
        config = compose.from_hydra(cfg)
        folder = digest(config, modelzoo.__version__, SCHEME, code)
        wrong = None
    except ConfigError as error:
        config, folder, wrong = Config(model=None, locate=nowhere), f"job{number}", error
    if threads is not None and config.options.get("threads") is None:
        config = replace(config, options={**config.options, "threads": threads})

    def work(directory: pathlib.Path) -> dict[str, Any]:
        if wrong is not None:
            raise wrong
        with located(config.locate):
            from modelzoo.run.job import run

            _thaw()
            facts = run(config, directory)
            objective(facts, wanted)
            return facts

    if threads is not None:
        importlib.import_module("modelzoo.run.job")  # once for all jobs of this process
    wanted = config.options.get("objective")
    sweep = Sweep(hydra_jobs.sweep_directory())
    if ranks.rank() > 0:
        sweep.assist(config, folder, work)
        return None
    record = sweep.perform(number, overrides, config, folder, work, apart=threads is not None)
    return objective(record.facts, wanted) if record.good else None


def _thaw() -> None:
    """Collects garbage again, but never looks at what the imports made."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
