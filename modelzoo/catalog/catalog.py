"""The closed list of what a config may name: layers and their arguments, functions, tensor methods, dtypes.

Lookup is one step into a dictionary that was written before: it imports nothing and walks no attributes. What is not
listed here does not exist for a config, unless the user's own code registered it.
"""

from __future__ import annotations

import builtins
import importlib.metadata
import inspect
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType, ModuleType
from typing import Any, TypeVar, overload

import torch
from torch import Tensor, nn
from torch.nn import functional

from modelzoo import arithmetic, bounds
from modelzoo.names import Kind

Sizes = Mapping[str, str] | Callable[..., Mapping[str, int]]
"""How the inputs of a layer decide its arguments; see `modelzoo.catalog.sizes`."""


def _words(text: str) -> list[str]:
    return text.split()


# --- layers --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layer:
    """A type of layer that a config may name.

    Attributes:
        name: the name in the catalog.
        cls: what constructs it.
        sizes: for a registered layer, how its inputs decide its arguments.
    """

    name: str
    cls: type[nn.Module]
    sizes: Sizes | None = None

    @property
    def signature(self) -> Mapping[str, inspect.Parameter]:
        """The arguments that a config may give, in positional order.

        Without `self`, `device`, `dtype`, and without tensors, callables, deprecated and private arguments. What
        torch has behind one of these can be given by its name only.

        >>> list(find_layer("Linear").signature)
        ['in_features', 'out_features', 'bias']
        """
        return _signature(self)

    @property
    def registered(self) -> bool:
        """Whether it is the user's own, and not torch's."""
        return LAYERS.get(self.name) is not self


def _named(text: str) -> Iterator[tuple[str, Layer]]:
    for name in text.split():
        if cls := getattr(nn, name, None):  # an older torch lacks a few of them
            yield name, Layer(name=name, cls=cls)


LAYERS: Mapping[str, Layer] = MappingProxyType(
    dict(
        _named(
            """
            Sequential ModuleList ModuleDict Identity Flatten Unflatten

            Linear Bilinear Embedding EmbeddingBag
            Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d
            RNN LSTM GRU RNNCell LSTMCell GRUCell
            MultiheadAttention Transformer TransformerEncoder TransformerEncoderLayer
            TransformerDecoder TransformerDecoderLayer

            BatchNorm1d BatchNorm2d BatchNorm3d InstanceNorm1d InstanceNorm2d InstanceNorm3d
            LayerNorm RMSNorm GroupNorm LocalResponseNorm CrossMapLRN2d

            CELU ELU GELU GLU Hardshrink Hardsigmoid Hardswish Hardtanh LeakyReLU LogSigmoid LogSoftmax Mish PReLU RReLU
            ReLU ReLU6 SELU SiLU Sigmoid Softmax Softmax2d Softmin Softplus Softshrink Softsign Tanh Tanhshrink
            Threshold

            Dropout Dropout1d Dropout2d Dropout3d AlphaDropout FeatureAlphaDropout

            AvgPool1d AvgPool2d AvgPool3d MaxPool1d MaxPool2d MaxPool3d MaxUnpool1d MaxUnpool2d MaxUnpool3d
            AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d AdaptiveMaxPool1d AdaptiveMaxPool2d AdaptiveMaxPool3d
            FractionalMaxPool2d FractionalMaxPool3d LPPool1d LPPool2d LPPool3d

            CircularPad1d CircularPad2d CircularPad3d ConstantPad1d ConstantPad2d ConstantPad3d
            ReflectionPad1d ReflectionPad2d ReflectionPad3d ReplicationPad1d ReplicationPad2d ReplicationPad3d
            ZeroPad1d ZeroPad2d ZeroPad3d
            Fold Unfold PixelShuffle PixelUnshuffle ChannelShuffle Upsample UpsamplingBilinear2d UpsamplingNearest2d

            CosineSimilarity PairwiseDistance
            AdaptiveLogSoftmaxWithLoss BCELoss BCEWithLogitsLoss CTCLoss CosineEmbeddingLoss CrossEntropyLoss
            GaussianNLLLoss HingeEmbeddingLoss HuberLoss KLDivLoss L1Loss LinearCrossEntropyLoss MSELoss
            MarginRankingLoss MultiLabelMarginLoss MultiLabelSoftMarginLoss MultiMarginLoss NLLLoss PoissonNLLLoss
            SmoothL1Loss SoftMarginLoss TripletMarginLoss
            """
        )
    )
)

