"""`signals=true`: what a job measures of its model's start, says, and leaves for the page and for the sweep."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from torch import Tensor, nn

from modelzoo import files
from modelzoo.errors import Locate, Path, Problems
from modelzoo.escapes import json_text
from modelzoo.init.filling import filled
from modelzoo.measuring.batch import sized
from modelzoo.measuring.findings import Finding
from modelzoo.measuring.limits import Limits
from modelzoo.measuring.picture import Point
from modelzoo.measuring.signals import Signals, of_examples
from modelzoo.optim.loss import Loss
from modelzoo.plans.draft import Draft
from modelzoo.plans.options import Options
from modelzoo.terminal import say

FILE = "signals.json"


def measured(
    draft: Draft, model: nn.Module, objective: Loss | None, options: Options, locate: Locate
) -> Signals | None:
    """The signals of a job's model, with the places of what decided; None if none are asked for."""
    if not options.signals:
        return None
    tensors = filled(draft.skeleton, draft.table)
    decided = {
        tensor: entry.chain
        for entry, tensor in zip(draft.table, tensors, strict=True)
        if entry.name not in draft.loaded
    }

    def aim(output: Any, inputs: dict[str, Tensor]) -> Tensor:
        assert objective is not None
        targets = sized(objective.targets, len(next(iter(inputs.values()))))
        return replace(objective, targets=targets)(output, inputs)

    found = of_examples(
        model,
        draft.given,
        decided,
        batch=options.batch,
        aim=None if objective is None else aim,
        limits=Limits.of(options.limits, Problems()),
        advice=True,
        seed=options.seed,
    )
    owners = {each.name: each.key for each in draft.plan.tensors}

    def placed(finding: Finding) -> Finding:
        key = finding.key or owners.get(next(iter(finding.tensors), ""), Path())
        where, path = locate(key, 0, 0)
        return replace(finding, where=path if where == "command line" else where)

    return replace(found, findings=tuple(map(placed, found.findings)))


def columns(found: Signals | None) -> dict[str, Any]:
    """What the table of a sweep says of it."""
    if found is None:
        return {}
    numbers = {name: getattr(found, name) for name in ("signal_min", "signal_max", "gradient_ratio")}
    return {**{name: each for name, each in numbers.items() if each is not None}, "findings": len(found.findings)}


def told(found: Signals | None, directory: pathlib.Path) -> list[pathlib.Path]:
    """Prints signals and writes `signals.json`; returns its path."""
    if found is None:
        return []
    say(str(found))
    content = {name: [asdict(each) for each in getattr(found, name)] for name in ("calls", "weights", "findings")}
    path = directory / FILE
    files.write_text(path, json_text({**content, "notes": list(found.notes)}, indent=None) + "\n")
    return [path]


def read(directory: pathlib.Path) -> Sequence[Point]:
    """The lines of a job that wrote them; none of another."""
    try:
        calls = json.loads((directory / FILE).read_text("utf-8"))["calls"]
        return [Point(str(each["name"]), each["std"], each["gradient"]) for each in calls if each["trunk"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
