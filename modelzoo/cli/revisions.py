"""Configs as they were: the YAML files of a revision of git, in a folder of their own while they are read."""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NoReturn

from modelzoo import bounds
from modelzoo.config.modelfile import SUFFIXES
from modelzoo.errors import ConfigError, Problem

MARK = "git:"
"""What is typed before a revision: `git:REV:PATH`."""

FILES = 2_000
"""Files of a revision that are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """A file of a revision, as it was typed: `git:HEAD~1:conf/model/gpt2.yaml`.

    Attributes:
        typed: all of it.
        name: the revision, as git understands it.
        path: from the root of the repository, or from here if it begins with `./`.
    """

    typed: str
    name: str
    path: str

    @property
    def group(self) -> str:
        """The group of a config folder that the file is in: `model` of `conf/model/gpt2.yaml`."""
        return pathlib.PurePosixPath(self.path).parent.name


def revision(typed: str) -> Revision:
    """What was typed, taken apart.

    Raises:
        ConfigError: a part is missing.

    >>> revision("git:HEAD~1:conf/model/gpt2.yaml").path
    'conf/model/gpt2.yaml'
    """
    name, colon, path = typed.removeprefix(MARK).partition(":")
    if not (name and colon and path) or name.startswith("-"):
        _fail(typed, "A file of a revision is written git:REV:PATH.", "As in git:HEAD~1:conf/model/gpt2.yaml")
    return Revision(typed=typed, name=name, path=path)


@contextlib.contextmanager
def checked_out(given: Revision) -> Iterator[pathlib.Path]:
    """While it lasts, this process is in a folder with the file, and the YAML files that belong to it.

    Those are the files beside it; of `conf/model/x.yaml` all of `conf`.

    Yields:
        the path of the file in that folder.

    Raises:
        ConfigError: git knows no such revision or file.
    """
    commit = _git(given, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{given.name}^{{commit}}").strip()
    if not commit:
        _fail(given.typed, f"Git knows no revision '{given.name}'.", "git log --oneline lists them.")
    prefix = _git(given, "rev-parse", "--show-prefix").decode().strip()
    path = pathlib.PurePosixPath(os.path.normpath((prefix if given.path.startswith("./") else "") + given.path))
    whole = given.group == "model"
    root = path.parent.parent if whole else path.parent
    found = dict(_blobs(given, commit.decode(), "" if str(root) == "." else f"{root}/", recursive=whole))
    inside = path.relative_to(root)
    if str(inside) not in found:
        _fail(given.typed, f"There is no file '{path}' in {given.name}.", "Its path counts from the root of git.")
    contents = _git(given, "cat-file", "--batch", told="".join(f"{each}\n" for each in found.values()))
    before = pathlib.Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        base = pathlib.Path(folder, "conf") if whole else pathlib.Path(folder)
        for name in found:
            head, _, contents = contents.partition(b"\n")
            size = int(head.split()[2])
            target = base / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(contents[:size])
            contents = contents[size + 1 :]
        os.chdir(folder)
        try:
            yield base.relative_to(folder) / inside
        except ConfigError as error:
            raise ConfigError(_told(given, each) for each in error.problems) from error
        finally:
            os.chdir(before)


def _blobs(given: Revision, commit: str, folder: str, recursive: bool) -> Iterator[tuple[str, str]]:
    """The YAML files in a folder of a commit, each with its object; links and large files are left out."""
    where = [*(["-r"] if recursive else []), commit, "--", *([folder] if folder else [])]
    listed = _git(given, "ls-tree", "-z", "--long", "--full-tree", *where)
    count = 0
    for row in listed.decode("utf-8", "replace").split("\0"):
        facts, _, name = row.partition("\t")
        mode, kind, blob, size = (facts.split() + [""] * 4)[:4]
        if kind == "blob" and mode.startswith("100") and name.endswith(SUFFIXES) and int(size) <= bounds.FILE:
            count += 1
            if count > FILES:
                _fail(given.typed, f"There are more than {FILES:,} YAML files in this folder.", "")
            yield name[len(folder) :], blob


def _git(given: Revision, *arguments: str, told: str = "") -> bytes:
    try:
        done = subprocess.run(["git", *arguments], input=told.encode(), capture_output=True, check=False)
    except OSError as error:
        _fail(given.typed, f"git cannot be started: {error.strerror}.", "", error)
    if done.returncode and done.stderr:
        _fail(given.typed, done.stderr.decode("utf-8", "replace").strip().splitlines()[0], "")
    return done.stdout


def _told(given: Revision, problem: Problem) -> Problem:
    """A problem of a file that is there no more: its place is in the revision."""
    typed = problem.where in ("", "command line")
    return problem if typed else replace(problem, where=f"{MARK}{given.name}:{problem.where}")


def _fail(typed: str, what: str, hint: str, cause: BaseException | None = None) -> NoReturn:
    raise ConfigError([Problem(where="command line", path=typed, what=what, hint=hint)]) from cause
