"""What every reader asks of a mapping: legal names, how many, and texts that YAML cut in two."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sized
from typing import Any

from modelzoo.catalog import functions
from modelzoo.errors import Code, Path, Problems, Repair, nearest
from modelzoo.language.syntax import unbalanced
from modelzoo.names import Kind
from modelzoo.spec import cuts
from modelzoo.spelling import closest


class Keys:
    """Asks it of what a config holds; every problem found goes to `problems`."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems

    def whole(self, value: Mapping[str, Any], key: Path) -> Mapping[str, Any]:
        """A mapping with the texts whole that YAML cut: {"a": "Linear(4", "8)": None} was {a: Linear(4, 8)}."""
        cut = next((each for each in value if unbalanced(str(each))), None)
        if cut is None:
            return value
        whole, texts = cuts.whole_mapping(value)
        formulas = {name: f"={each}" if isinstance(each, str) else each for name, each in texts.items()}
        places = tuple(key / name for name in texts)
        self.problems.add(
            key / str(cut),
            f"YAML cut a text in two at its comma: '{cut}' is no key.",
            "Put the whole text in quotes.",
            repairs=[
                Repair(key=key, value={**whole, **each}, hint=_in_quotes(each), places=places)
                for each in (texts, formulas)
                if texts
            ],
        )
        return {name: each for name, each in whole.items() if not unbalanced(str(name))}

    def dtype(self, value: Any, key: Path) -> str | None:
        if value is not None and not (isinstance(value, str) and value in functions.DTYPES):
            self.problems.add(
                key, f"there is no dtype {value!r}.", nearest(str(value), functions.DTYPES), code=Code.UNKNOWN
            )
            return None
        return value

    def joined(self, items: list[Any], key: Path, kind: str = "a layer") -> list[tuple[int, Any]]:
        """The items, and where each begins, with the texts whole that YAML cut: ["Linear(4", "8)"] was one."""
        found = cuts.whole_list(items)
        broken = [(start, end) for _, start, end in found if isinstance(items[start], str) and unbalanced(items[start])]
        if broken:
            whole = [each for each, _, _ in found]
            start, end = broken[0]
            of_all = whole if len(items) <= 100 else cuts.meant(", ".join(map(str, items[start:end])))
            hint = f"Write {cuts.in_yaml(of_all)}."
            places = tuple(key / index for index, (_, *at) in enumerate(found) if tuple(at) in broken)
            self.problems.add(
                key / start,
                f"YAML cut a text in two at its comma: {cuts.shortened(repr(items[start]))} is not {kind}.",
                "Put the whole text in quotes.",
                repairs=[Repair(key=key, value=whole, hint=hint, places=places)],
            )
        return [(start, each) for each, start, _ in found]

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

    def meant(self, given: Mapping[Any, Any], known: Collection[str], key: Path, owner: str) -> dict[Any, Any]:
        """A mapping whose keys must be known; one that is misspelt is told, and read as what it was meant for."""
        self.check_known(given, known, key, owner)
        found: dict[Any, Any] = {}
        for name, value in given.items():
            like = closest(str(name), known) if name not in known else ""
            found[like if like and like not in given else name] = value
        return found

    def check_name(self, name: str, key: Path, kind: Kind, *, line: int = 0, column: int = 0) -> None:
        wrong = kind.refused(name)
        if wrong is not None:
            self.problems.add(key, *wrong, line=line, column=column)


def _in_quotes(texts: Mapping[str, Any]) -> str:
    """What to write for entries of a mapping that were cut."""
    shown = ", ".join(f"{name}: {cuts.in_yaml(each)}" for name, each in texts.items())
    if not all(isinstance(each, str) for each in texts.values()):
        return f"Write {shown}."
    return f"Put the text{'s' * (len(texts) > 1)} in quotes: {shown}."


def kind_of(value: Any) -> str:
    """What a value is, where something else was expected."""
    return "a list" if isinstance(value, (list, tuple)) else "a text" if isinstance(value, str) else repr(value)
