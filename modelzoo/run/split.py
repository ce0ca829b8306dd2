"""The main job on several ranks: each holds its part of the model, and the first one prints and writes."""

from __future__ import annotations

import logging
import pathlib
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, distributed
from torch.distributed.checkpoint.state_dict_saver import save as save_checkpoint

from modelzoo import files, ranks, terminal
from modelzoo.catalog import metrics
from modelzoo.config.config import Config
from modelzoo.config.unused import unused
from modelzoo.errors import Path, Problems, fail
from modelzoo.export import exports
from modelzoo.modules import gradients, observe
from modelzoo.modules.homes import tensors_of
from modelzoo.optim import loss
from modelzoo.plans import draft as drafts
from modelzoo.plans import inspection, printing, table
from modelzoo.plans.draft import Draft, example_inputs
from modelzoo.plans.options import Options, device_named
from modelzoo.plans.rows import rows, told
from modelzoo.run import account, load, save
from modelzoo.run.forward import forward
from modelzoo.sharding import gathering
from modelzoo.sharding.meshes import sizes_of
from modelzoo.sharding.rules import Split, ruled
from modelzoo.sharding.sharded import mesh_of, sharded
from modelzoo.sharding.shares import shares_of
from modelzoo.terminal import say

KEY = Path(("parallel",))
CHECKPOINT = "checkpoint"

_ALONE = {"groups": None, "optimizer": None, "step": False, "coordinates": False, "signals": False}
"""Options that need the model in one process, and what they are without it."""


