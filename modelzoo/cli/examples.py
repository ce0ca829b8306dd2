"""A call of each layer that works, for people to change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelzoo.catalog import layers

if TYPE_CHECKING:
    from modelzoo.catalog.layers import Layer

if TYPE_CHECKING:
    from modelzoo.catalog.layers import Layer


_LINEAR = {"_target_": "Linear", "in_features": 20, "out_features": 10}


_ENCODER = {"_target_": "TransformerEncoderLayer", "d_model": 64, "nhead": 4, "batch_first": True}


_DECODER = {"_target_": "TransformerDecoderLayer", "d_model": 64, "nhead": 4}


USUAL: dict[str, Any] = {
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

    >>> from modelzoo.catalog.layers import find_layer
    >>> example(find_layer("Conv2d"))
    {'_target_': 'Conv2d', 'in_channels': 8, 'out_channels': 16, 'kernel_size': 3}
    """
    required = layers.accepted(layer).required
    if not layer.registered and layer.name in _SPECIAL:
        return {"_target_": layer.name, **_SPECIAL[layer.name]}
    if not set(required) <= USUAL.keys():
        return None
    return {"_target_": layer.name, **{name: USUAL[name] for name in required}}


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

    name = node["_target_"]
    accepted = layers.accepted(layer_named(name))
    written = [as_text(each) for each in node.get("_args_", [])]
    for each, value in node.items():
        if each in accepted.required and accepted.positional[len(written) : len(written) + 1] == (each,):
            written.append(as_text(value))
        elif each not in ("_target_", "_args_"):
            written.append(f"{each}={as_text(value)}")
    return f"{name}({', '.join(written)})" if written else name


def layer_named(name: str) -> Layer:
    """A layer that is there."""

    layer = layers.find_layer(name)
    assert layer is not None, name
    return layer
