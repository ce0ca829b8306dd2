"""`python -m modelzoo schema`: the language as a JSON Schema, with which an editor completes, explains and checks."""

from __future__ import annotations

import argparse
import inspect
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch

from modelzoo import bounds
from modelzoo.catalog import arguments as catalog
from modelzoo.catalog import distributions, fills, functions, layers, registry, sizes
from modelzoo.catalog.fill import REQUIRED, Fill
from modelzoo.catalog.layers import Layer
from modelzoo.cli.docstrings import arguments_of, one_line
from modelzoo.cli.facts import about_fill
from modelzoo.names import Kind
from modelzoo.terminal import say

Schema = dict[str, Any]

COMPUTED = r"^\s*=|\$\{|^\?\?\?$"
"""A text that stands for any value: a formula, an interpolation, or what is still missing."""

KINDS = ("model", "init", "config")
"""What a file can be: `conf/model/*.yaml` or a model file, `conf/init/*.yaml`, `conf/config.yaml`."""


def command(arguments: list[str]) -> int:
    """Prints the schema of a kind of files.

    Args:
        arguments: the kind; `model` if left out.
    """
    parser = argparse.ArgumentParser(prog="python -m modelzoo schema", description=__doc__)
    parser.add_argument("kind", nargs="?", default="model", choices=KINDS)
    say(text(schema(parser.parse_args(arguments).kind)))
    return 0


def text(found: Schema) -> str:
    """A schema as JSON, with one line for each definition."""
    definitions = [f"{json.dumps(name)}: {json.dumps(each)}" for name, each in found["definitions"].items()]
    head = [f"{json.dumps(name)}: {json.dumps(each)}" for name, each in found.items() if name != "definitions"]
    last = '"definitions": {\n' + ",\n".join(definitions) + "\n}"
    return "{\n" + ",\n".join([*head, last]) + "\n}"


def schema(kind: str = "model") -> Schema:
    """The JSON Schema (draft 7) of a kind of files, from the catalog as it is now.

    What no schema can know is admitted: the names and arguments of blocks that a file defines, the code inside texts,
    and files that change what their `defaults` bring.

    >>> schema("model")["definitions"]["layer.Linear"]["properties"]["out_features"]["description"]
    'size of each output sample.'
    """
    registry.load_entry_points()
    root = {"model": _model_file, "init": _init_file, "config": _config_file}[kind]()
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": f"modelzoo: {kind}",
        "$comment": f"Written by python -m modelzoo schema {kind}, with torch {torch.__version__.partition('+')[0]}.",
        **root,
        "definitions": {name: each for name, each in _definitions().items() if name in _NEEDED.get(kind, (name,))},
    }


def _ref(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}


def _or_computed(*alternatives: Schema) -> Schema:
    return {"anyOf": [*alternatives, _ref("computed")]}


def _mapping(properties: Mapping[str, Schema] | None = None, **others: Any) -> Schema:
    """A mapping, null, or a text that stands for one; with keys of its own, or with any where `others` say of what."""
    rest = {} if properties is None else {"properties": properties, "additionalProperties": False}
    return {"type": ["object", "null", "string"], "pattern": COMPUTED, **rest, **others}


def _named(kind: Kind) -> Schema:
    """The keys of a mapping, which are names of a kind."""
    return {"propertyNames": _ref(f"name.{kind.name.lower()}")}


def _suggested(names: Iterable[str], about: str) -> Schema:
    """Any text; an editor completes the names."""
    return {"description": about, "anyOf": [{"enum": list(names)}, {"type": "string"}]}


# --- files ---------------------------------------------------------------------------------------------------------

_MERGES = {
    "required": ["defaults"],
    "properties": {
        "defaults": {
            "contains": {
                "anyOf": [
                    {"type": "string", "not": {"const": "_self_"}},
                    {"type": "object", "propertyNames": {"not": {"pattern": r"@blocks\."}}},
                ]
            }
        }
    },
}
"""A file that changes what its `defaults` bring: it holds parts of layers."""

_DEFAULTS: Schema = {"type": "array", "description": "Other configs that this one is composed with, weakest first."}


