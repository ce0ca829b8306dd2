"""The layers that a config may name, and what their constructors take."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, overload

from modelzoo.catalog.registry import Registry, load_entry_points
from modelzoo.known import told
from modelzoo.names import Kind
from modelzoo.signatures import opened, parameters_of

if TYPE_CHECKING:
    from torch import nn

Sizes = Mapping[str, str] | Callable[..., Mapping[str, int]]
"""How the inputs of a layer decide its arguments; see `modelzoo.catalog.sizes`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """A type of layer that a config may name.

    Attributes:
        name: the name in the catalog.
        cls: what constructs it.
        sizes: for a registered layer, how its inputs decide its arguments.
        registered: whether it is the user's own, and not torch's.
    """

    name: str
    cls: type[nn.Module]
    sizes: Sizes | None = None
    registered: ClassVar[bool] = True

    @property
    def signature(self) -> Mapping[str, inspect.Parameter]:
        """The arguments that a config may give, in positional order.

        Without `self`, `device`, `dtype`, and without tensors, callables, deprecated and private arguments. What
        torch has behind one of these can be given by its name only.

        >>> list(find_layer("Linear").signature)
        ['in_features', 'out_features', 'bias']
        """
        return signature_of(self)

    @property
    def module(self) -> str:
        """Where it is defined."""
        return self.cls.__module__ if self.registered else told("layer", self.name)["module"]


class _OfTorch(Layer):
    """One of torch's: its class is fetched when it is first asked for."""

    registered = False

    def __init__(self, name: str) -> None:
        vars(self).update(name=name, sizes=None)

    @cached_property
    def cls(self) -> type[nn.Module]:
        from torch import nn

        return getattr(nn, self.name)  # type: ignore[no-any-return]


def _named(text: str) -> Iterator[tuple[str, Layer]]:
    for name in text.split():
        if told("layer", name):  # an older torch lacks a few of them
            yield name, _OfTorch(name)


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
        for path in (name, f"nn.{name}", f"torch.nn.{name}", f"{told('layer', name)['module']}.{name}")
    }
)


REGISTERED: Registry[Layer] = Registry("layer", taken=LAYERS)


def find_layer(name: str) -> Layer | None:
    """The layer that a config names, or None.

    >>> find_layer("Linear") is find_layer("nn.Linear") is find_layer("torch.nn.modules.linear.Linear")
    True
    >>> find_layer("torch.nn.functional.importlib") is None
    True
    """
    layer = _PATHS.get(name) or REGISTERED.get(name)
    if layer is None and Kind.REGISTERED.fits(name):
        load_entry_points()
        layer = REGISTERED.get(name)
    return layer


def layer_names() -> tuple[str, ...]:
    """The names of all layers known so far: torch's, then registered ones."""
    return (*LAYERS, *REGISTERED)


_KINDS = (
    *(inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.VAR_POSITIONAL),
    *(inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD),
)
"""By the numbers that they have in the table."""


@cache
def signature_of(layer: Layer) -> Mapping[str, inspect.Parameter]:
    """The parameters of a constructor that a config may give."""
    if not layer.registered:
        takes = told("layer", layer.name)["takes"]
        return MappingProxyType({name: _parameter(name, kind, *default) for name, kind, *default in takes})
    from torch import nn

    if layer.cls.__init__ is nn.Module.__init__:  # it says *args, **kwargs and takes none
        return MappingProxyType({})
    parameters = opened(parameters_of(layer.cls.__init__), {"device", "dtype"})
    return MappingProxyType({each.name: each for each in parameters})


def _parameter(name: str, kind: int, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    default = tuple(default) if isinstance(default, list) else default
    return inspect.Parameter(name, _KINDS[kind], default=default)


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
        positional=tuple(
            name for name, kind in kinds.items() if kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
        ),
        variable=next((name for name, kind in kinds.items() if kind is each.VAR_POSITIONAL), None),
        named=frozenset(name for name, kind in kinds.items() if kind is not each.VAR_KEYWORD),
        open=each.VAR_KEYWORD in kinds.values(),
        required=tuple(required),
    )


_LayerClass = TypeVar("_LayerClass", bound="type[nn.Module]")


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

    A config names it as it names one of torch's, and may leave out what `sizes` says that the input decides:

    >>> import modelzoo, torch
    >>> from torch import nn
    >>> @register_layer(name="ExampleScale", sizes={"x": "* dim"})
    ... class Scale(nn.Module):
    ...     def __init__(self, dim: int):
    ...         super().__init__()
    ...         self.weight = nn.Parameter(torch.ones(dim))
    ...     def forward(self, x):
    ...         return x * self.weight
    >>> model = modelzoo.build({"inputs": {"x": [2, 4]}, "layers": ["Linear(4, 8)", "ExampleScale"]})
    >>> model[1].weight.shape
    torch.Size([8])
    """
    if cls is None:
        return lambda cls: register_layer(cls, name=name, sizes=sizes)
    from torch import nn

    if not (isinstance(cls, type) and issubclass(cls, nn.Module)):
        raise TypeError(f"a layer is a class derived from torch.nn.Module, not {cls!r}")
    name = name or cls.__name__
    REGISTERED.add(name, Layer(name=name, cls=cls, sizes=sizes))
    return cls
