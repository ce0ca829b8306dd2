"""The fills: what a name such as `xavier_uniform` does to a tensor, checked beforehand and drawn from keyed streams.

The arguments and the distributions are those of `torch.nn.init`. Numbers are drawn on the CPU in float32, or in float64
for float64 and integers, and rounded once.
"""

from __future__ import annotations

import inspect
import math
import sys
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeVar, overload

import torch
from torch import Tensor
from torch.nn import init

from modelzoo import bounds
from modelzoo.arithmetic import too_large
from modelzoo.catalog.catalog import load_entry_points
from modelzoo.errors import TextError, nearest
from modelzoo.names import Kind
from modelzoo.streams import BLOCK, generator

Fans = tuple[int, int]
"""How many elements feed one output, and how many outputs one input feeds: `fan_in` and `fan_out`."""

Sampler = Callable[[Tensor, torch.Generator | None], object]
"""Fills a contiguous float32 or float64 tensor on the CPU from one stream, or from none if nothing is drawn."""

Check = Callable[[Mapping[str, Any], Sequence[int]], str | None]
"""What is wrong with arguments for a shape, as the rest of a sentence that begins with the fill's name."""

REQUIRED: Final = inspect.Parameter.empty
"""Stands for the default of an argument that has none."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fill:
    """A way to fill a tensor, by name."""

    name: str
    parameters: Mapping[str, Any]
    """The arguments in order, with their defaults or `REQUIRED`."""
    sampler: Callable[..., Sampler]
    """Makes the sampler: `(fans, **arguments)`; the fans are None unless `scaled`."""
    minimum_dimensions: int = 0
    maximum_dimensions: int | None = None
    elementwise: bool = True
    """Whether the elements are independent, so that blocks may be filled apart."""
    draws: bool = True
    scaled: bool = False
    """Whether the fans decide the scale."""
    integers: bool = False
    """Whether draws may be rounded down to whole numbers."""
    checks: tuple[Check, ...] = ()
    held: tuple[str, ...] = ()
    """The arguments whose size a dtype must be able to hold."""
    spare: int | None = None
    """How many numbers a draw takes from its stream at most, beyond one for each element; None is not known."""
    zeroed: Callable[[Sequence[int], Mapping[str, Any]], tuple[int, int]] | None = None
    """Which elements of the flat tensor become zero afterwards: the first, and the one past the last."""

    @property
    def constant(self) -> bool:
        """Whether all elements are one number."""
        return self.elementwise and not self.draws

    def text(self, arguments: Mapping[str, Any]) -> str:
        """The fill as a call.

        >>> FILLS["normal"].text({"mean": 0.0, "std": 0.02})
        'normal(mean=0.0, std=0.02)'
        """
        written = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
        return f"{self.name}({written})" if written else self.name


class Task(NamedTuple):
    """A call that does its part of the work independently of all others."""

    cost: int
    """About as much work as so many uniform draws."""
    call: Callable[[], object]

    def __call__(self) -> None:
        """Does the work; `run` does it without gradients, and with the same result whatever torch's threads are."""
        self.call()


# --- how each draws ------------------------------------------------------------------------------------------------


def _constant(_: Fans | None, value: float) -> Sampler:
    return lambda tensor, _: tensor.fill_(value)


def _uniform(_: Fans | None, a: float, b: float) -> Sampler:
    # Never above b: in a + x * (b - a) torch's x is at most 1 - ulp / 2, which outweighs the rounding of b - a.
    return lambda tensor, generator: tensor.uniform_(a, b, generator=generator)


def _normal(_: Fans | None, mean: float, std: float) -> Sampler:
    return lambda tensor, generator: tensor.normal_(mean, std, generator=generator)


def _trunc_normal(_: Fans | None, mean: float, std: float, a: float, b: float) -> Sampler:
    """By inversion: the normal quantile of a uniform number between the quantiles' levels at `a` and `b`."""
    if std == 0:
        return _constant(None, min(max(mean, a), b))
    low, high = (a - mean) / std, (b - mean) / std
    if low > 2 or high < -2:
        return _normal_tail(mean, std, a, b)
    level_a, level_b = math.erf(low / math.sqrt(2)), math.erf(high / math.sqrt(2))

    def sample(tensor: Tensor, generator: torch.Generator | None) -> None:
        # Levels that round to -1 or 1 have infinite quantiles: those stop where the next level would lie.
        reach = std * (5.4 if tensor.dtype == torch.float32 else 8.2)
        tensor.uniform_(level_a, level_b, generator=generator).erfinv_()
        tensor.mul_(std * math.sqrt(2)).add_(mean).clamp_(max(a, mean - reach), min(b, mean + reach))

    return sample