EXCLUDED: Mapping[str, str] = MappingProxyType(
    {
        "Buffer": "it is a tensor: write it under 'buffers'",
        "Container": "it is deprecated",
        "DataParallel": "it takes devices",
        "LinearCrossEntropyOptions": "it is no layer",
        "Module": "it computes nothing: write a block",
        "NLLLoss2d": "it is deprecated: write NLLLoss",
        "Parameter": "it is a tensor: write it under 'parameters'",
        "ParameterDict": "it takes tensors: write them under 'parameters'",
        "ParameterList": "it takes tensors: write them under 'parameters'",
        "RNNBase": "it is a base class: write RNN, LSTM or GRU",
        "RNNCellBase": "it is a base class: write RNNCell, LSTMCell or GRUCell",
        "SyncBatchNorm": "it takes a process group",
        "TripletMarginWithDistanceLoss": "it takes a function: write TripletMarginLoss",
        "UninitializedBuffer": "it is a tensor: write it under 'buffers'",
        "UninitializedParameter": "it is a tensor: write it under 'parameters'",
        **{
            f"Lazy{name}": f"sizes are inferred for every layer: write {name} without its input size"
            for name in (
                "Linear",
                *(f"{kind}{n}d" for kind in ("BatchNorm", "InstanceNorm", "Conv", "ConvTranspose") for n in (1, 2, 3)),
            )
        },
    }
)
"""What `torch.nn` holds and a config may not name, and why."""

_PATHS: Mapping[str, Layer] = MappingProxyType(
    {
        path: layer
        for name, layer in LAYERS.items()
        for path in (name, f"torch.nn.{name}", f"{layer.cls.__module__}.{name}")
    }
)

_registered: dict[str, Layer] = {}
_registered_functions: dict[str, Function] = {}


def find_layer(name: str) -> Layer | None:
    """The layer that a config names, or None.

    >>> find_layer("Linear") is find_layer("torch.nn.Linear") is find_layer("torch.nn.modules.linear.Linear")
    True
    >>> find_layer("torch.nn.functional.importlib") is None
    True
    """
    layer = _PATHS.get(name) or _registered.get(name)
    if layer is None and Kind.REGISTERED.fits(name):
        load_entry_points()
        layer = _registered.get(name)
    return layer


def layer_names() -> tuple[str, ...]:
    """The names of all layers known so far: torch's, then registered ones."""
    return (*LAYERS, *_registered)


_WITHHELD = {
    **dict.fromkeys(("device", "dtype"), "the build decides"),
    **dict.fromkeys(("size_average", "reduce", "min_value", "max_value"), "deprecated"),
    **dict.fromkeys(("weight", "pos_weight", "options"), "an object that a config cannot write"),
    **dict.fromkeys(("custom_encoder", "custom_decoder"), "any callable"),
}


@cache
def _signature(layer: Layer) -> Mapping[str, inspect.Parameter]:
    cls = layer.cls
    if cls.__init__ is nn.Module.__init__:  # it says *args, **kwargs and takes none
        return MappingProxyType({})
    if layer.registered:
        return MappingProxyType(dict(_open_to_configs(_parameters(cls), {"device", "dtype"})))
    parameters = _parameters(nn.RNNBase)[1:] if cls in (nn.RNN, nn.LSTM, nn.GRU) else _parameters(cls)
    if cls in (nn.RNN, nn.GRU):
        parameters = [each for each in parameters if each.name != "proj_size"]
    if cls is nn.RNN:  # it takes its fourth argument out of *args
        nonlinearity = _parameters(nn.RNNCell)[3]
        parameters = [*parameters[:3], nonlinearity, *parameters[3:]]
    return MappingProxyType(dict(_open_to_configs(parameters, _WITHHELD)))


def _parameters(cls: type[nn.Module]) -> list[inspect.Parameter]:
    return list(inspect.signature(cls.__init__).parameters.values())[1:]


