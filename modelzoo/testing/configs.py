"""The configs that a test speaks of, opened: its own, and those that it is compared with."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterable
from typing import Any

import yaml

from modelzoo.config import modelfile
from modelzoo.config.config import Config, from_mapping
from modelzoo.config.document import Document
from modelzoo.errors import ConfigError, Locate, Path, Problem, fail, located
from modelzoo.testing import overrides
from modelzoo.testing.case import OPTIONS, Case, Given, Unchanged


class Configs:
    """Opens configs for one test.

    Args:
        case: the test.
        document: the file where it stands.
        folder: where that file lies; other files are relative to it.
    """

    def __init__(self, case: Case, document: Document, folder: pathlib.Path) -> None:
        self.case, self.document, self.folder = case, document, folder

    def own(self) -> Config:
        """That of the test."""
        return self.open(self.case.given, self.case.point)

    def changed(self, unchanged: Unchanged) -> Config:
        """The config of the test with other overrides on top."""
        if isinstance(self.case.given, tuple):
            return self.open((*overrides.overrides(self.case.given, self.case.point), *unchanged.overrides))
        pairs = list(self.case.point)
        for override in unchanged.overrides:
            key, equals, value = override.partition("=")
            if not equals:
                fail(unchanged.key / "overrides", f"'{override}' sets nothing.", "Write key=value.")
            pairs.append((key, yaml.safe_load(value)))
        return self.open(self.case.given, pairs)

    def open(self, given: Given, point: Iterable[tuple[str, Any]] = (), key: Path | None = None) -> Config:
        """What is to be built, as plain data with places."""
        if isinstance(given, tuple):
            from modelzoo.config import compose

            return compose.compose(overrides.overrides(given, point))
        written = key or self.case.key / "config"
        if isinstance(given, str):
            return self._file(given, list(point), written)
        with located(self._sweep):
            data = overrides.changed(given, point)

        def locate(at: Path, line: int = 0, column: int = 0) -> tuple[str, str]:
            inside = Path((*written, *at))
            bare = self.document.find(written / "model")
            if bare is None or bare.depth == len(written):
                inside = Path((*written, *at[1:]))
            return self.document.place(inside, line, column), str(at)

        return _config(data, locate)

    def _file(self, given: str, point: list[tuple[str, Any]], written: Path) -> Config:
        path = self.folder / given
        if not path.is_file():
            what = f"There is no file '{given}' beside the test."
            raise ConfigError([Problem(where=self.document.place(written), path=str(written), what=what)])
        opened = modelfile.load(overrides.near(path))
        with located(self._sweep):
            data = overrides.changed(opened, point)
        return _config(data, opened.locate)

    def _sweep(self, key: Path, line: int = 0, column: int = 0) -> tuple[str, str]:
        return self.document.place(Path((*self.case.key, "sweep", *key))), str(key)


def _config(data: dict[str, Any], locate: Locate) -> Config:
    with located(locate):
        config = from_mapping({name: data[name] for name in modelfile.KINDS if name in data})
    options = config.options | {name: data[name] for name in OPTIONS if name in data}
    return dataclasses.replace(config, options=options, locate=locate)