def _normal_tail(mean: float, std: float, a: float, b: float) -> Sampler:
    """Between bounds on one side of the mean, far out: float64 levels of the lower tail, which are exact near zero."""
    side = 1 if b < mean else -1
    low, high = sorted((side * (a - mean) / std, side * (b - mean) / std))
    levels = math.erfc(-low / math.sqrt(2)) / 2, math.erfc(-high / math.sqrt(2)) / 2

    def sample(tensor: Tensor, generator: torch.Generator | None) -> None:
        drawn = torch.empty(tensor.shape, dtype=torch.float64, device="cpu").uniform_(*levels, generator=generator)
        torch.special.ndtri(drawn, out=drawn)
        tensor.copy_(drawn.mul_(side * std).add_(mean)).clamp_(a, b)

    return sample


def _xavier_std(fans: Fans, gain: float) -> float:
    """Glorot and Bengio (2010)."""
    return gain * math.sqrt(2 / sum(fans))


def _kaiming_std(fans: Fans, a: float, mode: str, nonlinearity: Any) -> float:
    """He et al. (2015)."""
    return init.calculate_gain(nonlinearity, a) / math.sqrt(fans[MODES.index(mode)])


def _uniform_of(std: Callable[..., float]) -> Callable[..., Sampler]:
    """A uniform distribution around zero of the given standard deviation."""

    def sampler(fans: Fans, **arguments: Any) -> Sampler:
        bound = math.sqrt(3) * std(fans, **arguments)
        return _uniform(None, -bound, bound)

    return sampler


def _normal_of(std: Callable[..., float]) -> Callable[..., Sampler]:
    """A normal distribution around zero of the given standard deviation."""
    return lambda fans, **arguments: _normal(None, 0.0, std(fans, **arguments))


def _orthogonal(_: Fans | None, gain: float) -> Sampler:
    return lambda tensor, generator: init.orthogonal_(tensor, gain, generator=generator)


def _sparse(_: Fans | None, sparsity: float, std: float) -> Sampler:
    """As `torch.nn.init.sparse_`, which takes the places of the zeros from the global generator."""

    def sample(tensor: Tensor, generator: torch.Generator | None) -> None:
        tensor.normal_(0, std, generator=generator)
        ranks = torch.empty_like(tensor).uniform_(generator=generator).argsort(dim=0, stable=True)
        tensor.scatter_(0, ranks[: math.ceil(sparsity * len(tensor))], 0)

    return sample


# --- what can be wrong ---------------------------------------------------------------------------------------------

MODES = ("fan_in", "fan_out")
NONLINEARITIES = (
    "linear",
    *(f"conv{transposed}{n}d" for transposed in ("", "_transpose") for n in (1, 2, 3)),
    *("sigmoid", "tanh", "relu", "leaky_relu", "selu"),
)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond float64
        return False


def _number(*names: str) -> Check:
    def check(arguments: Mapping[str, Any], _: Sequence[int]) -> str | None:
        for name in names:
            if not _is_number(arguments[name]):
                return f"needs a number as {name}, not {arguments[name]!r}"
            if too_large(arguments[name]):
                return f"needs an integer below {bounds.INTEGER:,} as {name}, not {arguments[name]}: write a float"
            if not _is_finite(arguments[name]):
                return f"needs a finite {name}, not {arguments[name]}"
        return None

    return check


def _within(name: str, low: float, high: float = math.inf) -> Check:
    def check(arguments: Mapping[str, Any], _: Sequence[int]) -> str | None:
        if low <= arguments[name] <= high:
            return None
        allowed = f"{low} or more" if high == math.inf else f"from {low} to {high}"
        return f"needs {name} to be {allowed}, not {arguments[name]}"

    return check


def _word(name: str, known: tuple[str, ...]) -> Check:
    def check(arguments: Mapping[str, Any], _: Sequence[int]) -> str | None:
        if arguments[name] in known:
            return None
        return f"has no {name} {arguments[name]!r}. {nearest(str(arguments[name]), known)}"

    return check


def _ordered(arguments: Mapping[str, Any], _: Sequence[int]) -> str | None:
    a, b = arguments["a"], arguments["b"]
    return f"needs a to be at most b, not a={a} and b={b}" if a > b else None


