"""What can be wrong with a config: problems are values, collected, located late and rendered in one place."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

from modelzoo import bounds
from modelzoo.escapes import html_table, printable
from modelzoo.names import is_index
from modelzoo.spelling import closest, compared, did_you_mean

IN_FULL = 10


class Path(tuple[str | int, ...]):
    """Where something stands in a config or a model: its keys from the root.

    >>> str(Path(("model", "layers", 0)) / "bias")
    'model.layers.0.bias'
    """

    __slots__ = ()

    def __truediv__(self, key: str | int) -> Path:
        return Path((*self, key))

    def touches(self, other: Path) -> bool:
        """Whether one of the two stands inside the other.

        >>> Path(("model", "layers")).touches(Path(("model", "layers", 0)))
        True
        """
        shorter = min(len(self), len(other))
        return self[:shorter] == other[:shorter]

    def __str__(self) -> str:
        return ".".join(map(str, self))


Locate = Callable[[Path, int, int], tuple[str, str]]
"""Finds the place of a key: (key, line, column) -> (where, path); `("", str(key))` where it is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """A second place that a problem is about.

    Attributes:
        text: a sentence; `{}` in it becomes the place, in parentheses, or nothing where it is not known.
        key: what stands there.
        elsewhere: whether to say it only if that place is in another file than the problem, or if only that place is on
            the command line.
    """

    text: str
    key: Path
    elsewhere: bool = False

    def sentence(self, locate: Locate, where: str) -> str:
        place, path = locate(self.key, 0, 0)
        if self.elsewhere and (not place or where.partition(":")[0] in (place.partition(":")[0], "command line")):
            return ""
        shown = f"{place}  {path}" if place == "command line" else place
        return self.text.replace("{}", f" ({shown})" if shown else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """A change of the config that may be what was meant. It is told only if the config is better with it.

    Attributes:
        key: where it changes the config.
        value: what stands there then.
        hint: what to type.
        moves: whether the mistake is at `key` then, rather than where it was noticed.
        places: what it changes below `key`; that itself by default.
    """

    key: Path
    value: Any
    hint: str
    moves: bool = False
    places: tuple[Path, ...] = ()

    def changes(self, key: Path) -> bool:
        """Whether something at a key, or in it, is changed."""
        return any(key.touches(place) for place in self.places or (self.key,))


class Code(str, enum.Enum):
    """What kind of mistake it is, where somebody asks."""

    UNKNOWN = "a name that does not exist"
    NO_VALUE = "the name of a value that does not exist"
    NO_TENSOR = "a rule that selects nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake: what was seen and expected, what to type, and where.

    Attributes:
        where: `file:line:column`, or `command line`; empty while the place is not known.
        path: the dotted config key, or the override as it was typed.
        what: what was seen and what was expected, in sentences.
        hint: what to type; may be empty.
        key: the path as keys, from which `where` is found.
        line, column: the position inside the text at `key`, from 1; 0 means the whole value.
        beside: other places that matter; `located` makes each a sentence of the hint.
        repairs: what could be changed; the first that helps becomes the hint.
        code: what kind of mistake it is, if somebody asks.
    """

    where: str = ""
    path: str = ""
    what: str
    hint: str = ""
    key: Path = Path()
    line: int = 0
    column: int = 0
    beside: tuple[Beside, ...] = ()
    repairs: tuple[Repair, ...] = field(default=(), compare=False, repr=False)
    code: Code | None = field(default=None, compare=False, repr=False)

    def located(self, locate: Locate) -> Problem:
        """With its place."""
        where, path = locate(self.key, self.line, self.column)
        more = [each.sentence(locate, where) for each in self.beside]
        hint = " ".join(filter(None, (self.hint, *more)))
        return replace(self, where=where, path=path, hint=hint, beside=(), repairs=())

    def __str__(self) -> str:
        head = printable("  ".join(part for part in (self.where, self.path) if part), lines=False)
        what = f"{self.what}." if self.hint and self.what[-1:] not in ".?!" else self.what
        body = printable(" ".join(part for part in (what, self.hint) if part))
        return "\n".join((head, *("  " + line for line in body.splitlines())) if head else (body,))


class ConfigError(Exception):
    """Everything that is wrong with a config, all at once.

    Attributes:
        problems: the `Problem`s, sorted by place.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        return render(self.problems)

    def _repr_html_(self) -> str:
        """What a notebook shows of it as a value."""
        rows = ((each.where, each.path, each.what, each.hint) for each in told_once(self.problems))
        return html_table(("where", "key", "problem", "repair"), rows)

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows where nobody catches it: no way through our own code."""
        return [type(self).__name__, *str(self).splitlines()]


class ConfigWarning(UserWarning):
    """What a config says without effect: a rule that selects nothing, a layer that nothing calls."""


class TextError(Exception):
    """A mistake inside one text of a config, at a line and column of that text (from 1)."""

    def __init__(self, what: str, hint: str = "", line: int = 0, column: int = 0, code: Code | None = None) -> None:
        self.what, self.hint, self.line, self.column, self.code = what, hint, line, column, code
        super().__init__(what)


class Problems:
    """Collects problems, so that all of them are reported together.

    Args:
        fatal: whether they end the work; of warnings only the first 200 are kept.
    """

    def __init__(self, fatal: bool = True) -> None:
        self.found: list[Problem] = []
        self.fatal = fatal

    def add(
        self,
        key: Path,
        what: str,
        hint: str = "",
        *,
        line: int = 0,
        column: int = 0,
        beside: tuple[Beside, ...] = (),
        repairs: Iterable[Repair] = (),
        code: Code | None = None,
    ) -> None:
        self.note(
            Problem(
                path=str(key),
                what=what,
                hint=hint,
                key=key,
                line=line,
                column=column,
                beside=beside,
                repairs=tuple(repairs),
                code=code,
            )
        )

    def suggest(self, since: int, repairs: Iterable[Repair]) -> None:
        """Gives the problems found since there were so many what may help against them."""
        given = tuple(repairs)
        self.found[since:] = [replace(each, repairs=(*each.repairs, *given)) for each in self.found[since:]]

    def note(self, problem: Problem) -> None:
        """Keeps a problem; where there are hundreds, nobody reads on, and looking on would take its time.

        Raises:
            ConfigError: with the first 200.
        """
        if len(self.found) < bounds.PROBLEMS and problem not in self.found:
            self.found.append(problem)
        if self.fatal and len(self.found) >= bounds.PROBLEMS:
            self.check()

    def add_text(self, key: Path, error: TextError) -> None:
        self.add(key, error.what, error.hint, line=error.line, column=error.column, code=error.code)

    def drop(self, consequences: Iterable[Problem]) -> None:
        """Forgets problems that follow from another."""
        gone = [*consequences]
        self.found = [each for each in self.found if each not in gone]

    def at(self, key: Path) -> _At:
        """Turns a `TextError` raised inside `with` into a problem at `key`, and goes on after it."""
        return _At(self, key)

    def check(self) -> None:
        """Raises all problems found so far, if there are any."""
        if self.found:
            raise ConfigError(self.found)


class _At:
    """A context that keeps `TextError`s, so that reading can go on."""

    def __init__(self, problems: Problems, key: Path) -> None:
        self.problems, self.key = problems, key

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, TextError):
            self.problems.add_text(self.key, error)
            return True
        return False


def fail(key: Path, what: str, hint: str = "", *, cause: BaseException | None = None) -> NoReturn:
    """Raises a single problem."""
    raise ConfigError([Problem(path=str(key), what=what, hint=hint, key=key)]) from cause


@contextmanager
def located(locate: Locate) -> Iterator[None]:
    """Adds places to the problems raised inside, and sorts them by place; keeps the cause."""
    try:
        yield
    except ConfigError as error:
        problems = [problem if problem.where else problem.located(locate) for problem in error.problems]
        unique = dict.fromkeys(sorted(problems, key=_place))
        raise ConfigError(unique).with_traceback(error.__traceback__) from error.__cause__


def told_once(problems: Iterable[Problem]) -> list[Problem]:
    """Names that do not exist, each told once with all its places: it is one mistake, and others are seen beside it."""
    found: dict[tuple[str, str] | Problem, list[Problem]] = {}
    for each in problems:
        same = (each.what, each.hint) if each.code in (Code.UNKNOWN, Code.NO_VALUE) else each
        found.setdefault(same, []).append(each)
    return [_with_others(first, others) for first, *others in found.values()]


def _with_others(problem: Problem, others: Sequence[Problem]) -> Problem:
    if not others:
        return problem
    more = f", and {len(others) - 5} more" if others[5:] else ""
    also = f"The same at {', '.join(each.where or each.path for each in others[:5])}{more}."
    return replace(problem, hint=f"{problem.hint} {also}".strip())


def _place(problem: Problem) -> list[Any]:
    """A sort key under which `x.yaml:7:2` comes before `x.yaml:12:1`."""
    return [(is_index(part), int(part) if is_index(part) else part) for part in problem.where.split(":")]


def render(problems: Iterable[Problem], limit: int | None = IN_FULL) -> str:
    """The text that a user reads: the first `limit` problems in full, the rest counted."""
    every = told_once(problems)
    shown = every if limit is None else every[:limit]
    rest = len(every) - len(shown)
    more = [f"... and {rest} more problem{'s' * (rest > 1)} (problems=all shows all)"] if rest else []
    return "\n".join([*map(str, shown), *more])


def first_line(error: BaseException) -> str:
    """What an exception says, in one line, without the signs of Python.

    >>> first_line(TypeError("argument of type <class 'float'> cannot be cast to type <class 'int'>!\\nSee ..."))
    'argument of type float cannot be cast to type int'
    >>> first_line(TypeError(f"not {object()} dimension(s)"))
    'not ... dimension(s)'
    """
    if isinstance(error, KeyError):
        return f"there is no {error} here"
    text = str(error.args[-1] if isinstance(error, OverflowError) and error.args else error)  # (34, "... range")
    text = re.sub(r"<class '([\w.]+)'>", r"\1", text)
    lines = re.sub(r"<[^<>]* at 0x[0-9a-f]+>", "...", text).strip().splitlines()
    return lines[0].removesuffix(", but expected one of:").rstrip("!") if lines else type(error).__name__


def nearest(name: str, known: Iterable[str]) -> str:
    """A repair for a misspelt name.

    >>> nearest("Linaer", ["Linear", "ReLU"])
    "Did you mean 'Linear'?"
    >>> nearest("foo", ["Linear", "ReLU"])
    'Known: Linear, ReLU.'
    """
    names = compared(known)
    close = closest(name, names)
    if close or not names or len(names) > 12:
        return did_you_mean(close)
    return f"Known: {', '.join(names)}."
