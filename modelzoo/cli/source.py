"""`model.py`: any model as plain PyTorch source, the way out of the config."""

from __future__ import annotations

import argparse

from modelzoo.config import modelfile
from modelzoo.errors import located
from modelzoo.export.source.model import source, written
from modelzoo.plans import draft as drafts
from modelzoo.terminal import say


def command(arguments: list[str]) -> int:
    """Prints the source of a model file, or of what overrides compose.

    Args:
        arguments: the path of a model file, or overrides as `python run.py` takes them.

    Raises:
        ConfigError: all problems found.
    """
    parser = argparse.ArgumentParser(prog="python -m modelzoo source", description=__doc__)
    parser.add_argument("what", nargs="*", help="a model file, or overrides as in model=nested init=xavier")
    what = parser.parse_args(arguments).what
    if len(what) == 1 and not modelfile.is_override(what[0]):
        text = source(what[0])
    else:
        text = _composed(what)
    say(text.removesuffix("\n"))
    return 0


def _composed(overrides: list[str]) -> str:
    from modelzoo.config import compose

    given = compose.compose(overrides)
    options = given.options
    with located(given.locate):
        draft = drafts.draft(
            given.model, given.init, seed=options.get("seed", 0), dtype=options.get("dtype", "float32")
        )
        return written(draft, given.model)
