"""Sizes of layers that follow each other, compared where no example input tells whether they fit."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from torch import nn

from modelzoo.catalog import sizes
from modelzoo.errors import Beside, Path, Problem, Problems
from modelzoo.modules.explain import COPIES
from modelzoo.modules.skeleton import Skeleton
from modelzoo.spec.instances import Instance, LayerInstance

_CONVOLUTIONS = tuple(f"{kind}{rank}d" for kind in ("Conv", "ConvTranspose") for rank in (1, 2, 3))
_NORMS = tuple(f"{kind}{rank}d" for kind in ("BatchNorm", "InstanceNorm") for rank in (1, 2, 3))

RETURNED: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "Linear": ("features", "out_features"),
        **dict.fromkeys(_CONVOLUTIONS, ("channels", "out_channels")),
        **dict.fromkeys(_NORMS, ("channels", "num_features")),
        "GroupNorm": ("channels", "num_channels"),
    }
)
"""What a layer's size is of, and the argument that says how many it returns; `sizes` knows what it takes."""

KEEPING = frozenset(
    [
        "CELU",
        "Dropout",
        "Dropout1d",
        "Dropout2d",
        "Dropout3d",
        "ELU",
        "GELU",
        "Hardshrink",
        "Hardsigmoid",
        "Hardswish",
        "Hardtanh",
        "Identity",
        "LeakyReLU",
        "LogSigmoid",
        "Mish",
        "PReLU",
        "RReLU",
        "ReLU",
        "ReLU6",
        "SELU",
        "SiLU",
        "Sigmoid",
        "Softplus",
        "Softshrink",
        "Softsign",
        "Tanh",
        "Tanhshrink",
    ]
)
"""The layers that return what has the shape of their input."""


def broken_chains(skeleton: Skeleton) -> list[Problem]:
    """Warnings of layers in sequences that take no output of the layer before them, whatever the input is."""
    problems = Problems(fatal=False)
    for module, instance in skeleton.instances.items():
        if isinstance(module, nn.Sequential) and instance.sequence:
            _check(instance, problems)
    return problems.found


def _check(sequence: Instance, problems: Problems) -> None:
    kind, size, maker = "", None, Path()
    for each in sequence.children.values():
        if each is None or (isinstance(each, LayerInstance) and _name(each) in KEEPING):
            continue
        if not isinstance(each, LayerInstance) or _name(each) not in RETURNED:
            kind, size = "", None
            continue
        own, returns = RETURNED[each.layer.name]
        (takes,) = sizes.inferable(each.layer)
        wanted = each.arguments.get(takes)
        if own == kind and None not in (size, wanted) and wanted != size:
            what = f"{each.call()} takes {wanted} {own}, and the layer before it returns {size}."
            beside = Beside(text=f"That is {maker}{{}}.", key=maker)
            hint = COPIES if each.key == maker else f"Write {takes}={size}."
            problems.add(each.key, what, hint, beside=() if each.key == maker else (beside,))
        kind, size, maker = own, each.arguments.get(returns), each.key


def _name(instance: LayerInstance) -> str:
    """Of a layer of torch; empty if it is a user's."""
    return "" if instance.layer.registered else instance.layer.name
