"""What may be typed more shortly than Hydra reads it."""

from __future__ import annotations

import re
from collections.abc import Iterable

_LOAD = re.compile(r"load=(?!\s*\{)")


def written_out(arguments: Iterable[str]) -> list[str]:
    """`load=FILE` as the key of the file; as Hydra reads it, it would choose a config of a group.

    >>> written_out(["model=mlp", "load=x.safetensors", "load.strict=false", "load={file: x.pt, skip: [head.*]}"])
    ['model=mlp', 'load.file=x.safetensors', 'load.strict=false', 'load={file: x.pt, skip: [head.*]}']
    """
    return [_LOAD.sub("load.file=", each, count=1) if _LOAD.match(each) else each for each in arguments]
