"""What is to be known of a function of torch that a forward calls, and of what it returns."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from modelzoo.catalog.checks import words_of

DATA = frozenset(
    words_of(
        """
        item tolist numpy __bool__ __int__ __float__ __index__ __complex__ __array__ __contains__ equal allclose
        is_nonzero __format__ __repr__
        """
    )
)
"""What gives Python a value that a tensor holds."""

RANDOM = frozenset(
    words_of(
        """
        bernoulli bernoulli_ multinomial normal normal_ rand rand_like randint randint_like randn randn_like randperm
        uniform_ exponential_ dropout dropout_ dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout
        feature_dropout gumbel_softmax rrelu scaled_dot_product_attention
        """
    )
)
"""What draws, so that its order matters."""


NEW = frozenset(words_of("empty_like full_like new_empty new_full new_ones new_zeros ones_like zeros_like"))
"""What makes a tensor of the kind of another one, whose values are not asked for."""


NORMS = ("batch_norm", "instance_norm")
"""What keeps running statistics."""


def described(func: Callable[..., Any]) -> tuple[str, str]:
    """The form and the name of what is called.

    >>> import torch
    >>> described(torch.relu), described(torch.Tensor.relu), described(torch.Tensor.shape.__get__)
    (('function', 'relu'), ('method', 'relu'), ('attribute', 'shape'))
    """
    name = str(getattr(func, "__name__", func))
    if name == "__get__":
        return "attribute", str(func.__self__.__name__)  # type: ignore[attr-defined]
    if (
        type(func).__name__ in ("method_descriptor", "wrapper_descriptor", "method-wrapper")
        or getattr(func, "__module__", "") == "torch._tensor"
    ):
        return "method", name
    return "function", name.removeprefix("fft_").removeprefix("linalg_")


def is_in_place(name: str) -> bool:
    """Whether a method changes its tensor.

    >>> is_in_place("add_"), is_in_place("__iadd__"), is_in_place("__add__"), is_in_place("__invert__")
    (True, True, False, False)
    """
    dunder = name.startswith("__") and name.endswith("__")
    return name in _AUGMENTED if dunder else name.endswith("_")


_AUGMENTED = frozenset(f"__i{each}__" for each in words_of("add sub mul truediv floordiv mod pow and or xor matmul"))


def plain_output(value: Any) -> Any:
    """What a forward returns, as tuples, lists and dicts with text keys; what is None in a mapping is left out."""
    if dataclasses.is_dataclass(value) and not isinstance(value, (type, Mapping)):
        value = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain_output(each) for name, each in value.items() if each is not None}
    if isinstance(value, list):
        return [plain_output(each) for each in value]
    if isinstance(value, tuple):
        return tuple(plain_output(each) for each in value)
    return value


def leaves(value: Any) -> Iterator[Any]:
    """What tuples, lists and mappings hold."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        for each in value:
            yield from leaves(each)
    else:
        yield value
