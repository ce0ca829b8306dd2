"""safetensors files: a header of names, shapes and places, then values, which are mapped into memory."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch

from modelzoo import files, headers
from modelzoo.weights.stored import Stored

DTYPES = {
    "BOOL": "bool",
    **{f"{sign}{bits}": f"{kind}{bits}" for sign, kind in (("I", "int"), ("U", "uint")) for bits in (8, 16, 32, 64)},
    **{"F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64", "C64": "complex64"},
    **{"F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "F8_E8M0": "float8_e8m0fnu"},
    **{"F8_E4M3FNUZ": "float8_e4m3fnuz", "F8_E5M2FNUZ": "float8_e5m2fnuz"},
}
"""How the format writes the dtypes of torch. In all others elements share a byte: they have no shape of their own."""


def stored(path: pathlib.Path, opened: ExitStack) -> Iterator[Stored]:
    """The tensors of a file.

    Args:
        opened: closes it when they have been read.

    Raises:
        ConfigError: it is none that can be read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        headers.check_size(path)
        file = opened.enter_context(safe_open(path, framework="pt"))
    except (OSError, SafetensorError) as error:
        files.fail(path, f"This file cannot be read as safetensors: {error}.", cause=error)
    told = headers.header(path)
    aliases = _aliases(told.pop("__metadata__", None))
    for name, about in told.items():
        yield Stored(
            path=(name,),
            shape=tuple(about["shape"]),
            written=about["dtype"],
            dtype=getattr(torch, DTYPES.get(about["dtype"], ""), None),
            read=partial(file.get_tensor, name),
            others=aliases.get(name, ()),
        )


def _aliases(metadata: Any) -> dict[str, tuple[str, ...]]:
    """The other names in a dump of ours; none in any other file."""
    try:
        aliases = json.loads(metadata[headers.KEY])["aliases"]
        known = {name: tuple(others) for name, others in aliases.items() if isinstance(others, list)}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}
    return {name: others for name, others in known.items() if all(isinstance(each, str) for each in others)}