def _model_file() -> Schema:
    return {
        "description": "A model: a block of layers, or model and init.",
        "type": "object",
        "if": _MERGES,
        "then": _composed("layers", "blocks"),
        "else": {
            "if": {"required": ["defaults"]},
            "then": _composed("blocks"),
            "else": {
                "if": {"required": ["model"]},
                "then": {"properties": {"model": _ref("node"), "init": _ref("rules")}, "additionalProperties": False},
                "else": _ref("node"),
            },
        },
    }


def _composed(*partial: str) -> Schema:
    """A block with `defaults`, which bring the rest of what some of its keys say."""
    block = _block("open_node")
    return {**block, "properties": {**block["properties"], "defaults": _DEFAULTS, **dict.fromkeys(partial, True)}}


def _init_file() -> Schema:
    return {
        "description": "Rules of initialisation, from the weakest to the strongest.",
        "type": ["object", "null"],
        "if": _MERGES,
        "then": {},
        "else": {"properties": {"defaults": _DEFAULTS}, "additionalProperties": _ref("rule"), **_named(Kind.RULE)},
    }


def _config_file() -> Schema:
    """The options that ship, each with the comment beside it."""
    from modelzoo.config import document, scalars, search_path

    written = (search_path.conf_directory() / "config.yaml").read_text("utf-8")
    root = document.read(written, "config.yaml").root
    assert root is not None
    lines = written.splitlines()
    options: Schema = {"defaults": _DEFAULTS, "hydra": {"description": "Hydra's own options."}}
    for key, value in root.value:
        if key.value not in options:
            comment = lines[key.start_mark.line].partition("  # ")[2]
            default = {"default": scalars.scalar(value.value)} if isinstance(value.value, str) else {}
            kind = _or_computed({"type": "boolean"}) if isinstance(default.get("default"), bool) else {}
            options[key.value] = {"description": comment, **kind, **default}
    return {
        "description": "The options of the main job, and which model and init it takes.",
        "type": "object",
        "properties": options,
    }


# --- definitions ---------------------------------------------------------------------------------------------------

_NEEDED = {"init": ("computed", "fill", "rule", "name.rule"), "config": ("computed",)}
"""The definitions that a kind of files refers to; all of them for models."""


def _definitions() -> Schema:
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
        "dtype": _or_computed({"enum": [*functions.DTYPES, None]}),
        "fill": _fill(),
        "fills": _mapping(
            additionalProperties=_ref("fill"), description="Fills of tensors below here, by their names."
        ),
        "rule": _rule(),
        "rules": _mapping(additionalProperties=_ref("rule"), **_named(Kind.RULE)),
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


_ITEM_KEYS: Schema = {
    "_repeat_": {
        "description": "So many copies, in an nn.Sequential; `i` is the index in its texts.",
        "type": ["integer", "string", "null"],
        "minimum": 0,
    },
    "_name_": {"description": 'The names of the copies, as in "block{i}".', "type": ["string", "null"]},
    "_if_": {"description": "Present only if this is true.", "type": ["boolean", "integer", "string", "null"]},
    "_unpack_": {"description": "In a list: its layers stand here in its place.", "type": "boolean"},
    "_init_": _ref("fills"),
}
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
            "allOf": [{"if": {"type": "array"}, "then": {"items": _ref(node)}}],  # editors look for defaults in `items`
            "properties": {
                "_target_": _suggested(layers.layer_names(), "A layer of the catalog, or a block of this file."),
                "_ref_": {"description": "The same module again: the name of a layer.", "type": ["string", "integer"]},
            },
            "if": {"type": "object", "required": ["_ref_"]},
            "then": {"properties": {"_ref_": True, **_without_init(_ITEM_KEYS)}, "additionalProperties": False},
            "else": {
                "if": {"type": "object", "required": ["_target_"]},
                "then": _ref(f"{prefix}layer"),
                "else": {
                    "if": {"type": "object"},
                    "then": {
                        "if": {"anyOf": [{"required": ["blocks"]}, {"not": {"properties": {"args": _NUMBERS}}}]},
                        "then": _ref("open_block"),
                        "else": _ref(block),
                        "anyOf": [{"required": ["layers"]}, {"required": ["forward"]}],
                    },
                },
            },
        },
        "layer": _call(prefix),
        "block": _block(node),
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


