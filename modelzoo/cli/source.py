"""`model.py`: any model as plain PyTorch source, the way out of the config."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from modelzoo.cli.typed import read_typed
from modelzoo.config import config, modelfile
from modelzoo.errors import Locate, Path, fail, located
from modelzoo.export.source.model import written
from modelzoo.plans import draft as drafts
from modelzoo.plans.options import Options
from modelzoo.terminal import say


def command(arguments: list[str]) -> int:
    """Prints the source of a model file, or of what overrides compose.

    Args:
        arguments: overrides as `python run.py` takes them; with the path of a model file they change that.

    Raises:
        ConfigError: all problems found.
    """
    parser = argparse.ArgumentParser(prog="python -m modelzoo source", description=__doc__)
    parser.add_argument("what", nargs="*", help="a model file, or overrides as in model=nested init=xavier")
    what = parser.parse_args(arguments).what
    targets = [each for each in what if modelfile.is_file(each)]
    if len(targets) > 1:
        fail(Path(), f"A source is that of one model, not of {' and '.join(targets)}.")
    overrides = [each for each in what if each not in targets]
    say((_of_file(targets[0], overrides) if targets else _composed(overrides)).removesuffix("\n"))
    return 0


def _of_file(file: str, texts: list[str]) -> str:
    typed = read_typed(texts)
    given = config.from_mapping(file, typed.init, typed.overrides)
    return _written(given, typed.over(given.options), typed.locate(given.locate))


def _composed(overrides: list[str]) -> str:
    from modelzoo.config import compose

    given = compose.compose(overrides)
    return _written(given, given.options, given.locate)


def _written(given: config.Config, options: Mapping[str, Any], locate: Locate) -> str:
    with located(locate):
        return written(drafts.drafted(given, Options.of(options)), given.model)
