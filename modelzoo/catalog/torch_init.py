"""Torch's own initialisation as a plan: which fill each tensor of a torch module would get from its constructor."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

Default = tuple[str, Mapping[str, Any]]
"""The name of a fill, and its arguments."""

_ZEROS: Default = ("zeros", {})
_ONES: Default = ("ones", {})
_XAVIER_UNIFORM: Default = ("xavier_uniform", {"gain": 1.0})
_XAVIER_NORMAL: Default = ("xavier_normal", {"gain": 1.0})
_NORMAL: Default = ("normal", {"mean": 0.0, "std": 1.0})


def defaults(root: nn.Module) -> dict[str, Default]:
    """How torch fills the parameters and buffers of a module and its children, by dotted name.

    A constructor that fills its children's tensors anew (`MultiheadAttention`, `Transformer`) decides. Tensors of
    modules that torch does not define are left out.

    >>> defaults(nn.Linear(4, 2))
    {'weight': ('uniform', {'a': -0.5, 'b': 0.5}), 'bias': ('uniform', {'a': -0.5, 'b': 0.5})}
    """
    if not root._modules:
        return _rule(type(root))(root)
    found: dict[str, Default] = {}
    for prefix, module in reversed(list(root.named_modules(remove_duplicate=False))):  # outer ones last
        start = f"{prefix}." if prefix else ""
        found.update((start + name, default) for name, default in _rule(type(module))(module).items())
    return found


def default(module: nn.Module, name: str) -> Default | None:
    """How torch fills one tensor of a module, or None if it does not say.

    >>> default(nn.LayerNorm(4), "bias")
    ('zeros', {})
    """
    return defaults(module).get(name)


# --- one rule for each family of layers ----------------------------------------------------------------------------

Rule = Callable[[Any], dict[str, Default]]


def _present(module: nn.Module, fills: Mapping[str, Default]) -> dict[str, Default]:
    """Those fills whose tensors the module has."""
    tensors = {**module._parameters, **module._buffers}
    return {name: fill for name, fill in fills.items() if tensors.get(name) is not None}


@cache
def _uniform(count: int) -> Default:
    """Between -1 / sqrt(count) and its opposite."""
    if count == 0:
        return _ZEROS
    bound = 1 / math.sqrt(count)
    return "uniform", {"a": -bound, "b": bound}


def _all_uniform(module: nn.Module, count: int) -> dict[str, Default]:
    fill = _uniform(count)
    return {name: fill for name, parameter in module._parameters.items() if parameter is not None}


def _weighted(module: Any) -> dict[str, Default]:
    """Linear and convolutions: by what feeds an output, as the weight's layout has it."""
    weight = module._parameters.get("weight")  # half the time of module.weight
    if weight is None:  # `torch.nn.utils.weight_norm` and `parametrize` put others in its place
        return {}
    shape = weight.shape
    return _all_uniform(module, shape[1] * math.prod(shape[2:]))


def _bilinear(module: nn.Bilinear) -> dict[str, Default]:
    return _all_uniform(module, module.weight.shape[1])


def _recurrent(module: Any) -> dict[str, Default]:
    return _all_uniform(module, module.hidden_size)


def _embedding(module: Any) -> dict[str, Default]:
    if module.padding_idx is None:
        return {"weight": _NORMAL}
    return {"weight": ("embedding", {"padding_idx": module.padding_idx, "std": 1.0})}


_STATISTICS = {
    "weight": _ONES,
    "bias": _ZEROS,
    "running_mean": _ZEROS,
    "running_var": _ONES,
    "num_batches_tracked": _ZEROS,
}


def _norm(module: nn.Module) -> dict[str, Default]:
    return _present(module, _STATISTICS)


def _prelu(module: nn.PReLU) -> dict[str, Default]:
    return {"weight": ("constant", {"value": module.init})}


_ATTENTION = {
    **dict.fromkeys(("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"), _XAVIER_UNIFORM),
    **dict.fromkeys(("bias_k", "bias_v"), _XAVIER_NORMAL),
    "in_proj_bias": _ZEROS,
}


def _attention(module: nn.MultiheadAttention) -> dict[str, Default]:
    own = _present(module, _ATTENTION)
    return own if module.in_proj_bias is None else {**own, "out_proj.bias": _ZEROS}


def _transformer(module: nn.Transformer) -> dict[str, Default]:
    return {name: _XAVIER_UNIFORM for name, parameter in module.named_parameters() if parameter.dim() > 1}


def _nothing(_: nn.Module) -> dict[str, Default]:
    return {}


RULES: Mapping[type[nn.Module], Rule] = {
    **dict.fromkeys((nn.Linear, _ConvNd), _weighted),
    nn.Bilinear: _bilinear,
    **dict.fromkeys((nn.Embedding, nn.EmbeddingBag), _embedding),
    **dict.fromkeys((_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm), _norm),
    **dict.fromkeys((nn.RNNBase, nn.RNNCellBase), _recurrent),
    nn.PReLU: _prelu,
    nn.MultiheadAttention: _attention,
    nn.Transformer: _transformer,
}


def _rule(kind: type[nn.Module]) -> Rule:
    return RULES.get(kind) or next((RULES[base] for base in kind.__mro__ if base in RULES), _nothing)
