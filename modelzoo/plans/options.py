"""The options of a job: one table of their names, what their values must be, and whether results depend on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from modelzoo import bounds
from modelzoo.errors import IN_FULL, ConfigError, Path, Problem, Problems, TextError, fail, nearest
from modelzoo.modules import memory as memories
from modelzoo.spelling import closest, did_you_mean
from modelzoo.weights.request import Request, asked

if TYPE_CHECKING:
    import torch

DEVICES = ("cpu", "cuda", "meta", "mps", "xpu")
DTYPES = ("float32", "float64", "float16", "bfloat16")

Wrong = tuple[str, str] | None
"""What is wrong with a value, and what to type."""


# -- what is wrong with a value ----------------------------------------------------------------------------------------


def _anything(name: str, value: Any) -> Wrong:
    return None


def _flag(name: str, value: Any) -> Wrong:
    return None if isinstance(value, bool) else (f"{name} must be true or false, not {value!r}.", f"Type {name}=true.")


def _positive(example: int) -> Callable[[str, Any], Wrong]:
    def wrong(name: str, value: Any) -> Wrong:
        if type(value) is int and value > 0:
            return None
        return f"{name} must be a positive integer, not {value!r}.", f"Type {name}={example}."

    return wrong


def _or_null(check: Callable[[str, Any], Wrong]) -> Callable[[str, Any], Wrong]:
    return lambda name, value: None if value is None else check(name, value)


def _natural(name: str, value: Any) -> Wrong:
    if type(value) is int and value >= 0:
        return None
    return f"{name} must be an integer of 0 or more, not {value!r}.", f"Type {name}=0."


def _dtype(name: str, value: Any) -> Wrong:
    return None if value in DTYPES else (f"there is no floating dtype {value!r}.", nearest(str(value), DTYPES))


def _device(name: str, value: Any) -> Wrong:
    """It need not be there, but has to be one."""
    if str(value).partition(":")[0] in DEVICES:
        return None
    try:
        device_named(value)
    except ConfigError as error:
        return error.problems[0].what, error.problems[0].hint
    return None


def _column(name: str, value: Any) -> Wrong:
    return (
        None
        if isinstance(value, str)
        else (f"{name} is the name of a column, not {value!r}.", f"Type {name}=output_std.")
    )


def _memory(name: str, value: Any) -> Wrong:
    try:
        memories.size(value)
    except TextError as error:
        return error.what, error.hint
    return None


def _problems(name: str, value: Any) -> Wrong:
    if value == "all" or (type(value) is int and value > 0):
        return None
    return f"{name} must be a positive integer or all, not {value!r}.", f"Type {name}=all."


# -- the table ---------------------------------------------------------------------------------------------------------


def _rules(wrong: Callable[[str, Any], Wrong], *, decides: bool = True) -> dict[str, Any]:
    return {"wrong": wrong, "decides": decides}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What `conf/config.yaml` has beside model and init; it says what each is for.

    Each has a default, what is wrong with other values, and whether it `decides` results: a job that differs from one
    that is done in others alone is not done again.

    Attributes:
        wrong: what is wrong with those that were given.
    """

    seed: int = field(default=0, metadata=_rules(_natural))
    device: str = field(default="cpu", metadata=_rules(_device))
    dtype: str = field(default="float32", metadata=_rules(_dtype))
    training: bool = field(default=False, metadata=_rules(_flag))
    backward: bool = field(default=False, metadata=_rules(_flag))
    loss: Any = field(default=None, metadata=_rules(_anything))
    step: bool = field(default=False, metadata=_rules(_flag))
    coordinates: bool = field(default=False, metadata=_rules(_flag))
    signals: bool = field(default=False, metadata=_rules(_flag))
    batch: int = field(default=32, metadata=_rules(_positive(32)))
    limits: Any = field(default=None, metadata=_rules(_anything))  # `measuring` knows what there is
    show: Any = field(default=None, metadata=_rules(_anything))
    optimizer: Any = field(default=None, metadata=_rules(_anything))
    load: Request | None = field(default=None, metadata=_rules(_anything))  # `weights` knows what there is
    groups: Any = field(default=None, metadata=_rules(_anything))  # `optim` knows what there is
    parallel: Any = field(default=None, metadata=_rules(_anything))  # `sharding` knows what there is
    world: int | None = field(default=None, metadata=_rules(_or_null(_positive(2))))
    rank: int = field(default=0, metadata=_rules(_natural))
    export: Any = field(default=(), metadata=_rules(_anything))  # `exports` knows what there is
    max_steps: int = field(default=bounds.STEPS, metadata=_rules(_positive(bounds.STEPS)))
    memory: int | str | None = field(default=None, metadata=_rules(_or_null(_memory), decides=False))
    threads: int | None = field(default=None, metadata=_rules(_or_null(_positive(2)), decides=False))
    problems: int | str = field(default=IN_FULL, metadata=_rules(_problems, decides=False))
    traceback: bool = field(default=False, metadata=_rules(_flag, decides=False))
    resume: bool = field(default=True, metadata=_rules(_flag, decides=False))
    fail_fast: bool = field(default=False, metadata=_rules(_flag, decides=False))
    objective: str | None = field(default=None, metadata=_rules(_or_null(_column), decides=False))
    wrong: tuple[Problem, ...] = ()

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Options:
        """Those that are given; a value that is wrong counts as not given, and stands in `wrong`.

        >>> options = Options.of({"seed": -1, "threads": 4, "resume": 0})
        >>> options.seed, options.threads, [str(each.key) for each in options.wrong]
        (0, 4, ['seed', 'resume'])
        """
        problems = Problems()
        check(given, problems)
        right = {name: value for name, value in given.items() if name in _TABLE and not _wrong(name, value)}
        right["load"] = asked(given.get("load"), Problems())
        return cls(**right, wrong=tuple(problems.found))

    @property
    def steps(self) -> bool:
        """Whether an optimiser is needed."""
        return self.step or self.coordinates

    @property
    def in_full(self) -> int | None:
        """How many problems are told in full; None for all."""
        return None if isinstance(self.problems, str) else self.problems


