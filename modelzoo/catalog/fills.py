"""The named fills: the table of torch's own, those that a user adds, and arguments bound to their names.

The arguments are those of `torch.nn.init`.
"""

from __future__ import annotations

import inspect
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar, overload

from modelzoo import late
from modelzoo.catalog.distributions import (
    MODES,
    NONLINEARITIES,
    Fans,
    Sampler,
    constant,
    kaiming_std,
    normal,
    normal_of,
    orthogonal,
    sparse,
    trunc_normal,
    uniform,
    uniform_of,
    xavier_std,
)
from modelzoo.catalog.fill import REQUIRED, Fill
from modelzoo.catalog.fill_checks import groups_fit, index_of, near, number_of, ordered, positive, within, word
from modelzoo.catalog.registry import Registry, load_entry_points
from modelzoo.errors import TextError, nearest

if TYPE_CHECKING:
    from torch.nn import init
else:
    init = late.Module("torch.nn.init")

_STD = (number_of("std"), within("std", 0))
_TRUNCATED = (number_of("mean", "std", "a", "b"), within("std", 0), ordered, near)


def _scaled(ending: str, drawn: Callable[..., Any]) -> Iterator[Fill]:
    """The fills of Glorot and of He with one distribution."""
    scaled = partial(Fill, minimum_dimensions=2, scaled=True)
    yield scaled(
        name=f"xavier_{ending}",
        parameters={"gain": 1.0},
        sampler=drawn(xavier_std),
        checks=(number_of("gain"), within("gain", 0)),
        held=("gain",),
    )
    yield scaled(
        name=f"kaiming_{ending}",
        parameters={"a": 0.0, "mode": "fan_in", "nonlinearity": "leaky_relu"},
        sampler=drawn(kaiming_std),
        checks=(number_of("a"), word("mode", MODES), word("nonlinearity", NONLINEARITIES)),
    )


_TABLE = (
    Fill(name="zeros", parameters={}, sampler=partial(constant, value=0), draws=False),
    Fill(name="ones", parameters={}, sampler=partial(constant, value=1), draws=False),
    Fill(
        name="constant",
        parameters={"value": REQUIRED},
        sampler=constant,
        draws=False,
        checks=(number_of("value"),),
        held=("value",),
    ),
    Fill(
        name="uniform",
        parameters={"a": 0.0, "b": 1.0},
        sampler=uniform,
        integers=True,
        checks=(number_of("a", "b"), ordered),
        held=("a", "b"),
    ),
    Fill(
        name="normal",
        parameters={"mean": 0.0, "std": 1.0},
        sampler=normal,
        checks=(number_of("mean"), *_STD),
        held=("mean", "std"),
    ),
    Fill(
        name="trunc_normal",
        parameters={"mean": 0.0, "std": 1.0, "a": -2.0, "b": 2.0},
        sampler=trunc_normal,
        checks=_TRUNCATED,
        held=("mean", "std"),
    ),
    Fill(
        name="embedding",
        parameters={"padding_idx": REQUIRED, "std": 1.0},
        sampler=lambda _, padding_idx, std: normal(None, 0.0, std),
        minimum_dimensions=2,
        maximum_dimensions=2,
        checks=(*_STD, index_of("padding_idx")),
        held=("std",),
        zeroed=lambda shape, arguments: (
            arguments["padding_idx"] * shape[1],
            (arguments["padding_idx"] + 1) * shape[1],
        ),
    ),
    Fill(
        name="eye",
        parameters={},
        sampler=lambda _: lambda tensor, _: init.eye_(tensor),
        minimum_dimensions=2,
        maximum_dimensions=2,
        elementwise=False,
        draws=False,
    ),
    Fill(
        name="dirac",
        parameters={"groups": 1},
        sampler=lambda _, groups: lambda tensor, _: init.dirac_(tensor, groups),
        minimum_dimensions=3,
        maximum_dimensions=5,
        elementwise=False,
        draws=False,
        checks=(groups_fit,),
    ),
    *_scaled("uniform", uniform_of),
    *_scaled("normal", normal_of),
    Fill(
        name="orthogonal",
        parameters={"gain": 1.0},
        sampler=orthogonal,
        minimum_dimensions=2,
        elementwise=False,
        checks=(number_of("gain"),),
        held=("gain",),
    ),
    Fill(
        name="sparse",
        parameters={"sparsity": REQUIRED, "std": 0.01},
        sampler=sparse,
        minimum_dimensions=2,
        maximum_dimensions=2,
        elementwise=False,
        checks=(number_of("sparsity"), within("sparsity", 0, 1), *_STD),
        held=("std",),
    ),
    Fill(
        name="lsuv",
        parameters={"std": 1.0},
        sampler=lambda _, std: lambda tensor, _: None,
        elementwise=False,
        draws=False,
        measured=True,
        checks=(number_of("std"), positive("std")),
    ),
)

_OF_TORCH = {fill.name: fill for fill in _TABLE}
REGISTERED: Registry[Fill] = Registry("fill", taken=_OF_TORCH)

FILLS: Mapping[str, Fill] = MappingProxyType(ChainMap(REGISTERED, _OF_TORCH))
"""Every fill known so far: torch's, then registered ones."""

TORCHS = frozenset(_OF_TORCH)
"""The names of the fills that are not registered."""


def find_fill(name: str) -> Fill | None:
    """The fill that a config names, or None; one underscore at the end, as in `torch.nn.init`, is accepted.

    >>> find_fill("xavier_uniform_") is find_fill("xavier_uniform")
    True
    """
    name = name.removesuffix("_")
    if name not in FILLS:
        load_entry_points()
    return FILLS.get(name)


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
    >>> import modelzoo
    >>> rules = {"weights": {"param": "weight", "fill": "example_spread(0.5)"}}
    >>> float(modelzoo.build({"layers": ["Linear(40, 20)"]}, rules)[0].weight.detach().abs().max()) < 0.25
    True
    """
    if call is None:
        return lambda call: register_fill(call, name=name)
    name = (name or str(getattr(call, "__name__", ""))).removesuffix("_")

    def sampler(_: Fans | None, **arguments: Any) -> Sampler:
        return lambda tensor, generator: call(tensor, generator=generator, **arguments)

    sampler.__doc__ = call.__doc__
    sampler.__wrapped__ = call  # type: ignore[attr-defined]
    fill = Fill(name=name, parameters=_parameters(call), sampler=sampler, elementwise=False, integers=True)
    REGISTERED.add(name, fill)
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
