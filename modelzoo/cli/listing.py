"""`python -m modelzoo list KIND [NAME]`: what a config may name, as a table or one by one."""

from __future__ import annotations

import argparse
import inspect
import json
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from modelzoo.errors import ConfigError, Problem, nearest
from modelzoo.escapes import json_text
from modelzoo.terminal import say

if TYPE_CHECKING:
    from modelzoo.catalog.catalog import Layer


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of things that a config may name.

    Attributes:
        rows: all their names, each with one line about it.
        facts: everything about one of them, as plain data.
    """

    rows: Callable[[], dict[str, str]]
    facts: Callable[[str], dict[str, Any]]


def command(arguments: list[str]) -> int:
    """Prints a table of all things of a kind, or everything about one of them.

    Args:
        arguments: the kind, and a name.

    Raises:
        ConfigError: there is no such kind or name.
    """
    parser = argparse.ArgumentParser(prog="python -m modelzoo list", description=__doc__)
    parser.add_argument("kind", help=", ".join(KINDS))
    parser.add_argument("name", nargs="?", help="as in Linear")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    given = parser.parse_args(arguments)
    kind = KINDS[_known(given.kind, KINDS, "kind")]
    rows = kind.rows()
    if given.name is None:
        text = table(rows)
        data: Any = [{"name": name, "about": about} for name, about in rows.items()]
    else:
        data = kind.facts(_known(_short(given.name), rows, given.kind.rstrip("s")))
        text = page(data)
    say(json_text(data) if given.format == "json" else text)
    return 0


def _known(name: str, names: Iterable[str], kind: str) -> str:
    every = list(names)
    if name not in every:
        hint = nearest(name, every) or (f"Type python -m modelzoo list {kind}s." if kind != "kind" else "")
        raise ConfigError([Problem(where="command line", path=name, what=f"There is no {kind} '{name}'.", hint=hint)])
    return name


def _short(name: str) -> str:
    """`Linear` for `torch.nn.Linear`, `normal` for `normal_`."""
    return name.rpartition(".")[2].rstrip("_") or name


# --- as text -------------------------------------------------------------------------------------------------------


def table(rows: Mapping[str, str], indent: str = "") -> str:
    """Names and what they are, in two columns.

    >>> print(table({"ReLU": "Rectifies.", "Linear": "Maps."}))
    ReLU    Rectifies.
    Linear  Maps.
    """
    width = max(map(len, rows), default=0)
    return "\n".join(f"{indent}{name:<{width}}  {about}".rstrip() for name, about in rows.items())


def page(facts: Mapping[str, Any]) -> str:
    """Everything about one thing; a mapping among the facts becomes a table, a list lines."""
    parts = [facts.get("signature") or facts["name"]]
    for name, value in facts.items():
        if name in ("name", "signature") or value in ("", None, [], {}):
            continue
        if name == "arguments":
            parts.append(f"{name}:\n{table({each: _argument(told) for each, told in value.items()}, '  ')}")
        elif name == "examples":
            parts.append(table(value))
        elif isinstance(value, Mapping):
            parts.append(f"{name}:\n{textwrap.indent(_lines(value), '  ')}")
        elif isinstance(value, list):
            parts.append("\n".join(value))
        else:
            parts.append(value if name == "about" else f"{name}: {value}")
    return "\n\n".join(parts)


def _argument(facts: Mapping[str, Any]) -> str:
    default = f", {_yaml(facts['default'])} if left out" if "default" in facts else ""
    return ": ".join(filter(None, (facts["is"] + default, facts["about"])))


def _yaml(value: Any) -> str:
    """A value in one line of YAML."""
    plain = json.loads(json.dumps(value, default=str))
    return (
        str(yaml.safe_dump(plain, default_flow_style=True, sort_keys=False, width=10**9)).removesuffix("...\n").strip()
    )


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as YAML writes them with `|`."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)


def _lines(value: Any) -> str:
    """A value as a config writes it."""
    return yaml.dump(value, Dumper=_Dumper, default_flow_style=None, sort_keys=False, width=120).strip()


# --- what torch's docstrings say -----------------------------------------------------------------------------------

_OURS = {
    "CrossMapLRN2d": "Applies local response normalization across channels, as in Torch 7.",
    "fill embedding": "Fills the input Tensor from a normal distribution, and one row with zeros.",
    "dtype": "The type of the elements.",
    "ndim": "The number of dimensions.",
    "arange": "Returns a 1-D tensor with the values from start to end, which is left out, in steps of step.",
    "index_add": "Adds a tensor, times alpha, to the places that an index names.",
    "masked_fill": "Returns a copy with a value wherever a mask is true.",
    "nonzero": "Returns the indices of all elements that are not zero.",
    "mean": "Returns the mean of all elements, or over dimensions.",
    "diag": "Returns a square matrix with a vector as its diagonal, or the diagonal of a matrix.",
    "bool": "Whether a number is not zero.",
    "float": "Converts to a floating point number.",
    "int": "Converts to an integer.",
}
"""What torch says nothing about."""


_CALL = r"\(((?:(?!\n\n).)*?)\)(?:\s*->[^\n]*)?:?\s*(?:\n|\Z)"
"""The signature that torch writes at the top of a docstring."""


def one_line(what: Any, name: str = "") -> str:
    """The first sentence of a docstring, without markup.

    >>> from torch import nn
    >>> one_line(nn.Linear), one_line(nn.LSTM)
    ('Applies an affine linear transformation to the incoming data: y = xA^T + b.',
     'Apply a multi-layer long short-term memory (LSTM) RNN to an input sequence.')
    """
    if name in _OURS:
        return _OURS[name]
    doc = re.sub(rf"\A(?:[\w.]+{_CALL}|\.\. [^\n]*\n|\n)+", "", _doc(what) + "\n", flags=re.S)
    text = sentence(" ".join(re.split(r"\n\s*\n|\n(?=- )", doc)[0].split()))
    other = re.match(r"(?:See|Alias for) torch\.([\w.]*\w)", text)
    if other is not None:
        import torch

        torchs: Any = torch
        for part in other[1].split("."):
            torchs = getattr(torchs, part, None)
        text = one_line(torchs) or text
    return text if len(text) > 1 else ""


def _doc(what: Any) -> str:
    return inspect.cleandoc(getattr(what, "__doc__", None) or "")


def sentence(text: str) -> str:
    """The first sentence of reStructuredText, as plain text.

    >>> sentence("Zeroes elements with probability :attr:`p`. See :class:`~nn.Dropout`.")
    'Zeroes elements with probability p.'
    """
    text = re.split(r"(?<=[\w`)\]])\.\s+(?=[A-Z:`])", text, maxsplit=1)[0]
    text = re.sub(r":\w+:`~?\.?([^`]*)`", r"\1", text)
    text = re.sub(r"\\(?:text|mathcal|mathbf|mathrm)\{([^}]*)\}", r"\1", text)
    text = re.sub(r"`([^`<]*?)\s*<[^`]*>`_*", r"\1", text).replace(" (Link 1_ Link 2_)", "")
    text = re.sub(r"`+([^`]*)`+", r"\1", text).replace("\\", "").rstrip(" :")
    return text if text.endswith((".", "!", "?")) else f"{text}."


_ARGUMENT = re.compile(r"^ {4}(?P<names>\w+(?: ?/ ?\w+)*)(?: \([^)]*\)*)?: (?P<text>(?:.*\n?)(?:^ {5,}.*\n?)*)", re.M)


def arguments_of(what: Any) -> dict[str, str]:
    """What a docstring says about each argument, one sentence each.

    >>> from torch import nn
    >>> arguments_of(nn.Linear)["in_features"]
    'size of each input sample.'
    """
    doc = _doc(what)
    section = re.search(r"^(?:Args|Parameters|Arguments):[^\n]*\n((?:^(?: .*)?\n?)+)", doc, re.M)
    found = _ARGUMENT.finditer(section[1]) if section else ()
    return {each["names"]: sentence(" ".join(each["text"].split())) for each in found}


# --- layers --------------------------------------------------------------------------------------------------------


def _layers() -> dict[str, str]:
    from modelzoo.catalog import catalog

    catalog.load_entry_points()
    return {name: one_line(_layer(name).cls, name) for name in sorted(catalog.layer_names(), key=str.lower)}


def _layer(name: str) -> Layer:
    from modelzoo.catalog import catalog

    layer = catalog.find_layer(name)
    assert layer is not None, name
    return layer


def layer_facts(name: str) -> dict[str, Any]:
    """Everything about a layer of the catalog.

    >>> layer_facts("Linear")["examples"]["text"]
    'layer: Linear(20, 10)'
    """
    from modelzoo.catalog import catalog

    layer = _layer(name)
    told = arguments_of(layer.cls)
    arguments = {}
    for each in layer.signature.values():
        wants = catalog.check_of(layer, each.name).wants
        default = {} if each.default is each.empty else {"default": each.default}
        arguments[each.name] = {"is": wants, **default, "about": told.get(each.name, "")}
    node = example(layer)
    return {
        "name": name,
        "signature": f"{name}{inspect.Signature(list(_plain(layer.signature.values())))}",
        "about": one_line(layer.cls, name),
        "arguments": arguments,
        "inferred": list(inferred(layer)),
        "examples": {}
        if node is None
        else {"text": f"layer: {_yaml(as_text(node))}", "mapping": f"layer: {_yaml(node)}"},
    }


def _plain(parameters: Iterable[inspect.Parameter]) -> Iterator[inspect.Parameter]:
    return (each.replace(annotation=each.empty) for each in parameters)


def inferred(layer: Layer) -> Iterator[str]:
    """Which arguments the inputs of a layer decide, in sentences.

    >>> from modelzoo.catalog.catalog import find_layer
    >>> list(inferred(find_layer("Conv2d")))
    ['in_channels may be left out: input is [in_channels, H, W] or [N, in_channels, H, W].']
    """
    from modelzoo.catalog import sizes

    if callable(layer.sizes):
        yield from (f"{name} may be left out: the inputs decide it." for name in sorted(sizes.inferable(layer)))
        return
    for given, text in (layer.sizes or sizes.SIZES.get(layer.name) or {}).items():
        tokens = tuple(text.split())
        name = next(each for each in tokens if each in layer.signature)
        pattern = sizes.Pattern(input=given, place=0, tokens=tokens, argument=name)
        yield f"{name} may be left out: {given} is {pattern.text([name])}."


_LINEAR = {"_target_": "Linear", "in_features": 20, "out_features": 10}
_ENCODER = {"_target_": "TransformerEncoderLayer", "d_model": 64, "nhead": 4, "batch_first": True}
_DECODER = {"_target_": "TransformerDecoderLayer", "d_model": 64, "nhead": 4}
_USUAL: dict[str, Any] = {
    **dict.fromkeys(("in_features", "in1_features", "input_size"), 20),
    **dict.fromkeys(("in2_features", "hidden_size"), 30),
    **dict.fromkeys(("in_channels", "num_features", "num_channels"), 8),
    **dict.fromkeys(("num_heads", "nhead", "num_groups", "groups"), 4),
    **dict.fromkeys(("num_layers", "upscale_factor", "downscale_factor", "norm_type", "groups"), 2),
    **dict.fromkeys(("embed_dim", "d_model", "embedding_dim", "normalized_shape", "dim"), 64),
    **{"out_features": 10, "out_channels": 16, "num_embeddings": 1000, "n_classes": 1000, "num_classes": 10},
    **{"kernel_size": 3, "padding": 1, "output_size": 7, "size": 5, "cutoffs": [100, 500], "value": 0.5},
    **{"threshold": 0.1, "encoder_layer": _ENCODER, "decoder_layer": _DECODER, "unflattened_size": [4, 16]},
    **{"padding_idx": 0, "sparsity": 0.1},
}
_SPECIAL: dict[str, dict[str, Any]] = {
    "Sequential": {"_args_": [_LINEAR, {"_target_": "ReLU"}]},
    "ModuleList": {"modules": [_LINEAR, {"_target_": "ReLU"}]},
    "ModuleDict": {"modules": {"out": _LINEAR, "act": {"_target_": "ReLU"}}},
    "Unflatten": {"dim": 1, "unflattened_size": [4, 16]},
    "Transformer": {"d_model": 64, "nhead": 4, "batch_first": True},
    "LinearCrossEntropyLoss": {"in_features": 20, "num_classes": 10},
    **{f"FractionalMaxPool{n}d": {"kernel_size": 3, "output_size": 7} for n in (2, 3)},
    **{name: {"scale_factor": 2} for name in ("Upsample", "UpsamplingBilinear2d", "UpsamplingNearest2d")},
}


def example(layer: Layer) -> dict[str, Any] | None:
    """A layer as a mapping; None for a registered one with arguments that nothing tells.

    >>> from modelzoo.catalog.catalog import find_layer
    >>> example(find_layer("Conv2d"))
    {'_target_': 'Conv2d', 'in_channels': 8, 'out_channels': 16, 'kernel_size': 3}
    """
    from modelzoo.catalog import catalog

    required = catalog.accepted(layer).required
    if not layer.registered and layer.name in _SPECIAL:
        return {"_target_": layer.name, **_SPECIAL[layer.name]}
    if not set(required) <= _USUAL.keys():
        return None
    return {"_target_": layer.name, **{name: _USUAL[name] for name in required}}


def as_text(node: Any) -> str:
    """A value of the mapping form as the text form writes it.

    >>> as_text({"_target_": "Linear", "in_features": 20, "out_features": 10, "bias": False})
    'Linear(20, 10, bias=False)'
    """
    if isinstance(node, list):
        return f"[{', '.join(map(as_text, node))}]"
    if not isinstance(node, dict):
        return repr(node)
    if "_target_" not in node:
        return "{" + ", ".join(f"{name!r}: {as_text(value)}" for name, value in node.items()) + "}"
    from modelzoo.catalog import catalog

    name = node["_target_"]
    accepted = catalog.accepted(_layer(name))
    written = [as_text(each) for each in node.get("_args_", [])]
    for each, value in node.items():
        if each in accepted.required and accepted.positional[len(written) : len(written) + 1] == (each,):
            written.append(as_text(value))
        elif each not in ("_target_", "_args_"):
            written.append(f"{each}={as_text(value)}")
    return f"{name}({', '.join(written)})" if written else name


# --- fills, functions, methods -------------------------------------------------------------------------------------


def _fills() -> dict[str, str]:
    from modelzoo.catalog import catalog, fills

    catalog.load_entry_points()
    return {name: about_fill(name) for name in fills.FILLS}


def about_fill(name: str) -> str:
    """One line about a fill."""
    from torch.nn import init

    from modelzoo.catalog import fills

    known = getattr(init, f"{name}_", None) if name in fills.TORCHS else None
    if known is None and name not in fills.TORCHS:
        known = fills.FILLS[name].sampler
    return one_line(known, f"fill {name}")


def fill_facts(name: str) -> dict[str, Any]:
    """Everything about a fill.

    >>> fill_facts("normal")["examples"]["text"]
    'fill: normal(mean=0.0, std=1.0)'
    """
    from modelzoo.catalog import fills

    fill = fills.FILLS[name]
    required = {each for each, default in fill.parameters.items() if default is fills.REQUIRED}
    shown = [each if each in required else f"{each}={default!r}" for each, default in fill.parameters.items()]
    known = required <= _USUAL.keys()
    given = (
        {each: _USUAL[each] if each in required else default for each, default in fill.parameters.items()}
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
            "text": f"fill: {_yaml(fill.text(given))}",
            "mapping": f"fill: {_yaml({'_target_': name, **given})}",
        }
        if known
        else {},
    }


def _functions() -> dict[str, str]:
    from modelzoo.catalog import catalog

    catalog.load_entry_points()
    return {name: one_line(_documented(name), name) for name in sorted(catalog.function_names())}


def _documented(name: str) -> Any:
    """What a function of the catalog calls, or torch's function of the same meaning."""
    import torch

    from modelzoo.catalog import catalog

    function = catalog.find_function(name)
    assert function is not None, name
    known = getattr(torch, name, None) if function.number else None
    return known if callable(known) else function.call


