"""The nodes of a config as JSON Schema."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

from modelzoo.catalog import arguments as catalog
from modelzoo.catalog import distributions, fills, functions, layers, sizes
from modelzoo.catalog.checks import Schema
from modelzoo.catalog.fill import REQUIRED, Fill
from modelzoo.catalog.layers import Layer
from modelzoo.cli.block_keys import ITEM_KEYS, block_of
from modelzoo.cli.facts import about_fill, layer_told
from modelzoo.cli.schemas import COMPUTED, alternatives, keys_named, mapping_of, or_computed, ref, suggested
from modelzoo.known import told
from modelzoo.names import Kind
from modelzoo.spec.selectors import SELECTORS


def definitions_of() -> Schema:
    """All definitions that a file of configs may refer to."""
    return {
        "computed": {
            "description": "=formula, ${interpolation} or ???",
            "type": "string",
            "pattern": COMPUTED,
        },
        **{f"name.{kind.name.lower()}": _name(kind) for kind in _KINDS},
        "shape": {
            "description": "A list of sizes; a text is a formula.",
            "type": ["array", "integer", "string"],
            "items": {"type": ["integer", "string"]},
        },
        "dtype": or_computed({"enum": [*functions.DTYPES, None]}),
        "fill": _fill(),
        "fills": mapping_of(
            additionalProperties=ref("fill"), description="Fills of tensors below here, by their names."
        ),
        "rule": _rule(),
        "args": _args(),
        "group": _group(),
        "base": _base(),
        "mesh": mapping_of(
            additionalProperties=or_computed({"anyOf": [{"type": "integer", "minimum": 1}, {"enum": [-1]}]}),
            description="The sizes of its dimensions; -1 is all ranks that are left. Styles split over 'tp'.",
        ),
        "split": _split(),
        "groups": mapping_of(
            {"args": ref("args"), "base": ref("base")}, additionalProperties=ref("group"), **keys_named(Kind.RULE)
        ),
        "rules": mapping_of(
            {"args": ref("args"), "base": ref("base")}, additionalProperties=ref("rule"), **keys_named(Kind.RULE)
        ),
        **{f"{prefix}{name}": each for prefix in ("", "open_") for name, each in _nodes(prefix).items()},
        "arguments": {"allOf": [_arguments_of(name, layer) for name, layer in _layers()]},
        **{f"layer.{name}": _layer(layer) for name, layer in _layers()},
    }


_KINDS = (Kind.LAYER, Kind.PARAMETER, Kind.BUFFER, Kind.BLOCK, Kind.ARG, Kind.INPUT, Kind.ARGUMENT, Kind.RULE)
"""Those of the keys of mappings."""


def _name(kind: Kind) -> Schema:
    return {"pattern": kind.pattern(), "patternErrorMessage": f"This cannot be the name of {kind.what}."}


def _layers() -> Iterator[tuple[str, Layer]]:
    for name in layers.layer_names():
        layer = layers.find_layer(name)
        if layer is not None:
            yield name, layer


_HYDRAS: Schema = {"_convert_": True, "_recursive_": {"enum": [True, "???"]}}


def _nodes(prefix: str) -> Schema:
    """What may stand where a layer stands.

    With the prefix "open_" a target may have any name: around it a file defines blocks, or takes layers as args.
    """
    node, block = f"{prefix}node", f"{prefix}block"
    return {
        "node": {
            "description": "A layer: a text as in Linear(20, 10), a mapping with _target_, a block, or a list.",
            "type": ["string", "array", "object", "null"],
            "anyOf": [{"enum": list(layers.layer_names())}, True],
            "allOf": [{"if": {"type": "array"}, "then": {"items": ref(node)}}],  # editors look for defaults in `items`
            "properties": {
                "_target_": suggested(layers.layer_names(), "A layer of the catalog, or a block of this file."),
                "_ref_": {"description": "The same module again: the name of a layer.", "type": ["string", "integer"]},
            },
            "if": {"type": "object", "required": ["_ref_"]},
            "then": {"properties": {"_ref_": True, **_without_init(ITEM_KEYS)}, "additionalProperties": False},
            "else": {
                "if": {"type": "object", "required": ["_target_"]},
                "then": ref(f"{prefix}layer"),
                "else": {
                    "if": {"type": "object"},
                    "then": {
                        "if": {"anyOf": [{"required": ["blocks"]}, {"not": {"properties": {"args": _NUMBERS}}}]},
                        "then": ref("open_block"),
                        "else": ref(block),
                        "anyOf": [{"required": ["layers"]}, {"required": ["forward"]}],
                    },
                },
            },
        },
        "layer": _call(prefix),
        "block": block_of(node),
    }


def _without_init(keys: Schema) -> Schema:
    return {name: each for name, each in keys.items() if name != "_init_"}


_NUMBERS: Schema = {
    "type": ["object", "null"],
    "additionalProperties": {
        "anyOf": [{"type": ["number", "boolean", "array"]}, {"type": "string", "pattern": r"^\s*=[^A-Z]*$"}]
    },
}
"""Args of which none can be a layer."""


def _call(prefix: str) -> Schema:
    """A layer as a mapping: its arguments depend on `_target_`."""
    known = _target("|".join(_pattern(layer) for _, layer in _layers()))
    other = [_target(r"(?!torch\.)[A-Za-z_]\w*")] if prefix else []
    target = {
        "type": "string",
        "pattern": "|".join([COMPUTED, known, *other]),
        "patternErrorMessage": "There is no such layer: python -m modelzoo list layers",
    }
    positional = {"description": "Arguments by position.", "type": ["array", "string"], "pattern": COMPUTED}
    keys = {"_target_": target, "_args_": positional, **ITEM_KEYS, **_HYDRAS}
    return {"properties": keys, "allOf": [ref("arguments")]}


def _arguments_of(name: str, layer: Layer) -> Schema:
    named = {"type": "string", "pattern": _target(_pattern(layer))}
    return {"if": {"properties": {"_target_": named}}, "then": ref(f"layer.{name}")}


def _target(names: str) -> str:
    """A `_target_` by one of some names: bare, or as a call."""
    return rf"^\s*=?\s*({names})\s*(\(|$)"


def _pattern(layer: Layer) -> str:
    """The names of a layer."""
    if layer.registered:
        return layer.name
    module = re.escape(layer.module)
    return rf"(torch\.nn\.|{module}\.)?{layer.name}"


def _layer(layer: Layer) -> Schema:
    """The arguments of a layer."""
    accepted = layers.accepted(layer)
    said = layer_told(layer)
    about, told = said["about"], said["arguments"]
    arguments = {
        name: _argument(layer, parameter, told.get(name, ""))
        for name, parameter in layer.signature.items()
        if name in accepted.named
    }
    needed = [name for name in accepted.required if name not in sizes.inferable(layer)]
    keys = dict.fromkeys(("_args_", *ITEM_KEYS, *_HYDRAS), True)
    found: Schema = {
        "description": about,
        "properties": {"_target_": {"description": about}, **keys, **arguments},
        "additionalProperties": accepted.open,
    }
    if accepted.open:
        found["propertyNames"] = {"anyOf": [{"enum": ["_target_", *keys]}, ref("name.argument")]}
    if needed:
        whole = {"type": "string", "pattern": r"\(|\$\{"}  # a call may give them in the text
        found["if"] = {"not": {"anyOf": [{"required": ["_args_"]}, {"properties": {"_target_": whole}}]}}
        found["then"] = {"required": needed}
    return found


def _argument(layer: Layer, parameter: inspect.Parameter, about: str) -> Schema:
    check = catalog.check_of(layer, parameter.name)
    found = {"description": about or check.wants, **or_computed(*alternatives(check.schemas))}
    if parameter.name in sizes.inferable(layer):
        found["anyOf"].append({"type": "null"})
        found["description"] += " If it is left out, the input decides."
    if parameter.default is not parameter.empty and _is_plain(parameter.default):
        found["default"] = parameter.default
    return found


def _is_plain(value: Any) -> bool:
    return isinstance(value, (bool, int, float, str, type(None)))


def _fill() -> Schema:
    """A number, a fill's name, a call, a text, or a mapping with `_target_`."""
    return {
        "description": "What a tensor holds at the start: a number, a fill as in normal(std=0.02), or a text.",
        "anyOf": [{"enum": list(fills.FILLS)}, {"type": ["number", "boolean", "string", "null", "object"]}],
        "if": {"type": "object"},
        "then": {
            "required": ["_target_"],
            "properties": {
                "_target_": or_computed({"enum": [each for name in fills.FILLS for each in (name, f"{name}_")]})
            },
            "allOf": [
                {
                    "if": {"properties": {"_target_": {"enum": [name, f"{name}_"]}}},
                    "then": {
                        "description": about_fill(name),
                        "properties": {
                            "_target_": True,
                            "_args_": {"type": "array"},
                            **{each: _fill_argument(fill, each) for each in fill.parameters},
                        },
                        "additionalProperties": False,
                    },
                }
                for name, fill in fills.FILLS.items()
            ],
        },
    }


