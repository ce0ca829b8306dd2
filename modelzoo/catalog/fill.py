"""A way to fill a tensor, by name, and why it may not fit one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from modelzoo import late
from modelzoo.catalog.distributions import Sampler, dtype_of_draws
from modelzoo.catalog.fill_checks import Check

if TYPE_CHECKING:
    import torch

    from modelzoo.catalog.laws import Law
else:
    torch = late.Module("torch")

REQUIRED: Final = inspect.Parameter.empty
"""Stands for the default of an argument that has none."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fill:
    """A way to fill a tensor, by name."""

    name: str
    parameters: Mapping[str, Any]
    """The arguments in order, with their defaults or `REQUIRED`."""
    sampler: Callable[..., Sampler | Law]
    """Makes what fills: `(fans, **arguments)`; the fans are None unless `scaled`. A law if `apart`."""
    minimum_dimensions: int = 0
    maximum_dimensions: int | None = None
    elementwise: bool = True
    """Whether the elements are independent, so that parts may be filled apart."""
    draws: bool = True
    scaled: bool = False
    """Whether the fans decide the scale."""
    integers: bool = False
    """Whether draws may be rounded down to whole numbers."""
    checks: tuple[Check, ...] = ()
    held: tuple[str, ...] = ()
    """The arguments whose size a dtype must be able to hold."""
    zeroed: Callable[[Sequence[int], Mapping[str, Any]], tuple[int, int]] | None = None
    """Which elements of the flat tensor become zero afterwards: the first, and the one past the last."""
    measured: bool = False
    """Whether it scales what the tensor holds, by what its layer returns once all tensors have values."""

    @property
    def apart(self) -> bool:
        """Whether each element is drawn for itself."""
        return self.elementwise and self.draws

    @property
    def constant(self) -> bool:
        """Whether all elements are one number."""
        return self.elementwise and not self.draws

    def text(self, arguments: Mapping[str, Any]) -> str:
        """The fill as a call.

        >>> from modelzoo.catalog.fills import FILLS
        >>> FILLS["normal"].text({"mean": 0.0, "std": 0.02})
        'normal(mean=0.0, std=0.02)'
        """
        written = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
        return f"{self.name}({written})" if written else self.name


def _dimensions_problem(fill: Fill, shape: Sequence[int]) -> str | None:
    least, most = fill.minimum_dimensions, fill.maximum_dimensions
    if least <= len(shape) <= (len(shape) if most is None else most):
        return None
    if most is None:
        return (
            f"needs at least {least} dimensions, not {len(shape)}: "
            f"write zeros{' or uniform(-0.1, 0.1)' if fill.draws else ''}"
        )
    wanted = f"exactly {least}" if least == most else f"{least} to {most}"
    return f"needs {wanted} dimensions, not {len(shape)}"


def _dtype_problem(fill: Fill, arguments: Mapping[str, Any], dtype: torch.dtype) -> str | None:
    name = str(dtype).removeprefix("torch.")
    if fill.draws and not dtype.is_floating_point and (dtype.is_complex or not fill.integers):
        return f"draws real numbers, which {name} cannot hold: write zeros, ones or constant(...)"
    whole = not (dtype.is_floating_point or dtype.is_complex)
    low, high = _limits(dtype)
    for argument in fill.held:
        value = arguments[argument]
        if whole and not fill.draws and value != int(value):
            return f"needs a whole number as {argument} for {name}, not {value}"
        if not low <= value <= high + (whole and fill.draws):  # draws are rounded down, below b
            return f"needs {argument} within {name}, from {low:.6g} to {high:.6g}, not {value}"
    if {"a", "b"} <= set(fill.held) and arguments["b"] - arguments["a"] > torch.finfo(dtype_of_draws(dtype)).max:
        return f"needs a and b closer together, not a={arguments['a']} and b={arguments['b']}"
    return None


def _limits(dtype: torch.dtype) -> tuple[float, float]:
    if dtype == torch.bool:
        return 0, 1
    limits = torch.finfo(dtype) if dtype.is_floating_point or dtype.is_complex else torch.iinfo(dtype)
    return limits.min, limits.max


def problem_with(fill: Fill, arguments: Mapping[str, Any], shape: Sequence[int], dtype: torch.dtype) -> str | None:
    """Why a tensor cannot be filled so, as the rest of a sentence that begins with the fill's name.

    Args:
        arguments: all of them, as from `bind`.

    >>> from modelzoo.catalog.fills import FILLS
    >>> xavier = FILLS["xavier_uniform"]
    >>> problem_with(xavier, {"gain": 1.0}, (8, 4), torch.float32)
    >>> problem_with(xavier, {"gain": 1.0}, (8,), torch.float32)
    'needs at least 2 dimensions, not 1: write zeros or uniform(-0.1, 0.1)'
    """
    problem = _dimensions_problem(fill, shape)
    if problem is None and fill.constant and dtype == torch.bool and isinstance(arguments.get("value"), bool):
        return None
    for check in fill.checks:
        problem = problem or check(arguments, shape)
    return problem or _dtype_problem(fill, arguments, dtype)
