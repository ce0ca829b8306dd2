"""Overrides of what was not composed: applied to the plain data of a file or a mapping, before references are followed.

They mean what they mean to Hydra, but no key of a stranger's data is looked up in any other way than by its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from modelzoo import arithmetic
from modelzoo.config import answers
from modelzoo.config.places import Override
from modelzoo.errors import Problem, Problems, nearest
from modelzoo.names import is_index


def apply(data: dict[str, Any], overrides: Iterable[Override], problems: Problems) -> dict[str, Any]:
    """The data with every override applied in turn; the data itself stays as it is.

    Args:
        data: `model`, and `init` where there are rules; references not yet followed.
        problems: collects overrides that do not fit.

    >>> wider = Override(text="model.args.dim=16", key=("model", "args", "dim"), value=16, deletes=False)
    >>> apply({"model": {"args": {"dim": 8}}}, [wider], Problems())
    {'model': {'args': {'dim': 16}}}
    """
    for each in overrides:
        try:
            found = _Change(each).applied(data, 0)
        except _UnfitError as error:
            problems.note(Problem(where=each.where, path=each.text, what=error.what, hint=error.hint))
            continue
        data = found
    return data


class _UnfitError(Exception):
    def __init__(self, answer: answers.Answer) -> None:
        super().__init__(answer)
        self.what, self.hint = answer


class _Change:
    """One override on its way down."""

    def __init__(self, override: Override) -> None:
        self.override, self.key = override, override.key
        if arithmetic.too_large(override.value):
            raise _UnfitError(arithmetic.large_integer(override.value))

    def applied(self, data: Any, depth: int) -> Any:
        """A copy of what stands at the first `depth` parts of the key, with the change in it."""
        part, last = self.key[depth], depth + 1 == len(self.key)
        if data is None and self.override.adds:
            data = {}
        if isinstance(data, list):
            return self.in_list(data, depth, part, last)
        if not isinstance(data, Mapping):
            raise _UnfitError(self.below_a_value(data, depth))
        name = next((each for each in data if str(each) == part), None)
        if last and self.override.deletes:
            return self.deleted(data, name)
        if name is None and not self.override.adds:
            raise _UnfitError(self.unknown(data, depth, last))
        below = data.get(name) if name is not None else None
        new = self.value(below, name is not None) if last else self.applied(below, depth + 1)
        return {**data, part if name is None else name: new}

    def in_list(self, data: list[Any], depth: int, part: str, last: bool) -> list[Any]:
        above = self.key[:depth]
        if not is_index(part):
            raise _UnfitError(answers.no_index(part))
        index = int(part)
        if index >= len(data):
            raise _UnfitError(answers.no_entry(".".join(above), len(data), part))
        if last and self.override.deletes:
            raise _UnfitError(answers.deletes_entry(above, part))
        new = self.value(data[index], True) if last else self.applied(data[index], depth + 1)
        return [*data[:index], new, *data[index + 1 :]]

    def deleted(self, data: Mapping[Any, Any], name: Any) -> dict[Any, Any]:
        if name is None or self.override.value not in (None, data[name]):
            raise _UnfitError(answers.nothing_to_delete(".".join(self.key), nearest(self.key[-1], map(str, data))))
        return {each: value for each, value in data.items() if each != name}

    def value(self, before: Any, known: bool) -> Any:
        """The new value; a mapping is merged into one."""
        value = self.override.value
        if known and self.override.adds == "+" and before is not None and not isinstance(value, (dict, list)):
            raise _UnfitError(answers.exists(".".join(self.key), self.override.text))
        return _merged(before, value)

    def below_a_value(self, data: Any, depth: int) -> answers.Answer:
        shown = {None: "null", True: "true", False: "false"}.get(data, str(data))
        return answers.in_a_text(".".join(self.key[:depth]), shown)

    def unknown(self, data: Mapping[Any, Any], depth: int, last: bool) -> answers.Answer:
        if self.override.deletes:
            return answers.nothing_to_delete(".".join(self.key), nearest(self.key[depth], map(str, data)))
        value = self.override.text.partition("=")[2]
        above, key = ".".join(self.key[:depth]), ".".join(self.key)
        return answers.unknown(self.key[depth], above, [*map(str, data)], key, value, last=last)


def _merged(before: Any, value: Any) -> Any:
    if not (isinstance(before, Mapping) and isinstance(value, Mapping)):
        return value
    return {**before, **{name: _merged(before.get(name), each) for name, each in value.items()}}
