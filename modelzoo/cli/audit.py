"""`python -m modelzoo audit NAME`: says which tensors the code of a model never writes, writes twice, or not anew."""

from __future__ import annotations

import argparse
import importlib
import re
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from modelzoo.cli import sides
from modelzoo.config import modelfile
from modelzoo.errors import ConfigError, Problem, first_line, nearest
from modelzoo.terminal import say

_CALLABLE = re.compile(r"([^\W\d]\w*(?:\.[^\W\d]\w*)*):([^\W\d]\w*)")


def command(arguments: list[str]) -> int:
    """Audits what a model, a model file or a callable makes; returns 1 where more than time is lost.

    Args:
        arguments: the name of a model or a file, with overrides behind it, or `package.module:callable`. The callable
            is imported and called: it is named on the command line, and nowhere else.

    Raises:
        ConfigError: what is wrong with the config; there is no such callable, or it makes no module.
    """
    from torch import nn

    from modelzoo.auditing.audit import audit

    parser = argparse.ArgumentParser(prog="python -m modelzoo audit", description=__doc__)
    parser.add_argument("target", help="a model, a model file, or package.module:callable")
    parser.add_argument("overrides", nargs="*", help="of a model, as in model.args.dim=16")
    given = parser.parse_args(arguments)
    named = None if modelfile.is_file(given.target) else _CALLABLE.fullmatch(given.target)
    if named is None:
        found = audit(_config(given.target, given.overrides), meta=False)  # `build` makes it on any device
    else:
        make = _imported(named[1], named[2], given.overrides)
        try:
            found = audit(make)
        except ConfigError:
            raise
        except Exception as error:
            _fail(given.target, f"it cannot be audited: {first_line(error).rstrip('.')}.", cause=error)
        kind = "module" if isinstance(make, nn.Module) else "make"
        say(f"from {named[1]} import {named[2]} as {kind}")
    say(str(found))
    return int(any(each.kind != "twice" for each in found.findings))


def _config(target: str, overrides: Sequence[str]) -> Callable[[], Any]:
    """What builds the model of a config, with its values."""
    from modelzoo.plans import draft

    [side] = sides.sides([target, *overrides])
    return lambda: draft.fill(sides.drafted(side), "cpu")


def _imported(module: str, name: str, overrides: Sequence[str]) -> Any:
    """What has that name in a module."""
    overrides = [each for each in overrides if each != "traceback=true"]
    if overrides:
        _fail(overrides[0], "This changes no callable.", "Write a function that makes the module so, and name that.")
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            _fail(module, f"It cannot be imported: {first_line(error).rstrip('.')}.", cause=error)
        _fail(module, f"There is no module '{error.name}'.", "Modules are found from this directory too.", cause=error)
    except Exception as error:
        _fail(module, f"It cannot be imported: {first_line(error).rstrip('.')}.", cause=error)
    if not hasattr(found, name):
        _fail(f"{module}:{name}", f"{module} has no '{name}'.", nearest(name, dir(found)))
    return getattr(found, name)


def _fail(path: str, what: str, hint: str = "", cause: BaseException | None = None) -> NoReturn:
    raise ConfigError([Problem(where="command line", path=path, what=what, hint=hint)]) from cause
