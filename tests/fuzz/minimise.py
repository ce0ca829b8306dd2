"""Takes from a find what it does not need, until nothing can go."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tests.fuzz.corpus import plain
from tests.fuzz.mutate import TOKEN, dumped, places

TRIES = 400

Same = Callable[[Sequence[str]], "int | None"]
"""Of some texts, the number of the first that still shows the find."""


def minimised(text: str, same: Same, tries: int = TRIES) -> str:
    """The smallest text that greedy deletion leads to; it still shows the find."""
    tree = plain(text)
    smaller = _trees if isinstance(tree, (dict, list)) else _lines
    now: Any = tree if smaller is _trees else text
    if smaller is _trees and same([dumped(now)]) is None:
        smaller, now = _lines, text  # what is wrong is the text, not the data
    while tries > 0:
        for some in _batches(smaller(now)):
            tries -= len(some)
            found = same([_text(each) for each in some])
            if found is not None:
                now = some[found]
                break
            if tries <= 0:
                break
        else:
            break
    return _text(now)


def _text(now: Any) -> str:
    return now if isinstance(now, str) else dumped(now)


def _batches(every: Iterator[Any], size: int = 10) -> Iterator[list[Any]]:
    some: list[Any] = []
    for each in every:
        some.append(each)
        if len(some) == size:
            yield some
            some = []
    if some:
        yield some


def _trees(tree: Any) -> Iterator[Any]:
    """Trees with less, those with much less first."""
    root = {"": tree}
    count = len(places(root))
    order = sorted(range(count), key=lambda each: -_weight(places(root)[each]))
    for each in order:
        for change in (_without, _opened):
            yield from change(root, each)
    for each in range(count):
        yield from _shorter(root, each)


def _weight(place: tuple[Any, Any]) -> int:
    value = place[0][place[1]]
    return len(places({"": value}))


def _changed(root: Any, number: int) -> tuple[Any, Any, Any]:
    """A copy of a tree, and a place in it."""
    new = copy.deepcopy(root)
    container, key = places(new)[number]
    return new, container, key


def _without(root: Any, number: int) -> Iterator[Any]:
    new, container, key = _changed(root, number)
    if container is not new:
        del container[key]
        yield new[""]


def _opened(root: Any, number: int) -> Iterator[Any]:
    """One of the things inside takes the place of all."""
    container, key = places(root)[number]
    inside = container[key]
    if isinstance(inside, (dict, list)) and len(inside) < 6:
        for each in inside.values() if isinstance(inside, dict) else inside:
            new, there, _ = _changed(root, number)
            there[key] = copy.deepcopy(each)
            if isinstance(new[""], (dict, list)):
                yield new[""]


def _shorter(root: Any, number: int) -> Iterator[Any]:
    """A text without a line or a token, a smaller number."""
    container, key = places(root)[number]
    value = container[key]
    for less in _less(value):
        new, there, _ = _changed(root, number)
        there[key] = less
        yield new[""]


def _less(value: Any) -> Iterator[Any]:
    if isinstance(value, str) and len(value) < 2_000:
        lines = value.split("\n")
        if len(lines) > 1:
            yield from ("\n".join((*lines[:each], *lines[each + 1 :])) for each in range(len(lines)))
        else:
            tokens = TOKEN.findall(value)
            yield from ("".join((*tokens[:each], *tokens[each + 1 :])) for each in range(len(tokens)) if tokens[1:])
    elif isinstance(value, int) and not isinstance(value, bool) and value > 2:
        yield from (1, 2)


def _lines(text: str) -> Iterator[str]:
    """Texts with a line less."""
    lines = text.split("\n")
    yield from ("\n".join((*lines[:each], *lines[each + 1 :])) for each in range(len(lines)) if lines[1:])
