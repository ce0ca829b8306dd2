"""`model.py`: any model as plain PyTorch source, the way out of the config."""

from __future__ import annotations

import argparse
import pathlib

from torch import nn

from modelzoo import api, files
from modelzoo.config import config, modelfile
from modelzoo.errors import located
from modelzoo.export.source.model import written
from modelzoo.terminal import say


def source(model: config.Source, init: config.Source | None = None, *, seed: int = 0, dtype: str = "float32") -> str:
    """The Python source of a model, which needs torch alone and constructs it with `Model()`.

    Keys, shared and tied tensors, outputs and gradients are those of `modelzoo.build`; values are drawn from the same
    distributions, and loaded from the `parameters.safetensors` of a run.

    Args:
        model: the path of a model file, a mapping, or a DictConfig.
        init: rules: a mapping, a DictConfig or a path; they replace the model file's own.
        seed: of random buffers that no state dict carries.
        dtype: of floating parameters and buffers that name none.

    Raises:
        ConfigError: all problems found.

    >>> print(source({"inputs": {"x": [2, 4]}, "layers": ["Linear(4, 8)", "ReLU"]}), end="")
    \"""A PyTorch model. Its values: safetensors.torch.load_model(Model(), "parameters.safetensors").\"""
    <BLANKLINE>
    import torch
    from torch import nn
    <BLANKLINE>
    <BLANKLINE>
    class Model(nn.Sequential):
        def __init__(self):
            super().__init__(nn.Linear(4, 8), nn.ReLU())
    """
    given = config.from_mapping(model, init)
    with located(given.locate):
        return written(api.draft(given.model, given.init, seed=seed, dtype=dtype), given.model)


def export(draft: api.Draft, model: nn.Module, given: config.Config, directory: pathlib.Path) -> pathlib.Path:
    """Writes `model.py` of a job; returns its path."""
    path = directory / "model.py"
    text = written(draft, given.model)
    files.write_text(path, text)
    return path


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
        draft = api.draft(given.model, given.init, seed=options.get("seed", 0), dtype=options.get("dtype", "float32"))
        return written(draft, given.model)
