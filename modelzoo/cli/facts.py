"""Everything about one thing that a config may name, as plain data."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from modelzoo.catalog import arguments as catalog
from modelzoo.catalog import fills, functions, layers, makers, registry, sizes
from modelzoo.catalog.fill import REQUIRED
from modelzoo.cli import documentation
from modelzoo.cli.docstrings import arguments_of, one_line, signature
from modelzoo.cli.examples import USUAL, as_text, example, layer_named
from modelzoo.cli.page import Kind, yaml_line

if TYPE_CHECKING:
    from modelzoo.catalog.layers import Layer


def layers_listed() -> dict[str, str]:
    """All layers, each with one line about it."""
    registry.load_entry_points()
    return {name: layer_told(layer_named(name))["about"] for name in sorted(layers.layer_names(), key=str.lower)}


def layer_told(layer: Layer) -> dict[str, Any]:
    """One line about a layer, and one about each of its arguments."""
    if layer.registered:
        return {"about": one_line(layer.cls, layer.name), "arguments": arguments_of(layer.cls)}
    return dict(documentation.told("layer", layer.name))


def layer_facts(name: str) -> dict[str, Any]:
    """Everything about a layer of the catalog.

    >>> layer_facts("Linear")["examples"]["text"]
    'layer: Linear(20, 10)'
    """
    layer = layer_named(name)
    told = layer_told(layer)
    arguments = {}
    for each in layer.signature.values():
        wants = catalog.check_of(layer, each.name).wants
        default = {} if each.default is each.empty else {"default": each.default}
        arguments[each.name] = {"is": wants, **default, "about": told["arguments"].get(each.name, "")}
    node = example(layer)
    return {
        "name": name,
        "signature": f"{name}{inspect.Signature(list(_plain(layer.signature.values())))}",
        "about": told["about"],
        "arguments": arguments,
        "inferred": list(inferred(layer)),
        "examples": {}
        if node is None
        else {"text": f"layer: {yaml_line(as_text(node))}", "mapping": f"layer: {yaml_line(node)}"},
    }


def _plain(parameters: Iterable[inspect.Parameter]) -> Iterator[inspect.Parameter]:
    return (each.replace(annotation=each.empty) for each in parameters)


def inferred(layer: Layer) -> Iterator[str]:
    """Which arguments the inputs of a layer decide, in sentences.

    >>> from modelzoo.catalog.layers import find_layer
    >>> list(inferred(find_layer("Conv2d")))
    ['in_channels may be left out: input is [in_channels, H, W] or [N, in_channels, H, W].']
    """
    if callable(layer.sizes):
        yield from (f"{name} may be left out: the inputs decide it." for name in sorted(sizes.inferable(layer)))
        return
    for given, text in (layer.sizes or sizes.SIZES.get(layer.name) or {}).items():
        tokens = tuple(text.split())
        name = next(each for each in tokens if each in layer.signature)
        pattern = sizes.Pattern(input=given, place=0, tokens=tokens, argument=name)
        yield f"{name} may be left out: {given} is {pattern.text([name])}."


def fills_listed() -> dict[str, str]:
    """All fills, each with one line about it."""
    registry.load_entry_points()
    return {name: about_fill(name) for name in fills.FILLS}


def about_fill(name: str) -> str:
    """One line about a fill."""
    if name in fills.TORCHS:
        return str(documentation.told("fill", name)["about"])
    return one_line(fills.FILLS[name].sampler, f"fill {name}")


def fill_facts(name: str) -> dict[str, Any]:
    """Everything about a fill.

    >>> fill_facts("normal")["examples"]["text"]
    'fill: normal(mean=0.0, std=1.0)'
    """
    fill = fills.FILLS[name]
    required = {each for each, default in fill.parameters.items() if default is REQUIRED}
    shown = [each if each in required else f"{each}={default!r}" for each, default in fill.parameters.items()]
    known = required <= USUAL.keys()
    given = (
        {each: USUAL[each] if each in required else default for each, default in fill.parameters.items()}
        if known
        else {}
    )
    least, most = fill.minimum_dimensions, fill.maximum_dimensions
    takes = f"tensors of {least} dimensions" if least == most else f"tensors of {least} to {most} dimensions"
    return {
        "name": name,
        "signature": f"{name}({', '.join(shown)})",
        "about": about_fill(name),
        "fills": takes if most is not None else f"tensors of {least} or more dimensions" if least else "any tensor",
        "examples": {
            "text": f"fill: {yaml_line(fill.text(given))}",
            "mapping": f"fill: {yaml_line({'_target_': name, **given})}",
        }
        if known
        else {},
    }


def functions_listed() -> dict[str, str]:
    """All functions, each with one line about it."""
    registry.load_entry_points()
    return {name: _function(name)["about"] for name in sorted(functions.function_names())}


def _function(name: str) -> dict[str, str]:
    """How a function is called, and one line about it."""
    function = functions.find_function(name)
    assert function is not None, name
    if functions.FUNCTIONS.get(name) is function:
        return dict(documentation.told("function", name))
    return {"signature": signature(name, function.call), "about": one_line(function.call, name)}


def function_facts(name: str) -> dict[str, Any]:
    """Everything about a function that a text may call.

    >>> function_facts("relu")["signature"]
    'relu(input)'
    """
    function = functions.find_function(name)
    assert function is not None
    floats = name in makers.FLOATING or name in makers.DECIDING
    notes = [
        *(["Formulas may call it too: it takes numbers as well as tensors."] if function.number else []),
        *(["The tensor is made on the device of the block's first input."] if function.creates else []),
        *(["A floating one has the dtype of the block's first floating input, if none is written."] if floats else []),
        *([f"At most {function.positional} arguments by position."] if function.positional else []),
    ]
    return {"name": name, **_function(name), "notes": notes}


def methods_listed() -> dict[str, str]:
    """All methods of tensors, each with one line about it."""
    return {
        name: documentation.told("method", name)["about"]
        for name in sorted((*functions.METHODS, *functions.ATTRIBUTES))
    }


def method_facts(name: str) -> dict[str, Any]:
    """Everything about a method or attribute of tensors.

    >>> method_facts("T")["signature"], method_facts("flatten")["signature"]
    ('x.T', 'x.flatten(start_dim=0, end_dim=-1)')
    """
    told = documentation.told("method", name)
    called = told["signature"] if name in functions.METHODS else name
    return {"name": name, "signature": f"x.{called}", "about": told["about"]}


KINDS = {
    "layers": Kind(rows=layers_listed, facts=layer_facts),
    "fills": Kind(rows=fills_listed, facts=fill_facts),
    "functions": Kind(rows=functions_listed, facts=function_facts),
    "methods": Kind(rows=methods_listed, facts=method_facts),
}
"""What of the catalog can be listed."""