def _open_to_configs(
    parameters: Iterable[inspect.Parameter], withheld: Iterable[str]
) -> Iterator[tuple[str, inspect.Parameter]]:
    behind = False  # a place in front was withheld, so positions would be another argument's
    for each in parameters:
        if each.name in withheld or each.name.startswith("_"):
            behind = True
            continue
        if callable(each.default) and each.default is not each.empty:
            each = each.replace(default=each.default.__name__)  # the text that torch takes for the same function
        if behind and each.kind is each.POSITIONAL_OR_KEYWORD:
            each = each.replace(kind=each.KEYWORD_ONLY)
        yield each.name, each


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What a layer can be called with.

    Attributes:
        positional: the names that may be given by position, in order.
        variable: the name that takes all further positions, or None.
        named: the names that may be given by name.
        open: whether any other name may be given too.
        required: the names that have no default.
    """

    positional: tuple[str, ...]
    variable: str | None
    named: frozenset[str]
    open: bool
    required: tuple[str, ...]


@cache
def accepted(layer: Layer) -> Accepted:
    """What a layer can be called with.

    >>> accepted(find_layer("Linear")).required
    ('in_features', 'out_features')
    """
    each = inspect.Parameter
    kinds = {name: parameter.kind for name, parameter in layer.signature.items()}
    required = (
        name
        for name, parameter in layer.signature.items()
        if parameter.default is each.empty and kinds[name] not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    )
    return Accepted(
        positional=tuple(name for name, kind in kinds.items() if kind is each.POSITIONAL_OR_KEYWORD),
        variable=next((name for name, kind in kinds.items() if kind is each.VAR_POSITIONAL), None),
        named=frozenset(name for name, kind in kinds.items() if kind is not each.VAR_KEYWORD),
        open=each.VAR_KEYWORD in kinds.values(),
        required=tuple(required),
    )


# --- what an argument may be ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Check:
    """What the value of an argument must be: in words, and as a test; `most` is the bound of its integers."""

    wants: str
    fits: Callable[[Any], bool]
    most: int = bounds.ELEMENTS


def _integer(low: int = -bounds.ELEMENTS, high: int = bounds.ELEMENTS, most: int = bounds.ELEMENTS) -> Check:
    words = {-bounds.ELEMENTS: "an integer", -1: "an integer from -1", 0: "an integer from 0", 1: "a positive integer"}
    wants = words[low] if high == bounds.ELEMENTS else f"an integer from {low} to {high}"
    low, high = max(low, -most), min(high, most)
    return Check(wants, lambda value: type(value) is int and low <= value <= high, most)


def _number(low: float = -math.inf, high: float = math.inf, *, inside: bool = False) -> Check:
    """A finite number that float32 can hold, from `low` to `high`, or between them."""
    largest = 3.4e38
    if high < math.inf:
        wants = f"a number between {low} and {high}" if inside else f"a number from {low} to {high}"
    elif low == 0:
        wants = "a positive number" if inside else "a number from 0"
    else:
        wants = "a finite number"

    def fits(value: Any) -> bool:
        ordinary = type(value) in (int, float) and -largest <= value <= largest  # nan fails as well
        return ordinary and (low < value < high if inside else low <= value <= high)

    return Check(wants, fits)


def _one_of(*texts: str) -> Check:
    quoted = ", ".join(map(repr, texts))
    return Check(f"one of {quoted}", lambda value: isinstance(value, str) and value in texts)


def _or(first: Check, second: Check) -> Check:
    most = min(first.most, second.most)
    return Check(f"{first.wants} or {second.wants}", lambda value: first.fits(value) or second.fits(value), most)


def _some(each: Check, length: int | None = None) -> Check:
    """One value, or a list of `length` of them."""
    many = "a list of them" if length is None else f"a list of {length}"

    def fits(value: Any) -> bool:
        if not isinstance(value, (list, tuple)):
            return each.fits(value)
        return bool(value) and (length is None or len(value) == length) and all(map(each.fits, value))

    return Check(f"{each.wants} or {many}", fits, each.most)


def _items(each: Check, *, empty: bool = False) -> Check:
    return Check(
        f"a list, each {each.wants}",
        lambda value: isinstance(value, (list, tuple)) and (empty or bool(value)) and all(map(each.fits, value)),
        each.most,
    )


def _per_dimension(each: Check, times: int = 1) -> Callable[[int | None], Check]:
    """One value, or one for each spatial dimension of the layer."""
    return lambda dimensions: _some(each, dimensions and times * dimensions)


NULL = Check("null", lambda value: value is None)
FLAG = Check("true or false", lambda value: type(value) is bool)
POSITIVE, NATURAL, INTEGER = _integer(1), _integer(0), _integer()
WINDOW, MARGIN, EDGE = (_integer(low, most=bounds.WINDOW) for low in (1, 0, -bounds.ELEMENTS))  # of windows
COUNT = _integer(1, bounds.LAYERS)
NUMBER, FROM_0, ABOVE_0, SHARE = _number(), _number(0), _number(0, inside=True), _number(0, 1)
ANYTHING = Check("anything", lambda value: True)
A_LAYER = Check("a layer", lambda value: not isinstance(value, (bool, int, float, str, type(None))))

Rule = Check | Callable[[int | None], Check]
"""A check, or one that depends on the number of spatial dimensions (the 2 of `Conv2d`)."""

ARGUMENTS: Mapping[str, Rule] = MappingProxyType(
    {
        # sizes
        **dict.fromkeys(("in_features", "in1_features", "in2_features", "out_features", "num_features"), POSITIVE),
        **dict.fromkeys(("in_channels", "out_channels", "num_channels", "num_groups", "groups"), POSITIVE),
        **dict.fromkeys(("input_size", "hidden_size", "dim_feedforward"), POSITIVE),
        **dict.fromkeys(("embed_dim", "num_heads", "d_model", "nhead"), POSITIVE),
        **dict.fromkeys(("kdim", "vdim", "divisor_override"), _or(POSITIVE, NULL)),
        **dict.fromkeys(("num_embeddings", "embedding_dim", "num_parameters", "num_classes", "n_classes"), POSITIVE),
        **dict.fromkeys(("upscale_factor", "downscale_factor"), POSITIVE),
        **dict.fromkeys(("num_layers", "num_encoder_layers", "num_decoder_layers"), COUNT),
        "proj_size": NATURAL,
        "padding_idx": _or(INTEGER, NULL),
        "normalized_shape": _some(POSITIVE),
        "cutoffs": _items(POSITIVE),
        # windows
        **dict.fromkeys(("kernel_size", "stride", "dilation"), _per_dimension(WINDOW)),
        **dict.fromkeys(("padding", "output_padding"), _per_dimension(MARGIN)),
        "output_size": _per_dimension(WINDOW),
        "output_ratio": lambda n: _or(_some(_number(0, 1, inside=True), n), NULL),
        "size": lambda n: _or(_some(WINDOW, n), NULL),
        "scale_factor": lambda n: _or(_some(ABOVE_0, n), NULL),
        # dimensions
        **dict.fromkeys(("dim", "start_dim", "end_dim"), INTEGER),
        "unflattened_size": _items(_integer(-1)),
        # numbers
        **dict.fromkeys(("alpha", "beta", "k", "value", "threshold", "margin", "negative_slope", "init"), NUMBER),
        **dict.fromkeys(("lower", "upper", "min_val", "max_val"), NUMBER),
        **dict.fromkeys(("p", "dropout", "label_smoothing"), SHARE),
        "momentum": _or(SHARE, NULL),
        **dict.fromkeys(("eps", "layer_norm_eps", "lambd"), FROM_0),
        **dict.fromkeys(("norm_type", "delta", "div_value"), ABOVE_0),
        "ignore_index": INTEGER,
        "blank": NATURAL,
        # an embedding with it rewrites its weight whenever it is called
        "max_norm": Check("left out (it changes the weight in every forward)", NULL.fits),
        # true or false
        **dict.fromkeys(("bias", "head_bias", "add_bias_kv", "add_zero_attn", "affine", "elementwise_affine"), FLAG),
        **dict.fromkeys(("track_running_stats", "inplace", "batch_first", "bidirectional", "norm_first"), FLAG),
        **dict.fromkeys(("ceil_mode", "count_include_pad", "return_indices", "include_last_offset"), FLAG),
        **dict.fromkeys(("scale_grad_by_freq", "sparse", "enable_nested_tensor", "mask_check"), FLAG),
        **dict.fromkeys(("full", "keepdim", "log_input", "log_target", "swap", "zero_infinity"), FLAG),
        **dict.fromkeys(("align_corners", "recompute_scale_factor"), _or(FLAG, NULL)),
        # words
        "padding_mode": _one_of("zeros", "reflect", "replicate", "circular"),
        "reduction": _one_of("none", "mean", "sum"),
        "nonlinearity": _one_of("tanh", "relu"),
        "activation": _one_of("relu", "gelu"),
        "approximate": _one_of("none", "tanh"),
        # layers
        **dict.fromkeys(("args", "modules", "encoder_layer", "decoder_layer"), A_LAYER),
        "norm": _or(A_LAYER, NULL),
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
_PAD = " ".join(f"{kind}Pad{n}d" for kind in _words("Circular Constant Reflection Replication Zero") for n in (1, 2, 3))

EXCEPTIONS: Mapping[tuple[str, str], Rule] = MappingProxyType(
    {
        **_for(_CONV, "padding", lambda n: _or(_some(MARGIN, n), _one_of("same", "valid"))),
        **_for(_TRANSPOSED, "padding_mode", _one_of("zeros")),
        **_for(f"{_CONV} {_TRANSPOSED}", "stride", _per_dimension(_integer(1, most=bounds.STRIDE))),
        **_for(f"{_POOL} {_UNPOOL} {_LP}", "stride", lambda n: _or(_some(WINDOW, n), NULL)),
        **_for(_PAD, "padding", _per_dimension(EDGE, times=2)),  # a negative one crops
        **_for(_ADAPTIVE, "output_size", lambda n: _or(WINDOW, _some(_or(WINDOW, NULL), n))),
        **_for("AdaptiveAvgPool1d AdaptiveMaxPool1d", "output_size", _some(WINDOW, 1)),
        **_for(_FRACTIONAL, "output_size", lambda n: _or(_some(WINDOW, n), NULL)),
        **_for("LPPool1d", "kernel_size", WINDOW),
        **_for("Fold Unfold", "kernel_size", _some(WINDOW, 2)),
        **_for("Fold Unfold", "dilation", _some(WINDOW, 2)),
        **_for("Fold Unfold", "stride", _some(WINDOW, 2)),
        **_for("Fold Unfold", "padding", _some(MARGIN, 2)),
        **_for("Fold", "output_size", _some(WINDOW, 2)),
        **_for("Softmax LogSoftmax Softmin", "dim", _or(INTEGER, NULL)),
        **_for("LocalResponseNorm CrossMapLRN2d", "size", WINDOW),
        **_for("RMSNorm", "eps", _or(FROM_0, NULL)),
        **_for("CELU", "alpha", ABOVE_0),
        **_for("Softplus", "beta", ABOVE_0),
        **_for("SmoothL1Loss", "beta", FROM_0),
        **_for("CosineEmbeddingLoss", "margin", _number(-1, 1)),
        **_for("TripletMarginLoss", "margin", ABOVE_0),
        **_for("KLDivLoss", "reduction", _one_of("none", "mean", "sum", "batchmean")),
        **_for("MultiMarginLoss", "p", _integer(1, 2)),
        **_for("TripletMarginLoss PairwiseDistance", "p", FROM_0),
        **_for("Upsample", "mode", _one_of("nearest", "nearest-exact", "linear", "bilinear", "bicubic", "trilinear")),
        **_for("EmbeddingBag", "mode", _one_of("mean", "sum", "max")),
        **_for("LinearCrossEntropyLoss", "out_features", _items(POSITIVE, empty=True)),
        **_for("LinearCrossEntropyLoss", "ignore_index", _or(INTEGER, NULL)),
        **_for("Identity", "args", ANYTHING),
        **_for("Identity", "kwargs", ANYTHING),
    }
)
"""Where a layer differs from `ARGUMENTS`."""


@cache
def check_of(layer: Layer, argument: str) -> Check:
    """What an argument of a layer must be; anything for a registered layer.

    Raises:
        KeyError: the layer has no such argument.
    """
    if layer.registered:
        return ANYTHING
    if argument not in layer.signature:
        if "kwargs" not in layer.signature:
            raise KeyError(argument)
        argument = "kwargs"
    rule = EXCEPTIONS.get((layer.name, argument)) or ARGUMENTS[argument]
    if isinstance(rule, Check):
        return rule
    dimensions = re.search(r"([123])d$", layer.name)
    return rule(int(dimensions[1]) if dimensions else None)


_COUNTS = ("num_layers", "num_encoder_layers", "num_decoder_layers")


def layers_in(layer: Layer | None, arguments: Mapping[str, Any]) -> int:
    """About how many layers one of torch is made of, itself included; of a registered one that is not known.

    >>> layers_in(find_layer("Linear"), {"in_features": 4}), layers_in(find_layer("LSTM"), {"num_layers": 12})
    (1, 111)
    """
    if layer is None or layer.registered:
        return 1
    counts: list[int] = [arguments[each] for each in _COUNTS if type(arguments.get(each)) is int]
    return 1 + 10 * sum(each - 1 for each in counts)


def takes_layer(layer: Layer, argument: str) -> bool:
    """Whether the value of an argument is a layer (or, in containers, layers).

    >>> takes_layer(find_layer("TransformerEncoder"), "norm"), takes_layer(find_layer("Linear"), "bias")
    (True, False)
    """
    return check_of(layer, argument) is ANYTHING or A_LAYER.wants in check_of(layer, argument).wants


def problem_with(layer: Layer, argument: str, value: object) -> str | None:
    """What is wrong with the value of one argument, as the rest of a sentence; None if nothing is.

    Raises:
        KeyError: the layer has no such argument.

    >>> problem_with(find_layer("Linear"), "in_features", -3)
    'must be a positive integer, not -3'
    >>> problem_with(find_layer("Conv2d"), "kernel_size", [3, 0])
    'must be a positive integer or a list of 2, not [3, 0]'
    >>> problem_with(find_layer("Dropout"), "p", 0.5) is None
    True
    """
    check = check_of(layer, argument)
    if check.fits(value):
        return None
    sizes = value if isinstance(value, (list, tuple)) else [value]
    large = [each for each in sizes if type(each) is int and each > check.most and "integer" in check.wants]
    if large:
        return f"must be at most {check.most}, not {_shown(large[0])}"
    return f"must be {check.wants}{';' if 'one of' in check.wants else ','} not {_shown(value)}"


def _shown(value: object, longest: int = 60) -> str:
    """A value as a config writes it, cut where it is long."""
    if isinstance(value, (list, tuple)):
        text = f"[{', '.join(map(_shown, value[:longest]))}]"
    elif type(value) is int and value.bit_length() > 128:
        text = f"an integer of {value.bit_length()} bits"
    elif value is None or type(value) is bool:
        text = "null" if value is None else str(value).lower()
    else:
        text = repr(value)
    return text if len(text) <= longest else f"{text[:longest]}..."


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
    return [(_words(names), holds, wants) for layers, names, holds, wants in RELATIONS if layer.name in _words(layers)]


def problem_with_all(layer: Layer, arguments: Mapping[str, object]) -> list[tuple[str, str]]:
    """All that is wrong with the arguments of a layer: each by itself, then together. What is absent is not judged.

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
    return value if isinstance(value, str) else _shown(value)


