"""The modules of a model, made and tried: on the CPU where that is cheap, else on meta."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from modelzoo.errors import ConfigError, Problems
from modelzoo.init import decide, filling
from modelzoo.init.examples import Examples, example_tensors
from modelzoo.language import runtime
from modelzoo.modules import construct as building
from modelzoo.modules import dry_run, memory, reads, recording
from modelzoo.modules.failures import lacks_kernel
from modelzoo.modules.inputs import example
from modelzoo.modules.skeleton import Skeleton
from modelzoo.modules.torch_layers import TooLargeError
from modelzoo.spec import nodes
from modelzoo.spec.instances import Instance

SMALL = 64 * 2**20
"""Up to this many bytes of parameters the dry run works on zeros of the CPU, above it on meta."""


def dry(
    instance: Instance,
    given: Examples,
    init: nodes.Init,
    device: torch.device,
    dtype: torch.dtype,
    run: Callable[[Skeleton, dict[str, Tensor]], recording.Record],
) -> tuple[Skeleton, recording.Record]:
    """Constructs and checks: on the CPU where that is cheap and can be done in the dtype, else on meta."""
    notes: list[str] = []
    if device.type != "meta":
        try:
            return _on_cpu(instance, given, init, dtype, run)
        except TooLargeError:
            pass
        except ConfigError as error:
            if not lacks_kernel(error.__cause__):
                raise
            notes += map(dry_run.not_here, error.problems)
    meta = torch.device("meta")
    skeleton = _checked(building.construct(instance, meta, dtype, max_steps=given.max_steps, seed=given.seed))
    record = run(skeleton, example(given.shapes, meta))
    record.notes += notes
    return skeleton, record


def _on_cpu(
    instance: Instance,
    given: Examples,
    init: nodes.Init,
    dtype: torch.dtype,
    run: Callable[[Skeleton, dict[str, Tensor]], recording.Record],
) -> tuple[Skeleton, recording.Record]:
    """A dry run on zeros. What fails there must fail on values too: they may be what it is about."""
    cpu = torch.device("cpu")
    if sum(each.bytes for each in given.shapes) > SMALL:
        raise TooLargeError
    zeroed = bool(given.shapes)
    construct = partial(
        building.construct,
        instance,
        cpu,
        dtype,
        max_steps=given.max_steps,
        zeroed=zeroed,
        limit=SMALL if zeroed else memory.available(),
        seed=given.seed,
    )
    skeleton = _checked(construct())
    try:
        return skeleton, run(skeleton, example(given.shapes, cpu))
    except ConfigError as error:
        exhausted = type(error.__cause__) is runtime.EndlessError  # one loop may end on other values
        if error.__cause__ is None or exhausted or lacks_kernel(error.__cause__):
            raise
        skeleton = _checked(construct())
        try:
            problems = Problems()
            building.finish(skeleton, problems)
            table, _ = decide.decide(skeleton, init, given.values, given.seed, problems)
            filling.fill(skeleton, table, given.seed)
            inputs = example_tensors(given, cpu)
        except ConfigError:
            raise error from error.__cause__
        try:
            return skeleton, run(skeleton, inputs)
        except ConfigError as again:  # by now every size is known, and none is said to have been left out
            same = str(again.__cause__) == str(error.__cause__)
            raise (error if same else again) from again.__cause__


def _checked(skeleton: Skeleton) -> Skeleton:
    problems = Problems()
    reads.check_reads(skeleton, problems)
    problems.check()
    return skeleton
