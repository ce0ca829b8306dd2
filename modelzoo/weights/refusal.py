"""What of a file does not fit, in words: each name with those like it, and the line with which it would fit."""

from __future__ import annotations

import pathlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from modelzoo.errors import IN_FULL, Path, Problem, nearest
from modelzoo.escapes import printable
from modelzoo.spelling import closest, did_you_mean
from modelzoo.weights import repairs
from modelzoo.weights.matching import Match
from modelzoo.weights.names import Naming, Target
from modelzoo.weights.repairs import COMPARED, Attempt
from modelzoo.weights.request import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What does not fit: how many of each kind, where not all are shown, and the problem of each."""

    account: list[Problem]
    missing: list[Problem]
    unexpected: list[Problem]
    others: list[Problem]

    def all(self) -> list[Problem]:
        return [*self.account, *self.missing, *self.unexpected, *self.others]


def left(path: pathlib.Path, found: Match, request: Request, targets: list[Target], attempt: Attempt | None) -> Left:
    """What of a file does not fit.

    Args:
        attempt: tries another request, for a line with which the file would fit; None where none is looked for.
    """
    lacking = [each.names[0] for each in found.missing]
    near = [name for each in found.missing for name in each.names] or [name for each in targets for name in each.names]
    missing = [*_each(path, lacking, "The file has no such tensor.", [*found.unexpected])]
    unexpected = [*_each(path, [*found.unexpected], "The model has no such tensor.", near)]
    if unexpected and not missing and not found.misfits:  # then none is the misspelt name of another
        unexpected = [replace(each, hint="") for each in unexpected]
    others = [_problem(path, each.name, each.what) for each in found.misfits]
    counts = [] if attempt is None else _account(path, found)
    for each in (counts, unexpected, missing, others):
        if each and attempt is not None:  # where it is seen
            each[0] = _with(each[0], _advice(found, request, targets, attempt))
            break
    return Left(account=counts, missing=missing, unexpected=unexpected, others=others)


def _advice(found: Match, request: Request, targets: list[Target], attempt: Attempt) -> str:
    """What to type, in a sentence for each purpose."""
    after, rules = repairs.renaming(found, request, attempt)
    now = replace(request, rename=(*request.rename, *rules))
    told = [f"To give it another name, type {repairs.typed(rules)}"] if rules else []
    turned = repairs.turning(after, now, attempt)
    if turned:
        now = replace(now, transpose=(*now.transpose, *turned))
        after = attempt(now) or after
        told.append(f"To load it with its rows as columns, type {_option('transpose', turned)}")
    if after.left:
        skipped = repairs.skipping(after, targets, now, attempt)
        line = _option("skip", skipped) if skipped else ""
        if not after.missing and not after.misfits:
            lines = [*([line] if line else []), "load.strict=false"]
            told.append(f"To leave out what the model does not have, type {' or '.join(lines)}")
        elif line:
            kept = "leave it as it starts here" if after.left == len(after.missing) else "load everything else"
            told.append(f"To {kept}, type {line}")
    return " ".join(told)


def _option(name: str, globs: Iterable[str]) -> str:
    return f"'load.{name}=[{', '.join(globs)}]'"


def _with(problem: Problem, hint: str) -> Problem:
    return replace(problem, hint=f"{problem.hint} {printable(hint, lines=False)}".strip())


def _each(path: pathlib.Path, names: list[str], what: str, near: Collection[str]) -> Iterator[Problem]:
    # Hints only for those that are shown in full: comparing every name with every other takes seconds.
    looked = IN_FULL if len(near) <= COMPARED else 0
    for index, name in enumerate(names):
        yield _problem(path, name, what, nearest(name, near) if index < looked else "")


def _account(path: pathlib.Path, found: Match) -> list[Problem]:
    """How many of each, where not all of them are shown."""
    missing, unexpected, misfits = len(found.missing), len(found.unexpected), len(found.misfits)
    if missing + unexpected + misfits <= IN_FULL:
        return []
    counts = f"{missing} missing, {unexpected} unexpected and {misfits} misfitting tensors"
    return [_problem(path, "", f"The file does not fit this model: {counts}.")]


def idle(request: Request, naming: Naming, names: Collection[str]) -> list[Problem]:
    """What was typed and means no name of the file or the model.

    Args:
        names: those of the file.
    """
    found = []
    for option, pattern in request.typed:
        if (option, pattern) in naming.used:
            continue
        near = dict.fromkeys(naming.known if option in ("skip", "only", "join") else names)
        owners = dict.fromkeys(each.rpartition(".")[0] for each in near)
        what = f"load.{option} has '{pattern}', which means no tensor here."
        layer = f"'{pattern}' is a layer: write {pattern}.*"
        hint = layer if pattern in owners else did_you_mean(closest(pattern.rstrip(".*"), [*owners, *near]))
        key = Path(("load", option))
        found.append(Problem(path=str(key), key=key, what=what, hint=printable(hint, lines=False)))
    return found


def _problem(path: pathlib.Path, name: str, what: str, hint: str = "") -> Problem:
    one_line = printable(what, lines=False), printable(hint, lines=False)
    return Problem(where=str(path), path=name, what=one_line[0], hint=one_line[1])
