"""The dry run: one pass through the model's forwards, before any fill, that checks shapes and finds those left out."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks

from modelzoo import bounds
from modelzoo.errors import ConfigError, Problem, Problems, first_line
from modelzoo.language import compiler, runtime
from modelzoo.modules import construct, equal, flops, gradients, modes
from modelzoo.modules.explain import Explaining, FailedCall, explain, failing_line, text_key
from modelzoo.modules.failures import depends_on_data, is_of_example, lacks_kernel
from modelzoo.modules.inputs import call_with
from modelzoo.modules.misfits import Misfits, torch_layers
from modelzoo.modules.recording import Largest, Record, recording
from modelzoo.modules.skeleton import Skeleton, modules_of, unchanged
from modelzoo.modules.strict import strictly
from modelzoo.modules.taken import noted
from modelzoo.modules.torch_layers import TooLargeError
from modelzoo.modules.uncompiled import uncompiled
from modelzoo.modules.watch import Watch

HUGE = 2**36
"""A tensor of so many bytes on the way is told with a plan: few machines have room for it."""


@uncompiled()
def dry_run(
    skeleton: Skeleton,
    inputs: dict[str, Tensor],
    count: bool = False,
    recorded: bool = True,
    training: bool = False,
    for_sizes: bool = False,
) -> Record:
    """Runs the model once on example inputs, and once more for each condition on data, flipped.

    All that in evaluation, and again in training, where a text asks which of the two it is.

    Args:
        skeleton: modules on zeros or on meta.
        inputs: by name, on the skeleton's device; without any nothing is run.
        count: whether floating-point operations are counted, which takes a multiple of the time.
        recorded: whether what each module returns will be asked for; without it a run that succeeds is enough.
        training: whether it is asked for training, where an example that is too small for it is a mistake.
        for_sizes: whether nothing is asked but the sizes that were left out, so that it ends when all are found.

    Returns:
        what was seen in the mode that is asked for, with the notes of both.

    Raises:
        ConfigError: what does not fit, with the layer, its place and both shapes.
    """
    if not inputs:
        return Record()
    modules = modules_of(skeleton.root)
    with unchanged(skeleton, modules):
        asked, noticed = _in_modes(skeleton, inputs, modules, count, recorded, training, for_sizes)
        asked.notes += noticed.notes()
        if any(each.requires_grad for each in skeleton.root.parameters()):
            asked.notes += noticed.floors
            if gradients.is_doubtful(modules):
                modes.enter(modules, True)
                asked.notes += map(_told_gradient, gradients.hindrances(skeleton, inputs))
    return asked


def _in_modes(
    skeleton: Skeleton,
    inputs: dict[str, Tensor],
    modules: list[nn.Module],
    count: bool,
    recorded: bool,
    training: bool,
    for_sizes: bool,
) -> tuple[Record, _Noticed]:
    """What is seen in the mode that is asked for, with the notes of both, and what was noticed on the way."""
    shared = modes.Trials(torch_layers(skeleton)), runtime.Operations("forwards")
    found: list[Record] = []
    failed: list[tuple[bool, ConfigError]] = []
    noticed = _Noticed(skeleton)
    with strictly(skeleton.device, noticed.floor, noticed.number, noticed.tensor), noted(skeleton) as taken:
        for mode in modes.modes(skeleton):
            if found and for_sizes and _is_sized(skeleton):
                break
            modes.enter(modules, mode)
            way = _Mode(mode, training, for_sizes, *shared)
            try:
                found.append(_run(skeleton, inputs, modules, way, count, recorded))
            except ConfigError as error:
                failed.append((mode, error))
                if isinstance(error.__cause__, runtime.EndlessError):
                    break
    if failed:
        raise ConfigError(_told_once(failed)) from failed[0][1].__cause__
    asked = found[-1 if training else 0]
    asked.notes[:] = dict.fromkeys(note for each in found for note in each.notes)
    asked.largest, asked.taken = noticed.largest, taken
    return asked, noticed


def _told_gradient(problem: Problem) -> str:
    """A note of a layer that the gradient cannot pass."""
    return f"a backward pass fails: {problem.what} {problem.hint}".strip(" .")


@dataclass(slots=True)
class _Noticed:
    """What was noticed while a run went on, with the line of the text that called."""

    skeleton: Skeleton
    floors: dict[str, None] = field(default_factory=dict)
    numbers: dict[str, None] = field(default_factory=dict)
    largest: Largest | None = None

    def notes(self) -> Iterator[str]:
        """What is told whether or not there is a gradient."""
        yield from self.numbers
        if self.largest is not None and self.largest.bytes >= HUGE:
            yield str(self.largest)

    def floor(self) -> None:
        """A `//` between tensors."""
        known = "torch knows no gradient of it. That of floor(a / b) is zero"
        self.floors[f"a backward pass through //{_calling_line()} fails: {known}"] = None

    def number(self) -> None:
        """A dimension or a size that only values decide; what a layer counts for itself is none."""
        if any(
            isinstance(each.f_locals.get("self"), nn.Module) for each in _frames() if not compiler.is_text(each.f_code)
        ):
            return
        self.numbers[f"a number is taken from data{_calling_line()}, and others were not tried"] = None

    def tensor(self, size: int) -> None:
        """A tensor of so many bytes, larger than all before."""
        frame = _calling()
        if frame is None:
            self.largest = Largest(bytes=size)
            return
        text = compiler.line_of(frame.f_code, frame.f_lineno)
        key = text_key(self.skeleton, frame.f_locals["_self"])
        self.largest = Largest(bytes=size, text=text, key=key, line=frame.f_lineno)


def _told_once(failed: list[tuple[bool, ConfigError]]) -> list[Problem]:
    """The problems of all modes; those of training alone say so."""
    told: dict[str, Problem] = {}
    for training, error in failed:
        for each in error.problems:
            told.setdefault(each.what, _in_training(each) if training else each)
    return list(told.values())


def _in_training(problem: Problem) -> Problem:
    return replace(problem, what=f"In training: {problem.what}")


@dataclass(frozen=True, slots=True)
class _Mode:
    """What a run is made in, and what is asked for: training, only sizes; with what the runs of all modes share."""

    training: bool
    asked: bool
    for_sizes: bool
    trials: modes.Trials
    operations: runtime.Operations


def _run(
    skeleton: Skeleton,
    inputs: dict[str, Tensor],
    modules: list[nn.Module],
    mode: _Mode,
    count: bool,
    recorded: bool,
) -> Record:
    """What is seen in one mode."""
    problems, record = Problems(), Record()
    watch = Watch(problems, skeleton, mode.operations)
    forwards = construct.forwards(skeleton, watch, watch.worked)
    with forwards as watched, _counted(skeleton, watch):
        sharing = not watched and equal.can_share(skeleton)
        quick = _quickly(skeleton, inputs, modules, mode, count, recorded) if sharing else None
        if quick is not None:
            return quick
        watch.begin()
        left = mode.operations.left
        with flops.counted() if count else nullcontext() as counter:
            _pass(skeleton, inputs, record, watch, mode)
        record.flops = None if counter is None else counter.total
        needed = 3 * (left - mode.operations.left)  # another pass, which may be longer, and the first of another mode
        runs = 0
        while runs < min(len(watch.sites), bounds.BRANCHES) and mode.operations.left > needed:
            if mode.for_sizes and _is_sized(skeleton):
                return record
            watch.begin([*watch.sites.values()][runs])
            _pass(skeleton, inputs, Record(notes=record.notes), watch, mode)
            runs += 1
        if runs < len(watch.sites):
            record.notes.append(f"of {len(watch.sites)} conditions on data only {runs} were checked both ways")
    problems.check()
    return record


def _is_sized(skeleton: Skeleton) -> bool:
    """Whether every size that was left out is known."""
    return all(each.layer for each in skeleton.unsized)


def _pass(skeleton: Skeleton, inputs: dict[str, Tensor], record: Record, watch: Watch, mode: _Mode) -> None:
    returned: equal.Returned = []
    refused: list[FailedCall] = []

    def keep(module: nn.Module, given: tuple[Any, ...], keywords: dict[str, Any], error: Exception) -> None:
        call = FailedCall(module=module, inputs=given, keywords=keywords, error=error, returned=len(returned))
        refused.append(call)

    try:
        with mode.trials.made(keep), recording(returned), torch.no_grad():
            call_with(skeleton.root, inputs)
    except (ConfigError, TooLargeError):
        raise
    except Exception as error:
        if depends_on_data(error):
            text = failing_line(error) or first_line(error)
            record.notes.append(f"sizes after this depend on data and were not checked: {text}")
            return
        if mode.training and not mode.asked and is_of_example(error):
            record.notes.append(_too_small(explain(skeleton, error, returned, inputs)))
            return
        watch.turned = set()
        problems = Misfits(skeleton, mode.training).found(inputs) or [
            explain(skeleton, error, returned, inputs, mode.training)
        ]
        raise ConfigError(problems) from error
    finally:
        record.add(returned)
    explaining = Explaining(skeleton, inputs)
    for each in refused:
        problem = explaining.layer(each, returned[: each.returned])
        told = problem if mode.training else _in_training(problem)
        if is_of_example(each.error) and not mode.asked:
            record.notes.append(_too_small(problem))
        elif lacks_kernel(each.error):
            record.notes.append(not_here(told))
        else:
            watch.problems.note(told)


def _too_small(problem: Problem) -> str:
    return f"this example cannot be used in training: {problem.what.rstrip('.')}"


def not_here(problem: Problem) -> str:
    """A note of what lacks a kernel: the model is right, and needs another device."""
    return f"the CPU cannot do this, other devices may: {problem.what.rstrip('.')}"


@contextmanager
def _counted(skeleton: Skeleton, watch: Watch) -> Iterator[None]:
    """While it lasts, calls of this thread's modules count, if there is a text that may call one again and again."""
    thread = threading.get_ident()

    def before(module: nn.Module, inputs: Any) -> None:
        if threading.get_ident() == thread:
            watch.called()

    texts = any(instance.block.forward for _, instance in skeleton.blocks)
    handle = hooks.register_module_forward_pre_hook(before) if texts else None
    try:
        yield
    finally:
        if handle is not None:
            handle.remove()