# --- functions -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function that a text may call. None of them changes an argument or takes a callable.

    Attributes:
        name: the name in the catalog.
        call: what it calls.
        positional: the greatest number of positional arguments, where a further one would be `inplace` or `out`.
        creates: whether it makes a tensor from nothing, and so needs `device=`.
        number: whether a formula may call it: it takes numbers as well as tensors.
    """

    name: str
    call: Callable[..., Any]
    positional: int | None = None
    creates: bool = False
    number: bool = False


def _on_both(name: str, on_number: Callable[..., Any]) -> Callable[..., Any]:
    """torch's meaning where the first argument is a tensor, Python's elsewhere."""
    on_tensor = getattr(torch, name)

    def call(value: Any, /, *rest: Any, **options: Any) -> Any:
        if isinstance(value, Tensor):
            return on_tensor(value, *rest, **options)
        if options:
            raise TypeError(f"{name}() of numbers takes no argument '{next(iter(options))}'")
        return on_number(value, *rest)

    call.__name__ = call.__qualname__ = name
    return call


def _of(module: ModuleType, text: str, *, creates: bool = False) -> Iterator[Function]:
    """The functions named in a text; `name/2` takes at most two positional arguments."""
    for name, _, limit in (word.partition("/") for word in text.split()):
        if call := getattr(module, name, None):  # an older torch lacks a few of them
            yield Function(name=name, call=call, positional=int(limit) if limit else None, creates=creates)


def _numeric() -> Iterator[Function]:
    grown = {"prod": arithmetic.product, "round": arithmetic.rounded, "sum": arithmetic.total}
    plain = {name: getattr(builtins, name) for name in _words("abs max min")}
    plain |= {name: getattr(math, name) for name in _words("ceil cos exp floor log log2 sin sqrt tan")}
    for name, call in (grown | plain).items():
        yield Function(name=name, call=_on_both(name, call), number=True)
    for name in _words("bool float int len"):
        yield Function(name=name, call=getattr(builtins, name), positional=1, number=True)


FUNCTIONS: Mapping[str, Function] = MappingProxyType(
    {
        each.name: each
        for each in (
            *_numeric(),
            *_of(torch, "arange eye full linspace ones rand randint randn randperm", creates=True),
            *_of(torch, "tensor tril_indices triu_indices zeros", creates=True),
            *_of(torch, "full_like ones_like rand_like randn_like zeros_like"),
            # joining, cutting, moving
            *_of(torch, "broadcast_to cat chunk diag diag_embed diagonal flatten flip meshgrid movedim narrow permute"),
            *_of(torch, "repeat_interleave reshape roll split squeeze stack tile transpose tril triu unbind unflatten"),
            *_of(torch, "unsqueeze view_as_complex view_as_real"),
            # choosing
            *_of(torch, "argmax argmin argsort gather index_add index_select masked_fill masked_select multinomial"),
            *_of(torch, "bernoulli nonzero scatter scatter_add sort take_along_dim topk where"),
            # products
            *_of(torch, "addmm baddbmm bmm cdist cross dot einsum kron matmul mm mv outer tensordot/3"),
            # element by element
            *_of(torch, "acos asin atan atan2 clamp cosh erf expm1 fmod isfinite isinf isnan lerp log10 log1p"),
            *_of(
                torch, "logaddexp logical_and logical_not logical_or logical_xor maximum minimum nan_to_num polar pow"
            ),
            *_of(torch, "reciprocal remainder rsqrt sigmoid sign sinh square tanh trunc"),
            # over dimensions
            *_of(
                torch,
                "all amax amin any bincount count_nonzero cummax cumprod cumsum logsumexp mean median norm/4 std var",
            ),
            # activations
            *_of(functional, "celu/2 elu/2 gelu glu gumbel_softmax hardsigmoid/1 hardswish/1 hardtanh/3 leaky_relu/2"),
            *_of(functional, "log_softmax/2 logsigmoid mish/1 prelu relu/1 relu6/1 selu/1 silu/1 softmax/2 softplus"),
            *_of(functional, "softsign tanhshrink threshold/3"),
            # layers without state
            *_of(functional, "alpha_dropout/3 dropout/3 dropout1d/3 dropout2d/3 dropout3d/3"),
            *_of(functional, "group_norm layer_norm local_response_norm normalize/4 rms_norm"),
            *_of(functional, "bilinear embedding/3 linear one_hot scaled_dot_product_attention"),
            *_of(functional, "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d fold unfold"),
            *_of(functional, "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d"),
            *_of(functional, "adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d"),
            *_of(functional, "avg_pool1d avg_pool2d avg_pool3d max_pool1d max_pool2d max_pool3d"),
            *_of(functional, "affine_grid channel_shuffle grid_sample interpolate pad pixel_shuffle pixel_unshuffle"),
            # distances and losses
            *_of(functional, "binary_cross_entropy/3 binary_cross_entropy_with_logits/3 cosine_similarity"),
            *_of(functional, "cross_entropy/3 huber_loss/4 kl_div/2 l1_loss/2 mse_loss/2 nll_loss/3 pairwise_distance"),
            *_of(functional, "smooth_l1_loss/2"),
        )
    }
)

RANDOM = frozenset(
    _words(
        """
        alpha_dropout bernoulli dropout dropout1d dropout2d dropout3d gumbel_softmax multinomial rand rand_like randint
        randn randn_like randperm scaled_dot_product_attention
        """
    )
)
"""The functions that draw, or may: from torch's own generator."""

