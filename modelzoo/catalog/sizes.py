"""What the inputs of a layer decide: a table of one line per layer type, read to infer sizes and to explain misfits."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from modelzoo.catalog.layers import Layer, find_layer
from modelzoo.errors import TextError

if TYPE_CHECKING:
    from torch import Tensor, nn

SIZES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "Linear": {"input": "* in_features"},
        "Bilinear": {"input1": "* in1_features", "input2": "* in2_features"},
        "Conv1d": {"input": "N? in_channels L"},
        "Conv2d": {"input": "N? in_channels H W"},
        "Conv3d": {"input": "N? in_channels D H W"},
        "ConvTranspose1d": {"input": "N? in_channels L"},
        "ConvTranspose2d": {"input": "N? in_channels H W"},
        "ConvTranspose3d": {"input": "N? in_channels D H W"},
        "BatchNorm1d": {"input": "N num_features L?"},
        "BatchNorm2d": {"input": "N num_features H W"},
        "BatchNorm3d": {"input": "N num_features D H W"},
        "InstanceNorm1d": {"input": "N? num_features L"},
        "InstanceNorm2d": {"input": "N? num_features H W"},
        "InstanceNorm3d": {"input": "N? num_features D H W"},
        "GroupNorm": {"input": "N num_channels *"},
        "LayerNorm": {"input": "* normalized_shape"},
        "RMSNorm": {"x": "* normalized_shape"},
        "RNN": {"input": "_? _ input_size"},
        "LSTM": {"input": "_? _ input_size"},
        "GRU": {"input": "_? _ input_size"},
        "RNNCell": {"input": "N? input_size"},
        "LSTMCell": {"input": "N? input_size"},
        "GRUCell": {"input": "N? input_size"},
        "MultiheadAttention": {"query": "_? _ embed_dim", "key": "_? _ kdim", "value": "_? _ vdim"},
        "TransformerEncoderLayer": {"src": "_? _ d_model"},
        "TransformerDecoderLayer": {"tgt": "_? _ d_model", "memory": "_? _ d_model"},
        "Transformer": {"src": "_? _ d_model", "tgt": "_? _ d_model"},
        "AdaptiveLogSoftmaxWithLoss": {"input_": "N? in_features"},
        "LinearCrossEntropyLoss": {"input": "N? in_features"},
    }
)
"""The inputs of each layer, by their names in its `forward`, with the argument that is the size of a dimension.