def _block(node: str) -> Schema:
    tensor = {"shape": _ref("shape"), "fill": _ref("fill"), "dtype": _ref("dtype")}
    keys: Schema = {
        "args": {
            "description": "Its signature: a mapping with defaults, or a list as in [dim, stride=1].",
            **_named(Kind.ARG),
            "type": ["object", "array", "null", "string"],
            "pattern": COMPUTED,
            "items": {"type": "string"},
        },
        "inputs": {
            "description": "What forward takes: a mapping with examples, or a list of names; [x] if left out.",
            **_named(Kind.INPUT),
            "type": ["object", "array", "null", "string"],
            "pattern": COMPUTED,
            "items": {"type": "string"},
            "additionalProperties": {
                "description": "An example: its shape, or shape, dtype and fill; null for an optional input.",
                "type": ["array", "integer", "string", "null", "object"],
                "items": {"type": ["integer", "string"]},
                "properties": tensor,
                "additionalProperties": False,
                "required": ["shape"],
            },
        },
        "layers": {
            "description": "Its layers: a mapping of names, or a list, whose names are 0, 1, ...",
            **_named(Kind.LAYER),
            "type": ["object", "array", "null", "string"],
            "pattern": COMPUTED,
            "items": _ref(node),
            "additionalProperties": _ref(node),
        },
        "parameters": _mapping(
            description="Trainable tensors of its own.",
            **_named(Kind.PARAMETER),
            additionalProperties=_mapping(
                {**tensor, "trainable": _or_computed({"type": "boolean"})}, required=["shape"]
            ),
        ),
        "buffers": _mapping(
            description="Tensors of its own that are never trained.",
            **_named(Kind.BUFFER),
            additionalProperties=_mapping(
                {**tensor, "persistent": _or_computed({"type": "boolean"})}, required=["shape"]
            ),
        ),
        "forward": {
            "description": "How it uses layers and tensors, in a subset of Python; without it layers run in turn.",
            "type": ["string", "null"],
        },
        "blocks": _mapping(
            description="Definitions, used by their names: Block(dim).",
            **_named(Kind.BLOCK),
            additionalProperties={
                "type": ["object", "array", "string"],
                "pattern": COMPUTED,
                "items": _ref("open_node"),
                "if": {"type": "object"},
                "then": _ref("open_block"),
            },
        ),
        "tie": _mapping(description="One tensor in several homes: head.weight: embed.weight."),
    }
    return {"type": "object", "properties": {**keys, **_ITEM_KEYS}, "additionalProperties": False}


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
    keys = {"_target_": target, "_args_": positional, **_ITEM_KEYS, **_HYDRAS}
    return {"properties": keys, "allOf": [_ref("arguments")]}


def _arguments_of(name: str, layer: Layer) -> Schema:
    named = {"type": "string", "pattern": _target(_pattern(layer))}
    return {"if": {"properties": {"_target_": named}}, "then": _ref(f"layer.{name}")}


def _target(names: str) -> str:
    """A `_target_` by one of some names: bare, or as a call."""
    return rf"^\s*=?\s*({names})\s*(\(|$)"


def _pattern(layer: Layer) -> str:
    """The names of a layer."""
    if layer.registered:
        return layer.name
    module = re.escape(layer.cls.__module__)
    return rf"(torch\.nn\.|{module}\.)?{layer.name}"


# --- layers --------------------------------------------------------------------------------------------------------


def _layer(layer: Layer) -> Schema:
    """The arguments of a layer."""
    accepted = layers.accepted(layer)
    about, told = one_line(layer.cls, layer.name), arguments_of(layer.cls)
    arguments = {
        name: _argument(layer, parameter, told.get(name, ""))
        for name, parameter in layer.signature.items()
        if name in accepted.named
    }
    needed = [name for name in accepted.required if name not in sizes.inferable(layer)]
    keys = dict.fromkeys(("_args_", *_ITEM_KEYS, *_HYDRAS), True)
    found: Schema = {
        "description": about,
        "properties": {"_target_": {"description": about}, **keys, **arguments},
        "additionalProperties": accepted.open,
    }
    if accepted.open:
        found["propertyNames"] = {"anyOf": [{"enum": ["_target_", *keys]}, _ref("name.argument")]}
    if needed:
        whole = {"type": "string", "pattern": r"\(|\$\{"}  # a call may give them in the text
        found["if"] = {"not": {"anyOf": [{"required": ["_args_"]}, {"properties": {"_target_": whole}}]}}
        found["then"] = {"required": needed}
    return found


