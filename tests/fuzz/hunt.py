"""Many mutants in a row, and each kind of find once, as small as it gets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.fuzz import fork
from tests.fuzz.corpus import Corpus
from tests.fuzz.laws import Broken
from tests.fuzz.minimise import TRIES, minimised
from tests.fuzz.mutate import Mutant, mutant

AT_ONCE = 200

Kind = tuple[str, str, str]


@dataclass
class Tally:
    """What became of all mutants so far: how many reached which stage, and how many show which kind."""

    mutants: int = 0
    seconds: float = 0.0
    reached: Counter[str] = field(default_factory=Counter)
    kinds: Counter[Kind] = field(default_factory=Counter)


@dataclass(frozen=True)
class Find:
    """A mutant that breaks a law as none before it did."""

    mutant: Mutant
    broken: Broken
    seconds: float


def hunted(
    corpus: Corpus, seed: int, numbers: Iterator[int], tally: Tally, known: Sequence[Kind] = ()
) -> Iterator[Find]:
    """Judges mutants one after the other; yields each kind once, and keeps the tally."""
    told = set(known)
    while some := [mutant(corpus, seed, number) for _, number in zip(range(AT_ONCE), numbers, strict=False)]:
        for each, judged in zip(some, fork.judged([each.text for each in some]), strict=True):
            tally.mutants += 1
            tally.seconds += judged.seconds
            tally.reached[judged.verdict.reached] += 1
            for broken in judged.verdict.broken:
                tally.kinds[broken.kind] += 1
                if broken.kind not in told:
                    told.add(broken.kind)
                    yield Find(each, broken, judged.seconds)


def smallest(find: Find, tries: int = TRIES) -> str:
    """The text of a find without what it does not need; one that takes long is tried less often."""
    quick = find.broken.what == "SIGXCPU"

    def same(texts: Sequence[str]) -> int | None:
        for number, judged in enumerate(fork.judged(texts, 4 if quick else fork.SECONDS)):
            if find.broken.kind in {each.kind for each in judged.verdict.broken}:
                return number
        return None

    return minimised(find.mutant.text, same, tries // 8 if quick else tries)
