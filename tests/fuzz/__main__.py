"""`python -m tests.fuzz`: mutates model files for a while, and prints each kind of find once, as small as it gets."""

from __future__ import annotations

import argparse
import itertools
import json
import pathlib
import time
from collections.abc import Iterator

from tests.fuzz import fork
from tests.fuzz.corpus import Corpus, corpus
from tests.fuzz.hunt import Find, Tally, hunted, smallest
from tests.fuzz.laws import Broken
from tests.fuzz.mutate import mutant


def main(arguments: list[str] | None = None) -> int:
    """Returns 1 if a law was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of the clock; default: 60")
    parser.add_argument("--count", type=int, help="of mutants, whatever time they take")
    parser.add_argument("--seed", type=int, default=0, help="other mutants for another one")
    parser.add_argument("--start", type=int, default=0, help="the number of the first mutant")
    parser.add_argument("--also", type=pathlib.Path, action="append", default=[], help="a further folder of YAML files")
    parser.add_argument("--out", type=pathlib.Path, help="where finds go, as JSON lines")
    parser.add_argument("--whole", action="store_true", help="prints finds as they are, not minimised")
    parser.add_argument("--show", type=int, metavar="NUMBER", help="prints this mutant and what becomes of it")
    parser.add_argument("--file", type=pathlib.Path, nargs="+", help="judges these files as they are")
    given = parser.parse_args(arguments)
    fork.warm()
    if given.file:
        return _judge([path.read_text("utf-8", "surrogateescape") for path in given.file], [*map(str, given.file)])
    every = corpus(given.also)
    if given.show is not None:
        one = mutant(every, given.seed, given.show)
        print(f"# {one.seed}\n{one.text}")
        return _judge([one.text], [str(one.number)])
    return _hunt(every, given)


def _judge(texts: list[str], names: list[str]) -> int:
    wrong = 0
    for name, each in zip(names, fork.judged(texts), strict=True):
        wrong += bool(each.verdict.broken)
        print(f"{name}: reached {each.verdict.reached} in {each.seconds:.2f} s")
        for broken in each.verdict.broken:
            print(_shown(broken))
    return int(wrong > 0)


def _hunt(every: Corpus, given: argparse.Namespace) -> int:
    tally, found, end = Tally(), 0, time.monotonic() + given.seconds

    def numbers() -> Iterator[int]:
        for number in itertools.count(given.start):
            if number >= given.start + given.count if given.count is not None else time.monotonic() > end:
                return
            yield number

    for find in hunted(every, given.seed, numbers(), tally):
        found += 1
        text = find.mutant.text if given.whole else smallest(find)
        _tell(find, text, given.out)
    print(f"{tally.mutants} mutants in {tally.seconds:.0f} s of processor time; they ended at:")
    print("  " + ", ".join(f"{stage} {count}" for stage, count in tally.reached.most_common()))
    for kind, count in tally.kinds.most_common():
        print(f"  {count:5} {' | '.join(kind)}")
    return int(found > 0)


def _tell(find: Find, text: str, out: pathlib.Path | None) -> None:
    print(f"{_shown(find.broken)}\n  mutant {find.mutant.number} of {find.mutant.seed}, {find.seconds:.1f} s:")
    print("".join(f"    {line}\n" for line in text.splitlines()), flush=True)
    if out is not None:
        record = {**find.broken.plain(), "seed": find.mutant.seed, "number": find.mutant.number, "text": text}
        with out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")


def _shown(broken: Broken) -> str:
    return f"BROKEN {' | '.join(broken.kind)}\n  {broken.detail[:400]}"


if __name__ == "__main__":
    raise SystemExit(main())