def _fill_argument(fill: Fill, name: str) -> Schema:
    default = fill.parameters[name]
    if fill.name not in fills.TORCHS:
        return {"default": default} if _is_plain(default) and default is not REQUIRED else {}
    words = {"mode": distributions.MODES, "nonlinearity": distributions.NONLINEARITIES}
    kind: Schema = {"type": ["number", "boolean"] if name == "value" else "number"}
    if isinstance(default, str):
        kind = {"enum": list(words[name])}
    return {**or_computed(kind), **({} if default is REQUIRED else {"default": default})}


_TEXTS: Schema = {"type": ["string", "array", "null"], "items": {"type": "string"}, "minItems": 1}


def _args() -> Schema:
    return {
        "description": "Its signature: a mapping with defaults, or a list as in [dim, stride=1].",
        **keys_named(Kind.ARG),
        "type": ["object", "array", "null", "string"],
        "pattern": COMPUTED,
        "items": {"type": "string"},
    }


def _selectors() -> Schema:
    """What selects tensors: of a rule and of a group."""
    names = suggested(layers.layer_names(), "The type of the layer, or the name of its block.")
    some: Schema = {"anyOf": [*names["anyOf"], {"type": "array", "items": names, "minItems": 1}, {"type": "null"}]}
    numbers: Schema = {"type": "integer", "minimum": 0}
    return {
        "layer": {"description": "The type of layers, or the name of their block; or a list of them.", **some},
        "param": {"description": "The tensor's own name: weight, bias; or a list of them.", **_TEXTS},
        "name": {"description": "The whole name; * stands for any part of it. Or a list of them.", **_TEXTS},
        "block": {"description": "The block, or type of layers, that it lies in at any depth; or a list.", **some},
        "ndim": {
            "description": "The number of its dimensions; or a list of them.",
            "anyOf": [numbers, {"type": "array", "items": numbers, "minItems": 1}, {"type": "null"}],
        },
    }