def _quickly(
    skeleton: Skeleton,
    inputs: dict[str, Tensor],
    modules: list[nn.Module],
    mode: _Mode,
    count: bool,
    recorded: bool,
) -> Record | None:
    """What a run saw in which one of equal modules stands for all; None if it fails, which another run explains."""
    returned: equal.Returned | None = [] if recorded else None

    def end(module: nn.Module, given: tuple[Any, ...], keywords: dict[str, Any], error: Exception) -> None:
        raise error

    try:
        with (
            mode.trials.made(end),
            torch.no_grad(),
            flops.counted() if count else nullcontext() as counter,
            nullcontext() if returned is None else recording(returned),
            equal.once(skeleton, modules, returned, counter) as memory,
        ):
            call_with(skeleton.root, inputs)
    except TooLargeError:
        raise
    except runtime.EndlessError as error:
        raise ConfigError([explain(skeleton, error)]) from error
    except Exception:
        return None
    record = Record(flops=memory.flops if count else None)
    record.add(returned or ())
    return record


def _frames() -> Iterator[FrameType]:
    """The frames of what runs, the innermost first, up to the text that calls."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        yield frame
        if compiler.is_text(frame.f_code):
            return
        frame = frame.f_back


def _calling() -> FrameType | None:
    """The text that calls."""
    return next((each for each in _frames() if compiler.is_text(each.f_code)), None)


def _calling_line() -> str:
    """The line of the text that calls; empty if none does."""
    frame = _calling()
    return "" if frame is None else f" in `{compiler.line_of(frame.f_code, frame.f_lineno)}`"
