"""What every job says of itself, whether one process does it or several."""

from __future__ import annotations

import math
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import yaml

from modelzoo import files
from modelzoo.config.config import Config
from modelzoo.errors import Path, Problem, fail
from modelzoo.escapes import printable
from modelzoo.modules import gradients
from modelzoo.plans.draft import Draft
from modelzoo.plans.rows import Row
from modelzoo.plans.statistics import describe, pool
from modelzoo.terminal import say


def check_inputs(draft: Draft) -> None:
    """Refuses a model that has nothing to run on."""
    if not draft.given.inputs:
        key = Path(("model", "inputs"))
        fail(key, "the model has no example input to run on.", "Write inputs: {x: [2, 20]}.")


@contextmanager
def with_threads(count: int | None) -> Iterator[None]:
    """Torch's threads while a job runs; a sweep's next job finds the setting as it was."""
    if count is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def warn(problems: Iterable[Problem], config: Config) -> None:
    """Prints what is no mistake, and may be one, each with its place."""
    for problem in problems:
        place = printable("  ".join(config.locate(problem.key, problem.line, problem.column)), lines=False)
        say(f"warning: {place}: {problem.what} {problem.hint}".rstrip())


def sizes(draft: Draft) -> dict[str, Any]:
    """What a table of jobs says of a plan."""
    plan = draft.plan
    return {"parameters": plan.parameters, "bytes": plan.bytes, "flops": plan.flops, "activations": plan.activations}


def values_of(facts: Sequence[Row], output: Any) -> dict[str, Any]:
    """Mean and standard deviation of all parameters together, and of all that the model returned."""
    own = [(math.prod(row.shape), row.statistics) for row in facts if row.kind == "parameter" and not row.same_as]
    returned = [
        (each.numel(), describe(each.detach())) for each in gradients.tensors(output) if each.is_floating_point()
    ]
    found: dict[str, Any] = {}
    for name, parts in (("weights", own), ("output", returned)):
        known = [(count, each) for count, each in parts if each is not None and count]
        if known:
            together = pool(known)
            found |= {f"{name}_mean": together.mean, f"{name}_std": together.std}
    return found


def list_written(written: Iterable[pathlib.Path]) -> None:
    """Prints which files there are."""
    if paths := [*dict.fromkeys(written)]:
        say("\n".join(["written:", *(f"  {files.shown(path)}" for path in paths)]))


def model_file(config: Config) -> str:
    """The composed config as the text of a model file: `modelzoo.build` opens it anywhere."""
    content: dict[str, Any] = {"model": config.model}
    if config.init:
        content["init"] = config.init
    if config.options.get("groups"):
        content["groups"] = config.options["groups"]
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
    if printable(text) != text:
        text = yaml.safe_dump(content, sort_keys=False, width=120)
    return text
