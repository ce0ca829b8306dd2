"""Who writes: the innermost line of code that is no helper of torch's, and no function that writes for its caller."""

from __future__ import annotations

import copy
import os
import pathlib
import sys
from functools import cache
from types import CodeType, FrameType

import torch

Place = tuple[CodeType, int]
"""A function, and a line of it."""

_TORCH = f"{pathlib.Path(torch.__file__).parent}{os.sep}"
_LAYERS = f"{pathlib.Path(torch.nn.modules.__file__).parent}{os.sep}"
_OWN = f"{pathlib.Path(__file__).parent}{os.sep}"
_helpers: dict[CodeType, bool] = {}


def here() -> Place | None:
    """The line that asks torch to write.

    Functions whose name ends with an underscore, as `normal_` and `trunc_normal_` of every library, write for others.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        helps = _helpers.get(code)
        if helps is None:
            helps = _helpers[code] = _is_helper(code)
        if not helps:
            return code, frame.f_lineno
        frame = frame.f_back
    return None


def _is_helper(code: CodeType) -> bool:
    file, name = code.co_filename, code.co_name
    if name.endswith("_") and not name.endswith("__"):
        return True
    if file.startswith(_OWN) or file == copy.__file__:
        return True
    return file.startswith(_TORCH) and not file.startswith(_LAYERS)


def shown(place: Place | None) -> str:
    """A place as file and line: the file as it is imported, or seen from the current directory.

    >>> from torch import nn
    >>> shown((nn.Linear.reset_parameters.__code__, 116))
    'torch/nn/modules/linear.py:116'
    """
    if place is None:
        return ""
    code, line = place
    return f"{_imported(code.co_filename)}:{line}"


@cache
def _imported(name: str) -> str:
    file = pathlib.Path(name)
    roots = [pathlib.Path(each) for each in sys.path if each and file.is_relative_to(each)]
    start = max(roots, key=lambda each: len(each.parts), default=pathlib.Path.cwd())
    return str(file.relative_to(start) if file.is_relative_to(start) else file)
