"""What may be a name: one answer for layers, tensors, args, inputs, blocks, keywords, keys of containers and copies."""

from __future__ import annotations

import keyword
import re
from typing import Final

from torch import nn

from modelzoo import bounds

IDENTIFIER: Final = rf"[A-Za-z_][A-Za-z0-9_]{{0,{bounds.NAME - 1}}}"
LABEL: Final = rf"[A-Za-z0-9_.-]{{1,{bounds.NAME}}}"
RESERVED = frozenset(dir(nn.Module())) | {"training", "forward"}

_RULE = f"Names have letters, digits and '_', start with a letter and are at most {bounds.NAME} long."
_identifier, _label = re.compile(IDENTIFIER), re.compile(LABEL)


def is_identifier(name: str) -> bool:
    """Whether a name is an ASCII identifier that is not too long and no word of Python.

    >>> is_identifier("hidden2"), is_identifier("\\u00b2"), is_identifier("class")
    (True, False, False)
    """
    return bool(_identifier.fullmatch(name)) and not keyword.iskeyword(name)


def is_index(name: str) -> bool:
    """Whether a name is a position in a list: ASCII decimals.

    >>> is_index("12"), is_index("\\u0663")
    (True, False)
    """
    return name.isascii() and name.isdecimal() and len(name) <= bounds.NAME


def is_label(name: str) -> bool:
    """Whether a name may label a rule: those are read by people alone, and may have '-' and '.' too."""
    return bool(_label.fullmatch(name))


def wrong(name: str, kind: str, *, owned: bool = True) -> tuple[str, str] | None:
    """What keeps a name from being that of a layer, a tensor, an arg, ...; and what to write.

    Args:
        name: as it was written.
        kind: what it would name: "a layer".
        owned: whether it becomes an attribute of a module, which has names of its own.

    >>> wrong("class", "a layer")
    ("'class' is a word of Python and cannot be the name of a layer.", 'Write class_.')
    """
    if not _identifier.fullmatch(name):
        return f"'{name}' cannot be the name of {kind}.", _RULE
    if keyword.iskeyword(name):
        return f"'{name}' is a word of Python and cannot be the name of {kind}.", f"Write {name}_."
    if owned and name in RESERVED:
        return f"'{name}' is a name of nn.Module and cannot be the name of {kind}.", f"Write {name}_."
    if (not owned and (name.startswith("_") or name == "training")) or name.startswith("__"):
        return f"'{name}' cannot be the name of {kind}.", "Take another name."
    return None


def of_class(name: str) -> str:
    """What the class of a block is called after its layer.

    >>> of_class("down_block"), of_class("none"), of_class("0")
    ('DownBlock', 'None_', 'Block')
    """
    found = "Block" if is_index(name) else "".join(part[:1].upper() + part[1:] for part in name.split("_")) or "Block"
    return f"{found}_" if keyword.iskeyword(found) else found
