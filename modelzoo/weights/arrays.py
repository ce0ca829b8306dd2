"""numpy's `.npz`: an archive of arrays, each read when it is asked for, without any object in it."""

from __future__ import annotations

import math
import pathlib
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any, BinaryIO

import torch
from torch import Tensor

from modelzoo.headers import HEADER
from modelzoo.weights.stored import Stored, unreadable

KIND = "arrays of numpy"
SUFFIX = ".npy"


def stored(path: pathlib.Path, opened: ExitStack) -> Iterator[Stored]:
    """The arrays of a file.

    Args:
        opened: closes it when they have been read.

    Raises:
        ConfigError: it is none that can be read, or an array is one of objects or of another size than it says.
    """
    try:
        archive = opened.enter_context(zipfile.ZipFile(path))
        for each in archive.infolist():
            if not each.filename.endswith(SUFFIX):
                unreadable(path, KIND, f"'{each.filename[:300]}' in it is no array")
            with archive.open(each) as file:
                shape, dtype = _header(file)  # type: ignore[arg-type]
                size = file.tell() + math.prod(shape) * dtype.itemsize
            name = each.filename.removesuffix(SUFFIX)
            if dtype.hasobject:
                unreadable(path, KIND, f"'{name[:300]}' holds objects, which could run code")
            if size != each.file_size:
                unreadable(path, KIND, f"'{name[:300]}' has {each.file_size:,} bytes instead of {size:,}")
            written = dtype.name if dtype.names is None else "a record"
            known = getattr(torch, "bool" if written == "bool" else written, None)
            yield Stored(
                path=(name,),
                shape=shape,
                written=written,
                dtype=known if isinstance(known, torch.dtype) else None,
                read=partial(_read, path, archive, each),
            )
    except (zipfile.BadZipFile, ValueError, KeyError, NotImplementedError, RuntimeError, EOFError) as error:
        unreadable(path, KIND, error)


def _header(file: BinaryIO) -> tuple[tuple[int, ...], Any]:
    """Shape and dtype of an array."""
    from numpy.lib import format

    version = format.read_magic(file)
    readers = {(1, 0): format.read_array_header_1_0, (2, 0): format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"it has an array of version {version[0]}.{version[1]}")
    shape, _, dtype = readers[version](file, max_header_size=min(HEADER, 10_000))
    if any(each < 0 for each in shape):
        raise ValueError("it has an array of a negative size")
    return tuple(shape), dtype


def _read(path: pathlib.Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Tensor:
    from numpy import lib

    try:
        with archive.open(member) as file:
            array = lib.format.read_array(file, allow_pickle=False)
    except (zipfile.BadZipFile, ValueError, EOFError) as error:
        unreadable(path, KIND, error)
    return torch.from_numpy(array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("=")))
