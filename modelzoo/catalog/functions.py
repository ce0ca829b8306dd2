"""The functions, methods, attributes and dtypes that a text may name."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar, overload

from modelzoo import arithmetic
from modelzoo.catalog.checks import words_of
from modelzoo.catalog.registry import Registry, load_entry_points
from modelzoo.known import told
from modelzoo.names import Kind

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
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

    @property
    def on_numbers(self) -> Callable[..., Any]:
        """What a formula calls, which knows numbers alone."""
        return self.call

    @property
    def home(self) -> str:
        """The module of torch that it stands in; empty where it is no function of torch's."""
        return ""


class _OfTorch(Function):
    """One of torch's: what it calls is fetched when it is first asked for."""

    def __init__(self, home: str, name: str, positional: int | None, creates: bool) -> None:
        vars(self).update(name=name, positional=positional, creates=creates, number=False, _home=home)

    @property
    def home(self) -> str:
        return vars(self)["_home"]  # type: ignore[no-any-return]

    @cached_property
    def call(self) -> Callable[..., Any]:
        from modelzoo.catalog import callables

        return callables.of_torch(self.home, self.name)


class _OnBoth(Function):
    """One of Python's, and torch's of the same name where its first argument is a tensor."""

    def __init__(self, name: str, on_numbers: Callable[..., Any]) -> None:
        vars(self).update(name=name, positional=None, creates=False, number=True, _on_numbers=on_numbers)

    @property
    def on_numbers(self) -> Callable[..., Any]:
        return vars(self)["_on_numbers"]  # type: ignore[no-any-return]

    @cached_property
    def call(self) -> Callable[..., Any]:
        from modelzoo.catalog import callables

        return callables.on_both(self.name, self.on_numbers)


def _of(home: str, text: str, *, creates: bool = False) -> Iterator[Function]:
    """The functions of a module that a text names; `name/2` takes at most two positional arguments."""
    for name, _, limit in (word.partition("/") for word in text.split()):
        if told("function", home, name):  # an older torch lacks a few of them
            yield _OfTorch(home, name, int(limit) if limit else None, creates)