FORBIDDEN_KEYWORDS = frozenset(
    _words("out inplace device generator pin_memory requires_grad layout names max_norm non_blocking memory_format")
)
"""Refused in every call of a function or a method: they change a tensor, or say where and how one is stored."""


def find_function(name: str) -> Function | None:
    """The function that a text calls, or None.

    >>> find_function("relu").positional, find_function("compile")
    (1, None)
    """
    function = FUNCTIONS.get(name) or _registered_functions.get(name)
    if function is None and Kind.REGISTERED.fits(name):
        load_entry_points()
        function = _registered_functions.get(name)
    return function


def function_names() -> tuple[str, ...]:
    """The names of all functions known so far: torch's, then registered ones."""
    return (*FUNCTIONS, *_registered_functions)


# --- tensors -------------------------------------------------------------------------------------------------------

METHODS: Mapping[str, int | None] = MappingProxyType(
    {
        **dict.fromkeys(
            _words("""
            chunk contiguous diagonal expand expand_as flatten flip gather index_select movedim narrow permute
            repeat repeat_interleave reshape reshape_as roll select split squeeze t transpose tril triu unbind unflatten
            unfold unsqueeze view view_as

            all amax amin any argmax argmin argsort cumprod cumsum logsumexp max mean median min norm prod softmax
            log_softmax sort std sum topk var

            abs clamp cos exp floor ceil isfinite isinf isnan log masked_fill masked_select maximum minimum neg nonzero
            pow reciprocal relu round rsqrt scatter scatter_add sigmoid sign sin sqrt square tanh
            eq ge gt le logical_and logical_not logical_or lt ne
            add bmm div dot matmul mm mul sub

            bfloat16 bool double float half int long type_as to
            clone detach new_full new_ones new_zeros
            dim is_complex is_floating_point item numel size
            """)
        ),
        "to": 1,
    }
)
"""The tensor methods that a text may call, and the greatest number of their positional arguments.

None changes a tensor. But `bfloat16 double float half to` are methods of layers too, which they change: a method is
called on tensors only. `to` takes a dtype, or another tensor for its dtype; an integer or a text would be a device.
`item` gives a Python number, as `float(x)` does; `tolist`, whose result has any size, is not here.
"""

