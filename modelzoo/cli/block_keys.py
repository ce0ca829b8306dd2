"""The keys of a block, and those of any node, as JSON Schema."""

from __future__ import annotations

from modelzoo.catalog.checks import Schema
from modelzoo.cli.schemas import COMPUTED, keys_named, mapping_of, or_computed, ref
from modelzoo.names import Kind

_TEST: Schema = {"type": ["boolean", "integer", "string", "null"]}

ITEM_KEYS: Schema = {
    "_repeat_": {
        "description": "So many copies, in an nn.Sequential; `i` is the index in its texts.",
        "type": ["integer", "string", "null"],
        "minimum": 0,
    },
    "_name_": {"description": 'The names of the copies, as in "block{i}".', "type": ["string", "null"]},
    "_if_": {"description": "Present only if this is true.", **_TEST},
    "_unpack_": {
        "description": "Its layers stand here in its place: in a list those of a sequence, in a mapping named copies.",
        "type": "boolean",
    },
    "_init_": ref("fills"),
    "_freeze_": {"description": "Its parameters are not trained if this is true.", **_TEST},
}


_TENSOR = {"shape": ref("shape"), "fill": ref("fill"), "dtype": ref("dtype")}

_OWN = {**_TENSOR, "_if_": ITEM_KEYS["_if_"]}

_SIGNATURE: Schema = {
    "args": ref("args"),
    "inputs": {
        "description": "What forward takes: a mapping with examples, or a list of names; [x] if left out.",
        **keys_named(Kind.INPUT),
        "type": ["object", "array", "null", "string"],
        "pattern": COMPUTED,
        "items": {"type": "string"},
        "additionalProperties": {
            "description": "An example: its shape, or shape, dtype and fill; null for an optional input.",
            "type": ["array", "integer", "string", "null", "object"],
            "items": {"type": ["integer", "string"]},
            "properties": _TENSOR,
            "additionalProperties": False,
            "required": ["shape"],
        },
    },
}


def block_of(node: str) -> Schema:
    """A block, whose layers are what a definition says."""
    keys: Schema = {
        **_SIGNATURE,
        "layers": {
            "description": "Its layers: a mapping of names, or a list, whose names are 0, 1, ...",
            **keys_named(Kind.LAYER),
            "type": ["object", "array", "null", "string"],
            "pattern": COMPUTED,
            "items": ref(node),
            "additionalProperties": ref(node),
        },
        "parameters": mapping_of(
            description="Trainable tensors of its own.",
            **keys_named(Kind.PARAMETER),
            additionalProperties=mapping_of(
                {**_OWN, "trainable": or_computed({"type": "boolean"})}, required=["shape"]
            ),
        ),
        "buffers": mapping_of(
            description="Tensors of its own that are never trained.",
            **keys_named(Kind.BUFFER),
            additionalProperties=mapping_of(
                {**_OWN, "persistent": or_computed({"type": "boolean"})}, required=["shape"]
            ),
        ),
        "forward": {
            "description": "How it uses layers and tensors, in a subset of Python; without it layers run in turn.",
            "type": ["string", "null"],
        },
        "blocks": mapping_of(
            description="Definitions, used by their names: Block(dim).",
            **keys_named(Kind.BLOCK),
            properties={
                "_from_": {
                    "description": "Files of definitions beside this one.",
                    "type": ["string", "array"],
                    "items": {"type": "string"},
                }
            },
            additionalProperties={
                "type": ["object", "array", "string"],
                "pattern": COMPUTED,
                "items": ref("open_node"),
                "if": {"type": "object", "not": {"required": ["_repeat_"]}},
                "then": ref("open_block"),
            },
        ),
        "tie": mapping_of(description="One tensor in several homes: head.weight: embed.weight."),
    }
    return {"type": "object", "properties": {**keys, **ITEM_KEYS}, "additionalProperties": False}
