"""What a file of weights says that it holds: a safetensors file, or the index of a sharded one."""

from __future__ import annotations

import json
import pathlib
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from modelzoo import files
from modelzoo.errors import IN_FULL
from modelzoo.escapes import printable
from modelzoo.run.save import METADATA

INDEX = ".safetensors.index.json"
PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle")
HEADER = 2**25
"""Bytes of a header or an index: those of the largest models have a quarter."""

NAME = 10_000
"""Characters of a name."""

DTYPES = {
    "BOOL": "bool",
    **{f"{sign}{bits}": f"{kind}{bits}" for sign, kind in (("I", "int"), ("U", "uint")) for bits in (8, 16, 32, 64)},
    **{"F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64", "C64": "complex64"},
    **{"F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "F8_E8M0": "float8_e8m0fnu"},
    **{"F8_E4M3FNUZ": "float8_e4m3fnuz", "F8_E5M2FNUZ": "float8_e5m2fnuz"},
}
"""How the format writes the dtypes of torch. In all others elements share a byte: they have no shape of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One tensor in a file, not yet read.

    Attributes:
        name: what the file calls it.
        others: the other names it has in a dump of ours.
        file: the open file.
    """

    name: str
    others: tuple[str, ...] = ()
    file: Any

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.file.get_slice(self.name).get_shape())

    @property
    def written(self) -> str:
        """Its dtype as the format writes it."""
        return str(self.file.get_slice(self.name).get_dtype())

    @property
    def dtype(self) -> torch.dtype | None:
        """None where this torch has no such dtype."""
        return getattr(torch, DTYPES.get(self.written, ""), None)

    def read(self) -> Tensor:
        value: Tensor = self.file.get_tensor(self.name)
        return value


def stored(path: pathlib.Path, opened: ExitStack) -> list[Stored]:
    """The tensors of a file or of its shards, by name.

    Args:
        path: the file.
        opened: closes the files when they have been read.

    Raises:
        ConfigError: there is no such file, or it is none that can be read.
    """
    if path.suffix.lower() in PICKLES:
        files.fail(
            path,
            "This is a pickle: opening one can run its author's code.",
            "If you trust it, convert it once in Python (its weights may be under another key than 'state_dict') and "
            f"load the result: weights = torch.load({str(path)!r}, weights_only=True); safetensors.torch.save_file("
            "{k: v.clone() for k, v in weights.get('state_dict', weights).items()}, "
            f"{str(path.with_suffix('.safetensors'))!r})",
        )
    if not path.is_file():
        what = "There is no such file." if not path.exists() else "This is no regular file."
        files.fail(path, what, "Type the path of a .safetensors file: load=FILE")
    found: dict[str, Stored] = {}
    for part in _shards(path) if path.name.endswith(INDEX) else [path]:
        for each in _tensors(part, opened):
            if each.name in found:
                files.fail(path, f"Two files of this index hold '{printable(each.name, lines=False)}'.")
            found[each.name] = each
    return [found[name] for name in sorted(found)]


def _tensors(path: pathlib.Path, opened: ExitStack) -> Iterable[Stored]:
    from safetensors import SafetensorError, safe_open

    try:
        with path.open("rb") as head:
            length = int.from_bytes(head.read(8), "little")
            if length > HEADER:
                claimed = f"its header would have {length:,} bytes, and at most {HEADER:,} are read"
                files.fail(path, f"This file cannot be read as safetensors: {claimed}.")
            header = head.read(length)
        file = opened.enter_context(safe_open(path, framework="pt"))
    except (OSError, SafetensorError) as error:
        files.fail(path, f"This file cannot be read as safetensors: {error}.", cause=error)
    told = _json(header, path)
    aliases = _aliases(told.pop("__metadata__", None))
    for name in told:
        if len(name) > NAME:
            start = printable(name[:40], lines=False)
            files.fail(path, f"A name has {len(name):,} characters, and at most {NAME:,} are read: {start}...")
        yield Stored(name=name, others=aliases.get(name, ()), file=file)


def _shards(path: pathlib.Path) -> list[pathlib.Path]:
    size = path.stat().st_size
    if size > HEADER:
        files.fail(path, f"This index has {size:,} bytes, and at most {HEADER:,} are read.")
    try:
        parts = sorted(set(_json(path.read_bytes(), path)["weight_map"].values()))
        inside = all(pathlib.PurePath(part).name == part for part in parts)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        files.fail(path, "This index has no 'weight_map' from names to files.", cause=error)
    if not inside:
        files.fail(path, "This index names files outside its own directory.")
    missing = [part for part in parts if not (path.parent / part).is_file()]
    if missing:
        more = f" and {len(missing) - IN_FULL} more" if len(missing) > IN_FULL else ""
        names = printable(", ".join(missing[:IN_FULL]), lines=False)
        files.fail(path, f"This index names files that are not there: {names}{more}.")
    return [path.parent / part for part in parts]


def _json(text: bytes, path: pathlib.Path) -> Any:
    """JSON without a name that stands twice: readers differ in which of the two they take."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
            files.fail(path, f"'{printable(twice, lines=False)}' stands twice in this file.")
        return found

    return json.loads(text.decode(), object_pairs_hook=once)


def _aliases(metadata: Any) -> dict[str, tuple[str, ...]]:
    """The other names in a dump of ours; none in any other file."""
    try:
        aliases = json.loads(metadata[METADATA])["aliases"]
        known = {name: tuple(others) for name, others in aliases.items() if isinstance(others, list)}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}
    return {name: others for name, others in known.items() if all(isinstance(each, str) for each in others)}
