"""Folders of `torch.distributed.checkpoint`: tensors in pieces, and a list of them that is a pickle.

torch opens that list as any pickle, which can run its author's code. Here nothing is taken from it but data: where it
names a class, an empty one of ours stands, which keeps what it is given.
"""

from __future__ import annotations

import io
import math
import pathlib
import pickle
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from modelzoo import files
from modelzoo.escapes import printable
from modelzoo.headers import HEADER
from modelzoo.weights import torch_files
from modelzoo.weights.pickles import check_depth
from modelzoo.weights.stored import Stored, unreadable

LIST = ".metadata"
KIND = "a checkpoint of torch.distributed"
OVERHEAD = 2**20
"""Bytes that a piece may have besides its values."""

_EMPTY = {
    "torch.distributed.checkpoint.metadata": (
        "Metadata",
        "TensorStorageMetadata",
        "BytesStorageMetadata",
        "ChunkStorageMetadata",
        "TensorProperties",
        "MetadataIndex",
        "StorageMeta",
        "_MEM_FORMAT_ENCODING",
    ),
    "torch.distributed.checkpoint.filesystem": ("_StorageInfo", "_StoragePrefix"),
    "torch.serialization": ("_get_layout",),
    "pathlib": ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath", "Path"),
    "pathlib._local": ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath", "Path"),
}
"""What a list may name that is only kept."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a tensor: where it begins in it, how large it is, and where it lies."""

    start: tuple[int, ...]
    shape: tuple[int, ...]
    file: pathlib.Path
    offset: int
    length: int


def stored(path: pathlib.Path) -> Iterator[Stored]:
    """The tensors of a folder.

    Raises:
        ConfigError: it is none that can be read.
    """
    try:
        found = _listed(path)
        tensors, ways, pieces = found["state_dict_metadata"], found.get("planner_data"), _places(found["storage_data"])
        for name, about in tensors.items():
            if about.state is None:  # what is no tensor
                continue
            dtype = about.state["properties"].state[0]
            shape = _sizes(about.state["size"])
            parts = [_piece(path, each.state, pieces[name]) for each in about.state["chunks"]]
            if not isinstance(dtype, torch.dtype) or sum(math.prod(each.shape) for each in parts) != math.prod(shape):
                raise ValueError(f"the pieces of '{name[:300]}' are not all there")
            way = ways.get(name) if isinstance(ways, dict) else None
            keys = tuple(map(str, way)) if isinstance(way, tuple) and way else (str(name),)
            written = str(dtype).removeprefix("torch.")
            read = partial(_read, path, shape, dtype, parts)
            yield Stored(path=keys, shape=shape, written=written, dtype=dtype, read=read)
    except (KeyError, AttributeError, TypeError, ValueError, IndexError, OverflowError) as error:
        reason = error if isinstance(error, ValueError) else "its list is not one that torch writes"
        unreadable(path, KIND, reason)


def _listed(path: pathlib.Path) -> dict[str, Any]:
    """The list of a folder, as data."""
    file = path / LIST
    if not file.is_file():
        hint = _weights_in(path)
        files.fail(path, f"This folder is no checkpoint of torch.distributed: it has no '{LIST}'.", hint)
    if file.stat().st_size > HEADER:
        files.fail(file, f"This list has {file.stat().st_size:,} bytes, and at most {HEADER:,} are read.")
    data = file.read_bytes()
    try:
        check_depth(io.BytesIO(data))
        state: dict[str, Any] = _Data(io.BytesIO(data)).load().state
        return state
    except _AskedError as error:
        asked = printable(str(error), lines=False)
        files.fail(file, f"This list holds more than data: it asks for {asked}, which could run code.", cause=error)
    except Exception as error:  # a pickle that is broken may raise anything
        unreadable(file, KIND, error)


def _weights_in(path: pathlib.Path) -> str:
    known = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
    found = next((each for each in known if (path / each).is_file()), "")
    return f"Type load={path / found}" if found else "Type the path of a file in it: load=FILE"


