"""What is wrong with an override, and what to type instead: the same whether a config or a model file is changed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from modelzoo.errors import nearest
from modelzoo.names import is_index
from modelzoo.spelling import closest

QUOTE = "'"
"""What Hydra takes a text in, and a shell leaves alone inside double quotes."""

Answer = tuple[str, str]
"""What is wrong, and what to type."""


def unknown(name: str, parent: str, names: Sequence[str], key: str, value: str, *, last: bool) -> Answer:
    """No such key; `last` says whether nothing of the key comes after it.

    >>> unknown("dmi", "model.args", ["dim"], "model.args.dmi", "3", last=True)
    ("There is no 'dmi' in model.args.", "Did you mean 'dim'?")
    """
    what = f"There is no '{name}' in {parent}." if parent else f"There is no key '{name}'."
    hint = nearest(name, names)
    if last and parent and not closest(name, names):
        hint = f"{hint} To add it, type +{key}={value}".strip()
    return what, hint


def in_a_text(parent: str, written: str) -> Answer:
    """A key below a text."""
    return f"'{parent}' is written as text, {written}.", f"Replace it whole: {quoted(parent, written)}"


def no_entry(key: str, count: int, index: str) -> Answer:
    """An index beyond a list."""
    return f"The list {key} has {count} entries, 0 to {count - 1}; there is no {index}.", ""


def no_index(name: str) -> Answer:
    """A name where a list has an index."""
    return f"A list takes an index, not '{name}'.", ""


def exists(key: str, override: str) -> Answer:
    """Something to add is there."""
    return f"'{key}' exists already.", f"To change it, type {override.lstrip('+')}"


def nothing_to_delete(key: str, hint: str) -> Answer:
    """Something to delete is not there."""
    return f"There is no '{key}' that could be deleted.", hint


def deletes_entry(above: Sequence[str], index: str) -> Answer:
    """An entry of a list is deleted."""
    key, what = ".".join(above), "Hydra deletes no entry of a list."
    if _holds_layers(above):
        entry = f"{key}.{index}"
        return what, f"To leave the layer out, type {entry}=null; to put another in its place, {entry}=Identity"
    return what, f"Type the whole list without it: {key}=[...]"


def _holds_layers(keys: Sequence[str]) -> bool:
    """Whether the list at a key stands below `layers`, or for a layer there."""
    if "layers" not in keys:
        return False
    last = len(keys) - 1 - keys[::-1].index("layers")
    return all(map(is_index, keys[last + 2 :]))


def quoted(key: str, value: str) -> str:
    """The override as it has to be typed so that Hydra takes the value as a text.

    >>> print(quoted("model.layers.act", "LeakyReLU(0.1)"))
    "model.layers.act='LeakyReLU(0.1)'"
    """
    return typed_text(f"{key}={_text(value)}")


def quoted_each(key: str, values: Sequence[str]) -> str:
    """A sweep over texts as it has to be typed: each call in quotes of its own.

    >>> print(quoted_each("model.layers.act", ["LeakyReLU(0.1)", "ReLU"]))
    "model.layers.act='LeakyReLU(0.1)',ReLU"
    """
    parts = (value if re.fullmatch("[A-Za-z0-9_.]+", value) else _text(value) for value in values)
    return typed_text(f"{key}={','.join(parts)}")


def typed_text(override: str) -> str:
    """An override as it is typed in a shell."""
    return shlex.quote(override) if re.search(r'["$`\\!]', override) else f'"{override}"'


def _text(value: str) -> str:
    return QUOTE + value.strip(QUOTE).replace(QUOTE, rf"\{QUOTE}") + QUOTE
