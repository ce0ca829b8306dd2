"""What becomes of a refused model that is built without being run first: it must fail, or be refused for a reason."""

from __future__ import annotations

import contextlib
import re
import signal
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
from torch import Tensor

import modelzoo
from modelzoo.modules import dry_run
from modelzoo.modules.inputs import call_with
from modelzoo.modules.recording import Record
from modelzoo.modules.skeleton import Skeleton
from modelzoo.plans.plan import Plan

SECONDS = 4
"""Of processor time; what takes longer does not work."""

EXPLAINED = {
    "on one way through here and": "both ways of a condition give one shape, so that what follows can be planned",
    "did not end after": "loops are bounded",
    "Boolean value of Tensor": "a condition is one value; of several it is none, whatever they are",
}
"""What is refused although it may run, by words of its message, and why."""


def runs(file: str, task: Callable[[Any, Plan], object]) -> bool:
    """Whether a model works that was not looked at before.

    Args:
        file: a model file.
        task: runs the model, given the module and its plan.
    """
    with mock.patch.object(dry_run, "dry_run", _unlooked), _ending():
        try:
            plan = modelzoo.plan(file)
            if not plan.inputs:
                return False
            task(modelzoo.build(file), plan)
            for side in (False, True):  # a condition on data may go the other way on other data
                with mock.patch.object(Tensor, "__bool__", lambda value, side=side: side):
                    task(modelzoo.build(file), plan)
        except Exception:
            return False
    return True


@contextlib.contextmanager
def _ending() -> Iterator[None]:
    """Integers that grow without an end, which a plan refuses, are not waited for."""

    def end(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def explained(error: modelzoo.ConfigError) -> bool:
    """Whether every problem is one of those that are refused although the model may run."""
    return all(any(re.search(words, each.what) for words in EXPLAINED) for each in error.problems)


def _unlooked(skeleton: Skeleton, inputs: dict[str, Tensor], **options: Any) -> Record:
    """In place of a dry run: sizes that were left out are found, and nothing else."""
    if skeleton.unsized and inputs:
        with torch.no_grad():
            call_with(skeleton.root.eval(), inputs)
        skeleton.root.train()
    return Record()