_TABLE = {each.name: each for each in fields(Options) if each.metadata}

NAMES = tuple(_TABLE)

OF_RANKS = ("parallel", "world", "rank")
"""Options of a job that has several processes, as `run.py` has."""

WITHOUT_EFFECT = tuple(name for name, each in _TABLE.items() if not each.metadata["decides"])
"""Options that change no result."""


def check(given: Mapping[str, Any], problems: Problems) -> None:
    """Says what is wrong with the values of options."""
    for name, value in given.items():
        if name in _TABLE and (wrong := _wrong(name, value)):
            problems.add(Path((name,)), *wrong)
        elif name == "load":
            asked(value, problems)


def _wrong(name: str, value: Any) -> Wrong:
    found: Wrong = _TABLE[name].metadata["wrong"](name, value)
    return found


# -- devices -----------------------------------------------------------------------------------------------------------


def device_named(name: Any) -> torch.device:
    """The device of a name.

    Raises:
        ConfigError: there is no such device here.
    """
    import torch

    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, TypeError, AssertionError, NotImplementedError) as error:
        message = str(error).splitlines()[0] if str(error) else ""
        reason = "" if message.startswith("Expected one of") else message
        what = f"there is no device {name!r}: {reason}".rstrip(": ") + "."
        fail(Path(("device",)), what, _device_meant(str(name)) or "Type device=cpu.", cause=error)
    return device


def _device_meant(name: str) -> str:
    import torch

    kind, _, number = name.partition(":")
    meant = closest(kind, DEVICES)
    if kind in DEVICES or not meant:
        return ""
    try:
        torch.empty(0, device=f"{meant}:{number}" if number else meant)
    except (RuntimeError, AssertionError, NotImplementedError):
        return f"{did_you_mean(meant)} There is none here: type device=cpu."
    return did_you_mean(meant)
