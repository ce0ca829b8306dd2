"""The main job: build a model, run its forward pass on the example input, print and write everything about it."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from modelzoo import bounds, files, ranks, terminal
from modelzoo.catalog import metrics
from modelzoo.config.config import Config
from modelzoo.config.unused import unused
from modelzoo.errors import Path, Problems, fail
from modelzoo.escapes import printable
from modelzoo.export import exports
from modelzoo.measuring.limits import Limits
from modelzoo.modules import gradients, observe
from modelzoo.optim import loss, optimisers, stepping
from modelzoo.optim.grouping import Grouping
from modelzoo.optim.stepping import Moved
from modelzoo.plans import draft as drafts
from modelzoo.plans import inspection, printing, table
from modelzoo.plans.draft import Draft, example_inputs, filled
from modelzoo.plans.options import Options, device_named
from modelzoo.plans.rows import rows, told
from modelzoo.run import account, coordinates, groups, load, save, signalled
from modelzoo.run.forward import explain_non_finite, forward
from modelzoo.terminal import say


def run(config: Config, directory: pathlib.Path) -> dict[str, Any]:
    """Does one job; every file is written whole or not at all.

    Args:
        config: model, init and options.
        directory: where the files go.

    Returns:
        what a table of many jobs says about this one: numbers by name.

    Raises:
        ConfigError: everything that is wrong with the config, or what the forward pass met.
    """
    start, options, wrong = time.perf_counter(), Options.of(config.options), Problems()
    if options.parallel is not None:
        from modelzoo.run import split  # it imports torch.distributed, which one process does without

        return split.run(config, directory)
    if ranks.world() > 1:
        what = f"this is one of {ranks.world()} processes, and each would do all of the job."
        fail(Path(("parallel",)), what, "Type parallel=fsdp to split the model over them, or start one process.")
    if options.world is not None or options.rank:
        what = "world and rank are of a model that parallel= splits."
        wrong.add(Path(("world" if options.rank == 0 else "rank",)), what, "Type parallel=fsdp too.")
    files.clear(directory)
    exported = exports.names(options.export, wrong)
    Limits.of(options.limits, wrong)
    device = device_named(options.device)
    with account.with_threads(options.threads):
        draft = drafts.drafted(config, options, device=device, wrong=wrong.found)
        draft, grouping = groups.grouped(draft, options)
        objective = loss.loss_of(options.loss, draft)
        account.warn([*draft.plan.warnings, *grouping.warnings, *unused(config)], config)
        if device.type == "meta":
            draft = replace(draft, loaded=load.told(load.planned(draft.skeleton.root, options.load)))
            terminal.show(inspection.summary(replace(draft.plan, warnings=())))
            groups.tell(draft, grouping)
            account.list_written(exports.write(exported, draft, draft.skeleton.root, config, directory))
            return account.sizes(draft)
        account.check_inputs(draft)
        draft = filled(draft, device, budget=options.memory)
        model = draft.skeleton.root
        grouping.freeze(model)  # layers that were constructed again
        draft = replace(draft, loaded=load.told(load.loaded(model, options.load)))
        built = time.perf_counter()
        inputs = example_inputs(draft, device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(draft.plan.seed)
            facts = _report(draft, grouping, objective, model, inputs, config, options, directory, exported)
        ended = time.perf_counter()
        return {**facts, "build_seconds": round(built - start, 6), "run_seconds": round(ended - built, 6)}


def _report(
    draft: Draft,
    grouping: Grouping,
    objective: loss.Loss | None,
    model: nn.Module,
    inputs: dict[str, Tensor],
    config: Config,
    options: Options,
    directory: pathlib.Path,
    exported: tuple[str, ...],
) -> dict[str, Any]:
    backward, show, seen = options.backward or options.step, options.show, None
    model.train(options.training)
    plan = draft.plan.placed(config.locate)
    facts = rows(draft.plan, model)
    values: list[str] = []
    try:
        if show is not None and not backward:
            values = printing.value_lines(model, show)
        text = account.model_file(config)
        written = [] if backward else save.write_parameters(directory, plan, model, rows=facts, model_file=text)
        with observe.observed(model) as record:
            output = forward(draft, model, inputs, backward)
        seen = record
    finally:  # what fails is looked up in the table
        terminal.show(table.model_table(facts if seen is None else told(facts, model, seen)))
        groups.tell(draft, grouping)
    if values:
        say("\n".join(values))
    say("\n".join(printing.output_lines(output)))
    explain_non_finite(draft, model, inputs, output)
    measured = {**metrics.measure(model, output)}
    for name, value in measured.items():
        say(printable(f"{name}: {value}", lines=False))
    aim = partial(loss.aimed, objective, inputs)
    if objective is not None:
        measured["loss"] = aim(output).item()
        say(f"loss: {measured['loss']:.6g}")
    if backward:
        gradients.backward(draft.skeleton, aim(output), lambda: aim(forward(draft, model, inputs, True)))
        moved = _stepped(model, grouping, options)
        if show is not None:
            say("\n".join(printing.value_lines(model, show)))
        written = save.write_parameters(
            directory, plan, model, gradients=True, moved=moved, rows=facts, model_file=text
        )
    path = directory / "model.yaml"
    files.write_text(path, text)
    written.append(path)
    if len(text.encode()) > bounds.FILE:
        say(f"{save.TENSORS} holds the values without the model, whose file is larger than 1 MB.")
    found = signalled.measured(draft, model, objective, options, config.locate)
    written += signalled.told(found, directory)
    measured |= signalled.columns(found)
    written += exports.write(exported, draft, model, config, directory, found)
    account.list_written(written)
    measured |= coordinates.measured(draft, model, inputs, aim, grouping, options)
    return {"parameters": draft.plan.parameters, **account.values_of(facts, output), **measured}


def _stepped(model: nn.Module, grouping: Grouping, options: Options) -> Mapping[str, Moved]:
    """What a step moved, if one is asked for."""
    if not options.step:
        return {}
    moved = stepping.stepped(model, grouping, optimisers.stepping(options.optimizer))
    say("\n".join(["", *stepping.lines(moved)]))
    return moved
