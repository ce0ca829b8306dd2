"""`python -m modelzoo schema`: the language as a JSON Schema, with which an editor completes, explains and checks."""

from __future__ import annotations

import argparse
import json

import yaml

from modelzoo import known
from modelzoo.catalog import registry
from modelzoo.catalog.checks import Schema
from modelzoo.cli.block_keys import block_of
from modelzoo.cli.definitions import definitions_of
from modelzoo.cli.schemas import keys_named, or_computed, ref
from modelzoo.config import document, scalars
from modelzoo.names import Kind
from modelzoo.terminal import say

KINDS = ("model", "init", "groups", "parallel", "config")
"""What a file can be: `conf/model/*.yaml` or a model file, `conf/init/*.yaml` and so on, `conf/config.yaml`."""


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
    root = {
        "model": _model_file,
        "init": _init_file,
        "groups": _groups_file,
        "parallel": _parallel_file,
        "config": _config_file,
    }[kind]()
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": f"modelzoo: {kind}",
        "$comment": f"Written by python -m modelzoo schema {kind}, with torch {known.installed()}.",
        **root,
        "definitions": {name: each for name, each in definitions_of().items() if name in _NEEDED.get(kind, (name,))},
    }


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
                "then": {
                    "properties": {"model": ref("node"), "init": ref("rules"), "groups": ref("groups")},
                    "additionalProperties": False,
                },
                "else": ref("node"),
            },
        },
    }


def _composed(*partial: str) -> Schema:
    """A block with `defaults`, which bring the rest of what some of its keys say."""
    block = block_of("open_node")
    return {**block, "properties": {**block["properties"], "defaults": _DEFAULTS, **dict.fromkeys(partial, True)}}


def _init_file() -> Schema:
    return _rules_file("Rules of initialisation, from the weakest to the strongest.", "rule")


def _groups_file() -> Schema:
    return _rules_file("Groups of tensors for an optimiser; the last that selects a tensor has it.", "group")


def _parallel_file() -> Schema:
    return {
        "description": "How a model is split over the ranks of a job: a mesh, and rules of which the last counts.",
        "type": ["object", "null"],
        "properties": {"defaults": _DEFAULTS, "mesh": ref("mesh")},
        "additionalProperties": ref("split"),
    }


def _rules_file(description: str, rule: str) -> Schema:
    return {
        "description": description,
        "type": ["object", "null"],
        "if": _MERGES,
        "then": {},
        "else": {
            "properties": {"defaults": _DEFAULTS, "args": ref("args"), "base": ref("base")},
            "additionalProperties": ref(rule),
            **keys_named(Kind.RULE),
        },
    }


def _config_file() -> Schema:
    """The options that ship, each with the comment beside it."""
    from modelzoo.config import search_path

    written = (search_path.conf_directory() / "config.yaml").read_text("utf-8")
    root = document.read(written, "config.yaml").root
    assert root is not None
    options: Schema = {"defaults": _DEFAULTS, "hydra": {"description": "Hydra's own options."}}
    options |= {name: each for name, each in _options(root, written.splitlines()).items() if name not in options}
    return {
        "description": "The options of the main job, and which model and init it takes.",
        "type": "object",
        "properties": options,
    }


def _options(node: yaml.Node, lines: list[str]) -> Schema:
    """The options in a mapping; what is a mapping itself has a short form, a text."""
    found: Schema = {}
    for key, value in node.value:
        comment = lines[key.start_mark.line].partition("  # ")[2]
        default = {"default": scalars.scalar(value.value)} if isinstance(value.value, str) else {}
        kind = or_computed({"type": "boolean"}) if isinstance(default.get("default"), bool) else {}
        inside = {"properties": _options(value, lines)} if isinstance(value, yaml.MappingNode) else {}
        found[key.value] = {"description": comment, **kind, **default, **inside}
    return found


_NEEDED = {
    "init": ("computed", "fill", "rule", "args", "base", "name.arg", "name.rule"),
    "groups": ("computed", "group", "args", "base", "name.arg", "name.rule"),
    "parallel": ("computed", "mesh", "split"),
    "config": ("computed",),
}
"""The definitions that a kind of files refers to; all of them for models."""
