"""Opens a model file for a program, which may change it on the way."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from modelzoo.config import modelfile
from modelzoo.config.places import Override


def load(
    path: str | os.PathLike[str], *, args: Mapping[str, Any] | None = None, overrides: Sequence[str] = ()
) -> modelfile.ModelFile:
    """Reads a model file, whoever wrote it.

    Args:
        path: a UTF-8 YAML file of at most 1 MB that holds a block, or `model` and optionally `init` and `groups`.
        args: other values for args of the model, by their names.
        overrides: what is changed in it, as `python run.py` takes it: `["model.args.dim=16"]`.

    Returns:
        A dictionary with `model` and, where the file has them, `init` and `groups`; references such as `${args.dim}`
        are resolved, and count from the root of what `python run.py` would compose (`${model.args.dim}`).

    Raises:
        ConfigError: with file, line and column of everything that is no plain data; an arg or an override that does not
            fit.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder, "tiny.yaml")
    ...     _ = file.write_text("args: {dim: 4}\\nlayers: ['Linear(dim, 1)']")
    ...     load(file, args={"dim": 8})
    {'model': {'args': {'dim': 8}, 'layers': ['Linear(dim, 1)']}}
    """
    return modelfile.opened(path, "model", overrides_of(args, overrides))


def overrides_of(args: Mapping[str, Any] | None, texts: Sequence[str]) -> tuple[Override, ...]:
    """What the Python API takes: values of the root's args by name, and overrides as they are typed.

    Raises:
        ConfigError: a text that is no override.

    >>> overrides_of({"dim": 3}, ["+model.args.act=GELU"])[1].key
    ('model', 'args', 'act')
    """
    given = tuple(
        Override(text=f"{name}={value!r}", key=("model", "args", str(name)), value=value, deletes=False, where="args")
        for name, value in (args or {}).items()
    )
    if not texts:
        return given
    from modelzoo.config import grammar

    return (*given, *grammar.read(texts, "overrides"))