def _near(arguments: Mapping[str, Any], _: Sequence[int]) -> str | None:
    mean, std, a, b = (arguments[name] for name in ("mean", "std", "a", "b"))
    if std == 0 or (a - mean <= 37 * std and mean - b <= 37 * std):
        return None
    return f"needs bounds within 37 standard deviations of the mean, not a={a} and b={b} for mean={mean} and std={std}"


def _index(name: str) -> Check:
    def check(arguments: Mapping[str, Any], shape: Sequence[int]) -> str | None:
        value = arguments[name]
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < shape[0]:
            return None
        return f"needs {name} to be the number of a row, from 0 to {shape[0] - 1}, not {value!r}"

    return check


def _groups(arguments: Mapping[str, Any], shape: Sequence[int]) -> str | None:
    groups = arguments["groups"]
    if not isinstance(groups, int) or isinstance(groups, bool) or groups < 1:
        return f"needs groups to be a positive integer, not {groups!r}"
    if shape[0] % groups:
        return f"needs groups to divide the first dimension, not {groups} for {shape[0]}"
    return None


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


# --- by name -------------------------------------------------------------------------------------------------------


_SPARE_OF_NORMAL = 17
"""Fewer than 16 elements take two numbers each, in pairs; of more, the last 16 are drawn anew if 16 leaves a rest."""


def _builtin() -> Iterable[Fill]:
    std = (_number("std"), _within("std", 0))
    trunc = (_number("mean", "std", "a", "b"), _within("std", 0), _ordered, _near)
    yield Fill(name="zeros", parameters={}, sampler=partial(_constant, value=0), draws=False)
    yield Fill(name="ones", parameters={}, sampler=partial(_constant, value=1), draws=False)
    yield Fill(
        name="constant",
        parameters={"value": REQUIRED},
        sampler=_constant,
        draws=False,
        checks=(_number("value"),),
        held=("value",),
    )
    yield Fill(
        name="uniform",
        parameters={"a": 0.0, "b": 1.0},
        sampler=_uniform,
        integers=True,
        spare=0,
        checks=(_number("a", "b"), _ordered),
        held=("a", "b"),
    )
    yield Fill(
        name="normal",
        parameters={"mean": 0.0, "std": 1.0},
        sampler=_normal,
        spare=_SPARE_OF_NORMAL,
        checks=(_number("mean"), *std),
        held=("mean", "std"),
    )
    yield Fill(
        name="trunc_normal",
        parameters={"mean": 0.0, "std": 1.0, "a": -2.0, "b": 2.0},
        sampler=_trunc_normal,
        checks=trunc,
        held=("mean", "std"),
    )
    yield Fill(
        name="embedding",
        parameters={"padding_idx": REQUIRED, "std": 1.0},
        sampler=lambda _, padding_idx, std: _normal(None, 0.0, std),
        spare=_SPARE_OF_NORMAL,
        minimum_dimensions=2,
        maximum_dimensions=2,
        checks=(*std, _index("padding_idx")),
        held=("std",),
        zeroed=lambda shape, arguments: (
            arguments["padding_idx"] * shape[1],
            (arguments["padding_idx"] + 1) * shape[1],
        ),
    )
    yield Fill(
        name="eye",
        parameters={},
        sampler=lambda _: lambda tensor, _: init.eye_(tensor),
        minimum_dimensions=2,
        maximum_dimensions=2,
        elementwise=False,
        draws=False,
    )
    yield Fill(
        name="dirac",
        parameters={"groups": 1},
        sampler=lambda _, groups: lambda tensor, _: init.dirac_(tensor, groups),
        minimum_dimensions=3,
        maximum_dimensions=5,
        elementwise=False,
        draws=False,
        checks=(_groups,),
    )
    for kind, spare in ((_uniform_of, 0), (_normal_of, _SPARE_OF_NORMAL)):
        ending = kind.__name__.strip("_").removesuffix("_of")
        yield Fill(
            name=f"xavier_{ending}",
            parameters={"gain": 1.0},
            sampler=kind(_xavier_std),
            minimum_dimensions=2,
            scaled=True,
            spare=spare,
            checks=(_number("gain"), _within("gain", 0)),
            held=("gain",),
        )
        yield Fill(
            name=f"kaiming_{ending}",
            parameters={"a": 0.0, "mode": "fan_in", "nonlinearity": "leaky_relu"},
            sampler=kind(_kaiming_std),
            minimum_dimensions=2,
            scaled=True,
            spare=spare,
            checks=(_number("a"), _word("mode", MODES), _word("nonlinearity", NONLINEARITIES)),
        )
    yield Fill(
        name="orthogonal",
        parameters={"gain": 1.0},
        sampler=_orthogonal,
        minimum_dimensions=2,
        elementwise=False,
        checks=(_number("gain"),),
        held=("gain",),
    )
    yield Fill(
        name="sparse",
        parameters={"sparsity": REQUIRED, "std": 0.01},
        sampler=_sparse,
        minimum_dimensions=2,
        maximum_dimensions=2,
        elementwise=False,
        checks=(_number("sparsity"), _within("sparsity", 0, 1), *std),
        held=("std",),
    )