def function_facts(name: str) -> dict[str, Any]:
    """Everything about a function that a text may call.

    >>> function_facts("relu")["signature"]
    'relu(input)'
    """
    from modelzoo.catalog import catalog

    function = catalog.find_function(name)
    assert function is not None
    notes = [
        *(["Formulas may call it too: it takes numbers as well as tensors."] if function.number else []),
        *(["The tensor is made on the device of the block's first input."] if function.creates else []),
        *([f"At most {function.positional} arguments by position."] if function.positional else []),
    ]
    what = _documented(name)
    return {"name": name, "signature": signature(name, what), "about": one_line(what, name), "notes": notes}


def signature(name: str, what: Any) -> str:
    """How something is called, without what a text may not give (`out`, `inplace`, `device`, ...)."""
    from modelzoo.catalog import catalog

    written = re.match(rf"(?:torch\.|Tensor\.)?{name}{_CALL}", _doc(what), re.S)
    try:
        inside = written[1] if written else str(inspect.signature(what)).partition("->")[0].strip()[1:-1]
    except (TypeError, ValueError):
        return f"{name}(...)"
    parts = re.split(r",\s*(?![^(\[]*[)\]])", inside)
    kept = [each.split(":")[0] if "=" not in each else each for each in parts if each]
    kept = [each for each in kept if each != "self"]
    kept = [re.sub(r":[^=]*=\s*", "=", each).replace(" = ", "=") for each in kept]
    kept = [each for each in kept if each.partition("=")[0].strip() not in catalog.FORBIDDEN_KEYWORDS]
    if kept and kept[-1] in ("*", "/"):
        kept.pop()
    return f"{name}({', '.join(kept)})"