_SELECTING: Schema = {
    "anyOf": [{"type": ["null", "string"]}, *({"required": [each]} for each in SELECTORS)],
}


def _base() -> Schema:
    return mapping_of(
        description="Args of the model in a base, for rules that follow the width.",
        additionalProperties={"type": ["number", "string", "boolean", "null", "array"]},
    )


def _group() -> Schema:
    options = told("options")
    kinds = {"type": ["number", "string", "boolean", "null", "array"], "items": {"type": ["number", "string"]}}
    trainable = {"description": "Whether they are trained.", **or_computed({"type": ["boolean", "null"]})}
    known = {name: {"description": "An option of an optimiser.", **kinds} for name in sorted(options)}
    return mapping_of({**_selectors(), "trainable": trainable, **known}, additionalProperties=kinds, **_SELECTING)


def _split() -> Schema:
    names = {"type": ["string", "array", "null"], "items": {"type": "string"}}
    about = {
        "layer": {"description": "Modules by the name of their layer or block.", **names},
        "name": {"description": "Modules by globs of their dotted names.", **names},
        "repeated": {"description": "Blocks of which there are several.", **or_computed({"type": "boolean"})},
        "wrap": {"description": "Each is a unit of FSDP2.", **or_computed({"enum": ["fully_shard"]})},
        "reshard_after_forward": {"description": "As fully_shard takes it.", **or_computed({"type": "boolean"})},
        "style": {
            "description": "By its outputs (colwise) or its inputs.",
            **or_computed({"enum": ["colwise", "rowwise"]}),
        },
    }
    either = [{"required": ["wrap"]}, {"required": ["style"]}]
    selecting = [{"required": [each]} for each in ("layer", "name", "repeated")]
    return mapping_of(about, additionalProperties=False, allOf=[{"oneOf": either}, {"anyOf": selecting}])


def _rule() -> Schema:
    return mapping_of(
        {
            **_selectors(),
            "fill": {
                "if": {"type": "object", "required": ["_ref_"]},
                "then": {"properties": {"_ref_": {"type": "string"}}, "additionalProperties": False},
                "else": ref("fill"),
            },
        },
        required=["fill"],
        **_SELECTING,
    )
