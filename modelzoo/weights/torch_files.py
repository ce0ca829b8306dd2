"""What `torch.save` writes: opened with `weights_only=True` and in no other way, mapped into memory."""

from __future__ import annotations

import pathlib
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from typing import IO, Any

import torch
from torch import Tensor

from modelzoo import files
from modelzoo.escapes import printable
from modelzoo.weights.pickles import check_depth
from modelzoo.weights.stored import COUNT, HEADER, Stored, unreadable

KIND = "weights of torch"
LEVELS = 10
"""Mappings inside mappings."""

OLD = 5
"""The pickles that a file has in the format before torch 1.6, in front of its values."""


def stored(path: pathlib.Path) -> Iterator[Stored]:
    """Every tensor in the mappings of a file, under its keys; what is no tensor is left out.

    Raises:
        ConfigError: it is none that can be read, or holds more than data.
    """
    mapped = _checked(path)
    yield from _tensors(path, load(path, path, mmap=mapped))


def load(path: pathlib.Path, file: pathlib.Path | IO[bytes], *, mmap: bool = False) -> Any:
    """What was saved, without any of the code that it asks for.

    Args:
        path: what messages name.
        file: where it is read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(file, map_location="cpu", weights_only=True, mmap=mmap)
    except pickle.UnpicklingError as error:
        asked = re.search(r"GLOBAL ([\w.]+)", str(error))
        if asked is None:
            unreadable(path, KIND, "it is no pickle of weights alone")
        files.fail(
            path,
            f"This file holds more than weights: it asks for {printable(asked[1], lines=False)}, which could run code.",
            "Save the weights alone, where it was made: torch.save(model.state_dict(), FILE).",
            cause=error,
        )
    except (OSError, MemoryError):
        raise
    except Exception as error:
        if "TorchScript" in str(error):
            what = "This file is TorchScript, which is code as well as weights."
            hint = "Save the weights alone, where it was made: torch.save(module.state_dict(), FILE)."
            files.fail(path, what, hint, cause=error)
        unreadable(path, KIND, error)


def _checked(path: pathlib.Path) -> bool:
    """Looks at the pickles of a file, and returns whether its values can be mapped into memory."""
    try:
        if not zipfile.is_zipfile(path):
            with path.open("rb") as file:
                for _ in range(OLD):
                    check_depth(file)
            return False
        with zipfile.ZipFile(path) as archive:
            for each in archive.infolist():
                if each.compress_type != zipfile.ZIP_STORED:
                    unreadable(path, KIND, "a part of it is compressed, which torch.save does not do")
                if each.filename.endswith(".pkl"):
                    if each.file_size > HEADER:
                        claimed = f"its pickle has {each.file_size:,} bytes, and at most {HEADER:,} are read"
                        unreadable(path, KIND, claimed)
                    with archive.open(each) as file:
                        check_depth(file)
    except (zipfile.BadZipFile, ValueError, KeyError, AssertionError, NotImplementedError, EOFError) as error:
        unreadable(path, KIND, error)
    return True


def _tensors(path: pathlib.Path, data: Any) -> Iterator[Stored]:
    """The tensors of nested mappings, in their order."""
    if not isinstance(data, Mapping):
        hint = "Save a state dict: torch.save(model.state_dict(), FILE)."
        files.fail(path, f"This file holds a {type(data).__name__} and no state dict.", hint)
    waiting: list[tuple[tuple[str, ...], Any]] = [((), data)]
    seen = 0
    while waiting:
        keys, value = waiting.pop()
        seen += 1
        if seen > COUNT:
            files.fail(path, f"This file has more than {COUNT:,} values.")
        if isinstance(value, Tensor):
            yield tensor(path, keys, value)
        elif isinstance(value, Mapping) and len(keys) < LEVELS:
            waiting += [((*keys, str(key)), each) for key, each in reversed(list(value.items()))]


def tensor(path: pathlib.Path, keys: tuple[str, ...], value: Tensor) -> Stored:
    """A tensor that was opened.

    Raises:
        ConfigError: it is sparse, quantized, or without values.
    """
    if value.layout != torch.strided or value.is_quantized or value.is_meta:
        kind = "has no values" if value.is_meta else "is quantized" if value.is_quantized else "is sparse"
        files.fail(path, f"'{printable('.'.join(keys)[:300], lines=False)}' {kind}.", "Save a plain tensor instead.")
    written = str(value.dtype).removeprefix("torch.")
    return Stored(path=keys, shape=tuple(value.shape), written=written, dtype=value.dtype, read=value.detach)
