"""What each argument of a layer of torch must be, alone and together with the others.

The tables are by the argument's name; exceptions are by layer and name. Of a registered layer its annotations tell.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from modelzoo import bounds
from modelzoo.catalog.checks import (
    A_LAYER,
    ABOVE_0,
    ANYTHING,
    COUNT,
    EDGE,
    FLAG,
    FROM_0,
    INTEGER,
    LAYER,
    MARGIN,
    NATURAL,
    NULL,
    NUMBER,
    POSITIVE,
    SHARE,
    WINDOW,
    Check,
    Rule,
    integers,
    items_of,
    must_be,
    numbers,
    one_of,
    or_else,
    per_dimension,
    shortened,
    some,
    words_of,
)
from modelzoo.catalog.layers import Layer

ARGUMENTS: Mapping[str, Rule] = MappingProxyType(
    {
        # sizes
        **dict.fromkeys(("in_features", "in1_features", "in2_features", "out_features", "num_features"), POSITIVE),
        **dict.fromkeys(("in_channels", "out_channels", "num_channels", "num_groups", "groups"), POSITIVE),
        **dict.fromkeys(("input_size", "hidden_size", "dim_feedforward"), POSITIVE),
        **dict.fromkeys(("embed_dim", "num_heads", "d_model", "nhead"), POSITIVE),
        **dict.fromkeys(("kdim", "vdim", "divisor_override"), or_else(POSITIVE, NULL)),
        **dict.fromkeys(("num_embeddings", "embedding_dim", "num_parameters", "num_classes", "n_classes"), POSITIVE),
        **dict.fromkeys(("upscale_factor", "downscale_factor"), POSITIVE),
        **dict.fromkeys(("num_layers", "num_encoder_layers", "num_decoder_layers"), COUNT),
        "proj_size": NATURAL,
        "padding_idx": or_else(INTEGER, NULL),
        "normalized_shape": some(POSITIVE),
        "cutoffs": items_of(POSITIVE),
        # windows
        **dict.fromkeys(("kernel_size", "stride", "dilation"), per_dimension(WINDOW)),
        **dict.fromkeys(("padding", "output_padding"), per_dimension(MARGIN)),
        "output_size": per_dimension(WINDOW),
        "output_ratio": lambda n: or_else(some(numbers(0, 1, inside=True), n), NULL),
        "size": lambda n: or_else(some(WINDOW, n), NULL),
        "scale_factor": lambda n: or_else(some(ABOVE_0, n), NULL),
        # dimensions
        **dict.fromkeys(("dim", "start_dim", "end_dim"), INTEGER),
        "unflattened_size": items_of(integers(-1)),
        # numbers
        **dict.fromkeys(("alpha", "beta", "k", "value", "threshold", "margin", "negative_slope", "init"), NUMBER),
        **dict.fromkeys(("lower", "upper", "min_val", "max_val"), NUMBER),
        **dict.fromkeys(("p", "dropout", "label_smoothing"), SHARE),
        "momentum": or_else(SHARE, NULL),
        **dict.fromkeys(("eps", "layer_norm_eps", "lambd"), FROM_0),
        **dict.fromkeys(("norm_type", "delta", "div_value"), ABOVE_0),
        "ignore_index": INTEGER,
        "blank": NATURAL,
        # an embedding with it rewrites its weight whenever it is called
        "max_norm": Check("left out (it changes the weight in every forward)", NULL.fits, NULL.schemas),
        # true or false
        **dict.fromkeys(("bias", "head_bias", "add_bias_kv", "add_zero_attn", "affine", "elementwise_affine"), FLAG),
        **dict.fromkeys(("track_running_stats", "inplace", "batch_first", "bidirectional", "norm_first"), FLAG),
        **dict.fromkeys(("ceil_mode", "count_include_pad", "return_indices", "include_last_offset"), FLAG),
        **dict.fromkeys(("scale_grad_by_freq", "sparse", "enable_nested_tensor", "mask_check"), FLAG),
        **dict.fromkeys(("full", "keepdim", "log_input", "log_target", "swap", "zero_infinity"), FLAG),
        **dict.fromkeys(("align_corners", "recompute_scale_factor"), or_else(FLAG, NULL)),
        # words
        "padding_mode": one_of("zeros", "reflect", "replicate", "circular"),
        "reduction": one_of("none", "mean", "sum"),
        "nonlinearity": one_of("tanh", "relu"),
        "activation": one_of("relu", "gelu"),
        "approximate": one_of("none", "tanh"),
        # layers
        **dict.fromkeys(("args", "modules", "encoder_layer", "decoder_layer"), A_LAYER),
        "norm": or_else(A_LAYER, NULL),
    }
)
"""What each argument must be, by its name; see `EXCEPTIONS`."""


def _for(names: str, argument: str, rule: Rule) -> dict[tuple[str, str], Rule]:
    return {(name, argument): rule for name in names.split()}


_CONV = "Conv1d Conv2d Conv3d"
_TRANSPOSED = "ConvTranspose1d ConvTranspose2d ConvTranspose3d"
_POOL = "AvgPool1d AvgPool2d AvgPool3d MaxPool1d MaxPool2d MaxPool3d"
_UNPOOL = "MaxUnpool1d MaxUnpool2d MaxUnpool3d"
_LP = "LPPool1d LPPool2d LPPool3d"
_ADAPTIVE = (
    "AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d AdaptiveMaxPool1d AdaptiveMaxPool2d AdaptiveMaxPool3d"
)
_FRACTIONAL = "FractionalMaxPool2d FractionalMaxPool3d"
_PAD = " ".join(
    f"{kind}Pad{n}d" for kind in words_of("Circular Constant Reflection Replication Zero") for n in (1, 2, 3)
)

EXCEPTIONS: Mapping[tuple[str, str], Rule] = MappingProxyType(
    {
        **_for(_CONV, "padding", lambda n: or_else(some(MARGIN, n), one_of("same", "valid"))),
        **_for(_TRANSPOSED, "padding_mode", one_of("zeros")),
        **_for(f"{_CONV} {_TRANSPOSED}", "stride", per_dimension(integers(1, most=bounds.STRIDE))),
        **_for(f"{_POOL} {_UNPOOL} {_LP}", "stride", lambda n: or_else(some(WINDOW, n), NULL)),
        **_for(_PAD, "padding", per_dimension(EDGE, times=2)),  # a negative one crops
        **_for(_ADAPTIVE, "output_size", lambda n: some(or_else(WINDOW, or_else(WINDOW, NULL)), n)),
        **_for("AdaptiveAvgPool1d AdaptiveMaxPool1d", "output_size", some(WINDOW, 1)),
        **_for(_FRACTIONAL, "output_size", lambda n: or_else(some(WINDOW, n), NULL)),
        **_for("LPPool1d", "kernel_size", WINDOW),
        **_for("Fold Unfold", "kernel_size", some(WINDOW, 2)),
        **_for("Fold Unfold", "dilation", some(WINDOW, 2)),
        **_for("Fold Unfold", "stride", some(WINDOW, 2)),
        **_for("Fold Unfold", "padding", some(MARGIN, 2)),
        **_for("Fold", "output_size", some(WINDOW, 2)),
        **_for("Softmax LogSoftmax Softmin", "dim", or_else(INTEGER, NULL)),
        **_for("LocalResponseNorm CrossMapLRN2d", "size", WINDOW),
        **_for("RMSNorm", "eps", or_else(FROM_0, NULL)),
        **_for("CELU", "alpha", ABOVE_0),
        **_for("Softplus", "beta", ABOVE_0),
        **_for("SmoothL1Loss", "beta", FROM_0),
        **_for("CosineEmbeddingLoss", "margin", numbers(-1, 1)),
        **_for("TripletMarginLoss", "margin", ABOVE_0),
        **_for("KLDivLoss", "reduction", one_of("none", "mean", "sum", "batchmean")),
        **_for("MultiMarginLoss", "p", integers(1, 2)),
        **_for("TripletMarginLoss PairwiseDistance", "p", FROM_0),
        **_for("Upsample", "mode", one_of("nearest", "nearest-exact", "linear", "bilinear", "bicubic", "trilinear")),
        **_for("EmbeddingBag", "mode", one_of("mean", "sum", "max")),
        **_for("LinearCrossEntropyLoss", "out_features", items_of(POSITIVE, empty=True)),
        **_for("LinearCrossEntropyLoss", "ignore_index", or_else(INTEGER, NULL)),
        **_for("Identity", "args", ANYTHING),
        **_for("Identity", "kwargs", ANYTHING),
    }
)
"""Where a layer differs from `ARGUMENTS`."""


@cache
def check_of(layer: Layer, argument: str) -> Check:
    """What an argument of a layer must be; of a registered layer its annotation tells.

    Raises:
        KeyError: the layer has no such argument.
    """
    if layer.registered:
        from modelzoo.catalog import constructors

        wanted = constructors.wanted(layer, argument)
        return Check(wanted.wants, lambda value: wanted.problem(value) is None, wanted.schemas)
    if argument not in layer.signature:
        if "kwargs" not in layer.signature:
            raise KeyError(argument)
        argument = "kwargs"
    rule = EXCEPTIONS.get((layer.name, argument)) or ARGUMENTS[argument]
    if isinstance(rule, Check):
        return rule
    dimensions = re.search(r"([123])d$", layer.name)
    return rule(int(dimensions[1]) if dimensions else None)


_COUNTS = frozenset(("num_layers", "num_encoder_layers", "num_decoder_layers"))


def layers_in(layer: Layer | None, arguments: Mapping[str, Any]) -> int:
    """About how many layers one of torch is made of, itself included; of a registered one that is not known.

    >>> from modelzoo.catalog.layers import find_layer
    >>> layers_in(find_layer("Linear"), {"in_features": 4}), layers_in(find_layer("LSTM"), {"num_layers": 12})
    (1, 111)
    """
    if layer is None or layer.registered or _COUNTS.isdisjoint(arguments):
        return 1
    counts: list[int] = [arguments[each] for each in _COUNTS if type(arguments.get(each)) is int]
    return 1 + 10 * sum(each - 1 for each in counts)


def takes_layer(layer: Layer, argument: str) -> bool:
    """Whether the value of an argument is a layer (or, in containers, layers).

    >>> from modelzoo.catalog.layers import find_layer
    >>> takes_layer(find_layer("TransformerEncoder"), "norm"), takes_layer(find_layer("Linear"), "bias")
    (True, False)
    """
    return check_of(layer, argument) is ANYTHING or LAYER in check_of(layer, argument).schemas


def problem_with(layer: Layer, argument: str, value: object) -> str | None:
    """What is wrong with the value of one argument, as the rest of a sentence; None if nothing is.

    Raises:
        KeyError: the layer has no such argument.

    >>> from modelzoo.catalog.layers import find_layer
    >>> problem_with(find_layer("Linear"), "in_features", -3)
    'must be a positive integer, not -3'
    >>> problem_with(find_layer("Conv2d"), "kernel_size", [3, 0])
    'must be a positive integer or a list of 2, not [3, 0]'
    >>> problem_with(find_layer("Dropout"), "p", 0.5) is None
    True
    """
    if layer.registered:
        from modelzoo.catalog import constructors

        wrong = constructors.wanted(layer, argument).problem(value)
        return None if wrong is None else wrong.sentence()
    check = check_of(layer, argument)
    if check.fits(value):
        return None
    sizes = value if isinstance(value, (list, tuple)) else [value]
    large = [each for each in sizes if type(each) is int and check.most is not None and each > check.most]
    if large:
        return f"must be at most {check.most}, not {shortened(large[0])}"
    return must_be(check.wants, value)


def _each(*values: Any) -> Iterator[tuple[Any, ...]]:
    """The values of each spatial dimension, whether they were written once or one by one."""
    return zip(*(value if isinstance(value, (list, tuple)) else [value] * 3 for value in values), strict=False)


def _divides(divisor: int, number: int) -> bool:
    return number % divisor == 0


def _either(one: object, other: object) -> bool:
    return (one is None) != (other is None)


RELATIONS: tuple[tuple[str, str, Callable[..., bool], str], ...] = (
    (f"{_CONV} {_TRANSPOSED}", "groups in_channels", _divides, "must divide in_channels={1}, but is {0}"),
    (f"{_CONV} {_TRANSPOSED}", "groups out_channels", _divides, "must divide out_channels={1}, but is {0}"),
    (
        _CONV,
        "padding stride",
        lambda padding, stride: padding != "same" or {each for (each,) in _each(stride)} == {1},
        "must be a number where stride={1}, not {0!r}",
    ),
    (
        _TRANSPOSED,
        "output_padding stride dilation",
        lambda padding, *steps: all(a < max(steps) for a, *steps in _each(padding, *steps)),
        "must be smaller than stride={1} or dilation={2}, but is {0}",
    ),
    (
        _POOL,
        "padding kernel_size",
        lambda padding, kernel: all(2 * a <= b for a, b in _each(padding, kernel)),
        "must be at most half of kernel_size={1}, but is {0}",
    ),
    (_FRACTIONAL, "output_size output_ratio", _either, "or output_ratio must be given, and not both"),
    (
        "Upsample UpsamplingBilinear2d UpsamplingNearest2d",
        "size scale_factor",
        _either,
        "or scale_factor must be given, and not both",
    ),
    ("GroupNorm", "num_groups num_channels", _divides, "must divide num_channels={1}, but is {0}"),
    ("MultiheadAttention", "num_heads embed_dim", _divides, "must divide embed_dim={1}, but is {0}"),
    (
        "Transformer TransformerEncoderLayer TransformerDecoderLayer",
        "nhead d_model",
        _divides,
        "must divide d_model={1}, but is {0}",
    ),
    ("LSTM", "proj_size hidden_size", lambda a, b: a < b, "must be smaller than hidden_size={1}, but is {0}"),
    (
        "Embedding EmbeddingBag",
        "padding_idx num_embeddings",
        lambda index, length: index is None or -length <= index < length,
        "must be an index below num_embeddings={1}, not {0}",
    ),
    ("RReLU", "lower upper", lambda a, b: a <= b, "must be at most upper={1}, but is {0}"),
    ("Hardtanh", "min_val max_val", lambda a, b: a < b, "must be smaller than max_val={1}, but is {0}"),
    (
        "AdaptiveLogSoftmaxWithLoss",
        "cutoffs n_classes",
        lambda cutoffs, classes: sorted({*cutoffs, classes}) == [*cutoffs, classes],
        "must increase and stay below n_classes={1}, but is {0}",
    ),
    (
        "Unflatten",
        "unflattened_size",
        lambda sizes: 0 not in sizes and list(sizes).count(-1) <= 1,
        "must hold positive integers and at most one -1, but is {0}",
    ),
)
"""What must hold between arguments: (layers, arguments, test, sentence about the first of the arguments)."""


@cache
def _relations_of(layer: Layer) -> list[tuple[list[str], Callable[..., bool], str]]:
    return [
        (words_of(names), holds, wants) for layers, names, holds, wants in RELATIONS if layer.name in words_of(layers)
    ]


def problem_with_all(layer: Layer, arguments: Mapping[str, object]) -> list[tuple[str, str]]:
    """All that is wrong with the arguments of a layer: each by itself, then together. What is absent is not judged.

    >>> from modelzoo.catalog.layers import find_layer
    >>> problem_with_all(find_layer("MultiheadAttention"), {"embed_dim": 10, "num_heads": 3})
    [('num_heads', 'must divide embed_dim=10, but is 3')]
    """
    found = [(each, what) for each, value in arguments.items() if (what := problem_with(layer, each, value))]
    relations = () if layer.registered else _relations_of(layer)
    if not relations:
        return found
    wrong = {each for each, _ in found}
    absent = inspect.Parameter.empty
    given = {each.name: each.default for each in layer.signature.values()} | dict(arguments)
    for several, holds, wants in relations:
        values = [given.get(each, absent) for each in several]
        if not wrong & {*several} and absent not in values and not holds(*values):
            found.append((several[0], wants.format(*map(_shown_as_text, values))))
    return found


def _shown_as_text(value: object) -> str:
    return value if isinstance(value, str) else shortened(value)