def _methods() -> dict[str, str]:
    from modelzoo.catalog import catalog

    return {name: about_method(name) for name in sorted((*catalog.METHODS, *catalog.ATTRIBUTES))}


def about_method(name: str) -> str:
    """One line about a method of tensors, from torch's function where that says more."""
    import torch
    from torch.nn import functional

    text = one_line(getattr(torch.Tensor, name, None), name)
    if text and not re.match("See |Out-of-place|In-place|Alias ", text):
        return text
    return one_line(getattr(torch, name, None), name) or one_line(getattr(functional, name, None)) or text


def method_facts(name: str) -> dict[str, Any]:
    """Everything about a method or attribute of tensors.

    >>> method_facts("T")["signature"], method_facts("flatten")["signature"]
    ('x.T', 'x.flatten(start_dim=0, end_dim=-1)')
    """
    import torch

    from modelzoo.catalog import catalog

    method = name in catalog.METHODS
    called = signature(name, getattr(torch.Tensor, name, None)) if method else name
    return {"name": name, "signature": f"x.{called}", "about": about_method(name)}


# --- configs -------------------------------------------------------------------------------------------------------


def _configs(group: str) -> Kind:
    """The configs of a group, those of the project's own `./conf` included."""

    def rows() -> dict[str, str]:
        from modelzoo.config import search_path

        return search_path.described(group)

    def facts(name: str) -> dict[str, Any]:
        from modelzoo.config import compose

        config = compose.compose([f"{group}={name}"])
        data: Any = getattr(config, group)
        keys = (
            {each: data[each] for each in ("args", "inputs") if data.get(each)} if group == "model" else {"rules": data}
        )
        return {"name": name, "about": rows()[name], **keys, "run": f"python run.py {group}={name}"}

    return Kind(rows=rows, facts=facts)


KINDS: dict[str, Kind] = {
    "layers": Kind(rows=_layers, facts=layer_facts),
    "fills": Kind(rows=_fills, facts=fill_facts),
    "functions": Kind(rows=_functions, facts=function_facts),
    "methods": Kind(rows=_methods, facts=method_facts),
    "models": _configs("model"),
    "inits": _configs("init"),
}
"""What can be listed."""