ATTRIBUTES = frozenset(_words("H T dtype imag mH mT ndim real shape"))
"""What a text may read from a tensor. `values` and `indices` are methods of some tensors: unpack the result instead."""

DTYPES: Mapping[str, torch.dtype] = MappingProxyType(
    {
        name: getattr(torch, name)
        for name in _words("float16 bfloat16 float32 float64 complex64 complex128 int8 int16 int32 int64 uint8 bool")
    }
)


# --- a user's own --------------------------------------------------------------------------------------------------

_RESERVED = frozenset({"range", "training", "shape", "fan_in", "fan_out", "value"})  # words of the language
_LayerClass = TypeVar("_LayerClass", bound=type[nn.Module])
_Callable = TypeVar("_Callable", bound=Callable[..., Any])
_entry_points_loaded = False


@overload
def register_layer(cls: _LayerClass, /, *, name: str = "", sizes: Sizes | None = None) -> _LayerClass: ...
@overload
def register_layer(
    cls: None = None, /, *, name: str = "", sizes: Sizes | None = None
) -> Callable[[_LayerClass], _LayerClass]: ...
def register_layer(cls: Any = None, /, *, name: str = "", sizes: Sizes | None = None) -> Any:
    """Lets configs name a layer class of your own; also a decorator, with or without arguments.

    Args:
        name: the name in configs; the class's own by default.
        sizes: what the inputs decide, e.g. `{"x": "* dim"}`; see `modelzoo.catalog.sizes`.

    Raises:
        ValueError: the name is taken or no name.
        TypeError: it is no class of modules.

    >>> @register_layer(name="ExampleScale", sizes={"x": "* dim"})
    ... class Scale(nn.Module):
    ...     def __init__(self, dim): ...
    >>> find_layer("ExampleScale").registered
    True
    """
    if cls is None:
        return lambda cls: register_layer(cls, name=name, sizes=sizes)
    if not (isinstance(cls, type) and issubclass(cls, nn.Module)):
        raise TypeError(f"a layer is a class derived from torch.nn.Module, not {cls!r}")
    name = name or cls.__name__
    _check_free(name, {**LAYERS, **_registered}, "layer")
    _registered[name] = Layer(name=name, cls=cls, sizes=sizes)
    return cls