_fills = {fill.name: fill for fill in _builtin()}

FILLS: Mapping[str, Fill] = MappingProxyType(_fills)
"""Every fill known so far: torch's, then registered ones. Only `register_fill` adds to it."""

TORCHS = frozenset(_fills)
"""The names of the fills that are not registered."""


def find_fill(name: str) -> Fill | None:
    """The fill that a config names, or None; one underscore at the end, as in `torch.nn.init`, is accepted.

    >>> find_fill("xavier_uniform_") is find_fill("xavier_uniform")
    True
    """
    name = name.removesuffix("_")
    if name not in _fills:
        load_entry_points()
    return _fills.get(name)


_Function = TypeVar("_Function", bound=Callable[..., object])


@overload
def register_fill(call: _Function, /, *, name: str = "") -> _Function: ...
@overload
def register_fill(call: None = None, /, *, name: str = "") -> Callable[[_Function], _Function]: ...
def register_fill(call: Any = None, /, *, name: str = "") -> Any:
    """Lets configs name a fill of your own; also a decorator, with or without arguments.

    It fills the whole of a float32 or float64 tensor on the CPU in place and draws from the generator it is given.
    Several may run at once, in threads, without gradients.

    Args:
        call: `(tensor, ..., *, generator)`; its other parameters are the arguments that a config may give.
        name: the name in configs; the function's own by default, without an underscore at its end.

    Raises:
        ValueError: the name is taken or no name.
        TypeError: it cannot be called so.

    >>> @register_fill
    ... def example_spread(tensor, width=1.0, *, generator):
    ...     tensor.uniform_(-width / 2, width / 2, generator=generator)
    >>> bind(FILLS["example_spread"], [3.0], {})
    {'width': 3.0}
    """
    if call is None:
        return lambda call: register_fill(call, name=name)
    name = (name or str(getattr(call, "__name__", ""))).removesuffix("_")
    if not Kind.REGISTERED.fits(name):
        raise ValueError(
            f"a fill needs a name of letters, digits and '_', at most 64 of them, not {name!r}: write name=..."
        )
    if name in _fills:
        raise ValueError(f"the name '{name}' is taken by another fill: write name=...")

    def sampler(_: Fans | None, **arguments: Any) -> Sampler:
        return lambda tensor, generator: call(tensor, generator=generator, **arguments)

    sampler.__doc__ = call.__doc__
    _fills[name] = Fill(
        name=name,
        parameters=_parameters(call),
        sampler=sampler,
        elementwise=False,
        integers=True,
    )
    return call