def _argument(layer: Layer, parameter: inspect.Parameter, about: str) -> Schema:
    check = catalog.check_of(layer, parameter.name)
    found = {"description": about or check.wants, **_or_computed(*of_words(check.wants, check.most))}
    if parameter.name in sizes.inferable(layer):
        found["anyOf"].append({"type": "null"})
        found["description"] += " If it is left out, the input decides."
    if parameter.default is not parameter.empty and _is_plain(parameter.default):
        found["default"] = parameter.default
    return found


def _is_plain(value: Any) -> bool:
    return isinstance(value, (bool, int, float, str, type(None)))


_OF_NODES = ("_target_", "_ref_", "layers", "forward")

_WORDS: dict[str, Schema] = {
    "anything": {},
    "null": {"type": "null"},
    "true or false": {"type": "boolean"},
    "a layer": {
        "type": ["object", "array"],
        "if": {"type": "object", "not": {"anyOf": [{"required": [each]} for each in _OF_NODES]}},
        "then": {"additionalProperties": _ref("open_node"), **_named(Kind.LAYER)},  # layers by name
        "else": _ref("open_node"),
    },
    "an integer": {"type": "integer"},
    "a positive integer": {"type": "integer", "minimum": 1},
    "a finite number": {"type": "number"},
    "a positive number": {"type": "number", "exclusiveMinimum": 0},
}


def of_words(wants: str, most: int = bounds.ELEMENTS) -> list[Schema]:
    """The alternatives of what an argument must be, as `catalog.Check` says it in words; `most` bounds integers.

    >>> of_words("a positive integer or null")
    [{'type': 'integer', 'minimum': 1}, {'type': 'null'}]
    """
    several = re.search(r" or a list of (\d+|them)", wants)
    if several:
        items = of_words(wants[: several.start()], most)
        count = {} if several[1] == "them" else {"minItems": int(several[1]), "maxItems": int(several[1])}
        many = {"type": "array", "items": _or_computed(*items), "minItems": 1, **count}
        rest = wants[several.end() :].removeprefix(" or ")
        return [*items, many, *(of_words(rest, most) if rest else [])]
    if wants.startswith("left out"):
        return [{"type": "null"}]
    if wants.startswith("a list, each "):
        return [{"type": "array", "items": _or_computed(*of_words(wants.removeprefix("a list, each "), most))}]
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


# --- fills ---------------------------------------------------------------------------------------------------------


def _fill() -> Schema:
    """A number, a fill's name, a call, a text, or a mapping with `_target_`."""
    return {
        "description": "What a tensor holds at the start: a number, a fill as in normal(std=0.02), or a text.",
        "anyOf": [{"enum": list(fills.FILLS)}, {"type": ["number", "boolean", "string", "null", "object"]}],
        "if": {"type": "object"},
        "then": {
            "required": ["_target_"],
            "properties": {
                "_target_": _or_computed({"enum": [each for name in fills.FILLS for each in (name, f"{name}_")]})
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
    return {**_or_computed(kind), **({} if default is REQUIRED else {"default": default})}


def _rule() -> Schema:
    names = _suggested(layers.layer_names(), "The type of the layer, or the name of its block.")
    return _mapping(
        {
            "layer": {
                "description": "The type of layers, or the name of their block; or a list of them.",
                "anyOf": [*names["anyOf"], {"type": "array", "items": names}, {"type": "null"}],
            },
            "param": {"description": "The tensor's own name: weight, bias.", "type": ["string", "null"]},
            "name": {"description": "The whole name; * stands for any part of it.", "type": ["string", "null"]},
            "fill": _ref("fill"),
        },
        required=["fill"],
        anyOf=[{"type": ["null", "string"]}, *({"required": [each]} for each in ("layer", "param", "name"))],
    )
