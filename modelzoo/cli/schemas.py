"""Pieces of JSON Schema."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from modelzoo.catalog.checks import LAYER, Schema
from modelzoo.names import Kind

COMPUTED = r"^\s*=|\$\{|^\?\?\?$"
"""A text that stands for any value: a formula, an interpolation, or what is still missing."""


_OF_NODES = ("_target_", "_ref_", "layers", "forward")


def ref(name: str) -> Schema:
    """What a definition says."""
    return {"$ref": f"#/definitions/{name}"}


def or_computed(*alternatives: Schema) -> Schema:
    """One of these, or a formula, a reference or `???`."""
    return {"anyOf": [*alternatives, ref("computed")]}


def mapping_of(properties: Mapping[str, Schema] | None = None, **others: Any) -> Schema:
    """A mapping, null, or a text that stands for one; with keys of its own, or with any where `others` say of what."""
    rest = {} if properties is None else {"properties": properties, "additionalProperties": False}
    return {"type": ["object", "null", "string"], "pattern": COMPUTED, **rest, **others}


def keys_named(kind: Kind) -> Schema:
    """The keys of a mapping, which are names of a kind."""
    return {"propertyNames": ref(f"name.{kind.name.lower()}")}


def suggested(names: Iterable[str], about: str) -> Schema:
    """Any text; an editor completes the names."""
    return {"description": about, "anyOf": [{"enum": list(names)}, {"type": "string"}]}


def alternatives(schemas: Iterable[Schema]) -> list[Schema]:
    """What a check says of a value, with all else that may be written."""
    return [_written(each) for each in schemas]


def _written(schema: Schema) -> Schema:
    if schema is LAYER:
        return {
            **LAYER,
            "if": {"type": "object", "not": {"anyOf": [{"required": [each]} for each in _OF_NODES]}},
            "then": {"additionalProperties": ref("open_node"), **keys_named(Kind.LAYER)},  # layers by name
            "else": ref("open_node"),
        }
    return {name: or_computed(*alternatives(each)) if name == "items" else each for name, each in schema.items()}