class _AskedError(Exception):
    """What a list names that no list of tensors needs."""


class _Data(pickle.Unpickler):
    """A pickle as data; its classes are made anew for each file, so that nothing it does to them lasts."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.made: dict[tuple[str, str], type] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and isinstance(found := getattr(torch, name, None), torch.dtype):
            return found
        if (module, name) == ("torch", "Size"):
            return tuple
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if name in _EMPTY.get(module, ()):
            return self.made.setdefault((module, name), type(name, (_Kept,), {}))
        raise _AskedError(f"{module}.{name}")


class _Kept:
    """Keeps what it is given."""

    state: Any = None

    def __init__(self, *given: Any) -> None:
        self.given = given

    def __setstate__(self, state: Any) -> None:
        self.state = state


def _places(stored: Any) -> dict[str, dict[tuple[int, ...], dict[str, Any]]]:
    """Where the pieces of each tensor lie, by where they begin in it."""
    found: dict[str, dict[tuple[int, ...], dict[str, Any]]] = {}
    for index, info in stored.items():
        start = index.state.get("offset")
        if start is not None:
            found.setdefault(index.state["fqn"], {})[_sizes(start)] = info.state
    return found


def _sizes(value: Any) -> tuple[int, ...]:
    if not isinstance(value, tuple) or not all(type(each) is int and each >= 0 for each in value):
        raise ValueError("a size in it is no size")
    return value


def _piece(folder: pathlib.Path, chunk: dict[str, Any], places: dict[tuple[int, ...], dict[str, Any]]) -> Piece:
    start, shape = _sizes(chunk["offsets"]), _sizes(chunk["sizes"])
    place = places[start]
    name = place["relative_path"]
    if pathlib.PurePath(name).name != name or not (folder / name).is_file():
        raise ValueError(f"it names '{str(name)[:300]}', which is no file in it")
    if place.get("transform_descriptors"):
        raise ValueError("its pieces are compressed")
    offset, length = _sizes((place["offset"], place["length"]))
    return Piece(start, shape, folder / name, offset, length)


def _read(path: pathlib.Path, shape: tuple[int, ...], dtype: torch.dtype, pieces: list[Piece]) -> Tensor:
    if len(pieces) == 1 and pieces[0].shape == shape:
        return _values(path, pieces[0], dtype)
    whole = torch.empty(shape, dtype=dtype)
    filled = 0
    for each in pieces:
        part = whole
        for dimension, (start, size) in enumerate(zip(each.start, each.shape, strict=True)):
            if start + size > shape[dimension]:
                unreadable(path, KIND, "a piece in it reaches out of its tensor")
            part = part.narrow(dimension, start, size)
        part.copy_(_values(path, each, dtype))
        filled += part.numel()
    return whole


def _values(path: pathlib.Path, piece: Piece, dtype: torch.dtype) -> Tensor:
    if piece.length > math.prod(piece.shape) * dtype.itemsize + OVERHEAD:
        unreadable(path, KIND, "a piece in it is larger than its values")
    with piece.file.open("rb") as file:
        found = torch_files.load(piece.file, io.BufferedReader(_Slice(file, piece.offset, piece.length)))
    if not isinstance(found, Tensor) or found.shape != piece.shape or found.dtype != dtype:
        unreadable(path, KIND, "a piece in it is not what its list says")
    return found.detach()


class _Slice(io.RawIOBase):
    """A part of a file, read as a file."""

    def __init__(self, file: Any, start: int, length: int) -> None:
        self.file, self.start, self.length, self.at = file, start, length, 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.at, io.SEEK_END: self.length}[whence]
        self.at = max(0, base + offset)
        return self.at

    def tell(self) -> int:
        return self.at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        self.file.seek(self.start + self.at)
        count: int = self.file.readinto(view[: max(0, min(len(view), self.length - self.at))])
        self.at += count
        return count
