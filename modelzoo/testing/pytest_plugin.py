"""The pytest plugin: every entry of a `test_*.yaml` is a test. It costs nothing where there is no such file."""

from __future__ import annotations

import os
import pathlib
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from modelzoo.config.document import Document
    from modelzoo.testing.case import Case


def pytest_collect_file(file_path: pathlib.Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collects `test_*.yaml` if it holds tests, and leaves another program's alone."""
    if file_path.suffix != ".yaml" or not file_path.name.startswith("test_"):
        return None
    from modelzoo.errors import ConfigError
    from modelzoo.testing import cases

    project = _project(file_path)
    root = project or parent.config.rootpath
    file: CaseFile = CaseFile.from_parent(parent, path=file_path)
    try:
        text = file_path.read_text("utf-8-sig")
        document = cases.recognise(text, _shown(file_path, root), project is not None)
    except UnicodeDecodeError:
        return None
    except ConfigError as error:
        document, file.broken = None, error
    file.document, file.root = document, root
    return file if document or file.broken else None


def _project(file: pathlib.Path) -> pathlib.Path | None:
    """The nearest folder above a file that has model or init configs."""
    wanted = ("conf/model", "conf/init", "conf/config.yaml")
    return next((each for each in file.parents if any((each / name).exists() for name in wanted)), None)


def _shown(file: pathlib.Path, root: pathlib.Path) -> str:
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else str(file)


class CaseFile(pytest.File):
    """A `test_*.yaml`."""

    document: Document | None = None
    root: pathlib.Path
    broken: Exception | None = None

    def collect(self) -> Iterator[pytest.Item]:
        """One item for each test, and for each point of its sweep."""
        from modelzoo.errors import ConfigError
        from modelzoo.escapes import printable
        from modelzoo.testing import cases

        if self.document is None:
            raise self.CollectError(str(self.broken))
        try:
            found = list(cases.cases(self.document))
        except ConfigError as error:
            raise self.CollectError(str(error)) from error
        for case in found:
            item: CaseItem = CaseItem.from_parent(self, name=printable(case.name, lines=False))
            item.case = case
            for mark in case.marks:
                item.add_marker(mark)
            if case.skip:
                item.add_marker(pytest.mark.skip(reason=case.skip))
            if case.xfail:
                item.add_marker(pytest.mark.xfail(reason=case.xfail))
            yield item


class CaseItem(pytest.Item):
    """One test."""

    parent: CaseFile
    case: Case

    def runtest(self) -> None:
        """Checks the test in its project's folder, as if it were typed there."""
        from modelzoo.testing import checker

        assert self.parent.document is not None
        with _inside(self.parent.root):
            checker.check(self.case, self.parent.document, self.path.parent)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """What is not as expected, its place, and the command that shows the model; a traceback only for a crash."""
        from modelzoo import errors, escapes
        from modelzoo.testing import overrides

        if not isinstance(excinfo.value, errors.ConfigError):
            return super().repr_failure(excinfo, style)
        with _inside(self.parent.root) as before:
            typed = overrides.command(self.case, self.path.parent)
            if not typed:
                node = f"{_shown(self.path, self.parent.root)}::{self.name}"
                typed = shlex.join(["pytest", node])
            elsewhere = before.resolve() != pathlib.Path.cwd().resolve()
            lead = f"cd {shlex.quote(str(self.parent.root))} && " if elsewhere else ""
        problems = excinfo.value.problems
        limit = len(problems) if self.config.get_verbosity() > 1 else errors.IN_FULL
        lines = [str(each) for each in problems[:limit]]
        here = self._place()
        if not problems[0].where.startswith(here.rsplit(":", 2)[0]):
            lines.insert(0, f"{here}  {self.name}")
        if len(problems) > limit:
            lines.append(f"... and {len(problems) - limit} more (pytest -vv shows all)")
        return escapes.printable("\n".join([*lines, f"To see it: {lead}{typed}"]))

    def _place(self) -> str:
        assert self.parent.document is not None
        return self.parent.document.place(self.case.key)

    def reportinfo(self) -> tuple[pathlib.Path, int, str]:
        """Where pytest says that the test stands."""
        return self.path, int(self._place().rsplit(":", 2)[1]) - 1, self.name


@contextmanager
def _inside(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Works in a folder for a while; gives the one before."""
    before = pathlib.Path.cwd()
    os.chdir(folder)
    try:
        yield before
    finally:
        os.chdir(before)
