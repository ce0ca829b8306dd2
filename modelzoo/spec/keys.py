"""What every reader asks of a mapping: legal names, how many, and texts that YAML cut in two."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence, Sized
from typing import Any

from modelzoo.catalog import functions
from modelzoo.errors import Path, Problems, nearest
from modelzoo.language import syntax
from modelzoo.names import Kind


class Keys:
    """Asks it of what a config holds; every problem found goes to `problems`."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems

    def is_cut(self, value: Mapping[str, Any], key: Path) -> bool:
        cut = next((each for each in value if syntax.unbalanced(str(each))), None)
        if cut is not None:
            self.cut(value, cut, key)
        return cut is not None

    def cut(self, value: Mapping[str, Any], cut: str, key: Path) -> None:
        """`{a: Linear(4, 8)}` reaches us as {"a": "Linear(4", "8)": None}."""
        items = list(value.items())
        at = [name for name, _ in items].index(cut)
        owner, start = next(((n, v) for n, v in reversed(items[:at]) if isinstance(v, str)), (None, None))
        whole = f'{owner}: "{start}, {cut}"' if owner is not None else f'"{cut}"'
        self.problems.add(
            key / str(cut),
            f"YAML cut a text in two at its comma: '{cut}' is no key.",
            f"Put the text in quotes: {whole}.",
        )

    def dtype(self, value: Any, key: Path) -> str | None:
        if value is not None and not (isinstance(value, str) and value in functions.DTYPES):
            self.problems.add(key, f"there is no dtype {value!r}.", nearest(str(value), functions.DTYPES))
            return None
        return value

    def joined(self, items: list[Any], key: Path, kind: str = "a layer") -> list[tuple[int, Any]]:
        """Finds texts that YAML cut at their commas: [Linear(4, 8), ReLU] is ["Linear(4", "8)", "ReLU"] here."""
        found: list[tuple[int, Any]] = []
        index = 0
        while index < len(items):
            text, end = items[index], index + 1
            if isinstance(text, str) and syntax.unbalanced(text):
                missing = syntax.missing(text)
                while end < len(items) and any(missing) and isinstance(items[end], (str, int, float)):
                    missing = [a + b for a, b in zip(missing, syntax.missing(str(items[end])), strict=True)]
                    end += 1
                what = f"YAML cut a text in two at its comma: {_cut_short(repr(text))} is not {kind}."
                self.problems.add(key / index, what, f"Write {_rejoined(items, index, end)}.")
            else:
                found.append((index, text))
            index = end
        return found

    def check_count(self, outer: Sized, own: Any, key: Path, most: int, kind: str) -> None:
        """Ends the reading where a block sees so many that it cannot be meant: each text may read all of them.

        Raises:
            ConfigError: with what was found so far.
        """
        count = len(outer) + (len(own) if isinstance(own, (Mapping, list, tuple)) else 0)
        if count > most:
            self.problems.add(key, f"a block sees at most {most:,} {kind}, those around it included, not {count:,}.")
            self.problems.check()

    def check_known(self, given: Iterable[Any], known: Collection[str], key: Path, owner: str) -> None:
        """The keys of a mapping, of which each must be known."""
        for each in given:
            if each not in known:
                self.problems.add(key / each, f"'{each}' is not a key of {owner}.", nearest(str(each), known))

    def check_name(self, name: str, key: Path, kind: Kind, *, line: int = 0, column: int = 0) -> None:
        wrong = kind.refused(name)
        if wrong is not None:
            self.problems.add(key, *wrong, line=line, column=column)


def _quoted(item: Any) -> str:
    """An item of a YAML list, in quotes where it needs them."""
    return f'"{item}"' if isinstance(item, str) and set(item) & set(",[](){}:") else str(item)


def _rejoined(items: Sequence[Any], start: int, end: int) -> str:
    """The list with one text made of those from `start` to `end`, in quotes; of a long list the text alone."""
    text = _cut_short(repr(", ".join(map(str, items[start:end]))).replace("'", '"'))
    if len(items) > 100:
        return text
    return f"[{', '.join([*map(_quoted, items[:start]), text, *map(_quoted, items[end:])])}]"


def _cut_short(text: str, longest: int = 200) -> str:
    return text if len(text) <= longest else f"{text[:longest]}..."


def kind_of(value: Any) -> str:
    """What a value is, where something else was expected."""
    return "a list" if isinstance(value, (list, tuple)) else "a text" if isinstance(value, str) else repr(value)