`*` is any number of dimensions, `_` any one (which of two is the batch depends on `batch_first`), `N?` one that may be
absent. An argument with a default is here only where torch's
default would not fit the input: `PReLU()` has one parameter whatever it is called with, so `num_parameters` is not.
A registered layer brings such a line as its `sizes`, or a function of the same inputs that returns the arguments.
"""

_EQUAL_UNLESS_GIVEN = {"kdim": "embed_dim", "vdim": "embed_dim"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """The dimensions of one input."""

    input: str
    place: int  # its position among the inputs
    tokens: tuple[str, ...]
    argument: str

    def dimension(self) -> int:
        """The dimension that the argument is the size of; from the right where others may stand on the left."""
        index = self.tokens.index(self.argument)
        return index if all(map(str.isalnum, self.tokens[:index])) else index - len(self.tokens)

    def tells(self, value: object) -> bool:
        """Whether an input has the dimension, and it is not 0."""
        from torch import Tensor

        return isinstance(value, Tensor) and self.has_rank(value.ndim) and value.shape[self.dimension()] > 0

    def fits(self, shape: Sequence[int], size: Sequence[int]) -> bool:
        """Whether a shape has as many dimensions as the pattern, and those of the argument."""
        if not self.has_rank(len(shape) + 1 - len(size)):
            return False
        start = self.dimension() % (len(shape) + 1 - len(size))
        return tuple(shape[start : start + len(size)]) == tuple(size)

    def has_rank(self, rank: int) -> bool:
        """Whether an input may have so many dimensions."""
        fixed = sum(token.isidentifier() for token in self.tokens)
        return rank >= fixed and ("*" in self.tokens or rank <= len(self.tokens))

    def text(self, size: Sequence[object]) -> str:
        """The pattern for a user: `[3, H, W] or [N, 3, H, W]`."""
        shown = [", ".join(map(str, size)) if token == self.argument else token for token in self.tokens]
        long = [token.rstrip("?") for token in shown]
        short = [token for token in shown if not token.endswith("?")]
        return " or ".join(dict.fromkeys(f"[{', '.join(each)}]" for each in (short, long)))


@cache
def inferable(layer: Layer) -> frozenset[str]:
    """The arguments that may be left out, because an input decides them.

    >>> inferable(find_layer("Conv2d"))
    frozenset({'in_channels'})
    """
    if callable(layer.sizes):
        required = (each for each in layer.signature.values() if each.default is each.empty)
        return frozenset(each.name for each in required if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD))
    if layer.registered:
        return frozenset(pattern.argument for pattern in _patterns(layer))
    tokens = (token for text in SIZES.get(layer.name, {}).values() for token in text.split())
    return frozenset(token for token in tokens if token in layer.signature)


def infer(
    layer: str | Layer,
    arguments: Mapping[str, Any],
    inputs: Sequence[Any],
    keyword_inputs: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, int]:
    """The values of the arguments that were left out, from the shapes of a call's inputs.

    Args:
        layer: a layer of the catalog, or its name.
        arguments: what the config gives; an argument that is null counts as left out.
        inputs: the positional inputs: tensors of any dtype, on any device.
        keyword_inputs: the inputs given by name.

    Raises:
        TextError: an input does not tell the size.

    >>> import torch
    >>> infer("Conv2d", {"out_channels": 8, "kernel_size": 3}, [torch.zeros(2, 3, 32, 32)])
    {'in_channels': 3}
    """
    layer = _found(layer)
    missing = {name for name in inferable(layer) if arguments.get(name) is None}
    if callable(layer.sizes):
        return {name: size for name, size in layer.sizes(*inputs, **keyword_inputs).items() if name in missing}
    sizes: dict[str, int] = {}
    for pattern in _patterns(layer):
        name = pattern.argument
        if name not in missing or name in sizes:
            continue
        tensor = _input(pattern, inputs, keyword_inputs)
        if layer.signature[name].default is not inspect.Parameter.empty and not pattern.tells(tensor):
            continue  # torch's default stands
        size = _size(layer, pattern, tensor)
        equal = _EQUAL_UNLESS_GIVEN.get(name, "")
        if size != (arguments.get(equal) or sizes.get(equal)):
            sizes[name] = size
    return sizes


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """An input that does not fit a layer.

    Attributes:
        what: what it takes and what it gets, after its name.
        value: the input.
        argument: what decides what it takes.
        flat: whether it would fit with all its dimensions but the first made one.
        only: whether the layer has no other input.
        size: what the argument would have to be, if that is known.
    """

    what: str
    value: Tensor
    argument: str
    flat: bool = False
    only: bool
    size: int | None

    def __str__(self) -> str:
        return self.what if self.size is None else f"{self.what}; write {self.argument}={self.size}"


def misfit(
    layer: str | Layer,
    given: nn.Module | Mapping[str, Any],
    inputs: Sequence[Any],
    keyword_inputs: Mapping[str, Any] = MappingProxyType({}),
) -> Misfit | None:
    """Why the inputs of a call do not fit a layer; None if they do, or nothing is known.

    Args:
        layer: a layer of the catalog, or its name.
        given: its arguments, or the constructed module.
        inputs, keyword_inputs: what it is called with.

    >>> import torch
    >>> print(misfit("Linear", {"in_features": 64}, [torch.zeros(2, 32)]))
    takes [*, 64] but gets [2, 32]; write in_features=32
    >>> print(misfit("Conv2d", {"in_channels": 3}, [torch.zeros(3, 32)]))
    takes [3, H, W] or [N, 3, H, W] but gets [3, 32]
    """
    from torch import Tensor

    layer = _found(layer)
    patterns = _patterns(layer)
    for pattern in patterns:
        tensor = _input(pattern, inputs, keyword_inputs)
        size = given_size(given, pattern.argument)
        if not isinstance(tensor, Tensor) or not size or pattern.fits(tensor.shape, size):
            continue
        subject = f"takes '{pattern.input}' as" if len(patterns) > 1 else "takes"
        seen = f"{subject} {pattern.text(size)} but gets {list(tensor.shape)}"
        if layer.name == "Linear" and tensor.ndim > 2 and size == (math.prod(tensor.shape[1:]),):
            flat = f"{seen}, which Flatten makes {[len(tensor), *size]}"
            return Misfit(what=flat, value=tensor, argument=pattern.argument, flat=True, only=True, size=None)
        unknown = len(size) > 1 or not pattern.tells(tensor)
        fitting = None if unknown else tensor.shape[pattern.dimension()]
        return Misfit(what=seen, value=tensor, argument=pattern.argument, only=len(patterns) == 1, size=fitting)
    return None


def _found(layer: str | Layer) -> Layer:
    found = find_layer(layer) if isinstance(layer, str) else layer
    if found is None:
        raise KeyError(layer)
    return found


@cache
def _patterns(layer: Layer) -> tuple[Pattern, ...]:
    lines = layer.sizes if layer.registered else SIZES.get(layer.name)
    return tuple(_read(layer, lines)) if isinstance(lines, Mapping) else ()


def _read(layer: Layer, lines: Mapping[str, str]) -> Iterator[Pattern]:
    inputs = list(inspect.signature(layer.cls.forward).parameters)[1:]
    for name, text in lines.items():
        tokens = tuple(text.split())
        arguments = [token for token in tokens if token in layer.signature]
        # a layer's own name for its only input may change between versions of torch
        place = inputs.index(name) if name in inputs else list(lines).index(name)
        if len(arguments) != 1:
            raise ValueError(f"the sizes of {layer.name} need one argument for the input '{name}', not '{text}'")
        yield Pattern(input=name, place=place, tokens=tokens, argument=arguments[0])


def _input(pattern: Pattern, inputs: Sequence[Any], keyword_inputs: Mapping[str, Any]) -> Any:
    return inputs[pattern.place] if pattern.place < len(inputs) else keyword_inputs.get(pattern.input)


def _size(layer: Layer, pattern: Pattern, value: Any) -> int:
    from torch import Tensor

    hint = f"Write {pattern.argument}=..."
    if not isinstance(value, Tensor):
        raise TextError(f"{layer.name} was left without {pattern.argument}, and gets no tensor that tells it", hint)
    if not pattern.tells(value):
        raise TextError(f"{layer.name} takes {pattern.text([pattern.argument])} but gets {list(value.shape)}", hint)
    return value.shape[pattern.dimension()]


def given_size(given: nn.Module | Mapping[str, Any], argument: str) -> tuple[int, ...]:
    """The value of an argument as dimensions; empty if it is not known."""
    from torch import nn

    if isinstance(given, nn.Module):
        value = getattr(given, argument, None)
    else:
        value = given.get(argument, given.get(_EQUAL_UNLESS_GIVEN.get(argument, "")))
    if isinstance(value, (list, tuple)):
        return tuple(value)
    return (value,) if type(value) is int else ()


def expands(shape: Sequence[int], wanted: Sequence[int]) -> bool:
    """Whether a shape becomes another by `expand`.

    >>> expands((3, 1), (2, 3, 4)), expands((2,), (1,))
    (True, False)
    """
    aligned = wanted[len(wanted) - len(shape) :]
    return len(shape) <= len(wanted) and all(a in (1, b) for a, b in zip(shape, aligned, strict=True))
