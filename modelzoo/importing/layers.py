"""Layers of the catalog: the call that makes one is read off it, and tried on meta."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from modelzoo.catalog.checks import words_of
from modelzoo.catalog.layers import LAYERS, REGISTERED, Layer, register_layer
from modelzoo.importing.trees import Call
from modelzoo.modules.blocks import Generated
from modelzoo.names import Kind

_PLAIN = (bool, int, float, str, tuple, list, type(None))

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)

_WINDOWS = frozenset(words_of("kernel_size stride padding dilation output_padding output_size"))
"""Arguments in which one number stands for the same one in every dimension."""


Calls = Mapping[nn.Module, Call | None]
"""Of each module the call that makes it."""


def call_of(module: nn.Module) -> Call | None:
    """The call that makes a layer, with all arguments; None if it is no layer of the catalog as torch makes it.

    >>> call_of(nn.Linear(4, 8, bias=False)).arguments
    {'in_features': 4, 'out_features': 8, 'bias': False}
    >>> class Doubled(nn.Linear):
    ...     def forward(self, x):
    ...         return 2 * super().forward(x)
    >>> call_of(Doubled(4, 8)) is None
    True
    """
    layer = _layer_of(module)
    if layer is None or type(module) in CONTAINERS or _hooked(module):
        return None
    arguments: dict[str, Any] = {}
    required = []
    for name, parameter in layer.signature.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        found, value = _argument(module, name)
        if not found:
            value = parameter.default
        if value is parameter.empty or isinstance(value, nn.Module):
            return None
        arguments[name] = tuple(value) if isinstance(value, list) else value
        if parameter.default is parameter.empty:
            required.append(name)
    defaults = {name: each.default for name, each in layer.signature.items() if each.default is not each.empty}
    short = {name: _short(name, value) for name, value in arguments.items()}
    for given in (short, arguments):
        if layer.registered or _is_made_by(module, layer, given):
            return Call(name=layer.name, arguments=given, required=tuple(required), defaults=defaults)
    return None


def _layer_of(module: nn.Module) -> Layer | None:
    """The layer of the catalog that a module is, or whose state it keeps as the layer does."""
    cls = type(module)
    layer = _layers().get(cls) or next((each for each in REGISTERED.values() if each.cls is cls), None)
    if layer is not None or not isinstance(module, _NormBase):
        return layer
    return next((_layers()[each] for each in cls.__mro__ if each in _layers()), None)


def is_extended(module: nn.Module) -> bool:
    """Whether a class adds to a layer with running statistics, which only the layer itself can keep.

    The layer is called then, and the block that calls it computes what the class adds.

    >>> class Activated(nn.BatchNorm2d):
    ...     def forward(self, x):
    ...         return super().forward(x).relu()
    >>> is_extended(Activated(4)), is_extended(nn.BatchNorm2d(4))
    (True, False)
    """
    layer = _layer_of(module)
    return layer is not None and layer.cls is not type(module)


def may_be_known(cls: type[nn.Module]) -> bool:
    """Whether a class could be registered as a layer, and is not yet."""
    taken = cls.__name__ in LAYERS or cls.__name__ in REGISTERED
    return Kind.REGISTERED.fits(cls.__name__) and not taken and not issubclass(cls, Generated)


@contextmanager
def known(classes: Iterable[type[nn.Module]]) -> Iterator[None]:
    """Registers classes as layers while it lasts."""
    names = [cls.__name__ for cls in classes]
    for cls in classes:
        register_layer(cls)
    try:
        yield
    finally:
        for name in names:
            del REGISTERED[name]


@cache
def _layers() -> Mapping[type[nn.Module], Layer]:
    return {layer.cls: layer for layer in LAYERS.values()}


def _hooked(module: nn.Module) -> bool:
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)
    return any(hooks) or "forward" in module.__dict__


def _argument(module: nn.Module, name: str) -> tuple[bool, Any]:
    """What a layer keeps of an argument of its constructor, and whether it does."""
    special = _SPECIAL.get((type(module), name))
    if special is not None:
        return True, special(module)
    if name == "bias" and "bias" in (*module._parameters, *module._buffers):
        return True, module.bias is not None
    value = module.__dict__.get(name, _PLAIN)
    if isinstance(value, nn.Module) or (value is _PLAIN and name in module._modules):
        return True, None if module._modules.get(name) is None else call_of(module._modules[name])  # type: ignore[arg-type]
    return (True, value) if isinstance(value, _PLAIN) and value is not _PLAIN else (False, None)


_ATTENTION: Mapping[str, Callable[[Any], Any]] = {
    "bias": lambda module: module.in_proj_bias is not None,
    "add_bias_kv": lambda module: module.bias_k is not None,
    "kdim": lambda module: None if module.kdim == module.embed_dim else module.kdim,
    "vdim": lambda module: None if module.vdim == module.embed_dim else module.vdim,
}


def _activation(module: Any) -> Any:
    function = module.activation
    return function if isinstance(function, str) else getattr(function, "__name__", None)


_ENCODER_LAYER: Mapping[str, Callable[[Any], Any]] = {
    "d_model": lambda module: module.self_attn.embed_dim,
    "nhead": lambda module: module.self_attn.num_heads,
    "dim_feedforward": lambda module: module.linear1.out_features,
    "dropout": lambda module: module.dropout.p,
    "activation": _activation,
    "layer_norm_eps": lambda module: module.norm1.eps,
    "batch_first": lambda module: module.self_attn.batch_first,
    "bias": lambda module: module.linear1.bias is not None,
}
_STACK: Mapping[str, Callable[[Any], Any]] = {
    "encoder_layer": lambda module: call_of(module.layers[0]),
    "decoder_layer": lambda module: call_of(module.layers[0]),
}


def _of_first(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda module: read(module.encoder.layers[0])


_WHOLE: Mapping[str, Callable[[Any], Any]] = {
    **{
        name: _of_first(read)
        for name, read in _ENCODER_LAYER.items()
        if name not in ("d_model", "nhead", "batch_first")
    },
    "num_encoder_layers": lambda module: len(module.encoder.layers),
    "num_decoder_layers": lambda module: len(module.decoder.layers),
    "norm_first": lambda module: module.encoder.layers[0].norm_first,
}

_SPECIAL: Mapping[tuple[type[nn.Module], str], Callable[[Any], Any]] = {
    **{(nn.MultiheadAttention, name): read for name, read in _ATTENTION.items()},
    **{
        (cls, name): read
        for cls in (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)
        for name, read in _ENCODER_LAYER.items()
    },
    **{(cls, name): read for cls in (nn.TransformerEncoder, nn.TransformerDecoder) for name, read in _STACK.items()},
    **{(nn.Transformer, name): read for name, read in _WHOLE.items()},
}
"""What a constructor is given and the layer keeps under another name."""


def _short(name: str, value: Any) -> Any:
    """One number for the same one in every dimension."""
    if name in _WINDOWS and isinstance(value, (tuple, list)) and len(value) > 1 and len(set(value)) == 1:
        return value[0]
    return value[0] if name == "normalized_shape" and len(value) == 1 else value


def _is_made_by(module: nn.Module, layer: Layer, arguments: Mapping[str, Any]) -> bool:
    """Whether a layer is what the constructor makes of these arguments."""
    try:
        with torch.device("meta"):
            made = _constructed(layer, arguments)
    except Exception:  # whatever a constructor raises: then it was called with something else
        return False
    if is_extended(module):
        (_, _, held, plain), *inside = _facts(module)
        ((_, _, tensors, numbers),) = _facts(made)
        more = any(each[2] for each in inside) or any(map(_hooked, module.modules()))
        return held == tensors and numbers.items() <= plain.items() and not more
    return _facts(made) == _facts(module)


def _constructed(layer: Layer, arguments: Mapping[str, Any]) -> nn.Module:
    given = {
        name: _constructed(LAYERS[each.name], each.arguments) if isinstance(each, Call) else each
        for name, each in arguments.items()
    }
    return layer.cls(**given)


def _facts(module: nn.Module) -> list[Any]:
    """What can be told of a layer: its tensors and its numbers, and those of what is in it."""
    found: list[Any] = []
    for name, each in module.named_modules():
        own = {
            local: None if held is None else held.shape for local, held in {**each._parameters, **each._buffers}.items()
        }
        plain = {
            key: _comparable(value)
            for key, value in each.__dict__.items()
            if not key.startswith("_") and key not in ("training", "inplace") and isinstance(value, _PLAIN)
        }
        found.append((name, type(each), own, plain))
    return found


def _comparable(value: Any) -> Any:
    return tuple(map(_comparable, value)) if isinstance(value, (tuple, list)) else value
