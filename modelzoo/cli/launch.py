"""The command line: the single place that meets exceptions, and says what is wrong in the words of `errors`."""

from __future__ import annotations

import gc
import importlib
import os
import pathlib
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from modelzoo.cli import stdio
from modelzoo.config.compose import composing
from modelzoo.errors import IN_FULL, ConfigError, located, render
from modelzoo.run.progress import Watch
from modelzoo.run.sweep import is_typed
from modelzoo.terminal import say

if TYPE_CHECKING:
    from omegaconf import DictConfig

FAILED, INTERRUPTED = 1, 130


def main() -> int:
    """Composes a config from the command line and runs it; returns the exit code.

    A sweep (`-m`) runs all its jobs; the exit code is 1 if one of them failed.
    """
    return guarded(_hydra_main)


def guarded(command: Callable[[], int], patient: bool = True) -> int:
    """Runs a command; what is wrong is printed to stderr without a traceback.

    Args:
        command: returns its exit code.
        patient: whether it goes on when nobody reads what it prints, as one that writes files does.

    Returns:
        The exit code: that of the command, or 1 also where not all that it printed could be written.
    """
    with stdio.outlets(patient) as out:
        code = FAILED
        with suppress(stdio.Refused):
            code = _code(command)
            sys.stdout.flush()
        if out is None or out.refused is None:
            return code
        if not isinstance(out.refused, BrokenPipeError):  # a reader that leaves knows it
            say(f"Standard output cannot be written: {out.refused.strerror}.", sys.stderr)
        return code or FAILED


def _code(command: Callable[[], int]) -> int:
    try:
        pathlib.Path.cwd()  # where it is gone, libraries of torch end the process
        return command()
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as end:  # of argparse, of Hydra after --help, or of a user's own code
        if isinstance(end.code, str):
            say(end.code, sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception as error:
        told = _told(error)
        if told is None:
            raise
        report(told, _flag("traceback=true"), None if _flag("problems=all") else IN_FULL)
        return FAILED


def _told(error: Exception) -> ConfigError | None:
    """An exception as problems; None if it is a mistake of a program."""
    from modelzoo import system

    return system.told(error)


def report(error: ConfigError, with_traceback: bool, limit: int | None) -> None:
    """Prints the problems to stderr, or the traceback, which ends with them."""
    if with_traceback:
        say("".join(traceback.format_exception(error)).rstrip(), sys.stderr)
    else:
        say(render(error.problems, limit), sys.stderr)


def _hydra_main() -> int:
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises instead of printing and leaving
    if not is_typed(sys.argv):  # Hydra composes all jobs of a sweep at once
        gc.disable()  # nothing that an import makes is garbage; `_thaw` is called when they are done
    try:
        import hydra

        from modelzoo.config import search_path
        from modelzoo.run import hydra_jobs

        search_path.register()
        typed = hydra_jobs.overrides_of(sys.argv[1:])
        sys.argv[1:] = hydra_jobs.sweep_arguments(sys.argv[1:])
        failed: list[Exception] = []
        with composing(typed) as own:
            own_code = _registered()

            def task(cfg: DictConfig) -> None:
                if own_code is not None:
                    from modelzoo import register

                    register.restore(own_code)
                try:
                    _job(cfg, failed)
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


def _registered() -> Any:
    """What the user's own code registered: a launcher's processes do not run that code again."""
    if "modelzoo.catalog.catalog" not in sys.modules:
        return None
    from modelzoo import register

    return register.registered()


def _job(cfg: DictConfig, failed: list[Exception]) -> None:
    """One job. What is wrong with it is printed at once; only in a sweep an exception tells Hydra that it failed."""
    from modelzoo.config import compose
    from modelzoo.run import hydra_jobs

    if hydra_jobs.is_sweep():
        _job_of_sweep(cfg)
        return
    options: dict[str, Any] = {}
    try:
        config = compose.from_hydra(cfg)
        options = config.options
        with located(config.locate):
            from modelzoo.run.job import run

            _thaw()
            run(config, hydra_jobs.run_directory())
    except Exception as error:
        told = _told(error)
        if told is None:
            raise
        failed.append(told)
        problems = options.get("problems", "all" if _flag("problems=all") else IN_FULL)
        shown = options.get("traceback", _flag("traceback=true"))
        report(told, shown is True, problems if type(problems) is int and problems > 0 else None)


def _job_of_sweep(cfg: DictConfig) -> None:
    """One job of a sweep, in whatever process a launcher chose; what is wrong with it stands in its record."""
    import modelzoo
    from modelzoo.config import compose
    from modelzoo.config.config import Config, nowhere
    from modelzoo.run import hydra_jobs
    from modelzoo.run.sweep import Sweep, digest
    from modelzoo.streams import SCHEME

    hydra_jobs.stay()
    number, overrides, threads = hydra_jobs.job_number(), hydra_jobs.typed(), hydra_jobs.threads_of_worker()
    try:
        config = compose.from_hydra(cfg)
        folder = digest(config, modelzoo.__version__, SCHEME)
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
            return run(config, directory)

    if threads is not None:
        importlib.import_module("modelzoo.run.job")  # once for all jobs of this process
    Sweep(hydra_jobs.sweep_directory()).perform(number, overrides, config, folder, work, apart=threads is not None)


def _thaw() -> None:
    """Collects garbage again, but never looks at what the imports made."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def _flag(override: str) -> bool:
    return override in sys.argv
