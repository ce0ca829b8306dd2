"""What an argument must be, in words, as JSON Schema."""

from __future__ import annotations

import json
import re

from modelzoo import bounds
from modelzoo.cli.schemas import Schema, keys_named, or_computed, ref
from modelzoo.names import Kind

_OF_NODES = ("_target_", "_ref_", "layers", "forward")


_WORDS: dict[str, Schema] = {
    "anything": {},
    "null": {"type": "null"},
    "true or false": {"type": "boolean"},
    "a layer": {
        "type": ["object", "array"],
        "if": {"type": "object", "not": {"anyOf": [{"required": [each]} for each in _OF_NODES]}},
        "then": {"additionalProperties": ref("open_node"), **keys_named(Kind.LAYER)},  # layers by name
        "else": ref("open_node"),
    },
    "an integer": {"type": "integer"},
    "a positive integer": {"type": "integer", "minimum": 1},
    "a finite number": {"type": "number"},
    "a positive number": {"type": "number", "exclusiveMinimum": 0},
}

_OWN_WORDS: dict[str, Schema] = {
    **{words: _WORDS[words] for words in ("null", "true or false", "an integer")},
    "a text": {"type": "string"},
    "a number": {"type": "number"},
    "a list": {"type": "array"},
    "a mapping": {"type": "object"},
}
"""Those of annotations."""


def of_own_words(wants: str) -> list[Schema]:
    """The alternatives of what an argument of a registered layer must be; anything where the words say more.

    >>> of_own_words("a number or null"), of_own_words("a list, each a text")
    ([{'type': 'number'}, {'type': 'null'}], [{}])
    """
    words = re.split(r" or (?!false)", wants)
    if all(each in _OWN_WORDS for each in words):
        return [_OWN_WORDS[each] for each in words]
    suggested = re.findall(r"'([^']*)'", wants) if wants.startswith("one of '") else []
    return [{"anyOf": [{"enum": suggested}, True]}] if suggested else [{}]


def of_words(wants: str, most: int = bounds.ELEMENTS) -> list[Schema]:
    """The alternatives of what an argument must be, as `catalog.Check` says it in words; `most` bounds integers.

    >>> of_words("a positive integer or null")
    [{'type': 'integer', 'minimum': 1}, {'type': 'null'}]
    """
    several = re.search(r" or a list of (\d+|them)", wants)
    if several:
        items = of_words(wants[: several.start()], most)
        count = {} if several[1] == "them" else {"minItems": int(several[1]), "maxItems": int(several[1])}
        many = {"type": "array", "items": or_computed(*items), "minItems": 1, **count}
        rest = wants[several.end() :].removeprefix(" or ")
        return [*items, many, *(of_words(rest, most) if rest else [])]
    if wants.startswith("left out"):
        return [{"type": "null"}]
    if wants.startswith("a list, each "):
        return [{"type": "array", "items": or_computed(*of_words(wants.removeprefix("a list, each "), most))}]
    return [_one_of(each, most) for each in re.split(r" or (?!false)", wants)]


def _one_of(words: str, most: int) -> Schema:
    if words in _WORDS:
        bounded = "integer" in words and most < bounds.ELEMENTS
        return {**_WORDS[words], "maximum": most} if bounded else _WORDS[words]
    if words.startswith("one of "):
        return {"enum": re.findall(r"'([^']*)'", words)}
    kind = "integer" if "integer" in words else "number"
    low, _, high = re.sub(r".*(?:from|between) ", "", words).partition(" and " if "between" in words else " to ")
    edges = ("exclusiveMinimum", "exclusiveMaximum") if "between" in words else ("minimum", "maximum")
    limits = {edge: json.loads(limit) for edge, limit in zip(edges, (low, high), strict=True) if limit}
    if kind == "integer" and most < bounds.ELEMENTS:
        limits.setdefault("maximum", most)
    return {"type": kind, **limits}
