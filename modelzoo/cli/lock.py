"""`python -m modelzoo lock NAME...`: writes what a model is, to be kept and compared, so that no change goes unseen."""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from modelzoo import files
from modelzoo.cli import diff, sides
from modelzoo.cli.guard import tell
from modelzoo.errors import ConfigError, Problem
from modelzoo.terminal import say

if TYPE_CHECKING:
    from modelzoo.diff.locks import Lock

WRONG = 2


def command(arguments: list[str]) -> int:
    """Locks models, or checks locks; returns 1 if a model is another than its lock says, and 2 where it is wrong.

    Args:
        arguments: models, each with the overrides behind it; with `--check` locks, folders of them, or names of models.
    """
    parser = argparse.ArgumentParser(prog="python -m modelzoo lock", description=__doc__)
    parser.add_argument("what", nargs="+", help="models, each with overrides behind it; with --check locks or folders")
    parser.add_argument("--check", action="store_true", help="compares instead of writing")
    parser.add_argument("--plan", action="store_true", help="leaves the values out, for which a model is built")
    parser.add_argument("--folder", default=".", help="where the locks are; default: here")
    given = parser.parse_args(arguments)
    folder = pathlib.Path(given.folder)
    try:
        if given.check:
            return max([checked(each, plan=given.plan) for each in _locks(given.what, folder)])
        for side in sides.sides(given.what):
            _write(side, folder, plan=given.plan)
        return 0
    except Exception as error:  # the exit code of what nobody expected would say something else
        tell(error)
        return WRONG


def _write(side: sides.Side, folder: pathlib.Path, plan: bool) -> None:
    from modelzoo.diff import locks

    typed = (side.target.removeprefix("model="), *side.overrides)
    path = folder / locks.file_of(typed)
    files.write_text(path, locks.written(made(typed, plan=plan)))
    say(f"locked  {files.shown(path)}", flush=True)


def made(typed: Sequence[str], plan: bool = False) -> Lock:
    """The lock of a model as it is now.

    Args:
        typed: its name or file, and overrides.
        plan: whether to leave its values out.
    """
    import torch

    import modelzoo
    from modelzoo.diff import digests
    from modelzoo.diff.locks import Lock
    from modelzoo.diff.snapshots import snapshot

    draft = sides.drafted(sides.Side(typed[0], tuple(typed[1:])))
    return Lock(
        typed=tuple(typed),
        model=snapshot(draft),
        digests={} if plan else digests.digests(draft),
        machine=digests.machine(),
        versions={"modelzoo": modelzoo.__version__, "torch": str(torch.__version__)},
    )


def _locks(what: Sequence[str], folder: pathlib.Path) -> list[pathlib.Path]:
    from modelzoo.diff import locks

    found: list[pathlib.Path] = []
    for each in what:
        path = pathlib.Path(each)
        if path.is_dir():
            inside = sorted(path.glob(f"*{locks.SUFFIX}"))
            found += inside
            if not inside:
                raise ConfigError([Problem(where=each, what="There is no lock in this folder.")])
        else:
            found.append(path if each.endswith(locks.SUFFIX) else folder / locks.file_of([each]))
    return found


def checked(path: pathlib.Path, plan: bool = False) -> int:
    """Compares a lock with its model as it is now, and prints what is another; returns whether something is.

    Args:
        path: of the lock.
        plan: whether to leave the values out.
    """

    from modelzoo.diff import digests, locks
    from modelzoo.diff.difference import difference

    lock = locks.read(path)
    elsewhere = lock.machine != digests.machine()
    now = made(lock.typed, plan=plan or elsewhere or not lock.digests)
    found = difference(lock.model, now.model, (lock.digests, now.digests))
    shown = files.shown(path)
    if found.equal:
        say(f"ok      {shown}", flush=True)
    else:
        diff.show(found, (shown, " ".join(lock.typed)), every=False)
        if now.versions != lock.versions:
            say(f"note: it was written with {_told(lock.versions)}, and this is {_told(now.versions)}.")
        say(f"To keep it so: python -m modelzoo lock {' '.join(lock.typed)}")
    if elsewhere and lock.digests and not plan:
        say(f"note: its values were computed on {lock.machine}; this is {digests.machine()}, so they are not compared.")
    return int(not found.equal)


def _told(versions: object) -> str:
    return ", ".join(f"{name} {version}" for name, version in dict(versions).items())  # type: ignore[call-overload]