def run(config: Config, directory: pathlib.Path) -> dict[str, Any]:
    """Does one job on all ranks, or plans one of them on meta.

    Args, returns: as for `job.run`; the directory is that of the first rank.

    Raises:
        ConfigError: everything that is wrong with the config, the model and the rules.
    """
    start, options, problems = time.perf_counter(), Options.of(config.options), Problems()
    device, on_meta = device_named(options.device), options.device == "meta"
    world = (options.world or ranks.world()) if on_meta else ranks.world()
    _check(options, on_meta, world, problems)
    draft = drafts.drafted(config, options, device="meta", wrong=problems.found)
    objective = loss.loss_of(options.loss, draft)
    sizes = sizes_of(options.parallel, world, KEY, problems)
    split = ruled(draft.skeleton, draft.table, options.parallel, sizes, problems, KEY)
    problems.check()
    account.warn([*draft.plan.warnings, *unused(config)], config)
    if on_meta:
        draft = replace(draft, loaded=load.told(load.planned(draft.skeleton.root, options.load)))
        terminal.show(inspection.summary(replace(draft.plan, warnings=())))
        say("\n" + str(shares_of(draft, split, sizes, options.rank)))
        return account.sizes(draft)
    account.check_inputs(draft)
    with account.with_threads(options.threads), _joined(device):
        if device.type == "cuda":
            device = torch.device("cuda", ranks.local_rank())
        draft = sharded(draft, device, split, mesh_of(sizes, device), options.memory)
        model = draft.skeleton.root
        draft = replace(draft, loaded=load.told(load.loaded(model, options.load)))
        built = time.perf_counter()
        inputs = example_inputs(draft, device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(draft.plan.seed)
            facts = _report(draft, split, sizes, inputs, objective, config, options, _shared(directory))
        ended = time.perf_counter()
        return {**facts, "build_seconds": round(built - start, 6), "run_seconds": round(ended - built, 6)}


def _check(options: Options, on_meta: bool, world: int, problems: Problems) -> None:
    if not isinstance(options.parallel, Mapping):
        fail(KEY, f"parallel is a file of conf/parallel, or rules, not {options.parallel!r}.", "Type parallel=fsdp.")
    for name, without in _ALONE.items():
        if getattr(options, name) != without:
            shown = "null" if without is None else "false"
            what = f"{name} needs the whole model in one process."
            problems.add(Path((name,)), what, f"Type {name}={shown}, or parallel=null.")
    given = [options.export] if isinstance(options.export, str) else options.export or ()
    others = [each for each in given if each != exports.WHOLE]
    if others:
        what = f"export={others[0]} needs the whole model in one process."
        problems.add(Path(("export",)), what, f"Type export=[{exports.WHOLE}], or parallel=null.")
    if on_meta:
        if options.rank >= world:
            what = f"of {world} ranks there is no rank {options.rank}."
            problems.add(Path(("rank",)), what, "Type rank=0.")
        return
    if options.world is not None or options.rank:
        what = "world and rank are of a plan; torchrun says how many ranks there are."
        problems.add(Path(("world" if options.rank == 0 else "rank",)), what, "Type device=meta too, or leave it out.")
    if not ranks.started():
        what = "a model is split over the processes of a job, and this is one process alone."
        problems.add(KEY, what, "Start it with torchrun --nproc-per-node 2, or type device=meta world=2 to plan only.")


@contextmanager
def _joined(device: torch.device) -> Iterator[None]:
    """All ranks of the job meet; those of an earlier job of this process have parted."""
    own = torch.device("cuda", ranks.local_rank()) if device.type == "cuda" else None
    if own is not None:
        torch.cuda.set_device(own)
    logging.getLogger("torch.distributed.tensor").setLevel(logging.ERROR)  # it advises on what it does itself
    distributed.init_process_group("gloo" if own is None else "nccl", device_id=own)
    try:
        yield
        distributed.barrier()
    finally:
        distributed.destroy_process_group()


def _shared(directory: pathlib.Path) -> pathlib.Path:
    """The directory of the first rank."""
    given = [str(directory)]
    distributed.broadcast_object_list(given)
    return pathlib.Path(given[0])


def _write_checkpoint(directory: pathlib.Path, tensors: Mapping[str, Tensor]) -> pathlib.Path:
    """Writes a folder of `torch.distributed.checkpoint`, to which each rank adds its parts, whole or not at all."""
    path, partial = directory / CHECKPOINT, directory / f"{CHECKPOINT}.partial"
    save_checkpoint({"model": dict(tensors)}, checkpoint_id=partial)
    if ranks.rank() == 0:
        shutil.rmtree(path, ignore_errors=True)
        partial.rename(path)
    distributed.barrier()
    return path


def _report(
    draft: Draft,
    split: Split,
    sizes: Mapping[str, int],
    inputs: dict[str, Tensor],
    objective: loss.Loss | None,
    config: Config,
    options: Options,
    directory: pathlib.Path,
) -> dict[str, Any]:
    model = draft.skeleton.root
    model.train(options.training)
    plan = draft.plan.placed(config.locate)
    values = tensors_of(model)
    facts, seen = rows(draft.plan, model, gathering.statistics(values)), None
    try:
        with observe.observed(model) as record:
            output = forward(draft, model, inputs, options.backward)
        seen = record
    finally:
        terminal.show(table.model_table(facts if seen is None else told(facts, model, seen)))
    shown = shares_of(draft, split, sizes, ranks.rank())
    say("\n".join([*shown.summary(), *printing.output_lines(output)]))
    measured = {**metrics.measure(model, output)}
    if objective is not None:
        measured["loss"] = loss.aimed(objective, inputs, output).item()
        say(f"loss: {measured['loss']:.6g}")
    if options.backward:
        aim = partial(loss.aimed, objective, inputs)
        gradients.backward(draft.skeleton, aim(output), lambda: aim(forward(draft, model, inputs, True)))
    if options.show is not None:
        say("\n".join(printing.value_lines(model, options.show)))
    if ranks.rank() == 0:
        files.clear(directory)
    distributed.barrier()
    text = account.model_file(config)
    kept = {each.name: values[each.name] for each in plan.tensors if each.persistent}
    written = [_write_checkpoint(directory, kept)]
    whole = gathering.whole(values) if exports.WHOLE in (options.export or ()) else {}
    content = save.facts_text(plan, values, {row.name: row.statistics for row in facts}, options.backward)
    if ranks.rank() == 0:
        if whole:
            written.append(save.write_tensors(directory, plan, whole, text))
        written.append(save.write_facts(directory, content))
        files.write_text(directory / "model.yaml", text)
        written.append(directory / "model.yaml")
    account.list_written(written)
    return {"parameters": draft.plan.parameters, **account.values_of(facts, output), **measured}
