"""What kind of file holds weights, and what it holds: the name of the file decides, never what stands in it."""

from __future__ import annotations

import itertools
import pathlib
from collections.abc import Iterable
from contextlib import ExitStack

from modelzoo import files
from modelzoo.escapes import printable
from modelzoo.weights import arrays, distributed, tensor_files, torch_files
from modelzoo.weights.shards import INDEX, shards
from modelzoo.weights.stored import Content, Stored, content

TORCH = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle", ".tar")
ARRAYS = ".npz"


def opened(path: pathlib.Path, stack: ExitStack) -> Content:
    """The tensors of a file, of the shards of an index or of a folder.

    Args:
        stack: closes what is opened.

    Raises:
        ConfigError: there is no such file, or it is none that can be read.
    """
    if path.is_dir():
        return content(path, distributed.stored(path), ordered=True)
    if not path.is_file():
        what = "There is no such file." if not path.exists() else "This is no regular file."
        files.fail(path, what, "Type the path of a file of weights: load=FILE")
    if not path.name.endswith(INDEX):
        return content(path, _stored(path, stack), ordered=_is_torchs(path))
    parts = shards(path)
    found: dict[str, Stored] = {}
    for each in itertools.chain.from_iterable(content(part, _stored(part, stack), False).tensors for part in parts):
        if each.name in found:
            files.fail(path, f"Two files of this index hold '{printable(each.name, lines=False)}'.")
        found[each.name] = each
    return content(path, found.values(), ordered=False)


def _is_torchs(path: pathlib.Path) -> bool:
    return path.suffix.lower() in TORCH


def _stored(path: pathlib.Path, stack: ExitStack) -> Iterable[Stored]:
    if _is_torchs(path):
        return torch_files.stored(path)
    if path.suffix.lower() == ARRAYS:
        return arrays.stored(path, stack)
    return tensor_files.stored(path, stack)