def _of_numbers(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def on_numbers(value: Any, /, *rest: Any, **options: Any) -> Any:
        if options:
            raise TypeError(f"{name}() of numbers takes no argument '{next(iter(options))}'")
        return call(value, *rest)

    return on_numbers


def _numeric() -> Iterator[Function]:
    grown = {"prod": arithmetic.product, "round": arithmetic.rounded, "sum": arithmetic.total}
    plain = {name: getattr(builtins, name) for name in words_of("abs max min")}
    plain |= {name: getattr(math, name) for name in words_of("ceil cos exp floor log log2 sin sqrt tan")}
    for name, call in (grown | plain).items():
        yield _OnBoth(name, _of_numbers(name, call))
    for name in words_of("bool float int len"):
        yield Function(name=name, call=getattr(builtins, name), positional=1, number=True)


FUNCTIONS: Mapping[str, Function] = MappingProxyType(
    {
        each.name: each
        for each in (
            *_numeric(),
            *_of("torch", "arange eye full linspace ones rand randint randn randperm", creates=True),
            *_of("torch", "tensor tril_indices triu_indices zeros", creates=True),
            *_of("torch.fft", "fftfreq rfftfreq", creates=True),
            *_of("torch", "full_like ones_like rand_like randn_like zeros_like"),
            # joining, cutting, moving
            *_of(
                "torch", "broadcast_to cat chunk diag diag_embed diagonal flatten flip meshgrid movedim narrow permute"
            ),
            *_of(
                "torch", "repeat_interleave reshape roll split squeeze stack tile transpose tril triu unbind unflatten"
            ),
            *_of("torch", "diff tensor_split unsqueeze view_as_complex view_as_real"),
            *_of("torch.fft", "fftshift ifftshift"),
            # choosing
            *_of("torch", "argmax argmin argsort gather index_add index_select masked_fill masked_select multinomial"),
            *_of(
                "torch", "bernoulli bucketize nonzero scatter scatter_add searchsorted sort take_along_dim topk where"
            ),
            # products
            *_of("torch", "addmm baddbmm bmm cdist cross dot einsum kron matmul mm mv outer tensordot/3"),
            # spectra
            *_of("torch.fft", "fft fft2 fftn ifft ifft2 ifftn irfft irfft2 irfftn rfft rfft2 rfftn"),
            # element by element
            *_of("torch", "acos angle asin atan atan2 clamp complex conj cosh erf expm1 fmod isfinite isinf"),
            *_of("torch", "addcmul isnan lerp log10 log1p"),
            *_of(
                "torch", "logaddexp logical_and logical_not logical_or logical_xor maximum minimum nan_to_num polar pow"
            ),
            *_of("torch", "reciprocal remainder rsqrt sigmoid sign sinh square tanh trunc"),
            # over dimensions
            *_of(
                "torch",
                "all amax amin any bincount count_nonzero cummax cumprod cumsum logsumexp mean median norm/4 std var",
            ),
            # activations
            *_of(
                "torch.nn.functional",
                "celu/2 elu/2 gelu glu gumbel_softmax hardsigmoid/1 hardswish/1 hardtanh/3 leaky_relu/2",
            ),
            *_of(
                "torch.nn.functional",
                "log_softmax/2 logsigmoid mish/1 prelu relu/1 relu6/1 selu/1 silu/1 softmax/2 softplus",
            ),
            *_of("torch.nn.functional", "softsign tanhshrink threshold/3"),
            # layers without state
            *_of("torch.nn.functional", "alpha_dropout/3 dropout/3 dropout1d/3 dropout2d/3 dropout3d/3"),
            *_of("torch.nn.functional", "group_norm layer_norm local_response_norm normalize/4 rms_norm"),
            *_of("torch.nn.functional", "bilinear embedding/3 linear one_hot scaled_dot_product_attention"),
            *_of(
                "torch.nn.functional",
                "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d fold unfold",
            ),
            *_of("torch.nn.functional", "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d"),
            *_of("torch.nn.functional", "adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d"),
            *_of("torch.nn.functional", "avg_pool1d avg_pool2d avg_pool3d max_pool1d max_pool2d max_pool3d"),
            *_of(
                "torch.nn.functional",
                "affine_grid channel_shuffle grid_sample interpolate pad pixel_shuffle pixel_unshuffle",
            ),
            # distances and losses
            *_of("torch.nn.functional", "binary_cross_entropy/3 binary_cross_entropy_with_logits/3 cosine_similarity"),
            *_of(
                "torch.nn.functional",
                "cross_entropy/3 huber_loss/4 kl_div/2 l1_loss/2 mse_loss/2 nll_loss/3 pairwise_distance",
            ),
            *_of("torch.nn.functional", "smooth_l1_loss/2"),
        )
    }
)


RANDOM = frozenset(
    words_of(
        """
        alpha_dropout bernoulli dropout dropout1d dropout2d dropout3d gumbel_softmax multinomial rand rand_like randint
        randn randn_like randperm scaled_dot_product_attention
        """
    )
)
"""The functions that draw, or may: from torch's own generator."""


FORBIDDEN_KEYWORDS = frozenset(
    words_of("out inplace device generator pin_memory requires_grad layout names max_norm non_blocking memory_format")
)
"""Refused in every call of a function or a method: they change a tensor, or say where and how one is stored."""


_RESERVED = frozenset({"range", "training", "shape", "fan_in", "fan_out", "value"})  # words of the language
REGISTERED: Registry[Function] = Registry("function", taken={*FUNCTIONS, *_RESERVED})


def find_function(name: str) -> Function | None:
    """The function that a text calls, or None.

    >>> find_function("relu").positional, find_function("compile")
    (1, None)
    >>> find_function("torch.relu") is find_function("relu"), find_function("torch.fft.rfft").name
    (True, 'rfft')
    """
    if name.startswith("torch."):  # whatever hides the short name
        home, _, short = name.rpartition(".")
        known = home in ("torch", "torch.fft") and short in FUNCTIONS and told("function", home, short)
        return FUNCTIONS[short] if known else None
    function = FUNCTIONS.get(name) or REGISTERED.get(name)
    if function is None and Kind.REGISTERED.fits(name):
        load_entry_points()
        function = REGISTERED.get(name)
    return function


def function_names() -> tuple[str, ...]:
    """The names of all functions known so far: torch's, then registered ones."""
    return (*FUNCTIONS, *REGISTERED)


METHODS: Mapping[str, int | None] = MappingProxyType(
    {
        **dict.fromkeys(
            words_of("""
            chunk contiguous diagonal expand expand_as flatten flip gather index_select movedim narrow permute
            repeat repeat_interleave reshape reshape_as roll select split squeeze t transpose tril triu unbind unflatten
            unfold unsqueeze view view_as

            all amax amin any argmax argmin argsort cumprod cumsum logsumexp max mean median min norm prod softmax
            log_softmax sort std sum topk var

            abs angle clamp conj cos exp floor ceil index_add isfinite isinf isnan log masked_fill masked_select maximum
            minimum neg nonzero pow reciprocal relu round rsqrt scatter scatter_add sigmoid sign sin sqrt square tanh
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


ATTRIBUTES = frozenset(words_of("H T dtype imag mH mT ndim real shape"))
"""What a text may read from a tensor. `values` and `indices` are methods of some tensors: unpack the result instead."""


GUARDED = frozenset({"div", "repeat_interleave"})
"""The methods that have a guard before them; see `modelzoo.catalog.guards`."""


class _Dtypes(Mapping[str, "torch.dtype"]):
    """Dtypes by name; torch is needed for one, and not for its name."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = dict.fromkeys(names)

    def __getitem__(self, name: str) -> torch.dtype:
        import torch

        if name not in self._names:
            raise KeyError(name)
        return getattr(torch, name)  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names


DTYPES: Mapping[str, torch.dtype] = _Dtypes(
    words_of("float16 bfloat16 float32 float64 complex64 complex128 int8 int16 int32 int64 uint8 bool")
)


_Callable = TypeVar("_Callable", bound=Callable[..., Any])


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

    A text may then call it as it calls torch's own, and what it returns goes on:

    >>> import modelzoo, torch
    >>> @register_function
    ... def example_clipped(x, limit=1.0):
    ...     return x.clamp(-limit, limit)
    >>> model = modelzoo.build({"inputs": {"x": [3]}, "forward": "return example_clipped(x, limit=0.5)"})
    >>> model(torch.tensor([-2.0, 0.25, 2.0]))
    tensor([-0.5000,  0.2500,  0.5000])
    """
    if call is None:
        return lambda call: register_function(call, name=name, creates=creates, number=number)
    if not callable(call):
        raise TypeError(f"a function is something to call, not {call!r}")
    name = name or str(getattr(call, "__name__", ""))
    REGISTERED.add(name, Function(name=name, call=call, creates=creates, number=number))
    return call