@overload
def register_function(
    call: _Callable, /, *, name: str = "", creates: bool = False, number: bool = False
) -> _Callable: ...
@overload
def register_function(
    call: None = None, /, *, name: str = "", creates: bool = False, number: bool = False
) -> Callable[[_Callable], _Callable]: ...
def register_function(call: Any = None, /, *, name: str = "", creates: bool = False, number: bool = False) -> Any:
    """Lets texts call a function of your own; also a decorator, with or without arguments.

    Args:
        name: the name in texts; the function's own by default.
        creates: whether it makes a tensor from nothing; it then gets `device=`.
        number: whether formulas may call it too.

    Raises:
        ValueError: the name is taken or no name.
        TypeError: it cannot be called.
    """
    if call is None:
        return lambda call: register_function(call, name=name, creates=creates, number=number)
    if not callable(call):
        raise TypeError(f"a function is something to call, not {call!r}")
    name = name or str(getattr(call, "__name__", ""))
    _check_free(name, {**FUNCTIONS, **_registered_functions, **dict.fromkeys(_RESERVED)}, "function")
    _registered_functions[name] = Function(name=name, call=call, creates=creates, number=number)
    return call


def _check_free(name: str, taken: Mapping[str, object], kind: str) -> None:
    if not Kind.REGISTERED.fits(name):
        raise ValueError(
            f"a {kind} needs a name of letters, digits and '_', at most {bounds.NAME} of them, not {name!r}: "
            "write name=..."
        )
    if name in taken:
        raise ValueError(f"the name '{name}' is taken by another {kind}: write name=...")


def load_entry_points() -> None:
    """Lets installed packages register what they have: calls each entry point of the group `modelzoo`, once.

    Raises:
        ImportError: an entry point failed.
    """
    global _entry_points_loaded
    if _entry_points_loaded:
        return
    _entry_points_loaded = True  # first, since an entry point may look a name up
    for each in importlib.metadata.entry_points(group="modelzoo"):
        _load(each)


def _load(entry_point: importlib.metadata.EntryPoint) -> None:
    try:
        entry_point.load()()
    except Exception as error:
        line = f"{entry_point.name} = {entry_point.value}"
        raise ImportError(f"the entry point '{line}' of the group modelzoo failed: {error}") from error
