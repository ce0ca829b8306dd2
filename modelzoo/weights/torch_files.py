"""What `torch.save` writes: opened with `weights_only=True` and in no other way, mapped into memory."""

from __future__ import annotations

import pathlib
import pickle
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any

import torch
from torch import Tensor

from modelzoo import files
from modelzoo.escapes import printable
from modelzoo.headers import HEADER
from modelzoo.weights.pickles import check_depth
from modelzoo.weights.stored import COUNT, Stored, unreadable

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
    sizes = _checked(path)
    found = [*_tensors(path, load(path, path, mmap=sizes is not None))]
    if sizes is not None:
        _check_sizes(path, found, sizes)
    yield from (tensor(path, keys, value) for keys, value in found)


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
        unreadable(path, KIND, error)


def _checked(path: pathlib.Path) -> Counter[int] | None:
    """Looks at the pickles of a file.

    Returns:
        How many of its parts have which size; None for the format in which values cannot be mapped into memory.
    """
    try:
        if not zipfile.is_zipfile(path):
            with path.open("rb") as file:
                for _ in range(OLD):
                    check_depth(file)
            return None
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            if any(each.filename.endswith("/constants.pkl") for each in parts):
                what = "This file is TorchScript, which is code as well as weights."
                hint = "Save the weights alone, where it was made: torch.save(module.state_dict(), FILE)."
                files.fail(path, what, hint)
            for each in parts:
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
    return Counter(each.file_size for each in parts)


def _check_sizes(path: pathlib.Path, found: Iterable[tuple[tuple[str, ...], Tensor]], sizes: Counter[int]) -> None:
    """Refuses tensors that are larger than their part of a file: what follows it there would be read as theirs."""
    dense = [value for _, value in found if value.layout == torch.strided and not value.is_meta]
    storages = {storage.data_ptr(): storage.nbytes() for storage in (value.untyped_storage() for value in dense)}
    for size, count in Counter(size for size in storages.values() if size).items():
        if sizes[size] < count:
            unreadable(path, KIND, f"it has a tensor of {size:,} bytes, and no part of that size for it")


def _tensors(path: pathlib.Path, data: Any) -> Iterator[tuple[tuple[str, ...], Tensor]]:
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
            yield keys, value
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