def _parameters(call: Callable[..., object]) -> dict[str, Any]:
    """What a config may give to a user's fill."""
    if not callable(call):
        raise TypeError(f"a fill is something to call, not {call!r}")
    signature = inspect.signature(call)
    first, others = list(signature.parameters.values())[:1], list(signature.parameters.values())[1:]
    by_name = {
        each.name: each.default for each in others if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
    }
    positional = [each for each in first if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    if not positional or len(by_name) < len(others) or "generator" not in by_name:
        raise TypeError(f"a fill is called as f(tensor, ..., generator=...), which f{signature} does not allow")
    return {each: default for each, default in by_name.items() if each != "generator"}


def bind(fill: Fill, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """All arguments of a fill by name and in order, defaults included.

    Raises:
        TextError: one is unknown, missing, given twice or too many.

    >>> bind(FILLS["normal"], [], {"std": 0.02})
    {'mean': 0.0, 'std': 0.02}
    """
    names = list(fill.parameters)
    if len(args) > len(names):
        takes = f"at most {len(names)} argument{'s' * (len(names) != 1)}" if names else "no arguments"
        raise TextError(f"{fill.name} takes {takes}, not {len(args)}.")
    given = dict(zip(names, args, strict=False))
    for name in kwargs:
        if name not in names:
            raise TextError(f"{fill.name} has no argument '{name}'.", nearest(name, names))
        if name in given:
            raise TextError(f"{fill.name} is given '{name}' twice.")
    arguments = {**fill.parameters, **given, **kwargs}
    missing = [name for name in names if arguments[name] is REQUIRED]
    if missing:
        quoted = " and ".join(f"'{name}'" for name in missing)
        raise TextError(
            f"{fill.name} needs {quoted}.", f"Write {fill.name}({', '.join(f'{name}=...' for name in missing)})."
        )
    return arguments


# --- filling -------------------------------------------------------------------------------------------------------


def fans_of(shape: Sequence[int]) -> Fans:
    """`(fan_in, fan_out)` of a weight, as `torch.nn.init` counts them in its layout as it is.

    >>> fans_of((64, 16, 3, 3))
    (144, 576)
    """
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def _nothing(tensor: Tensor, generator: torch.Generator | None) -> None:
    """Fills a tensor without elements."""


class Filling:
    """A fill and its arguments, ready for tensors of one shape.

    Args:
        arguments: all of them, as from `bind`, without a `problem_with` them.
        shape: of the tensors; they may have any dtype, device and layout.
        fans: where they are not those of the shape.

    >>> weight = torch.empty(8, 4)
    >>> filling = Filling(FILLS["normal"], {"mean": 0.0, "std": 0.02}, weight.shape)
    >>> run(filling.tasks(weight, seed=0, name="0.weight"))
    """

    def __init__(
        self, fill: Fill, arguments: Mapping[str, Any], shape: Sequence[int], fans: Fans | None = None
    ) -> None:
        self.fill, self.constant, self.elements = fill, fill.constant, math.prod(shape)
        self.sample: Sampler = _nothing
        if self.elements:
            self.sample = fill.sampler((fans or fans_of(shape)) if fill.scaled else None, **arguments)
        self.zeroed = fill.zeroed and fill.zeroed(shape, arguments)
        self.cost = self.elements // 16 if fill.constant else self.elements if fill.elementwise else 8 * self.elements
        self.whole = self.elements <= BLOCK or not fill.elementwise
        self.small = self.whole and self.cost < LARGE
        self.numbers = sys.maxsize if fill.spare is None else self.elements + fill.spare

    def begin(self, tensor: Tensor, seed: int, name: str) -> list[Task]:
        """Fills a small tensor, for an iterator that `run` goes through; gives the calls that fill a large one."""
        if not self.small or tensor.is_meta:
            return self.tasks(tensor, seed, name)
        self.fill_block(tensor, seed, name, 0, 0)
        return []

    def tasks(self, tensor: Tensor, seed: int, name: str, number: int = 0) -> list[Task]:
        """The calls that together fill a tensor, for `run`; with no elements or on meta there is nothing to do.

        Args:
            seed, name, number: decide the streams; `number` counts the draws for this tensor.
        """
        if not self.elements or tensor.is_meta:
            return []
        if self.whole:
            return [Task(self.cost, partial(self.fill_block, tensor, seed, name, number, 0))]
        tensor = tensor.detach()  # a view made where gradients are recorded could not be filled
        if not tensor.is_contiguous():
            return [Task(self.elements, partial(self.fill_through_copy, tensor, seed, name, number))]
        parts = torch.split(tensor.view(-1), BLOCK)
        cost = self.cost // len(parts)
        return [Task(cost, partial(self.fill_block, part, seed, name, number, at)) for at, part in enumerate(parts)]

    def fill_block(self, tensor: Tensor, seed: int, name: str, number: int, block: int) -> None:
        if self.constant or not self.elements:
            self.sample(tensor, None)
            return
        if self.fill.spare is None:
            tensor = tensor.detach()  # a user's code may record gradients
        drawn = tensor
        if not (tensor.is_cpu and tensor.dtype in _DRAWN and tensor.is_contiguous()):
            drawn = torch.empty(tensor.shape, dtype=dtype_of_draws(tensor.dtype), device="cpu")
        numbers = self.numbers if drawn.dtype is torch.float32 else sys.maxsize
        self.sample(drawn, generator(seed, name, number, block, numbers) if self.fill.draws else None)
        if self.zeroed:
            first, stop = (max(each - block * BLOCK, 0) for each in self.zeroed)
            drawn.view(-1)[first:stop] = 0
        if drawn is not tensor:
            _round(drawn, tensor)

    def fill_through_copy(self, tensor: Tensor, seed: int, name: str, number: int) -> None:
        drawn = torch.empty(tensor.shape, dtype=dtype_of_draws(tensor.dtype), device="cpu")
        run(self.tasks(drawn, seed, name, number), threads=1)
        _round(drawn, tensor)


def tasks(
    tensor: Tensor,
    fill: Fill,
    arguments: Mapping[str, Any],
    *,
    seed: int,
    name: str,
    number: int = 0,
    fans: Fans | None = None,
) -> list[Task]:
    """`Filling.tasks` of a single tensor."""
    return Filling(fill, arguments, tensor.shape, fans).tasks(tensor, seed, name, number)


def draw(
    fill: Fill,
    arguments: Mapping[str, Any],
    shape: Sequence[int],
    dtype: torch.dtype,
    *,
    seed: int,
    name: str,
    number: int = 0,
    fans: Fans | None = None,
) -> Tensor:
    """A new tensor on the CPU, before it is rounded to `dtype`: float64 for float64 and integers, else float32.

    >>> draw(FILLS["ones"], {}, (2, 3), torch.bfloat16, seed=0, name="mask").dtype
    torch.float32
    """
    drawn = torch.empty(tuple(shape), dtype=dtype_of_draws(dtype), device="cpu")
    run(tasks(drawn, fill, arguments, seed=seed, name=name, number=number, fans=fans), threads=1)
    return drawn


_DRAWN = (torch.float32, torch.float64)


def dtype_of_draws(dtype: torch.dtype) -> torch.dtype:
    """The dtype of the draws for a tensor; float32 has too few bits for integers."""
    narrow = dtype.is_complex or (dtype.is_floating_point and dtype != torch.float64)
    return torch.float32 if narrow else torch.float64


def _round(drawn: Tensor, tensor: Tensor) -> None:
    if not tensor.dtype.is_floating_point and not tensor.dtype.is_complex:
        drawn.floor_()
    tensor.copy_(drawn)


# --- running -------------------------------------------------------------------------------------------------------

LARGE = 2**14
"""A task that costs less is done by the calling thread: elsewhere it would mostly wait for Python's lock."""

ENOUGH = 2**18
"""With less to do in large tasks, a pool of threads does not pay."""


def run(tasks: Iterable[Task], threads: int | None = None) -> None:
    """Does all tasks, without gradients, in several threads where there is enough to do.

    Small tasks are done as they come, so that an iterator over many need not be kept, and may itself do some.
    Each operation of torch runs in a single thread meanwhile, since the result of some, such as the decomposition
    behind `orthogonal`, depends on their number.

    Args:
        threads: how many; torch's own setting by default.

    Raises:
        ValueError: `threads` is less than 1.
        Exception: whatever a task raises; what has not begun then stays undone.
    """
    setting = torch.get_num_threads()
    threads = setting if threads is None else threads
    if threads < 1:
        raise ValueError(f"threads must be a positive integer, not {threads}")
    large: list[Task] = []
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            for task in tasks:
                if threads == 1 or task.cost < LARGE:
                    task.call()
                else:
                    large.append(task)
            large.sort(key=lambda task: task.cost)
            if sum(task.cost for task in large) < ENOUGH:
                threads = 1
            _run_in_threads(deque(large), threads)
    finally:
        torch.set_num_threads(setting)


def _run_in_threads(tasks: deque[Task], threads: int) -> None:
    """The calling thread is one of them; the largest tasks come first."""
    inference = torch.is_inference_mode_enabled()  # such modes belong to one thread

    def work() -> None:
        with torch.inference_mode(inference), torch.no_grad():
            try:
                while (task := _next(tasks)) is not None:
                    task.call()
            except BaseException:
                tasks.clear()
                raise

    if threads == 1 or len(tasks) < 2:
        work()
        return
    with ThreadPoolExecutor(min(threads, len(tasks)) - 1) as pool:
        helpers = [pool.submit(work) for _ in range(min(threads, len(tasks)) - 1)]
        work()
        for helper in helpers:
            helper.result()


def _next(tasks: deque[Task]) -> Task | None:
    try:
        return tasks.pop()
    except IndexError:  # another thread may have taken the last one since any look
        return None
